package infra_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/ncrontab"
)

const clusterID = "/subscriptions/s/resourceGroups/data/providers/Microsoft.Kusto/clusters/adxone"

// What cannot work is refused before anything is deployed, with the command that mends it.
func TestPreprovision_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		of   int // cloud
		env  string
		edit func(*azWorld)
		want string // "": it may go on
	}{
		{name: "an identity, a new cluster", env: "DEFENDER_CREDENTIAL=managed-identity"},
		{name: "an application", env: "DEFENDER_CLIENT_ID=c"},
		{name: "an application without its id", want: "sh infra/permissions.sh grant --credential secret"},
		{name: "a certificate without an id", env: "DEFENDER_CREDENTIAL=certificate", want: "--credential certificate"},
		{name: "a credential for a terminal", env: "DEFENDER_CREDENTIAL=azure-cli", want: "which is none for the app in Azure"},
		{name: "an identity for another tenant", env: "DEFENDER_CREDENTIAL=managed-identity DEFENDER_TENANT_ID=other AZURE_TENANT_ID=" + home, want: "azd env set DEFENDER_CREDENTIAL federated"},
		{name: "an identity for its own tenant", env: "DEFENDER_CREDENTIAL=managed-identity DEFENDER_TENANT_ID=" + home + " AZURE_TENANT_ID=" + home},
		{name: "an identity for another cloud", env: "DEFENDER_CREDENTIAL=managed-identity DEFENDER_CLOUD=dod", want: "azd env set DEFENDER_CREDENTIAL secret"},
		{name: "an identity for GCC, which is in the public cloud", env: "DEFENDER_CREDENTIAL=managed-identity DEFENDER_CLOUD=GCC"},
		{name: "trust from the government cloud for the public one", of: 2, env: "DEFENDER_CLIENT_ID=c DEFENDER_CREDENTIAL=federated HOSTING_PLAN=premium", want: "azd env set DEFENDER_CREDENTIAL secret"},
		{name: "an identity of the government cloud by another name", of: 2, env: "DEFENDER_CREDENTIAL=managed-identity DEFENDER_CLOUD=usgov HOSTING_PLAN=premium"},
		{name: "China", env: "DEFENDER_CLIENT_ID=c DEFENDER_CLOUD=china", want: "hunting is not offered in China"},
		{name: "an existing cluster unnamed", env: "DEFENDER_CLIENT_ID=c ADX_MODE=existing", want: "azd env set ADX_CLUSTER_ID"},
		{name: "an existing cluster by its address", env: "DEFENDER_CLIENT_ID=c ADX_MODE=existing ADX_CLUSTER_ID=https://adxone.kusto.windows.net", want: "is no resource id"},
		{name: "an existing cluster", env: "DEFENDER_CLIENT_ID=c ADX_MODE=existing ADX_CLUSTER_ID=" + clusterID,
			edit: func(a *azWorld) { a.Resources = []object{{"id": clusterID, "properties": object{"state": "Running"}}} }},
		{name: "an existing cluster that nobody may see", env: "DEFENDER_CLIENT_ID=c ADX_MODE=existing ADX_CLUSTER_ID=" + clusterID, want: "cannot be read"},
		{name: "a cluster that has stopped itself", env: "DEFENDER_CLIENT_ID=c AZURE_RESOURCE_GROUP=app",
			edit: func(a *azWorld) { a.Resources = []object{{"id": clusterID, "properties": object{"state": "Stopped"}}} },
			want: "az resource invoke-action --action start --ids " + clusterID},
		{name: "an eventhouse unnamed", env: "DEFENDER_CLIENT_ID=c ADX_MODE=eventhouse", want: "azd env set EVENTHOUSE_QUERY_URL"},
		{name: "an eventhouse", env: "DEFENDER_CLIENT_ID=c ADX_MODE=eventhouse EVENTHOUSE_QUERY_URL=https://trd-x.z1.kusto.fabric.microsoft.com"},
		{name: "an unknown destination", env: "DEFENDER_CLIENT_ID=c ADX_MODE=free", want: "azd env set ADX_MODE new"},
		{name: "a network without its provider", env: "DEFENDER_CLIENT_ID=c PRIVATE_NETWORK=true", want: "az provider register --namespace Microsoft.App --wait"},
		{name: "a network", env: "DEFENDER_CLIENT_ID=c PRIVATE_NETWORK=true", edit: func(a *azWorld) { a.Providers = []string{"Microsoft.App"} }},
		{name: "Flex in the government cloud", of: 2, env: "DEFENDER_CLIENT_ID=c DEFENDER_CLOUD=gcc-high", want: "azd env set HOSTING_PLAN premium"},
		{name: "Premium in the government cloud", of: 2, env: "DEFENDER_CLIENT_ID=c DEFENDER_CLOUD=gcc-high HOSTING_PLAN=premium"},
		{name: "once a day with the hourly alert", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;30;2;*;*;*", want: "azd env set HEARTBEAT_HOURS"},
		{name: "every second hour", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;0;*/2;*;*;*"},
		{name: "every second hour with an alert of two", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;0;*/2;*;*;* HEARTBEAT_HOURS=2", want: "azd env set HEARTBEAT_HOURS 3 "},
		{name: "twice a day", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;0;6,18;*;*;*", want: "azd env set HEARTBEAT_HOURS 13 "},
		{name: "hourly, but not at the weekend", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;0;*;*;*;Mon-Fri HEARTBEAT_HOURS=23", want: "azd env set HEARTBEAT_HOURS 0 "},
		{name: "never", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;0;0;31;2;*", want: "azd env set MIGRATION_SCHEDULE"},
		{name: "five fields", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;*;*;*;*", want: "azd env set MIGRATION_SCHEDULE"},
		{name: "an alert of no hours", env: "DEFENDER_CLIENT_ID=c HEARTBEAT_HOURS=three", want: "azd env set HEARTBEAT_HOURS 3"},
		{name: "trust for another tenant without an id", env: "DEFENDER_CREDENTIAL=federated DEFENDER_API=auto DEFENDER_TENANT_ID=other AZURE_TENANT_ID=" + home, want: "grant --credential federated --cloud global --sources 'auto' --multi-tenant, which registers"},
		{name: "trust in its own tenant without an id", env: "DEFENDER_CREDENTIAL=federated DEFENDER_TENANT_ID=" + home + " AZURE_TENANT_ID=" + home, want: "grant --credential federated --cloud global --sources 'graph', which registers"},
		{name: "once a day without the alert", env: "DEFENDER_CLIENT_ID=c MIGRATION_SCHEDULE=0;30;2;*;*;* HEARTBEAT_HOURS=0"},
		{name: "a vault deleted before", env: "DEFENDER_CLIENT_ID=c AZURE_ENV_NAME=prod AZURE_RESOURCE_GROUP=app",
			edit: func(a *azWorld) {
				a.Deleted = []object{{"name": "kv-x", "properties": object{"vaultId": "/subscriptions/s/resourceGroups/app/providers/Microsoft.KeyVault/vaults/kv-x", "tags": object{"azd-env-name": "prod"}}}}
			},
			want: "az keyvault recover --name kv-x"},
		{name: "another environment's vault deleted before", env: "DEFENDER_CLIENT_ID=c AZURE_ENV_NAME=prod AZURE_RESOURCE_GROUP=app",
			edit: func(a *azWorld) {
				a.Deleted = []object{{"name": "kv-x", "properties": object{"vaultId": "/subscriptions/s/resourceGroups/app/providers/Microsoft.KeyVault/vaults/kv-x", "tags": object{"azd-env-name": "test"}}}}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.of)
			if tt.edit != nil {
				w.change(tt.edit)
			}
			var env []string
			for _, pair := range strings.Fields(tt.env) {
				env = append(env, strings.ReplaceAll(pair, ";", " "))
			}
			out, err := w.script("hooks/preprovision.sh", env)
			if (err != nil) != (tt.want != "") || !strings.Contains(out, tt.want) {
				t.Errorf("%v\n%s\nwant %q", err, out, tt.want)
			}
		})
	}
}

// Without the Azure CLI what azd itself knows is judged all the same.
func TestPreprovision_WithoutTheCLI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.change(func(a *azWorld) { a.Refuse = "account" })
	if out, err := w.script("hooks/preprovision.sh", []string{"DEFENDER_CLIENT_ID=c"}); err != nil || !strings.Contains(out, "not looked at what Azure knows") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := w.script("hooks/preprovision.sh", nil); err == nil {
		t.Errorf("it went on without an application's id:\n%s", out)
	}
}

// The hook finds the longest time between two ticks as the schedule's own reader does.
func TestLongestGap_IsThatOfTheSchedule(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0 0 * * * *", "30 */7 * * * *", "0 0 */5 * * *", "0 15,45 6-18/4 * * *", "0 0 3 * * Sun,Wed", "0 0 0 1 * *", "0 30 2 * Jan-Mar *", "5 5 5 31 * *", "0 0 9-17 * * Monday",
		"0 0 12 1-7 * 1", "0 0 24 * * *", "0 0 * * * 7", "0 0 0 30 2 *", "a b c d e f",
	} {
		cmd := exec.CommandContext(t.Context(), "awk", "-f", "hooks/longest-gap.awk")
		cmd.Stdin = strings.NewReader(text + "\n")
		out, err := cmd.Output()
		schedule, fault := ncrontab.Parse(text)
		begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) // no leap year before 2028
		var longest time.Duration
		if fault == nil {
			for last := schedule.Next(begin); !last.IsZero() && last.Year() < 2028; {
				next := schedule.Next(last)
				if next.Year() < 2028 {
					longest = max(longest, next.Sub(last))
				}
				last = next
			}
		}
		if (err == nil) != (longest > 0) || err == nil && strings.TrimSpace(string(out)) != fmt.Sprint(int(longest.Seconds())) {
			t.Errorf("%s: %s, %v; the schedule says %v, %v", text, out, err, longest, fault)
		}
	}
}

// fakeHandler records how it is called and fails as often as told.
func fakeHandler(t *testing.T, failures string) (path, calls string) {
	t.Helper()
	folder := t.TempDir()
	path, calls = filepath.Join(folder, "handler"), filepath.Join(folder, "calls")
	script := "#!/bin/sh\necho \"$ADX_CREDENTIAL $*\" >>" + calls + "\n[ $(wc -l <" + calls + ") -gt " + failures + " ]\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, calls
}

func TestPostprovision_MakesTablesAndRoles(t *testing.T) {
	t.Parallel()
	outputs := []string{"APP_CLIENT_ID=app-id", "APP_PRINCIPAL_ID=" + identity, "AZURE_TENANT_ID=" + home, "ADX_CLUSTER_URL=https://c.kusto.windows.net", "ADX_DATABASE=defender"}
	for _, tt := range []struct {
		name, failures string
		env            []string
		calls, want    string
		fails          bool
	}{
		{"managed identity", "0", []string{"DEFENDER_CREDENTIAL=managed-identity"}, "azure-cli setup --load recommended --grant app-id;" + home + "\n", "permissions.sh grant --credential managed-identity --principal-id " + identity, false},
		{"secret behind an endpoint, readers", "0", []string{"KEY_VAULT_URL=https://kv-one.vault.azure.net", "PRIVATE_NETWORK=true", "DEFENDER_CLIENT_ID=c", "ADX_READERS=a@contoso.com b@contoso.com", "SETUP_LOAD=none"},
			"azure-cli setup --load none --grant app-id;" + home + " --reader a@contoso.com --reader b@contoso.com\n", "--client-id c --vault kv-one --cloud global --sources 'graph' --open-vault", false},
		{"more sources", "0", []string{"DEFENDER_SOURCES=machines alerts"}, "", "--cloud global --sources 'graph machines alerts'\n", false},
		{"either hunting API", "0", []string{"DEFENDER_API=auto"}, "", "--cloud global --sources 'auto'\n", false},
		{"trust in the identity, Defender in the same tenant", "0", []string{"DEFENDER_CREDENTIAL=federated", "DEFENDER_CLIENT_ID=c"}, "",
			"grant --credential federated --client-id c --principal-id " + identity + " --identity-tenant " + home + " --cloud global --sources 'graph'\n", false},
		{"and in another, its right here", "0", []string{"DEFENDER_CREDENTIAL=federated", "DEFENDER_CLIENT_ID=c", "DEFENDER_TENANT_ID=other"}, "", "--identity-tenant " + home + " --cloud global --sources 'graph' --multi-tenant\n", false},
		{"and there", "0", []string{"DEFENDER_CREDENTIAL=federated", "DEFENDER_CLIENT_ID=c", "DEFENDER_TENANT_ID=other"}, "", "consent --client-id c --cloud global --sources 'graph' --directory-login $HOME/.azure-defender\n", false},
		{"Defender in another cloud", "0", []string{"DEFENDER_CLIENT_ID=c", "DEFENDER_CLOUD=dod", "DEFENDER_TENANT_ID=other", "KEY_VAULT_URL=https://kv.vault.azure.net"}, "",
			"az cloud set --name AzureUSGovernment && az login --tenant other)\npostprovision: left, unless it was done before: sh infra/permissions.sh grant --credential secret --client-id c --vault kv --cloud dod --sources 'graph' --directory-login $HOME/.azure-defender\n", false},
		{"further tenants", "0", []string{"DEFENDER_INSTANCES=West, East", "DEFENDER_CREDENTIAL=managed-identity"},
			"azure-cli setup --load recommended --grant app-id;" + home + "\nazure-cli setup --instance West --load recommended\nazure-cli setup --instance East --load recommended\n", "", false},
		{"a secret of another name", "0", []string{"DEFENDER_CLIENT_ID=c", "KEY_VAULT_URL=https://kv.vault.azure.net", "DEFENDER_SECRET_NAME=mine"}, "", "--vault kv --secret-name mine --cloud global", false},
		{"a database that comes late", "1", nil, "", "permissions.sh grant --credential secret", false},
		{"a database that does not come", "9", nil, "", "azd hooks run postprovision", true},
	} {
		w := newWorld(t, 0)
		handler, calls := fakeHandler(t, tt.failures)
		out, err := w.script("hooks/postprovision.sh", append(append([]string{"HANDLER=" + handler}, outputs...), tt.env...))
		if (err != nil) != tt.fails || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %v\n%s\nwant %q", tt.name, err, out, tt.want)
		}
		if got := read(t, calls); tt.calls != "" && got != tt.calls {
			t.Errorf("%s: called %q, want %q", tt.name, got, tt.calls)
		}
	}
	w := newWorld(t, 0)
	handler, calls := fakeHandler(t, "0")
	if err := os.Chmod(handler, 0o600); err != nil { // as a browser saves what it has loaded
		t.Fatal(err)
	}
	if out, err := w.script("hooks/postprovision.sh", append(outputs, "HANDLER="+handler)); err != nil || read(t, calls) == "" {
		t.Errorf("a handler that may not be run: %v\n%s", err, out)
	}
	if out, err := w.script("hooks/postprovision.sh", append(outputs, "HANDLER=nowhere")); err == nil || !strings.Contains(out, "HANDLER is ./nowhere, which is not there") {
		t.Errorf("a handler that is not there: %v\n%s", err, out)
	}
	w.change(func(a *azWorld) { a.Refuse = "account" })
	if out, err := w.script("hooks/postprovision.sh", append(outputs, "HANDLER="+handler)); err == nil || !strings.Contains(out, "az login --tenant "+home) {
		t.Errorf("without a login: %v\n%s", err, out)
	}
	if out, err := w.script("hooks/postprovision.sh", []string{"HANDLER=" + handler}); err == nil || !strings.Contains(out, "APP_CLIENT_ID") {
		t.Errorf("without outputs: %v\n%s", err, out)
	}
}
