package adx_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-kusto-go/azkustodata"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"

	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/internal/adx"
)

// The sample of row-level security in policies.kql, run as it stands: the app and the
// group that may see all rows, a group those of its devices, anybody else none.
func TestPolicies_RowSecurityShowsTheAppAllAndOthersWhatIsTheirs(t *testing.T) {
	principal := func(who string) string {
		if who == "app" {
			return "aadapp=app;tenant"
		}
		return "aaduser=" + who + "@example.com"
	}
	people := []string{"chief", "berliner", "other", "admin"}
	w := newWorld(t, func(o *kusto.Options) {
		o.Authorize = func(bearer string) (string, error) {
			if bearer == "person" { // who sets the database up
				return "aadapp=person;tenant", nil
			}
			return principal(bearer), nil
		}
		o.Groups = map[string][]string{"aadgroup=all@example.com": {principal("chief")}, "aadgroup=berlin@example.com": {principal("berliner")}}
	})
	for _, who := range people {
		if err := w.cluster.Grant("db1", principal(who), kusto.Viewer); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.cluster.Grant("db1", principal("admin"), kusto.Admin); err != nil {
		t.Fatal(err)
	}
	w.setUp(t, adx.Options{})
	w.records(t, "DeviceInfoRaw", "d2a1", 1, "null", `{"DeviceName": "a", "MachineGroup": "Berlin"}`, `{"DeviceName": "b", "MachineGroup": "Paris"}`, `{"DeviceName": "c"}`)

	text, err := os.ReadFile("../../infra/kql/policies.kql")
	if err != nil {
		t.Fatal(err)
	}
	sample := strings.NewReplacer("<application id>", "app", "<tenant id>", "tenant", "<all@example.com>", "all@example.com", "<berlin@example.com>", "berlin@example.com").Replace(string(text))
	var run []string
	for _, command := range adx.SplitScript(sample) {
		if strings.Contains(command, "DeviceInfoRawAllowed()") {
			run = append(run, command)
		}
	}
	if len(run) != 2 {
		t.Fatalf("%d commands of the sample", len(run))
	}
	before, err := rowsSeen(t, w, "other", "DeviceInfo")
	if err != nil || before != "a,b,c" {
		t.Fatalf("without the policy: %s, %v", before, err)
	}
	w.run(t, run...)
	for who, want := range map[string]string{"app": "a,b,c", "chief": "a,b,c", "berliner": "a", "other": "", "admin": ""} {
		for _, source := range []string{"DeviceInfo", "DeviceInfoRaw", "table('DeviceInfoRaw')"} {
			if got, err := rowsSeen(t, w, who, source); err != nil || got != want {
				t.Errorf("%s sees %q in %s, want %q, %v", who, got, source, want, err)
			}
		}
	}
	// Setup and the report take it for what it is; where rows of a run are not seen, it
	// is named all the same.
	app := w.client(t, "app")
	if missing, err := app.Missing(t.Context(), writing("DeviceInfoRaw")); err != nil || len(missing) != 0 {
		t.Errorf("the app, which sees all rows, is told of %+v, %v", missing, err)
	}
	w.setUp(t, adx.Options{})
	if found, err := app.Obstacles(t.Context(), "DeviceInfoRaw"); err != nil || len(found) != 1 {
		t.Errorf("where rows are not seen: %q, %v", found, err)
	}
	for query, told := range map[string]int{"DeviceInfoRaw | take 0": 1, "DeviceInfo()": 1, "ThereIsNoSuchView()": 1, "DeviceInfoRaw | where current_principal_is_member_of('aadapp=app;tenant')": 0} {
		w.run(t, `.alter table DeviceInfoRaw policy row_level_security enable "`+query+`"`)
		if missing, err := app.Missing(t.Context(), writing("DeviceInfoRaw")); err != nil || len(missing) != told {
			t.Errorf("%s: %+v, %v", query, missing, err)
		}
	}
}

// rowsSeen are the names of the devices that somebody sees, in order.
func rowsSeen(t *testing.T, w *world, who, source string) (string, error) {
	t.Helper()
	client, err := azkustodata.New(azkustodata.NewConnectionStringBuilder(w.url).WithTokenCredential(named(who)), azkustodata.WithHttpClient(w.bundle.Client()))
	if err != nil {
		return "", err
	}
	defer client.Close()
	name := "DeviceName"
	if strings.Contains(source, "Raw") {
		name = "tostring(Records.DeviceName)"
	}
	answer, err := client.Query(t.Context(), "db1", azkql.New("").AddUnsafe(fmt.Sprintf("%s | project Name = %s | sort by Name asc", source, name)))
	if err != nil {
		return "", err
	}
	var names []string
	for _, row := range answer.Tables()[0].Rows() {
		text, err := row.StringByName("Name")
		if err != nil {
			return "", err
		}
		names = append(names, text)
	}
	return strings.Join(names, ","), nil
}
