package config_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
)

const otherTenant = "11111111-2222-3333-4444-666666666666"

// The cloud goes by DEFENDER_CLOUD and by every address; what is of two clouds is
// refused, and so is what is of none that can be copied from.
func TestRead_CloudGoesByTheAddresses(t *testing.T) {
	tokenURL := func(host string) string { return "https://" + host + "/" + otherTenant + "/oauth2/v2.0/token" }
	for _, tt := range []struct {
		name         string
		env          map[string]string
		cloud, fails string
	}{
		{"nothing said", nil, "global", ""},
		{"a token URL of the public cloud", map[string]string{"DEFENDER_TENANT_ID": tokenURL("login.windows.net")}, "global", ""},
		{"and GCC, which is in it", map[string]string{"DEFENDER_TENANT_ID": tokenURL("login.microsoftonline.com"), "DEFENDER_CLOUD": "gcc"}, "gcc", ""},
		{"a token URL of the US government", map[string]string{"DEFENDER_TENANT_ID": tokenURL("login.microsoftonline.us")}, "gcchigh", ""},
		{"DoD says so", map[string]string{"DEFENDER_TENANT_ID": tokenURL("login.microsoftonline.us"), "DEFENDER_CLOUD": "dod"}, "dod", ""},
		{"a token URL of another cloud", map[string]string{"DEFENDER_TENANT_ID": tokenURL("login.microsoftonline.us"), "DEFENDER_CLOUD": "global"}, "",
			"DEFENDER_TENANT_ID: is of the cloud gcc-high or dod and DEFENDER_CLOUD of global: correct one of them"},
		{"a token URL of China", map[string]string{"DEFENDER_TENANT_ID": tokenURL("login.chinacloudapi.cn")}, "", "DEFENDER_TENANT_ID: hunting is not offered in China"},
		{"an authority of China", map[string]string{"DEFENDER_AUTHORITY": "https://login.partner.microsoftonline.cn"}, "", "DEFENDER_AUTHORITY: hunting is not offered in China"},
		{"a server URL", map[string]string{"DEFENDER_API": "mde", "DEFENDER_BASE_URL_MDE": "https://api-gcc.securitycenter.microsoft.us/api"}, "gcc", ""},
		{"a hostname of the US government", map[string]string{"DEFENDER_API": "mde", "DEFENDER_BASE_URL_MDE": "https://api-gov.securitycenter.microsoft.us"}, "gcchigh", ""},
		{"the address of Graph for DoD, and the authority", map[string]string{"DEFENDER_BASE_URL_GRAPH": "https://dod-graph.microsoft.us/v1.0", "DEFENDER_AUTHORITY": "https://login.microsoftonline.us"}, "dod", ""},
		{"the address in use", map[string]string{"DEFENDER_BASE_URL": "https://graph.microsoft.us"}, "gcchigh", ""},
		{"Graph of one cloud, authority of another", map[string]string{"DEFENDER_BASE_URL_GRAPH": "https://graph.microsoft.com", "DEFENDER_AUTHORITY": "https://login.microsoftonline.us"}, "",
			"DEFENDER_BASE_URL_GRAPH: is of the cloud global or gcc and DEFENDER_AUTHORITY of gcc-high or dod: correct one"},
		{"a scope of another cloud", map[string]string{"DEFENDER_SCOPE_GRAPH": "https://graph.microsoft.us/.default", "DEFENDER_CLOUD": "dod"}, "",
			"DEFENDER_SCOPE_GRAPH: is of the cloud gcc-high and DEFENDER_CLOUD of dod"},
		{"a scope of Defender for Endpoint is free", map[string]string{"DEFENDER_API": "mde", "DEFENDER_SCOPE": "https://api.securitycenter.microsoft.com/.default", "DEFENDER_CLOUD": "gcc-high"}, "gcchigh", ""},
		{"an old host of a region", map[string]string{"DEFENDER_API": "mde", "DEFENDER_BASE_URL": "https://api-eu.securitycenter.microsoft.com", "DEFENDER_CLOUD": "eu"}, "global", ""},
		{"a proxy says nothing", map[string]string{"DEFENDER_BASE_URL": "https://proxy.contoso.com", "DEFENDER_CLOUD": "dod"}, "dod", ""},
		{"a cloud that is none is said alone", map[string]string{"DEFENDER_CLOUD": "mars", "DEFENDER_AUTHORITY": "https://login.microsoftonline.us"}, "", "DEFENDER_CLOUD: want global"},
	} {
		c, err := config.Read(getenv(tt.env))
		switch {
		case tt.fails == "" && (err != nil || c.Defender.Cloud != tt.cloud):
			t.Errorf("%s: cloud %q, %v; want %s", tt.name, c.Defender.Cloud, err, tt.cloud)
		case tt.fails != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.fails) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v; want one line with %q", tt.name, err, tt.fails)
		}
	}
}

// What an instance says under its own name wins over what is of another cloud in the
// settings of all; two of those that differ are a fault.
func TestRead_CloudOfAnInstance(t *testing.T) {
	const us, public = "https://login.microsoftonline.us", "https://login.microsoftonline.com"
	for _, tt := range []struct {
		name                    string
		env                     map[string]string
		cloud, region, authoriy string
		fails                   string
	}{
		{"the token URL, and the cloud of all", map[string]string{"DEFENDER_CLOUD": "eu", "DEFENDER_WEST_TENANT_ID": us + "/" + otherTenant + "/oauth2/v2.0/token"}, "gcchigh", "", us, ""},
		{"the cloud, and the authority of all", map[string]string{"DEFENDER_AUTHORITY": public, "DEFENDER_WEST_CLOUD": "dod"}, "dod", "", "", ""},
		{"the cloud, and an authority of China for all", map[string]string{"DEFENDER_AUTHORITY": "https://login.chinacloudapi.cn", "DEFENDER_WEST_CLOUD": "dod"}, "dod", "", "", ""},
		{"nothing but what is of all", map[string]string{"DEFENDER_CLOUD": "eu", "DEFENDER_AUTHORITY": public}, "global", "eu", public, ""},
		{"two of all that differ", map[string]string{"DEFENDER_CLOUD": "gcc", "DEFENDER_AUTHORITY": us}, "", "", "", "DEFENDER_AUTHORITY: is of the cloud gcc-high or dod and DEFENDER_CLOUD of gcc"},
		{"two of its own that differ", map[string]string{"DEFENDER_WEST_CLOUD": "gcc", "DEFENDER_WEST_AUTHORITY": us}, "", "", "", "DEFENDER_WEST_AUTHORITY: is of the cloud gcc-high or dod and DEFENDER_WEST_CLOUD of gcc"},
	} {
		env := map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": otherTenant}
		maps.Copy(env, tt.env)
		c, _ := config.Read(getenv(env)) // the instance without a name may be faulty
		i, err := c.Instance("west")
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if d := i.Defender; tt.fails == "" && (i.Fault != nil || d.Cloud != tt.cloud || d.Region != tt.region || d.Authority != tt.authoriy) {
			t.Errorf("%s: %s, region %q, authority %q, %v", tt.name, d.Cloud, d.Region, d.Authority, i.Fault)
		}
		if tt.fails != "" && (i.Fault == nil || !strings.HasPrefix(i.Fault.Error(), tt.fails)) {
			t.Errorf("%s: %v, want %q", tt.name, i.Fault, tt.fails)
		}
	}
}

// A person signs in to the cluster in the Azure cloud that it is in.
func TestRead_AuthorityOfTheCluster(t *testing.T) {
	for _, tt := range []struct{ cluster, host, want string }{
		{"https://c.westeurope.kusto.windows.net", "", "https://login.microsoftonline.com/"},
		{"https://c.usgovvirginia.kusto.usgovcloudapi.net", "", "https://login.microsoftonline.us/"},
		{"https://c.usgovvirginia.kusto.usgovcloudapi.net", "https://login.example.com", ""},
	} {
		for _, kind := range []string{"device-code", "browser"} {
			c, err := config.ReadADX(getenv(map[string]string{"ADX_CREDENTIAL": kind, "ADX_CLUSTER_URL": tt.cluster, "AZURE_AUTHORITY_HOST": tt.host}))
			if err != nil || c.ADX.Authority != tt.want {
				t.Errorf("%s by %s with %q: %q, %v; want %q", tt.cluster, kind, tt.host, c.ADX.Authority, err, tt.want)
			}
		}
	}
}

// What a connection string cannot be read for is no fault of its own.
func TestRead_BrokenConnectionIsOneFault(t *testing.T) {
	none := map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_CLIENT_ID": "", "KEY_VAULT_URL": "", "DEFENDER_CONNECTION": "tenant_id='x'; client_secret='y"}
	_, err := config.Read(getenv(none))
	if err == nil || !strings.HasPrefix(err.Error(), "DEFENDER_CONNECTION: want a connection string") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want that fault alone", err)
	}
	c, err := config.Read(getenv(map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_CONNECTION": "tenant_id='x"}))
	if err != nil {
		t.Fatal(err)
	}
	if i, _ := c.Instance("west"); i.Fault == nil || !strings.HasPrefix(i.Fault.Error(), "DEFENDER_WEST_CONNECTION: ") || strings.Contains(i.Fault.Error(), "\n") {
		t.Errorf("West: %v, want that fault alone", i.Fault)
	}
}

// A name that can be none of an instance is told at every start, with the reason.
func TestWarnings_NameWhatIsNoInstance(t *testing.T) {
	env := getenv(map[string]string{"MIGRATION_SCHEDULE": "0 0 * * * *", "DEFENDER_INSTANCES": "a-b"})
	got := strings.Join(config.Warnings(env, nil), "\n")
	if !strings.HasPrefix(got, `DEFENDER_INSTANCES: want names of 1 to 24 letters and digits`) || strings.Contains(got, "\n") {
		t.Errorf("warned %q", got)
	}
	c, err := config.Read(env)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Unknown("a-b"); !strings.Contains(err.Error(), "letters and digits") {
		t.Errorf("a row of it is refused with %v", err)
	}
	if _, err := config.ReadADX(env); err == nil {
		t.Error("a person who runs a command is not told")
	}
}

func TestRead_NamesOfDatabases(t *testing.T) {
	for name, ok := range map[string]bool{
		"defender": true, "Defender XDR-2.0_a": true, "Sicherheit_Köln": true, "d": true,
		"a/b": false, "a'b": false, "-d": false, "d;drop": false, strings.Repeat("d", 261): false, "a\nb": false,
	} {
		for _, setting := range []string{"ADX_DATABASE", "DEFENDER_DATABASE"} {
			_, err := config.Read(getenv(map[string]string{setting: name}))
			if (err == nil) != ok || err != nil && !strings.HasPrefix(err.Error(), setting+": want the name of a database") {
				t.Errorf("%s=%.40q: %v, want it to be taken: %v", setting, name, err, ok)
			}
		}
	}
}
