package adx_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const mb = int64(1 << 20)

func limitOf(t *testing.T, c *adx.Client, table string) int64 {
	t.Helper()
	n, err := c.RowLimit(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func named1(steps []adx.Step, name string) (found adx.Step) {
	for _, s := range steps {
		if s.Name == name {
			found = s
		}
	}
	return found
}

// Records is indexed at 32 MB where the cluster can; a column without an index gets
// one; and what a person chose for a table is kept.
func TestScenario_C5_IndexedWhereItIsAccepted(t *testing.T) {
	w := newWorld(t)
	w.run(t, ".create table DeviceInfoRaw (Records: dynamic)", ".alter column DeviceInfoRaw.Records policy encoding type = 'BigObject32'")
	steps := w.setUp(t, adx.Options{})
	app := w.client(t, "app")
	for _, table := range []string{"DeviceInfoRaw", "DeviceEventsRaw"} {
		if got := limitOf(t, app, table); got != 32*mb {
			t.Errorf("%s: rows of %d bytes, want 32 MB", table, got)
		}
	}
	if n := named1(steps, "encoding of Records"); n.Name != "" {
		t.Errorf("a note on a cluster that takes the profile: %+v", n)
	}
	w.setUp(t, adx.Options{Index: []string{"DeviceInfoRaw"}})
	if got := limitOf(t, app, "DeviceInfoRaw"); got != mb {
		t.Errorf("with --index: rows of %d bytes, want 1 MB", got)
	}
	if got := limitOf(t, app, "NoSuchRaw"); got != mb {
		t.Errorf("a table that cannot be read: %d, want the default", got)
	}
}

// Where the cluster refuses the indexed profile, what has no index keeps its size,
// new tables keep the default, and the big ones of the catalogue their size.
func TestScenario_C5_IndexedProfileRefused(t *testing.T) {
	w := newWorld(t, func(o *kusto.Options) { o.NoIndexedEncoding = true })
	w.run(t, ".create table DeviceInfoRaw (Records: dynamic)", ".alter column DeviceInfoRaw.Records policy encoding type = 'BigObject32'")
	steps := w.setUp(t, adx.Options{})
	app := w.client(t, "app")
	for table, want := range map[string]int64{"DeviceInfoRaw": 32 * mb, "DeviceEventsRaw": mb, "CloudAppEventsRaw": 32 * mb} {
		if got := limitOf(t, app, table); got != want {
			t.Errorf("%s: rows of %d bytes, want %d", table, got, want)
		}
	}
	note := named1(steps, "encoding of Records")
	if note.Outcome != adx.Note || !strings.Contains(note.Detail, "DeviceInfoRaw") || !strings.Contains(note.Remedy, "--index") {
		t.Errorf("got %+v", note)
	}
	w.setUp(t, adx.Options{Index: []string{"DeviceInfoRaw", "CloudAppEventsRaw"}})
	again := named1(w.setUp(t, adx.Options{}), "encoding of Records")
	for _, table := range []string{"DeviceInfoRaw", "CloudAppEventsRaw"} {
		if got := limitOf(t, app, table); got != mb || strings.Contains(again.Detail, table) {
			t.Errorf("%s was indexed: rows of %d bytes after the next setup, %+v", table, got, again)
		}
	}
}

// A row that ADX made null is brought in by a copy of the blob in which rows above
// half the table's limit are cut.
func TestScenario_R7_RowsAboveHalfTheLimitAreCut(t *testing.T) {
	w, _ := newCloud(t, false, func(o *kusto.Options) { o.NoIndexedEncoding = true })
	w.setUp(t, adx.Options{})
	app := w.client(t, "app")
	limit := limitOf(t, app, "DeviceInfoRaw")
	b, err := app.Stage(t.Context(), "d2a1-000001.json.gz", func(out io.Writer) error {
		zw := gzip.NewWriter(out)
		for i := range 60 {
			value := "small"
			if i == 7 {
				value = strings.Repeat("x", int(limit)+100)
			}
			if _, err := fmt.Fprintf(zw, `{"N":%d,"V":"%s"}`+"\n", i, value); err != nil {
				return err
			}
		}
		return zw.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Rows = 60
	enqueue(t, app, "d2a1", 1, b)
	until(t, "rows", func() bool { return rowsOf(t, app, "d2a1", 1) == 60 })
	nulls := func(slice int) int64 {
		landed, err := app.Landed(t.Context(), "DeviceInfoRaw", []string{"d2a1"}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return landed["d2a1"][slice].Nulls
	}
	if nulls(1) != 1 {
		t.Fatalf("%d nulls, want the one of the large row", nulls(1))
	}
	copied, cut, err := app.Recut(t.Context(), b, "d2a1-000002.json.gz", limit)
	if err != nil {
		t.Fatal(err)
	}
	if cut != 1 || copied.Rows != 60 || copied.Bytes >= limit || copied.Path == b.Path {
		t.Errorf("cut %d rows, %+v", cut, copied)
	}
	enqueue(t, app, "d2a1", 2, copied)
	until(t, "rows of the copy", func() bool { return rowsOf(t, app, "d2a1", 2) == 60 })
	if nulls(2) != 0 {
		t.Errorf("%d nulls in the copy", nulls(2))
	}
	wrong := b
	wrong.Rows = 59
	if _, _, err := app.Recut(t.Context(), wrong, "d2a1-000003.json.gz", limit); err == nil {
		t.Error("a blob of another number of rows was copied")
	}
}

// What hides a table's rows is found by setup, by the report and for a late slice,
// and each text says what mends it.
func TestScenario_L25_TableThatShowsNoRows(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{Load: adx.LoadRecommended})
	w.run(t,
		".alter-merge table DeviceInfoRaw policy retention softdelete = 0d",
		".create table Typed (Records: dynamic, RunId: string, Slice: int, SnapshotTime: datetime)",
		`.alter table Typed policy update '[{"IsEnabled": true, "Source": "DeviceInfoRaw", "Query": "DeviceInfoRaw", "IsTransactional": true}]'`,
		`.alter table DeviceEventsRaw policy row_level_security enable "DeviceEventsRaw | take 0"`,
		".alter table DeviceLogonEventsRaw policy restricted_view_access true",
	)
	app := w.client(t, "app")
	want := map[string][]string{
		"DeviceInfoRaw":        {"retention of DeviceInfoRaw is zero", "update policy of Typed", ".alter-merge table ['DeviceInfoRaw'] policy retention"},
		"DeviceEventsRaw":      {"row-level security", "row_level_security disable"},
		"DeviceLogonEventsRaw": {"restricted", "unrestrictedviewers"},
		"DeviceNetworkInfoRaw": nil,
	}
	for table, texts := range want {
		found, err := app.Obstacles(t.Context(), table)
		if err != nil || (len(found) > 0) != (texts != nil) {
			t.Errorf("%s: %v, %v", table, found, err)
		}
		for _, text := range texts {
			if !strings.Contains(strings.Join(found, "\n"), text) {
				t.Errorf("%s: %q does not say %q", table, found, text)
			}
		}
	}
	missing, err := app.Missing(t.Context(), writing("DeviceInfoRaw", "DeviceEventsRaw", "DeviceNetworkInfoRaw"))
	if err != nil || len(missing) != 2 {
		t.Errorf("GET /api/setup names %+v, %v", missing, err)
	}
	steps, err := w.client(t, "person").Setup(t.Context(), adx.Options{})
	if n := outcomes(steps); err != nil || n[adx.Failed] != 3 {
		t.Errorf("setup: %v, %v; want three problems", n, err)
	}
	// And the policies do as they say.
	w.run(t, `.append DeviceInfoRaw <| print dynamic({}), "d2a1", int(1), datetime(null)`,
		`.append DeviceEventsRaw <| print dynamic({}), "d2a1", int(1), datetime(null)`)
	for table, rows := range map[string]int64{"DeviceInfoRaw": 0, "DeviceEventsRaw": 0, "Typed": 1} {
		if n := w.count(t, table); n != rows {
			t.Errorf("%s shows %d rows, want %d", table, n, rows)
		}
	}
	if _, err := app.Landed(t.Context(), "DeviceLogonEventsRaw", []string{"d2a1"}, time.Time{}); err == nil {
		t.Error("a restricted table was read")
	}
}

// Trouble of a destination is explained with the remedy.
func TestScenario_L14_TroubleOfADestination(t *testing.T) {
	w := newWorld(t)
	w.provide(t, "DeviceInfoRaw")
	w.run(t, ".create table OldRaw (Records: dynamic)", ".create table OddRaw (Records: string, RunId: string, Slice: int, SnapshotTime: datetime)")
	app := w.client(t, "app")
	for table, want := range map[string]string{
		"NowhereRaw": "does not exist; run `handler setup`", "OldRaw": "lacks RunId, Slice, SnapshotTime; run `handler setup`",
		"OddRaw": "column Records is string, want dynamic", "DeviceInfoRaw": "",
	} {
		found, err := app.Trouble(t.Context(), table)
		if text := strings.Join(found, "\n"); err != nil || (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s: %q, %v; want %q", table, text, err, want)
		}
	}
}

// A hidden slice or run is left out of the table's own function, and one row shows
// it again: the newest row of a slice decides.
func TestScenario_R3_HiddenSlicesAreLeftOut(t *testing.T) {
	w := newWorld(t)
	w.provide(t, "OwnRaw")
	app := w.client(t, "app")
	w.run(t,
		`.append OwnRaw <| datatable (a: dynamic, b: string, c: int, d: datetime) [dynamic({}), "d2a1", 1, datetime(null), dynamic({}), "d2a1", 2, datetime(null), `+
			`dynamic({}), "d2a2", 1, datetime(null), dynamic({}), "", int(null), datetime(null)]`)
	see := func(want int64, when string) {
		t.Helper()
		if n := w.count(t, "OwnRawVisible()"); n != want {
			t.Errorf("%s: %d rows are visible, want %d", when, n, want)
		}
	}
	see(4, "nothing is hidden")
	if err := app.Void(t.Context(), "OwnRaw", "d2a1", 1); err != nil {
		t.Fatal(err)
	}
	see(3, "one slice")
	w.run(t, `.append MigrationVoidSlices <| print "OwnRaw", "d2a1", int(2), now(), bool(null)`)
	see(2, "a row without Hidden hides too")
	if err := app.Void(t.Context(), "DeviceEventsRaw", "d2a2", 1); err != nil {
		t.Fatal(err)
	}
	see(2, "a slice of another table")
	if err := app.Void(t.Context(), "OwnRaw", "d2a2", -1); err != nil {
		t.Fatal(err)
	}
	see(1, "a whole run; what has no run stays")
	w.run(t, `.append MigrationVoidSlices <| union (print a = "OwnRaw", b = "d2a1", c = int(1), d = now(), e = false), (print a = "OwnRaw", b = "d2a2", c = int(-1), d = now(), e = false)`)
	see(3, "shown again")
}

// The check for orphaned runs is not switched off by a source that was mistyped, and
// takes no run for orphaned that the audit log knows as another source's.
func TestScenario_R9_MistypedSourceSharesNothing(t *testing.T) {
	w := newWorld(t)
	w.provide(t, "DeviceInfoRaw", "DeviceEventsRaw")
	app := w.client(t, "app")
	deliver := func(tag string, out plan.Outgoing) {
		t.Helper()
		out.Tag = tag
		if err := app.Deliver(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	deliver("c1", plan.Outgoing{Config: &plan.Row{SourceTable: "DeviceInof", DestinationTable: "DeviceInfoRaw", IsActive: true}})
	deliver("a1", plan.Outgoing{Audit: &plan.Audit{TableName: "DeviceInfoRaw", SourceTable: "DeviceInof", Status: plan.Failed}})
	deliver("c2", plan.Outgoing{Config: &plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", IsActive: true}})
	w.run(t, `.append DeviceInfoRaw <| print dynamic({}), "d2a0001", int(1), datetime(null)`)
	orphan := func() string {
		t.Helper()
		id, _, err := app.OrphanRun(t.Context(), "DeviceInfoRaw", "d2a0009")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if got := orphan(); got != "d2a0001" {
		t.Errorf("beside a mistyped source: got %q", got)
	}
	// A source that has moved to another table left a run behind.
	deliver("c3", plan.Outgoing{Config: &plan.Row{SourceTable: "DeviceOld", DestinationTable: "DeviceEventsRaw", IsActive: true}})
	deliver("a2", plan.Outgoing{Audit: &plan.Audit{TableName: "DeviceInfoRaw", SourceTable: "DeviceOld", RunID: "d2a0001", Status: plan.Failed}})
	if got := orphan(); got != "" {
		t.Errorf("a run that the audit log knows as another source's: got %q", got)
	}
}

// A rebuilt state is told of the newest runs, however many years of rows there are.
func TestScenario_L19_YearsOfRows(t *testing.T) {
	w := newWorld(t)
	w.provide(t, "DeviceInfoRaw")
	w.run(t, `.append MigrationConfiguration <| range N from 1 to 3000 step 1 `+
		`| project "DeviceInfo", "DeviceInfoRaw", "None", datetime(2026-01-01) + N * 1h, "", "Incr", true, "", "", strcat("d2a", N), N, ""`)
	app := w.client(t, "app")
	began := time.Now()
	w.run(t, `.append MigrationConfiguration <| VwLatestMigrationConfiguration | project-away IngestedAt | extend IsActive = false`)
	key := plan.Key{Source: "DeviceInfo"}
	rows, err := app.Rows(t.Context(), key, time.Time{})
	if err != nil || len(rows) < 2 || len(rows) > 300 {
		t.Fatalf("%d rows, %v; want a few of 3001", len(rows), err)
	}
	if last := rows[len(rows)-1]; last.IsActive || last.RunID != "d2a3000" {
		t.Errorf("the newest row: %+v", last)
	}
	if newer, err := app.Rows(t.Context(), key, began.Add(-time.Minute)); err != nil || len(newer) != 3001 {
		t.Errorf("rows since a minute: %d, %v", len(newer), err)
	}
	latest, err := app.Latest(t.Context())
	if err != nil || len(latest) != 1 || latest[0].IsActive || latest[0].Generation != 3000 {
		t.Errorf("the view: %+v, %v", latest, err)
	}
	w.run(t, `.append DeviceInfoRaw <| print dynamic({}), "d2a1", int(1), datetime(null)`)
	for since, want := range map[time.Time]int64{began: 1, began.Add(48 * time.Hour): 0} {
		landed, err := app.Landed(t.Context(), "DeviceInfoRaw", []string{"d2a1"}, since)
		if err != nil || landed["d2a1"][1].Rows != want {
			t.Errorf("since %s: %v, %v", since, landed, err)
		}
	}
}

// original makes a database as the original script leaves it after pages of one
// source, newest first, and a source that it never reached.
func original(t *testing.T, w *world, pages int) {
	t.Helper()
	w.run(t,
		".create table MigrationConfiguration (SourceTable: string, DestinationTable: string, WatermarkColumn: string, LastRefreshedTime: datetime, LoadType: string, IsActive: bool, Theirs: string)",
		".create table MigrationAuditLog (TableName: string, Timestamp: datetime, Status: string, FailureReason: string, RecordCount: int)",
		".create materialized-view VwLatestMigrationConfiguration on table MigrationConfiguration { MigrationConfiguration | where IsActive | summarize arg_max(LastRefreshedTime, *) by SourceTable }",
		`.append MigrationConfiguration <| print "DeviceEvents", "DeviceEventsRaw", "None", datetime(1900-01-01), "Full", true, ""`,
		`.append MigrationConfiguration <| print "DeviceInfo", "DeviceInfoRaw", "None", datetime(1900-01-01), "Full", true, ""`,
		`.append MigrationAuditLog <| print "DeviceInfoRaw", now(), "Success", "", int(10000)`)
	for page := range pages {
		w.run(t, fmt.Sprintf(`.append MigrationConfiguration <| print "DeviceInfo", "DeviceInfoRaw", "None", datetime(2026-01-02) - %d * 1h, "Full", true, "page %d"`, page, page))
	}
}

// The greatest watermark is recorded once, before the view goes, with all columns
// of its row; rows after it are the user's.
func TestScenario_R5_TakeoverIsRecordedOnce(t *testing.T) {
	w := newWorld(t)
	original(t, w, 12)
	steps := w.setUp(t, adx.Options{})
	if s := named1(steps, "takeover from the original script"); s.Outcome != adx.Done || !strings.Contains(s.Detail, "stay lost") {
		t.Errorf("got %+v", s)
	}
	app := w.client(t, "app")
	rowsOf := func() (info, events plan.Row) {
		t.Helper()
		latest, err := app.Latest(t.Context())
		if err != nil || len(latest) != 2 {
			t.Fatalf("%+v, %v", latest, err)
		}
		return latest[1], latest[0]
	}
	info, untouched := rowsOf()
	if !info.LastRefreshedTime.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) || !strings.HasPrefix(info.RunID, "takeover") {
		t.Errorf("the newest row: %+v", info)
	}
	if untouched.RunID != "" {
		t.Errorf("a source that was never copied: %+v", untouched)
	}
	if n := w.count(t, `MigrationConfiguration | where RunId startswith "takeover" and Theirs == "page 0"`); n != 1 {
		t.Errorf("%d takeover rows with the column of the user's, want 1", n)
	}
	audited := `MigrationAuditLog | where RunId startswith "takeover" and Note has "Records.IngestionTime" and SourceTable == "DeviceInfo"`
	if n := w.count(t, audited); n != 1 {
		t.Errorf("%d audit rows of the takeover, want 1", n)
	}
	w.setUp(t, adx.Options{})
	w.run(t, `.append MigrationConfiguration <| MigrationConfiguration | where Theirs == "page 5"`)
	w.setUp(t, adx.Options{})
	if back, _ := rowsOf(); back.RunID != "" || back.LastRefreshedTime.Hour() != 19 {
		t.Errorf("a watermark set back by the user: %+v", back)
	}
	if n := w.count(t, audited); n != 1 {
		t.Errorf("%d audit rows after three setups, want 1", n)
	}
	rows, err := app.Rows(t.Context(), plan.Key{Source: "DeviceInfo"}, time.Time{})
	if err != nil || !strings.HasPrefix(rows[len(rows)-2].RunID, "takeover") {
		t.Errorf("a rebuilt state is told %+v, %v", rows, err)
	}
}

// A database whose view an earlier setup replaced, and that nothing was copied into
// since, is taken over as well; one in which a run of ours has ended is left alone.
func TestScenario_R5_TakeoverAfterAnEarlierSetup(t *testing.T) {
	for _, ran := range []bool{false, true} {
		w := newWorld(t)
		original(t, w, 3)
		w.run(t,
			".create-merge table MigrationConfiguration (LastRefreshedTimeInString: string, Instance: string, Frequency: string, RunId: string, Generation: long)",
			".create-merge table MigrationAuditLog (Instance: string, SourceTable: string, RunId: string, AttemptId: string, WindowFrom: datetime, WindowTo: datetime, Slices: int, Calls: int, Bytes: long, DurationSeconds: real, Api: string, Note: string)",
			".drop materialized-view VwLatestMigrationConfiguration",
			`.create-or-alter function VwLatestMigrationConfiguration() {
    MigrationConfiguration
    | extend IngestedAt = ingestion_time()
    | sort by Instance asc, SourceTable asc, IngestedAt desc nulls last, Generation desc nulls last, LastRefreshedTime desc nulls last
    | extend Place = row_number(1, Instance != prev(Instance) or SourceTable != prev(SourceTable))
    | where Place == 1
    | project-away Place
}`)
		if ran {
			w.run(t, `.append MigrationConfiguration <| MigrationConfiguration | where Theirs == "page 2" | extend RunId = "d2a0001"`)
		}
		w.setUp(t, adx.Options{})
		w.setUp(t, adx.Options{})
		want := int64(1)
		if ran {
			want = 0
		}
		if n := w.count(t, `MigrationConfiguration | where RunId startswith "takeover" and SourceTable == "DeviceInfo" and LastRefreshedTime == datetime(2026-01-02)`); n != want {
			t.Errorf("after a run %v: %d takeover rows, want %d", ran, n, want)
		}
	}
}

// Where the takeover cannot be recorded the view stays, and with it the watermarks.
func TestScenario_R5_ViewStaysWithoutTheRecord(t *testing.T) {
	w := newWorld(t)
	original(t, w, 2)
	w.cluster.SetFaults(kusto.Faults{Command: func(_, text string) error {
		if strings.HasPrefix(text, ".append") {
			return &kusto.Error{Status: 500, Code: "Broken", Text: "broken"}
		}
		return nil
	}})
	if _, err := w.client(t, "person").Setup(t.Context(), adx.Options{}); err != nil {
		t.Fatal(err)
	}
	latest, err := w.client(t, "app").Latest(t.Context())
	if err != nil || len(latest) != 2 || latest[1].LastRefreshedTime.Day() != 2 {
		t.Errorf("the original's view answers %+v, %v", latest, err)
	}
}
