package adx_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestControlTables_AppliesUnderATagOnceAndReadsBack(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{Load: adx.LoadOriginal})
	app := w.client(t, "app")
	key := plan.Key{Source: "DeviceTvmSoftwareInventory"}
	loaded, err := app.Rows(t.Context(), key, time.Time{})
	if err != nil || len(loaded) != 1 {
		t.Fatalf("got %v, %v", loaded, err)
	}
	if loaded[0].Ingested.IsZero() || !loaded[0].IsActive || loaded[0].LastRefreshedTime.Year() != 1900 {
		t.Errorf("got %+v", loaded[0])
	}

	row := loaded[0]
	row.LastRefreshedTime = time.Date(2026, 3, 4, 5, 6, 7, 123456700, time.UTC)
	row.RunID, row.Generation, row.WatermarkColumn = "d2a0001", 3, ""
	out := plan.Outgoing{Tag: "/DeviceTvmSoftwareInventory/1 \"quoted\"", Config: &row}
	for range 2 {
		if err := app.Deliver(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := app.Rows(t.Context(), key, loaded[0].Ingested)
	if err != nil || len(rows) != 1 {
		t.Fatalf("rows since the first: %v, %v", rows, err)
	}
	want := row
	want.WatermarkColumn, want.LastRefreshedTimeInString, want.Ingested = "None", plan.Stamp(row.LastRefreshedTime), rows[0].Ingested
	if diff := cmp.Diff(want, rows[0]); diff != "" {
		t.Errorf("published row (-want +got):\n%s", diff)
	}
	if all, err := app.Rows(t.Context(), key, time.Time{}); err != nil || len(all) != 2 || all[1].RunID != "d2a0001" {
		t.Errorf("all rows, oldest first: %+v, %v", all, err)
	}
	if newest, err := app.Rows(t.Context(), key, time.Now().Add(time.Hour)); err != nil || len(newest) != 1 || newest[0].RunID != "d2a0001" {
		t.Errorf("the newest stays when nothing is newer: %+v, %v", newest, err)
	}
	if none, err := app.Rows(t.Context(), plan.Key{Instance: "west", Source: key.Source}, time.Time{}); err != nil || len(none) != 0 {
		t.Errorf("another instance: %+v, %v", none, err)
	}

	// A table under its name of old is read under today's, and published as it was.
	old := row
	old.SourceTable, old.RunID = "MachineInfo", ""
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "old1", Config: &old}); err != nil {
		t.Fatal(err)
	}
	machines, err := app.Rows(t.Context(), plan.Key{Source: "DeviceInfo"}, time.Time{})
	var written []string
	for _, r := range machines {
		written = append(written, r.SourceTable+" as "+r.WrittenName())
	}
	if err != nil || !slices.Contains(written, "DeviceInfo as MachineInfo") {
		t.Fatalf("under its old name: %q, %v", written, err)
	}
	back := machines[len(machines)-1]
	back.RunID = "d2a0002"
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "old2", Config: &back}); err != nil {
		t.Fatal(err)
	}
	if again, err := app.Rows(t.Context(), plan.Key{Source: "DeviceInfo"}, time.Time{}); err != nil || again[len(again)-1].WrittenName() != "MachineInfo" || again[len(again)-1].RunID != "d2a0002" {
		t.Errorf("published: %+v, %v", again, err)
	}

	audit := plan.Audit{TableName: "T", Timestamp: row.LastRefreshedTime, Status: plan.Failed, FailureReason: `C:\temp "x"` + "\n😀",
		RecordCount: 5, Bytes: 1 << 40, Duration: 90 * time.Second, Slices: 2, Calls: 3, API: "graph"}
	for range 2 {
		if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "a1", Audit: &audit}); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.cluster.Count("db1", "MigrationAuditLog"); n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
	for range 2 {
		if err := app.Void(t.Context(), "TRaw", "d2a0001", 4); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.cluster.Count("db1", "MigrationVoidSlices"); n != 1 {
		t.Errorf("%d void rows, want 1", n)
	}
}

func TestControlTables_ReadsAndWritesTheSixColumnsOfAnOldConfiguration(t *testing.T) {
	w := newWorld(t)
	w.run(t,
		".create table MigrationConfiguration (LoadType: string, IsActive: bool, SourceTable: string, DestinationTable: string, WatermarkColumn: string, LastRefreshedTime: datetime)",
		`.set-or-append MigrationConfiguration <| print "Full", true, "DeviceInfo", "DeviceInfoRaw", "None", datetime(2026-01-01)`)
	app := w.client(t, "app")
	key := plan.Key{Source: "DeviceInfo"}
	rows, err := app.Rows(t.Context(), key, time.Time{})
	if err != nil || len(rows) != 1 || rows[0].LoadType != "Full" || !rows[0].IsActive {
		t.Fatalf("got %+v, %v", rows, err)
	}
	rows[0].LastRefreshedTime = rows[0].LastRefreshedTime.AddDate(0, 1, 0)
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Config: &rows[0]}); err != nil {
		t.Fatal(err)
	}
	if rows, err = app.Rows(t.Context(), key, time.Time{}); err != nil || len(rows) != 2 || rows[1].LastRefreshedTime.Month() != time.February {
		t.Errorf("got %+v, %v", rows, err)
	}
}

func TestForeign_SeesOnlyRunsOfOthersThatCameLater(t *testing.T) {
	w := newWorld(t)
	w.provide(t, "DeviceInfoRaw")
	app := w.client(t, "app")
	look := func(since time.Time) string {
		t.Helper()
		found, err := app.Foreign(t.Context(), "DeviceInfoRaw", "d2a", since)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	w.run(t, `.set-or-append DeviceInfoRaw <| print dynamic({}), "d2a0001", int(1), datetime(null)`,
		`.set-or-append DeviceInfoRaw <| print dynamic({}), "", int(null), datetime(null)`)
	if got := look(time.Time{}); got != "" {
		t.Errorf("own rows and rows without a run: got %q", got)
	}
	w.run(t, `.set-or-append DeviceInfoRaw <| print dynamic({}), "other1", int(1), datetime(null)`)
	if got := look(time.Time{}); got != "other1" {
		t.Errorf("another app's row: got %q", got)
	}
	if got := look(time.Now().Add(time.Hour)); got != "" {
		t.Errorf("rows before the instant: got %q", got)
	}
}

func TestOrphanRun_IsFound(t *testing.T) {
	w := newWorld(t)
	w.provide(t, "DeviceInfoRaw")
	app := w.client(t, "app")
	look := func() (id, command string) {
		t.Helper()
		id, command, err := app.OrphanRun(t.Context(), "DeviceInfoRaw", "d2a0009")
		if err != nil {
			t.Fatal(err)
		}
		return id, command
	}
	w.run(t, `.set-or-append DeviceInfoRaw <| print dynamic({}), "", int(null), datetime(null)`,
		`.set-or-append DeviceInfoRaw <| print dynamic({}), "d2a0009", int(1), datetime(null)`,
		`.set-or-append DeviceInfoRaw <| print dynamic({}), "d2a0001", int(1), datetime(null)`,
		`.set-or-append DeviceInfoRaw <| print dynamic({}), "d2a0002", int(1), datetime(null)`)
	if err := app.Void(t.Context(), "DeviceInfoRaw", "d2a0002", 1); err != nil {
		t.Fatal(err)
	}
	row := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", RunID: "d2a0001"}
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Config: &row}); err != nil {
		t.Fatal(err)
	}
	id, command := look()
	if id != "d2a0002" {
		t.Fatalf("got %q; a slice that is hidden does not hide its run", id)
	}
	shared := plan.Row{SourceTable: "DeviceOther", DestinationTable: "DeviceNetworkInfoRaw", IsActive: true}
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "t2", Config: &shared}); err != nil {
		t.Fatal(err)
	}
	if id, _ := look(); id != "d2a0002" {
		t.Errorf("got %q; the other source has a table of its own", id)
	}
	w.run(t, command)
	if id, _ := look(); id != "" {
		t.Errorf("after %s: got %q", command, id)
	}
	w.run(t, `.set-or-append DeviceInfoRaw <| print dynamic({}), "d2a0003", int(1), datetime(null)`)
	shared.DestinationTable = "DeviceInfoRaw"
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "t3", Config: &shared}); err != nil {
		t.Fatal(err)
	}
	if id, _ := look(); id != "" {
		t.Errorf("got %q; it may be the other source's run under way", id)
	}
}

func TestLanded_WithoutTheTableNamesSetup(t *testing.T) {
	_, err := newWorld(t).client(t, "app").Landed(t.Context(), "NowhereRaw", []string{"d2a1"}, time.Time{})
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "handler setup") {
		t.Errorf("got %v (%v)", err, fault.KindOf(err))
	}
}
