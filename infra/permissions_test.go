package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/schema"
)

const (
	graphAPI = "00000003-0000-0000-c000-000000000000"
	mdeAPI   = "fc780465-2017-40d4-a0c5-307022471b92"
	home     = "11111111-1111-1111-1111-111111111111"
	identity = "22222222-2222-2222-2222-222222222222"
)

// azures are the clouds as the script takes them, what the Azure CLI calls each, and the
// id of the hunting role there. Where directory and sign-in are the handler's table says.
var azures = []struct{ name, azure, hunting string }{
	{"global", "AzureCloud", "dd98c7f5-2d42-42d3-a0e4-633161547251"},
	{"gcc", "AzureCloud", "dd98c7f5-2d42-42d3-a0e4-633161547251"},
	{"gcc-high", "AzureUSGovernment", "5f804853-e3b1-447b-9a8b-6d3e1257c72a"},
	{"dod", "AzureUSGovernment", "5f804853-e3b1-447b-9a8b-6d3e1257c72a"},
}

// place is a cloud with its addresses.
type place struct{ name, azure, hunting, graph, login, exchange string }

func places(t *testing.T) (out []place) {
	t.Helper()
	for _, a := range azures {
		c, err := cloud.Parse(a.name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, place{a.name, a.azure, a.hunting, c.Graph().BaseURL, strings.TrimSuffix(c.Authority(), "/"), strings.TrimSuffix(c.ExchangeScope(), "/.default")})
	}
	// Each cloud that an operator is offered.
	for _, word := range strings.FieldsFunc(cloud.ErrUnknown.Error(), func(r rune) bool { return r != '-' && !unicode.IsLetter(r) }) {
		c, err := cloud.Parse(word)
		known := func(p place) bool { return strings.ReplaceAll(p.name, "-", "") == c.Name }
		if err == nil && !slices.ContainsFunc(out, known) {
			t.Errorf("this test leaves out the cloud %s", c.Name)
		}
	}
	return out
}

// world is a stand-in for one test.
type world struct {
	t    *testing.T
	file string
	path string // folder with az
}

// newWorld makes a tenant of a cloud with Microsoft Graph in it. The API of Defender
// for Endpoint is known to the cloud and not yet to the tenant.
func newWorld(t *testing.T, of int) *world {
	t.Helper()
	az, err := standIn()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, file: filepath.Join(t.TempDir(), "world.json"), path: filepath.Dir(az)}
	c := places(t)[of]
	w.save(azWorld{Cloud: c.azure, Graph: c.graph, Tenant: home, VaultOpen: true, Principals: []object{
		{"id": "graph-here", "appId": graphAPI, "assignments": []any{}, "appRoles": []any{
			// A role for people has the same name and another id.
			object{"value": "ThreatHunting.Read.All", "id": "b152eca8-ea73-4a48-8c98-1a6742673d99", "allowedMemberTypes": []any{"User"}},
			object{"value": "ThreatHunting.Read.All", "id": c.hunting, "allowedMemberTypes": []any{"Application"}},
		}},
		{"id": "mde-here", "appId": mdeAPI, "assignments": []any{}, "appRoles": []any{
			object{"value": "AdvancedQuery.Read.All", "id": "93489bf5-0fbc-4f2d-b901-33f2fe08ff05", "allowedMemberTypes": []any{"Application"}},
		}},
		{"id": identity, "appId": "identity-client", "assignments": []any{}, "appRoles": []any{}},
	}})
	return w
}

func (w *world) save(a azWorld) {
	text, err := json.Marshal(a)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.file, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) load() (a azWorld) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(read(w.t, w.file)), &a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// change edits the world between two calls.
func (w *world) change(edit func(*azWorld)) {
	a := w.load()
	edit(&a)
	w.save(a)
}

// script runs a script of this folder and returns all that it prints.
func (w *world) script(name string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(w.t.Context(), "sh", append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+w.path+string(os.PathListSeparator)+os.Getenv("PATH"), "INFRA_AZ_WORLD="+w.file, "PERMISSIONS_PAUSE=0")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *world) permissions(args ...string) string {
	w.t.Helper()
	out, err := w.script("permissions.sh", nil, args...)
	if err != nil {
		w.t.Fatalf("permissions.sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// rolesOf returns the ids of the app roles that a service principal has, by its appId.
func rolesOf(a azWorld, appID string) (ids []string) {
	for _, p := range a.Principals {
		if p["appId"] == appID {
			for _, r := range p["assignments"].([]any) {
				ids = append(ids, r.(map[string]any)["appRoleId"].(string))
			}
		}
	}
	return ids
}

// In every cloud, each credential that differs there: the roles of the source and no
// others, and a second run changes nothing but what it sets again to the same.
func TestPermissions_GrantInEveryCloud(t *testing.T) {
	t.Parallel()
	all := places(t)
	for i, cloud := range all {
		for _, kind := range []string{"secret", "certificate", "federated", "managed-identity"} {
			if kind == "certificate" && i > 0 {
				continue // what a cloud differs in is seen with the others
			}
			t.Run(cloud.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, i)
				args := []string{"grant", "--cloud", cloud.name, "--credential", kind, "--vault", "kv", "--principal-id", identity}
				out := w.permissions(args...)
				first := w.load()
				who := "identity-client"
				if kind != "managed-identity" {
					who = first.Applications[0]["appId"].(string)
				}
				if got := rolesOf(first, who); !slices.Equal(got, []string{cloud.hunting}) {
					t.Errorf("granted %v, want %s", got, cloud.hunting)
				}
				if strings.Contains(out, "SECRET~") {
					t.Errorf("the secret was printed:\n%s", out)
				}
				switch kind {
				case "secret":
					s := first.Secrets[0]
					if got := s["value"].(string); !strings.HasPrefix(got, "SECRET~") || strings.ContainsAny(got, " \n") || s["name"] != "defender-client-secret" {
						t.Errorf("stored %v", s)
					}
					ends, err := time.Parse(time.RFC3339, s["attributes"].(map[string]any)["expires"].(string))
					if days := time.Until(ends).Hours() / 24; err != nil || days < 178 || days > 180 {
						t.Errorf("valid for %.1f days, %v; want 180", days, err)
					}
				case "certificate":
					key := first.Applications[0]["keyCredentials"].([]any)[0].(map[string]any)
					if key["key"] != first.Certificates[0]["cer"] || len(first.Secrets) > 0 {
						t.Errorf("the application accepts %v, the vault holds %v", key, first.Certificates)
					}
				case "federated":
					f := first.Applications[0]["federated"].([]any)[0].(map[string]any)
					if f["issuer"] != cloud.login+"/"+home+"/v2.0" || f["subject"] != identity || f["audiences"].([]any)[0] != cloud.exchange {
						t.Errorf("trusts %v", f)
					}
				case "managed-identity":
					if len(first.Applications)+len(first.Secrets) > 0 {
						t.Errorf("made an application or a secret: %v", first.Changes)
					}
				}

				if i != 0 && i != len(all)-1 {
					return
				}
				w.permissions(args...)
				again := w.load()
				for _, change := range again.Changes[len(first.Changes):] {
					if !strings.HasPrefix(change, "PATCH applications/") {
						t.Errorf("the second run did %s", change)
					}
				}
				first.Changes, again.Changes = nil, nil
				if a, b := fmt.Sprint(first), fmt.Sprint(again); a != b {
					t.Errorf("the second run changed\n%s\ninto\n%s", a, b)
				}
			})
		}
	}
}

// appRole is a line of app-roles.tsv.
type appRole struct{ source, api, id, role string }

func appRoles(t *testing.T) (all []appRole) {
	t.Helper()
	for line := range strings.Lines(read(t, "app-roles.tsv")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("app-roles.tsv: %q has not four fields", line)
		}
		all = append(all, appRole{f[0], f[1], f[2], f[3]})
	}
	return all
}

// The list names what the handler's hunting APIs and the sources of its catalogue need,
// by the names that the script takes, and nothing else.
func TestAppRoles_FitTheHandler(t *testing.T) {
	want := map[string]string{"graph": graphAPI + " " + defender.Graph.Role(), "mde": mdeAPI + " " + defender.MDE.Role()}
	for _, s := range schema.Sources() {
		id := mdeAPI
		if s.API == schema.APIGraph {
			id = graphAPI
		}
		want[s.Short] = id + " " + s.Role
	}
	got := map[string]string{}
	for _, r := range appRoles(t) {
		got[r.source] += r.id + " " + r.role
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("app-roles.tsv differs from the handler (- handler, + list):\n%s", diff)
	}
}

// One run grants the roles of all sources, each once although several need it.
func TestPermissions_GrantEverySource(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	w := newWorld(t, 0)
	var sources []string
	want := map[string]bool{}
	w.change(func(a *azWorld) {
		for _, r := range appRoles(t) {
			sources = append(sources, r.source)
			for _, p := range a.Principals {
				known := func(role any) bool {
					return role.(map[string]any)["value"] == r.role && role.(map[string]any)["id"] != "b152eca8-ea73-4a48-8c98-1a6742673d99"
				}
				offered, _ := p["appRoles"].([]any)
				if p["appId"] != r.id {
					continue
				}
				if !slices.ContainsFunc(offered, known) {
					offered = append(offered, map[string]any{"value": r.role, "id": "id-of-" + r.role, "allowedMemberTypes": []any{"Application"}})
					p["appRoles"] = offered
				}
				want[offered[slices.IndexFunc(offered, known)].(map[string]any)["id"].(string)] = true
			}
		}
	})
	out := w.permissions("grant", "--credential", "managed-identity", "--principal-id", identity, "--sources", strings.Join(sources, " "))
	got := map[string]bool{}
	ids := rolesOf(w.load(), "identity-client")
	for _, id := range ids {
		got[id] = true
	}
	if diff := cmp.Diff(want, got); diff != "" || len(ids) != len(want) || strings.Contains(out, "too many") {
		t.Errorf("granted %v (- wanted, + granted):\n%s\n%s", ids, diff, out)
	}
	again := w.permissions("grant", "--credential", "managed-identity", "--principal-id", identity, "--sources", "graph machines")
	if n := strings.Count(again, "too many"); n != len(want)-2 {
		t.Errorf("%d roles are called too many, want all but those of hunting and machines:\n%s", n, again)
	}
}

func TestPermissions_ConsentInAnotherTenant(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	w := newWorld(t, 0)
	out := w.permissions("grant", "--credential", "federated", "--principal-id", identity, "--multi-tenant", "--sources", "graph mde")
	client := w.load().Applications[0]["appId"].(string)
	if got := rolesOf(w.load(), client); got != nil {
		t.Errorf("the home tenant granted %v; its Defender is not read", got)
	}
	if !strings.Contains(out, "consent --client-id "+client) {
		t.Errorf("it does not say what comes next:\n%s", out)
	}
	w.change(func(a *azWorld) { // the other tenant knows neither the application nor the API
		a.Tenant, a.Applications = "33333333-3333-3333-3333-333333333333", nil
		a.Principals = slices.DeleteFunc(a.Principals, func(p object) bool { return p["appId"] == client })
	})
	w.permissions("consent", "--client-id", client, "--sources", "graph mde")
	if got := rolesOf(w.load(), client); len(got) != 2 {
		t.Errorf("granted %v, want the roles of both sources", got)
	}
}

// An application that was there keeps what it asked for.
func TestPermissions_GrantAddsToWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.permissions("grant", "--sources", "graph")
	client := w.load().Applications[0]["appId"].(string)
	w.change(func(a *azWorld) {
		a.Applications[0]["requiredResourceAccess"] = []any{
			map[string]any{"resourceAppId": "another-api", "resourceAccess": []any{map[string]any{"id": "x", "type": "Scope"}}},
			map[string]any{"resourceAppId": graphAPI, "resourceAccess": []any{map[string]any{"id": "user-read", "type": "Scope"}}},
		}
	})
	want := fmt.Sprintf("map[%s:[user-read %s] another-api:[x] %s:[93489bf5-0fbc-4f2d-b901-33f2fe08ff05]]", graphAPI, azures[0].hunting, mdeAPI)
	for range 2 {
		w.permissions("grant", "--client-id", client, "--sources", "auto")
		asks := map[string][]any{}
		for _, r := range w.load().Applications[0]["requiredResourceAccess"].([]any) {
			api := r.(map[string]any)
			for _, access := range api["resourceAccess"].([]any) {
				asks[api["resourceAppId"].(string)] = append(asks[api["resourceAppId"].(string)], access.(map[string]any)["id"])
			}
		}
		if got := fmt.Sprint(asks); got != want {
			t.Errorf("asks for\n%s, want\n%s", got, want)
		}
	}
	if got := rolesOf(w.load(), client); len(got) != 2 {
		t.Errorf("granted %v, want the roles of graph and mde", got)
	}
	out := w.permissions("grant", "--client-id", client, "--multi-tenant")
	if a := w.load().Applications[0]; a["signInAudience"] != "AzureADMultipleOrgs" || !strings.Contains(out, "consent --client-id "+client) || strings.Contains(out, "DEFENDER_TENANT_ID "+home) {
		t.Errorf("for other tenants: %v\n%s", a["signInAudience"], out)
	}
}

func TestPermissions_SourcesAsTheSettingHasThem(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"auto": 2, "MDATP": 1, "M365D": 1, "M365DGraph": 1, "graph auto": 2} {
		w := newWorld(t, 0)
		w.permissions("grant", "--credential", "managed-identity", "--principal-id", identity, "--sources", name)
		if got := rolesOf(w.load(), "identity-client"); len(got) != want {
			t.Errorf("%s: granted %v, want %d roles", name, got, want)
		}
	}
}

func TestPermissions_NameRolesThatNoSourceNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.permissions("grant", "--credential", "managed-identity", "--principal-id", identity, "--sources", "graph mde")
	out := w.permissions("grant", "--credential", "managed-identity", "--principal-id", identity)
	if !strings.Contains(out, "too many") || !strings.Contains(out, "az rest --method DELETE") {
		t.Errorf("the role of mde was not named:\n%s", out)
	}
}

// Before the deployment there is neither vault nor identity: the application and its roles
// are made, and what is left is said.
func TestPermissions_GrantBeforeTheDeployment(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"secret", "certificate", "federated"} {
		w := newWorld(t, 0)
		out := w.permissions("grant", "--credential", kind)
		a := w.load()
		client := a.Applications[0]["appId"].(string)
		if len(rolesOf(a, client)) != 1 || !strings.Contains(out, "later") || !strings.Contains(out, "azd env set DEFENDER_CLIENT_ID "+client) {
			t.Errorf("%s: %v\n%s", kind, a.Changes, out)
		}
	}
}

// Each mistake ends with what mends it, and changes nothing.
func TestPermissions_SayWhatMends(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	for _, tt := range []struct{ refuse, args, want string }{
		{"", "grant --cloud china", "hunting is not offered in China"},
		{"", "grant --cloud mars", "want global, gcc, gcc-high or dod"},
		{"", "grant --cloud dod", "az cloud set --name AzureUSGovernment"},
		{"", "grant --sources everything", "everything is none of alerts alerts_v2"},
		{"", "grant --credential password", "want secret, certificate, federated or managed-identity"},
		{"", "grant --days 400", "want 1 to 365"},
		{"", "grant --credential managed-identity", "--principal-id is needed"},
		{"", "grant --credential managed-identity --principal-id nobody", "has no service principal nobody"},
		{"", "grant --name a'b", "want letters"},
		{"", "grant --client-id nobody --vault kv", "has no application nobody"},
		{"", "consent", "--client-id is needed"},
		{"", "rotate --client-id nobody", "has no application nobody"},
		{"", "rotate --vault kv", "run grant first"},
		{"account", "grant", "az login"},
		{"cloud", "grant --sources everything", "everything is none of "}, // before Azure is asked
		{"", "retire --credential federated", "nothing to retire"},
		{"rest POST https://graph.microsoft.com/v1.0/applications", "grant --vault kv", "Application Developer"},
		{"rest POST https://graph.microsoft.com/v1.0/servicePrincipals/" + identity, "grant --credential managed-identity --principal-id " + identity, "Privileged Role Administrator or Global Administrator"},
		{"", "grant --colour red", "--colour is no option"},
	} {
		w := newWorld(t, 0)
		w.change(func(a *azWorld) { a.Refuse = tt.refuse })
		out, err := w.script("permissions.sh", nil, strings.Fields(tt.args)...)
		if err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %v\n%s\nwant %q", tt.args, err, out, tt.want)
		}
		if changes := w.load().Changes; len(changes) > 0 {
			t.Errorf("%s: changed %v", tt.args, changes)
		}
	}
}

// Help is given wherever it is asked for, and needs no Azure.
func TestPermissions_Help(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.change(func(a *azWorld) { a.Refuse = "cloud" })
	for _, args := range []string{"--help", "grant --help", "rotate -h", "grant --cloud dod --help"} {
		if out := w.permissions(strings.Fields(args)...); !strings.HasPrefix(out, "usage: ") {
			t.Errorf("%s: %s", args, out)
		}
	}
}

// The scripts take every name that the handler takes, and mean the same by it.
func TestCloudOf_IsTheHandlersReading(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "Global", "public", "com", "worldwide", "AzureCloud", "azure-public", "AzurePublicCloud", "us", "EU", "uk", "au", "swa", "ina", "aea", "GCC", "gcc_m", "gcc-moderate",
		"gcc-high", "GCCHigh", "gcch", "L4", "usgov", "US Government", "AzureUSGovernment", "AzureGovernment", "fairfax", "DoD", "L5", "us-dod",
		"cn", "china", "21vianet", "mooncake", "azurechina", "AzureChinaCloud", "germany", "mars",
	} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", `. ./cloud.sh; cloud_of "$1" && printf '%s %s' "$cloud" "$azure"`, "sh", name).Output()
		want := ""
		if c, fault := cloud.Parse(name); fault == nil {
			azure := "AzureCloud"
			if strings.HasSuffix(c.Authority(), ".us/") {
				azure = "AzureUSGovernment"
			}
			want = strings.Replace(c.Name, "gcchigh", "gcc-high", 1) + " " + azure
		}
		if string(out) != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q (%v) for the scripts, %q for the handler", name, out, err, want)
		}
	}
}
