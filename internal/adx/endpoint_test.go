package adx

import (
	"net/url"
	"testing"

	"github.com/Azure/azure-kusto-go/azkustodata/trusted_endpoints"
)

// Clusters of every cloud and Eventhouses: the ingestion address follows from either of
// the two, or is the one that is given, and the SDK trusts both with tokens of the
// cloud's own Entra ID.
func TestNew_AddressesOfEveryKind(t *testing.T) {
	const public, us, china = "https://login.microsoftonline.com", "https://login.microsoftonline.us", "https://login.partner.microsoftonline.cn"
	tests := []struct {
		cluster, ingest, login  string // settings and the cloud's authority
		wantCluster, wantIngest string
	}{
		{"https://help.westeurope.kusto.windows.net", "", public, "https://help.westeurope.kusto.windows.net", "https://ingest-help.westeurope.kusto.windows.net"},
		{"https://ingest-help.westeurope.kusto.windows.net/", "", public, "https://help.westeurope.kusto.windows.net", "https://ingest-help.westeurope.kusto.windows.net"},
		{"https://trd-abc123.z5.kusto.fabric.microsoft.com", "", public, "https://trd-abc123.z5.kusto.fabric.microsoft.com", "https://ingest-trd-abc123.z5.kusto.fabric.microsoft.com"},
		{"https://trd-abc123.z5.kusto.fabric.microsoft.com", "https://ingest-trd-other.z5.kusto.fabric.microsoft.com", public, "https://trd-abc123.z5.kusto.fabric.microsoft.com", "https://ingest-trd-other.z5.kusto.fabric.microsoft.com"},
		{"https://soc.usgovvirginia.kusto.usgovcloudapi.net", "", us, "https://soc.usgovvirginia.kusto.usgovcloudapi.net", "https://ingest-soc.usgovvirginia.kusto.usgovcloudapi.net"},
		{"https://soc.chinanorth3.kusto.chinacloudapi.cn", "", china, "https://soc.chinanorth3.kusto.chinacloudapi.cn", "https://ingest-soc.chinanorth3.kusto.chinacloudapi.cn"},
	}
	for _, tt := range tests {
		c, err := New(Config{ClusterURL: tt.cluster, IngestURL: tt.ingest, Database: "d"})
		if err != nil {
			t.Errorf("%s: %v", tt.cluster, err)
			continue
		}
		if c.cluster != tt.wantCluster || c.ingest != tt.wantIngest {
			t.Errorf("%s, %q: got %s and %s, want %s and %s", tt.cluster, tt.ingest, c.cluster, c.ingest, tt.wantCluster, tt.wantIngest)
		}
		for _, address := range []string{c.cluster, c.ingest} {
			if u, err := url.Parse(address); err != nil || trustedEndpoints.Instance.ValidateTrustedEndpoint(u.String(), tt.login) != nil {
				t.Errorf("the SDK does not trust %s of %s", address, tt.login)
			}
		}
		_ = c.Close()
	}
}
