package cloud_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/cloud"
)

// matrix is every cloud by every API, written out: host and scope of each.
var matrix = []struct {
	name      string // as a person writes it
	cloud     cloud.Cloud
	authority string
	graph     string // host, and audience of its tokens
	mde       string
	audience  string // of tokens for mde
	exchange  string
}{
	{"global", cloud.Cloud{Name: "global"}, "login.microsoftonline.com", "graph.microsoft.com", "api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"us", cloud.Cloud{Name: "global", Region: "us"}, "login.microsoftonline.com", "graph.microsoft.com", "us.api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"eu", cloud.Cloud{Name: "global", Region: "eu"}, "login.microsoftonline.com", "graph.microsoft.com", "eu.api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"uk", cloud.Cloud{Name: "global", Region: "uk"}, "login.microsoftonline.com", "graph.microsoft.com", "uk.api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"au", cloud.Cloud{Name: "global", Region: "au"}, "login.microsoftonline.com", "graph.microsoft.com", "au.api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"swa", cloud.Cloud{Name: "global", Region: "swa"}, "login.microsoftonline.com", "graph.microsoft.com", "swa.api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"ina", cloud.Cloud{Name: "global", Region: "ina"}, "login.microsoftonline.com", "graph.microsoft.com", "ina.api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"aea", cloud.Cloud{Name: "global", Region: "aea"}, "login.microsoftonline.com", "graph.microsoft.com", "aea.api.security.microsoft.com", "api.securitycenter.microsoft.com", "api://AzureADTokenExchange/.default"},
	{"gcc", cloud.Cloud{Name: "gcc"}, "login.microsoftonline.com", "graph.microsoft.com", "api-gcc.securitycenter.microsoft.us", "api-gcc.securitycenter.microsoft.us", "api://AzureADTokenExchange/.default"},
	{"gcc-high", cloud.Cloud{Name: "gcchigh"}, "login.microsoftonline.us", "graph.microsoft.us", "api-gov.securitycenter.microsoft.us", "api-gov.securitycenter.microsoft.us", "api://AzureADTokenExchangeUSGov/.default"},
	{"dod", cloud.Cloud{Name: "dod"}, "login.microsoftonline.us", "dod-graph.microsoft.us", "api-gov.securitycenter.microsoft.us", "api-gov.securitycenter.microsoft.us", "api://AzureADTokenExchangeUSGov/.default"},
}

func TestCloud_MatrixOfHostsAndScopes(t *testing.T) {
	for _, tt := range matrix {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cloud.Parse(tt.name)
			if err != nil || got != tt.cloud {
				t.Fatalf("Parse = %+v, %v; want %+v", got, err, tt.cloud)
			}
			want := map[string]string{
				"authority": "https://" + tt.authority + "/",
				"graph":     "https://" + tt.graph, "graph scope": "https://" + tt.graph + "/.default",
				"mde": "https://" + tt.mde, "mde scope": "https://" + tt.audience + "/.default",
				"exchange": tt.exchange,
			}
			graph, mde := got.Graph(), got.MDE()
			if diff := cmp.Diff(want, map[string]string{
				"authority": got.Authority(), "graph": graph.BaseURL, "graph scope": graph.Scope,
				"mde": mde.BaseURL, "mde scope": mde.Scope, "exchange": got.ExchangeScope(),
			}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, c := range cloud.All() {
		if offered := strings.ReplaceAll(cloud.ErrUnknown.Error(), "-", ""); !strings.Contains(offered, c.Name) || !strings.Contains(offered, c.Region) {
			t.Errorf("an operator is not told of %s %s: %v", c.Name, c.Region, cloud.ErrUnknown)
		}
	}
	if got := len(cloud.All()); got != len(matrix) {
		t.Errorf("there are %d clouds and regions, the matrix has %d", got, len(matrix))
	}
}

func TestParse_TakesOtherSpellings(t *testing.T) {
	for text, want := range map[string]string{
		"": "global", " Global ": "global", "AzureCloud": "global", "public": "global", "EU": "global", "GCC": "gcc",
		"gcc_high": "gcchigh", "GCCHigh": "gcchigh", "usgov": "gcchigh", "AzureUSGovernment": "gcchigh", "DoD": "dod", "us-dod": "dod",
	} {
		if got, err := cloud.Parse(text); err != nil || got.Name != want {
			t.Errorf("Parse(%q) = %+v, %v; want %s", text, got, err, want)
		}
	}
}

func TestParse_RefusesWithTheReason(t *testing.T) {
	for text, want := range map[string]string{
		"china": "no runHuntingQuery", "cn": "21Vianet", "AzureChinaCloud": "not offered in China", "de": "closed", "mars": "gcc-high or dod",
	} {
		if got, err := cloud.Parse(text); err == nil || !strings.Contains(err.Error(), want) || got != (cloud.Cloud{}) {
			t.Errorf("Parse(%q) = %+v, %v; want an error with %q", text, got, err, want)
		}
	}
}

// A government cloud has hosts, an authority and an audience of its own: none of
// them is the public one.
func TestScenario_A6_GovernmentCloud(t *testing.T) {
	for _, name := range []string{cloud.GCCHigh, cloud.DoD} {
		c := cloud.Cloud{Name: name}
		for api, e := range map[string]cloud.Endpoint{"graph": c.Graph(), "mde": c.MDE()} {
			for what, text := range map[string]string{"authority": c.Authority(), "base URL": e.BaseURL, "scope": e.Scope} {
				u, err := url.Parse(text)
				if err != nil || !strings.HasSuffix(u.Hostname(), ".us") {
					t.Errorf("%s %s: %s is %s", name, api, what, text)
				}
			}
			if audience := strings.TrimSuffix(e.Scope, "/.default"); e.BaseURL != audience {
				t.Errorf("%s %s: the token is for %s, the call goes to %s", name, api, audience, e.BaseURL)
			}
		}
	}
}
