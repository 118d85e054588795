package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestLookup_FallsBackToTheSettingWithoutAName(t *testing.T) {
	env := getenv(map[string]string{
		"DEFENDER_CLOUD": "gcc", "DEFENDER_WEST_CLOUD": "dod", "DEFENDER_West_API": "mde", "DEFENDER_WEST_KEY_VAULT_URL": "https://w.vault.azure.net",
		"DEFENDER_WEST_ADX_DATABASE": "no", "DEFENDER_WEST_SCOPE": " ", "DEFENDER_SCOPE": "s",
	})
	for _, tt := range []struct{ instance, setting, want string }{
		{"West", "DEFENDER_CLOUD", "dod"},
		{"west", "DEFENDER_CLOUD", "dod"},
		{"West", "DEFENDER_API", "mde"}, // as the list spells the name
		{"West", "DEFENDER_SCOPE", "s"}, // blanks are nothing
		{"West", "DEFENDER_CLIENT_ID", "c"},
		{"West", "KEY_VAULT_URL", "https://w.vault.azure.net"},
		{"West", "ADX_DATABASE", "d"},      // no setting of an instance
		{"West", "DEFENDER_TENANT_ID", ""}, // but for the tenant
		{"East", "DEFENDER_CLOUD", "gcc"},
		{"", "DEFENDER_CLOUD", "gcc"},
		{"", "KEY_VAULT_URL", "https://v.vault.azure.net"},
	} {
		if got := config.Lookup(env, tt.instance)(tt.setting); got != tt.want {
			t.Errorf("%q: %s = %q, want %q", tt.instance, tt.setting, got, tt.want)
		}
	}
}

func TestRead_Instances(t *testing.T) {
	const tenant = "11111111-2222-3333-4444-666666666666"
	for _, tt := range []struct {
		name   string
		env    map[string]string
		names  string
		faulty string // the instances with a fault
		fails  string
	}{
		{"the default instance alone", nil, "default", "", ""},
		{"two more", map[string]string{"DEFENDER_INSTANCES": "West,, East ", "DEFENDER_WEST_TENANT_ID": tenant, "DEFENDER_EAST_TENANT_ID": tenant}, "default, West, East", "", ""},
		{"no tenant of its own", map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANTID": tenant}, "default, West", "West", ""},
		{"no tenant of its own, and a connection of all", map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_CLIENT_ID": "", "DEFENDER_CONNECTION": "tenant_id=" + tenant + ";client_id=c", "DEFENDER_INSTANCES": "West"}, "default, West", "West", ""},
		{"a tenant in its own connection", map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_CONNECTION": "tenant_id=" + tenant}, "default, West", "", ""},
		{"two of one tenant say so twice", map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": "11111111-2222-3333-4444-555555555555"}, "default, West", "", ""},
		{"no default instance", map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant}, "West", "", ""},
		{"one is faulty", map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": "x"}, "default, West", "West", ""},
		{"the default instance is faulty", map[string]string{"DEFENDER_TENANT_ID": "x", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant}, "default, West", "default", ""},
		{"all are faulty", map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_INSTANCES": "West,East", "DEFENDER_EAST_TENANT_ID": "x"}, "West, East", "West East",
			"DEFENDER_WEST_TENANT_ID: is not set; directory (tenant) id of the Defender tenant; of a token URL the tenant and the authority are taken\nDEFENDER_EAST_TENANT_ID: want an id"},
		{"a fault that all share is said once", map[string]string{"DEFENDER_CLOUD": "mars", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant}, "default, West", "default West", "DEFENDER_CLOUD: want"},
		{"a fault that one has mended", map[string]string{"DEFENDER_CLOUD": "mars", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant, "DEFENDER_WEST_CLOUD": "gcc"}, "default, West", "default", ""},
		{"a bad name holds nobody up", map[string]string{"DEFENDER_X_TENANT_ID": tenant, "DEFENDER_INSTANCES": "a-b, x"}, "default, x", "", ""},
		{"a bad name beside faulty ones", map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_INSTANCES": "a-b, tenant, Default, x, X, " + strings.Repeat("n", 25)}, "x", "x",
			`DEFENDER_INSTANCES: want names of 1 to 24 letters and digits with commas between them, got "a-b"; "tenant" begins the name of a setting (DEFENDER_TENANT...): choose another name; "Default" is what`},
		{"a connection that cannot be read is of the default instance", map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_CONNECTION": "tenant", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant}, "default, West", "default West", "DEFENDER_CONNECTION: want a connection string"},
		{"a bad name of a database", map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant, "DEFENDER_WEST_DATABASE": "west'; drop"}, "default, West", "West", ""},
		{"the client secret of ADX", map[string]string{"ADX_CREDENTIAL": "secret", "DEFENDER_TENANT_ID": "", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant}, "West", "",
			"ADX_CREDENTIAL: secret is that of the instance without a name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Read(getenv(tt.env))
			if (err == nil) != (tt.fails == "") || err != nil && !strings.HasPrefix(err.Error(), tt.fails) {
				t.Errorf("Read: %v, want %q", err, tt.fails)
			}
			if err != nil && strings.Count(err.Error(), "DEFENDER_CLOUD") > 1 {
				t.Errorf("said twice: %v", err)
			}
			for _, i := range c.Instances {
				if strings.HasPrefix(tt.name, "no tenant of its own") && i.Name == "West" && (i.Defender.TenantID != "" || !strings.HasPrefix(i.Fault.Error(), "DEFENDER_WEST_TENANT_ID: is not set")) {
					t.Errorf("West has tenant %q and fault %v", i.Defender.TenantID, i.Fault)
				}
			}
			var faulty []string
			for _, i := range c.Instances {
				if i.Fault != nil {
					faulty = append(faulty, plan.ShownInstance(i.Name))
				}
			}
			if got := strings.Join(faulty, " "); c.InstanceNames() != tt.names || got != tt.faulty {
				t.Errorf("instances %s, faulty %q; want %s and %q", c.InstanceNames(), got, tt.names, tt.faulty)
			}
		})
	}
}

// Each instance has what is its own and what is not from the settings without a name.
func TestRead_AnInstanceOfItsOwn(t *testing.T) {
	c, err := config.Read(getenv(map[string]string{
		"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": "11111111-2222-3333-4444-666666666666", "DEFENDER_WEST_API": "mde",
		"DEFENDER_WEST_DATABASE": "west", "DEFENDER_WEST_TABLE_PREFIX": "W_", "DEFENDER_FREE_SHARE": "0.5",
	}))
	if err != nil {
		t.Fatal(err)
	}
	first, west := c.Instances[0].Defender, c.Instances[1].Defender
	if first.API != "graph" || first.Database != "d" || first.TablePrefix != "" || first.CallsPerHour != 0 || c.Defender != first {
		t.Errorf("default: %+v", first)
	}
	if west.API != "mde" || west.Database != "west" || west.TablePrefix != "W_" || west.CallsPerHour != 1500 || west.FreeShare != 0.5 || west.ClientID != "c" {
		t.Errorf("west: %+v", west)
	}
	for name, want := range map[string]string{"": "", "default": "", "WEST": "west", " west ": "west"} {
		if i, err := c.Instance(name); err != nil || i.Key() != want {
			t.Errorf("Instance(%q) = %q, %v", name, i.Key(), err)
		}
	}
	if _, err := c.Instance("east"); err == nil || !strings.Contains(err.Error(), "want one of default, West") {
		t.Errorf("east: %v", err)
	}
}

func TestUnknown_KnowsTheSettingsOfInstances(t *testing.T) {
	environ := []string{"DEFENDER_INSTANCES=West", "DEFENDER_WEST_TENANT_ID=x", "DEFENDER_West_CLOUD=x", "DEFENDER_WEST_KEY_VAULT_URL=x", "DEFENDER_EAST_TENANT_ID=x", "DEFENDER_WEST_TENNANT_ID=x"}
	got := config.Unknown(environ)
	want := []string{"DEFENDER_EAST_TENANT_ID: is no setting and not read; is DEFENDER_WEST_TENANT_ID meant?", "DEFENDER_WEST_TENNANT_ID: is no setting and not read; is DEFENDER_WEST_TENANT_ID meant?"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A command on ADX alone knows where each instance's tables are, and no more.
func TestReadADX_KnowsWhereTheTablesAre(t *testing.T) {
	env := map[string]string{"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "d", "DEFENDER_INSTANCES": "west,east", "DEFENDER_WEST_TABLE_PREFIX": "W_", "DEFENDER_EAST_DATABASE": "e"}
	c, err := config.ReadADX(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if c.Instances[0].Defender.TablePrefix != "W_" || c.Instances[0].Defender.Database != "d" || c.Instances[1].Defender.Database != "e" {
		t.Errorf("instances %+v", c.Instances)
	}
	// One that cannot say it holds up no other.
	env["DEFENDER_WEST_TABLE_PREFIX"] = "W-"
	c, err = config.ReadADX(func(name string) string { return env[name] })
	if err != nil || c.Instances[0].Fault == nil || !strings.HasPrefix(c.Instances[0].Fault.Error(), "DEFENDER_WEST_TABLE_PREFIX: want letters") || c.Instances[1].Fault != nil {
		t.Errorf("a faulty prefix: %+v, %v", c.Instances, err)
	}
	env["DEFENDER_EAST_DATABASE"] = "a/b"
	if _, err := config.ReadADX(func(name string) string { return env[name] }); err == nil || !strings.Contains(err.Error(), "DEFENDER_WEST_TABLE_PREFIX: want letters") || !strings.Contains(err.Error(), "DEFENDER_EAST_DATABASE: want") {
		t.Errorf("all are faulty: %v", err)
	}
}

// An instance that copies nothing sets no limit to the answers of the others.
func TestRead_AFaultyInstanceLimitsNobody(t *testing.T) {
	env := map[string]string{"DEFENDER_API": "mde", "MIGRATION_BYTE_TARGET": "60000000", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_API": "graph", "DEFENDER_WEST_TENANT_ID": "none"}
	if _, err := config.Read(getenv(env)); err != nil {
		t.Errorf("a faulty instance: %v", err)
	}
	env["DEFENDER_WEST_TENANT_ID"] = "21111111-2222-3333-4444-555555555555"
	if _, err := config.Read(getenv(env)); err == nil || !strings.HasPrefix(err.Error(), "MIGRATION_BYTE_TARGET: ") {
		t.Errorf("one that works: %v", err)
	}
}

// A pasted token URL holds the tenant and who issues its tokens.
func TestRead_TokenURL(t *testing.T) {
	const id = "11111111-2222-3333-4444-666666666666"
	for _, tt := range []struct{ given, own, tenant, authority, fails string }{
		{"https://login.microsoftonline.us/" + id + "/oauth2/v2.0/token", "", id, "https://login.microsoftonline.us", ""},
		{"https://login.windows.net/" + id + "/oauth2/token", "", id, "https://login.windows.net", ""},
		{"https://login.windows.net/" + id + "/oauth2/token", "https://login.microsoftonline.com", id, "https://login.microsoftonline.com", ""},
		{id, "", id, "", ""},
		{"https://login.windows.net/" + id, "", "", "", "DEFENDER_TENANT_ID: want an id, or a token URL"},
		{"http://login.windows.net/" + id + "/oauth2/token", "", "", "", "DEFENDER_TENANT_ID: want an id, or a token URL"},
		{"https://login.windows.net/contoso/oauth2/token", "", "", "", "DEFENDER_TENANT_ID: want an id"},
	} {
		c, err := config.Read(getenv(map[string]string{"DEFENDER_TENANT_ID": tt.given, "DEFENDER_AUTHORITY": tt.own}))
		if (err == nil) != (tt.fails == "") || err != nil && !strings.HasPrefix(err.Error(), tt.fails) {
			t.Errorf("%s: %v, want %q", tt.given, err, tt.fails)
		}
		if err == nil && (c.Defender.TenantID != tt.tenant || c.Defender.Authority != tt.authority) {
			t.Errorf("%s: tenant %s, authority %s", tt.given, c.Defender.TenantID, c.Defender.Authority)
		}
	}
}

// What stands under an instance's own name wins over what it would take from the
// settings without one, also where those say it in another way.
func TestRead_AnInstancesOwnAddressesWin(t *testing.T) {
	const tenant, east = "11111111-2222-3333-4444-666666666666", "https://eu.api.security.microsoft.com"
	for _, tt := range []struct {
		name                   string
		env                    map[string]string
		authority, base, scope string
		graph, kind            string
	}{
		{name: "its token URL", authority: "https://login.microsoftonline.us", kind: "secret",
			env: map[string]string{"DEFENDER_AUTHORITY": "https://login.microsoftonline.com", "DEFENDER_WEST_TENANT_ID": "https://login.microsoftonline.us/" + tenant + "/oauth2/v2.0/token"}},
		{name: "the authority of all", authority: "https://login.example.com", kind: "secret",
			env: map[string]string{"DEFENDER_AUTHORITY": "https://login.example.com"}},
		{name: "another API than the addresses are of", kind: "secret",
			env: map[string]string{"DEFENDER_API": "mde", "DEFENDER_BASE_URL": east, "DEFENDER_SCOPE": "s/.default", "DEFENDER_WEST_API": "graph"}},
		{name: "the same API", base: east, scope: "s/.default", kind: "secret",
			env: map[string]string{"DEFENDER_API": "mde", "DEFENDER_BASE_URL": east, "DEFENDER_SCOPE": "s/.default", "DEFENDER_WEST_API": "mde"}},
		{name: "the address of one API", graph: "https://graph.microsoft.us", kind: "secret",
			env: map[string]string{"DEFENDER_BASE_URL": "https://graph.microsoft.com", "DEFENDER_WEST_BASE_URL_GRAPH": "https://graph.microsoft.us"}},
		{name: "its secret beside the user name of all", kind: "secret",
			env: map[string]string{"DEFENDER_USERNAME": "a@b.example", "DEFENDER_WEST_CLIENT_SECRET": "x"}},
	} {
		env := map[string]string{"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": tenant}
		maps.Copy(env, tt.env)
		c, _ := config.Read(getenv(env)) // the instance without a name may be faulty
		i, err := c.Instance("west")
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if d := i.Defender; i.Fault != nil || d.Authority != tt.authority || d.BaseURL != tt.base || d.Scope != tt.scope || d.Graph.BaseURL != tt.graph || d.Credential.Kind != tt.kind {
			t.Errorf("%s: %v, authority %q, base %q, scope %q, graph %q, %s", tt.name, i.Fault, d.Authority, d.BaseURL, d.Scope, d.Graph.BaseURL, d.Credential.Kind)
		}
	}
}
