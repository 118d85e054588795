package adx_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func outcomes(steps []adx.Step) map[adx.Outcome]int {
	n := map[adx.Outcome]int{}
	for _, s := range steps {
		n[s.Outcome]++
	}
	return n
}

func TestSetup_MakesEverythingOnceAndLoadsAConfigurationOnce(t *testing.T) {
	w := newWorld(t)
	app := w.client(t, "app")
	missing, err := app.Missing(t.Context(), writing("DeviceInfoRaw"))
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) != 8 { // five control tables, the function, the raw table and its own
		t.Errorf("an empty database misses %v", missing)
	}

	first := w.setUp(t, adx.Options{Load: adx.LoadOriginal, Tables: []string{"OwnRaw"}})
	if n := outcomes(first); n[adx.Already] != 0 || n[adx.Done] != 5+1+1+2*(66+1)+5+66+3*17+2 { // a view a table, and for snapshots three functions more
		t.Errorf("first time: %v", n)
	}
	if missing, err := app.Missing(t.Context(), writing("DeviceInfoRaw", "OwnRaw")); err != nil || len(missing) != 0 {
		t.Errorf("after setup: %v, %v", missing, err)
	}
	if n := outcomes(w.setUp(t, adx.Options{Load: adx.LoadOriginal, Tables: []string{"OwnRaw"}})); n[adx.Done] != 0 {
		t.Errorf("second time: %v", n)
	}
	w.setUp(t, adx.Options{Load: adx.LoadRecommended})
	rows, err := app.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 66 || w.cluster.Count("db1", "MigrationConfiguration") != 66 {
		t.Errorf("%d sources in %d rows, want 66 of each", len(rows), w.cluster.Count("db1", "MigrationConfiguration"))
	}
	for _, r := range rows {
		table, err := r.Table()
		if err != nil {
			t.Errorf("%s: %v", r.SourceTable, err)
		}
		switch table.Source {
		case "DeviceTvmBrowserExtensions": // from the original configuration
			if table.Load != plan.Full || table.WatermarkColumn != "InstallationTime" {
				t.Errorf("got %+v", table)
			}
		case "ExposureGraphNodes":
			if table.Load != plan.Snapshot || table.Frequency != "1d" || !table.Active {
				t.Errorf("got %+v", table)
			}
		}
	}
}

func TestSetup_TakesOverADatabaseOfTheOriginalScripts(t *testing.T) {
	w := newWorld(t)
	w.run(t,
		".create table MigrationConfiguration (SourceTable: string, DestinationTable: string, WatermarkColumn: string, LastRefreshedTime: datetime, LoadType: string, IsActive: bool)",
		".create table DeviceInfoRaw (Records: dynamic)",
		".create table OtherRaw (Records: dynamic)",
		`.set-or-append DeviceInfoRaw <| print Records = dynamic({"a": 1})`,
		`.set-or-append MigrationConfiguration <| datatable (a: string, b: string, c: string, d: datetime, e: string, f: bool) [`+
			`"DeviceInfo", "DeviceInfoRaw", "Timestamp", datetime(2026-01-01), "Full", true, "DeviceInfo", "OtherRaw", "Timestamp", datetime(2026-01-02), "Full", true]`,
		".create materialized-view VwLatestMigrationConfiguration on table MigrationConfiguration { MigrationConfiguration | where IsActive | summarize arg_max(LastRefreshedTime, *) by SourceTable }",
	)
	app := w.client(t, "app")
	before, err := app.Latest(t.Context())
	if err != nil || len(before) != 1 || before[0].DestinationTable != "OtherRaw" {
		t.Fatalf("the original view answers %+v, %v", before, err)
	}
	missing, err := app.Missing(t.Context(), writing("DeviceInfoRaw"))
	if err != nil {
		t.Fatal(err)
	}
	details := map[string]string{}
	for _, s := range missing {
		details[s.Name] = s.Detail
	}
	if got := details["table MigrationConfiguration"]; got != "it lacks LastRefreshedTimeInString, Instance, Frequency, RunId, Generation, Retention" {
		t.Errorf("configuration: %q", got)
	}
	if got := details["function VwLatestMigrationConfiguration"]; !strings.Contains(got, "materialized view") {
		t.Errorf("view: %q", got)
	}

	w.setUp(t, adx.Options{})
	if n := w.cluster.Count("db1", "MigrationConfiguration"); n != 3 {
		t.Errorf("%d configuration rows, want the 2 that were there and the takeover", n)
	}
	if n := w.cluster.Count("db1", "DeviceInfoRaw"); n != 1 {
		t.Errorf("%d rows, want the one that was there", n)
	}
	after, err := app.Latest(t.Context())
	if err != nil || len(after) != 1 || after[0].DestinationTable != "OtherRaw" {
		t.Fatalf("the function answers %+v, %v; both rows came in together, the later watermark wins", after, err)
	}
	// What the original could not do: switch off.
	w.run(t, `.set-or-append MigrationConfiguration <| VwLatestMigrationConfiguration | project-away IngestedAt | extend IsActive = false`)
	if after, err = app.Latest(t.Context()); err != nil || len(after) != 1 || after[0].IsActive {
		t.Errorf("after switching off: %+v, %v", after, err)
	}
}

func TestSetup_ReportsAColumnOfAnotherTypeAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.run(t, ".create table DeviceInfoRaw (Records: string)", ".create table MigrationAuditLog (TableName: string, RecordCount: long)")
	steps, err := w.client(t, "person").Setup(t.Context(), adx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		switch s.Name {
		case "table DeviceInfoRaw":
			if s.Outcome != adx.Failed || s.Detail != "column Records is string, want dynamic" || s.Remedy == "" {
				t.Errorf("got %+v", s)
			}
		case "table MigrationAuditLog":
			if s.Outcome != adx.Done {
				t.Errorf("a wider count column: got %+v", s)
			}
		default:
			if s.Outcome == adx.Failed {
				t.Errorf("got %+v", s)
			}
		}
	}
}

func TestSetup_WithoutTheRightNamesTheRemedy(t *testing.T) {
	steps, err := newWorld(t).client(t, "app").Setup(t.Context(), adx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 1 {
		t.Errorf("one cause is said %d times", len(steps))
	}
	if steps[0].Outcome != adx.Failed || !strings.Contains(steps[0].Remedy, ".add database ['db1'] admins") {
		t.Errorf("got %+v", steps[0])
	}
	if _, err := newWorld(t).client(t, "person").Setup(t.Context(), adx.Options{Load: "everything"}); fault.KindOf(err) != fault.Permanent {
		t.Errorf("an unknown configuration: %v", err)
	}
}

func TestCheck_TellsWhatTheAppMayDo(t *testing.T) {
	w := newWorld(t, func(o *kusto.Options) { o.Storage.Containers = []string{"https://127.0.0.1:1/account/c?sig=x"} })
	w.setUp(t, adx.Options{})
	for _, s := range w.client(t, "app").Check(t.Context()) {
		if s.Outcome != adx.Done {
			t.Errorf("got %+v", s)
		}
	}
	for _, database := range []string{"db1", "data"} { // who may ingest into any is lent staging storage
		if err := w.cluster.Revoke(database, "aadapp=app;tenant", kusto.Viewer, kusto.Ingestor); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range w.client(t, "app").Check(t.Context()) {
		if s.Outcome != adx.Failed || !strings.Contains(s.Remedy, ".add database ['db1']") {
			t.Errorf("without roles: got %+v", s)
		}
	}
}

// No tool of ours makes a database, so the remedy for a missing one is another.
func TestSetup_OfAMissingDatabaseNamesTheRemedy(t *testing.T) {
	w := newWorld(t)
	person, err := adx.New(adx.Config{ClusterURL: w.url, Database: "elsewhere", Credential: named("person"), HTTP: w.bundle.Client(), App: "Test/1", AppID: "d2a"})
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	_, setupErr := person.Setup(t.Context(), adx.Options{})
	_, missingErr := person.Missing(t.Context(), nil)
	_, queryErr := person.Latest(t.Context())
	for _, err := range []error{setupErr, missingErr, queryErr} {
		if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "check ADX_DATABASE") || !strings.Contains(err.Error(), "create the database elsewhere") ||
			strings.Contains(err.Error(), "run `handler setup`") {
			t.Errorf("got %v", err)
		}
	}
}
