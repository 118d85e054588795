package adx_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-kusto-go/azkustodata"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/adx"
)

// contents are the rows of tables that a database had before, by table.
func (w *world) contents(t *testing.T, tables map[string]string) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for name, columns := range tables {
		rows[name] = w.ask(t, name+" | project "+columns+" | extend Arrived = ingestion_time()")
		slices.Sort(rows[name])
	}
	return rows
}

// schema is what stands in the database, as the service shows it.
func (w *world) schema(t *testing.T) string { return w.show(t, ".show database schema as json", 0) }

// show is a column of the one row that a command answers.
func (w *world) show(t *testing.T, command string, column int) string {
	t.Helper()
	client, err := azkustodata.New(azkustodata.NewConnectionStringBuilder(w.url).WithTokenCredential(named("person")), azkustodata.WithHttpClient(w.bundle.Client()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answer, err := client.Mgmt(t.Context(), "db1", azkql.New("").AddUnsafe(command))
	if err != nil {
		t.Fatal(err)
	}
	return answer.Tables()[0].Rows()[0].Values()[column].String()
}

// changed runs setup and returns what it did, which must not be a failure.
func (w *world) changed(t *testing.T, o adx.Options) (steps []string) {
	t.Helper()
	for _, s := range w.setUp(t, o) {
		switch s.Outcome {
		case adx.Done:
			steps = append(steps, s.Name)
		case adx.Failed:
			t.Errorf("failed: %+v", s)
		}
	}
	return steps
}

// keepsAll sets up a database that is in use, twice. Nothing that was there is lost or
// changed, and the second time nothing is done.
func (w *world) keepsAll(t *testing.T, tables map[string]string) {
	t.Helper()
	before := w.contents(t, tables)
	if first := w.changed(t, adx.Options{}); !slices.Contains(first, "function DeviceInfo") {
		t.Errorf("the first setup makes %q", first)
	}
	after := w.contents(t, tables)
	for name := range after {
		if strings.HasPrefix(name, "Migration") { // a takeover is said there
			after[name] = slices.DeleteFunc(after[name], func(row string) bool { return !slices.Contains(before[name], row) })
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("rows before and after (-want +got):\n%s", diff)
	}
	schema := w.schema(t)
	if again := w.changed(t, adx.Options{}); len(again) != 0 {
		t.Errorf("the second setup does %q", again)
	}
	if diff := cmp.Diff(schema, w.schema(t)); diff != "" {
		t.Errorf("the second setup changes (-first +second):\n%s", diff)
	}
}

func TestSetup_TakesOverADatabaseOfTheFirstVersion(t *testing.T) {
	w := newWorld(t)
	script, err := os.ReadFile(filepath.Join("testdata", "868dea7", "setup.kql"))
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, adx.SplitScript(string(script))...)
	for _, row := range []string{
		"'DeviceInfo', 'DeviceInfoRaw', 'None', datetime(2026-03-01), '', 'Full', true, '', '', '', long(null)",
		"'DeviceInfo', 'DeviceInfoRaw', 'None', datetime(2026-03-02), '2026-03-02T00:00:00.0000000Z', 'Full', true, '', '6h', 'd2a1', 3",
		"'ProcessCreationEvents', 'ProcessesRaw', 'None', datetime(2026-03-02), '', 'Incr', true, '', '', '', long(null)",
		"'DeviceTvmSoftwareInventory', 'DeviceTvmSoftwareInventoryRaw', 'None', datetime(2026-03-02), '', 'Snapshot', true, '', '1d', 'd2a3', 5",
	} {
		w.run(t, ".append MigrationConfiguration <| print "+row)
	}
	w.run(t, ".create-merge table ProcessesRaw (Records: dynamic, RunId: string, Slice: int, SnapshotTime: datetime)")
	w.records(t, "DeviceInfoRaw", "d2a1", 1, "null", `{"DeviceId": "part"}`)
	w.records(t, "DeviceInfoRaw", "d2a1", 2, "null", `{"DeviceId": "a"}`, `{"DeviceId": "b"}`)
	w.records(t, "ProcessesRaw", "d2a2", 1, "null", `{"DeviceId": "a", "FileName": "cmd.exe"}`)
	w.run(t, ".append MigrationVoidSlices <| print 'DeviceInfoRaw', 'd2a1', int(1), datetime(2026-03-02)")
	for i, run := range []string{"d2a3", "d2a4"} { // the newer one has not ended
		w.records(t, "DeviceTvmSoftwareInventoryRaw", run, 1, fmt.Sprintf("2026-03-0%d", i+2), fmt.Sprintf(`{"DeviceId": "%s"}`, run))
	}
	// Audit rows of snapshots had no window.
	w.run(t, ".append MigrationAuditLog <| MigrationAuditLog | take 0 | union (print TableName = 'DeviceTvmSoftwareInventoryRaw', Timestamp = datetime(2026-03-02 00:10), "+
		"Status = 'Success', SourceTable = 'DeviceTvmSoftwareInventory', Instance = '', RunId = 'd2a3', DurationSeconds = 600.0)")
	w.keepsAll(t, map[string]string{
		"MigrationConfiguration": "SourceTable, DestinationTable, WatermarkColumn, LastRefreshedTime, LastRefreshedTimeInString, LoadType, IsActive, Instance, Frequency, RunId, Generation",
		"MigrationAuditLog":      "TableName, Timestamp, Status, FailureReason, RecordCount, Instance, SourceTable, RunId, WindowFrom, WindowTo, Note",
		"MigrationVoidSlices":    "TableName, RunId, Slice, Timestamp", "DeviceInfoRaw": "tostring(Records), RunId, Slice, SnapshotTime",
		"ProcessesRaw": "tostring(Records), RunId, Slice, SnapshotTime", "DeviceTvmSoftwareInventoryRaw": "tostring(Records), RunId, Slice, SnapshotTime",
	})
	for query, want := range map[string][]string{
		"DeviceInfo | project DeviceId | sort by DeviceId asc":        {"a", "b"},
		"DeviceProcessEvents | project FileName":                      {"cmd.exe"},
		"DeviceTvmSoftwareInventory | project DeviceId":               {"d2a3"},
		"DeviceTvmSoftwareInventoryLatest() | project DeviceId":       {"d2a3"},
		"VwLatestMigrationConfiguration | project SourceTable, RunId": {"DeviceInfo|d2a1", "DeviceTvmSoftwareInventory|d2a3", "ProcessCreationEvents|"},
	} {
		if got := w.ask(t, query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// The original scripts copied tables under their names of old, and what they copied
// stands in the views of today's.
func TestSetup_ADatabaseOfTheOriginalScriptsLosesNothing(t *testing.T) {
	rounds.Long(t)
	w := newWorld(t)
	original(t, w, 3)
	w.run(t, ".create table DeviceInfoRaw (Records: dynamic)", ".create table MachineNetworkInfoRaw (Records: dynamic)",
		`.append DeviceInfoRaw <| print dynamic({"DeviceId": "a"})`, `.append MachineNetworkInfoRaw <| print dynamic({"DeviceId": "b"})`,
		`.append MigrationConfiguration <| print "MachineNetworkInfo", "MachineNetworkInfoRaw", "None", datetime(2026-01-02), "Full", true, ""`)
	w.keepsAll(t, map[string]string{
		"MigrationConfiguration": "SourceTable, DestinationTable, WatermarkColumn, LastRefreshedTime, LoadType, IsActive, Theirs",
		"MigrationAuditLog":      "TableName, Timestamp, Status, FailureReason, RecordCount",
		"DeviceInfoRaw":          "tostring(Records)", "MachineNetworkInfoRaw": "tostring(Records)",
	})
	for query, want := range map[string][]string{
		"DeviceInfo | project DeviceId":        {"a"},
		"DeviceNetworkInfo | project DeviceId": {"b"},
	} {
		if got := w.ask(t, query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := strings.Join(w.ask(t, "MigrationStorage() | project TableName, Rows | sort by TableName asc"), " "); got != "DeviceInfoRaw|1 MachineNetworkInfoRaw|1" {
		t.Errorf("storage: %s", got)
	}
}
