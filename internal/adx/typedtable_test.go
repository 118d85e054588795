package adx_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Rows of before stay in the raw table, rows from then on are in both, and the view has
// each of them once.
func TestTyped_TheViewHasRowsOfBeforeAndAfterOnce(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = 'AlertInfo', DestinationTable = 'AlertsTwoRaw', Instance = 'two', LoadType = 'Full', IsActive = true)")
	w.records(t, "AlertInfoRaw", "", 0, "null", `{"AlertId": "original", "Severity": "Low"}`)
	w.records(t, "AlertInfoRaw", "d2a1", 1, "null", `{"AlertId": "before", "Severity": "Low"}`)
	first := w.changed(t, adx.Options{Typed: []string{"alertinfo"}})
	for _, name := range []string{"table AlertInfoTyped", "function AlertInfoTypedVisible", "function AlertInfoRawTyped", "update policy of AlertInfoTyped", "function AlertInfo"} {
		if !slices.Contains(first, name) {
			t.Errorf("setup does %q, want %s among it", first, name)
		}
	}
	// Without the option the table stays.
	for _, o := range []adx.Options{{}, {Typed: []string{"AlertInfo"}}} {
		if again := w.changed(t, o); len(again) != 0 {
			t.Errorf("setup again does %q", again)
		}
	}
	w.records(t, "AlertInfoRaw", "", 0, "null", `{"AlertId": "original's other", "Severity": "Low"}`)
	w.records(t, "AlertInfoRaw", "d2a2", 1, "null", `{"AlertId": "after", "Severity": "High", "AttackTechniques": "[\"T1\"]", "Odd": 1}`)
	w.records(t, "AlertInfoRaw", "d2a2", 2, "null", `{"AlertId": "hidden"}`)
	w.records(t, "AlertsTwoRaw", "d2b1", 1, "null", `{"AlertId": "two's"}`)
	w.run(t, ".append MigrationVoidSlices <| print 'AlertInfoRaw', 'd2a2', int(2), now(), true")
	want := []string{"after||High|{\"Odd\":1}", "before||Low|{}", "original's other||Low|{}", "original||Low|{}", "two's|two||{}"}
	got := w.ask(t, "AlertInfo | project AlertId, Instance, Severity, tostring(_Extra)")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the view (-want +got):\n%s", diff)
	}
	if got := w.ask(t, "AlertInfoTyped | where AlertId == 'after' | project Severity, RunId, Slice, RawTable"); !slices.Equal(got, []string{"High|d2a2|1|AlertInfoRaw"}) {
		t.Errorf("the typed table has %q", got)
	}
	if got := w.ask(t, "AlertInfo | where isnotnull(ingestion_time()) | count"); got[0] != "5" {
		t.Errorf("%s rows of the view have an arrival, want 5", got[0])
	}
	// What names somebody, and what is hidden, is found there, too.
	if got := w.ask(t, "MigrationStorage() | where Kind == 'Void' | project TableName, Rows | sort by TableName asc"); !slices.Equal(got, []string{"AlertInfoRaw|1", "AlertInfoTyped|1"}) {
		t.Errorf("hidden: %q", got)
	}
	for _, command := range append(w.ask(t, "MigrationForget('after') | project Command"), w.ask(t, "MigrationStorage() | where Kind == 'Void' | project Frees")...) {
		w.run(t, command)
	}
	if got := w.ask(t, "union AlertInfoRaw, AlertInfoTyped | where RunId == 'd2a2' | count"); got[0] != "0" {
		t.Errorf("%s rows are left of what was deleted", got[0])
	}
	// A column that came since is one of the table and of the view.
	change := plan.SchemaChange{SourceTable: "AlertInfo", Timestamp: time.Now(), Columns: []plan.Drift{{Column: "Odd", Change: plan.ColumnNew, NewType: "long"}}}
	if err := w.client(t, "app").Deliver(t.Context(), plan.Outgoing{Tag: "t1", Schema: &change}); err != nil {
		t.Fatal(err)
	}
	w.changed(t, adx.Options{})
	w.records(t, "AlertInfoRaw", "d2a3", 1, "null", `{"AlertId": "later", "Odd": 7}`)
	if got := w.ask(t, "AlertInfo | where AlertId == 'later' | project Odd"); !slices.Equal(got, []string{"7"}) {
		t.Errorf("the new column has %q", got)
	}
}

func TestTyped_OfASnapshotTableShowsTheNewestWholeOne(t *testing.T) {
	w := newWorld(t)
	const source = "DeviceTvmCertificateInfo"
	w.setUp(t, adx.Options{})
	snapshot := func(run, status, planned, device string) {
		w.records(t, source+"Raw", run, 1, planned, `{"DeviceId": "`+device+`", "Thumbprint": "t"}`)
		if status != "" {
			w.audit(t, source, "", run, status, planned)
		}
	}
	shows := func(want ...string) {
		t.Helper()
		for _, query := range []string{source, source + "Latest()"} {
			if got := w.ask(t, query+" | project DeviceId, _Torn"); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
	}
	snapshot("d2a1", "Success", "2026-03-01", "a")
	w.changed(t, adx.Options{Typed: []string{source}})
	shows("a|false")
	snapshot("d2a2", "Success", "2026-03-02", "b")
	snapshot("d2a3", "", "2026-03-03", "c")
	shows("b|false")
}

func TestTyped_RefusesWhatItMayNotTouch(t *testing.T) {
	w := newWorld(t)
	w.run(t, ".create table AlertInfoTyped (AlertId: string)")
	steps, err := w.client(t, "person").Setup(t.Context(), adx.Options{Typed: []string{"AlertInfo", "Unheard"}})
	if err != nil {
		t.Fatal(err)
	}
	if s := named1(steps, "table AlertInfoTyped"); s.Outcome != adx.Failed || !strings.Contains(s.Detail, "somebody else's") {
		t.Errorf("somebody's table: %+v", s)
	}
	if s := named1(steps, "typed table of Unheard"); s.Outcome != adx.Failed || s.Remedy == "" {
		t.Errorf("a table without a view: %+v", s)
	}
	if got := w.show(t, ".show table AlertInfoTyped schema as json", 1); strings.Contains(got, "RunId") {
		t.Errorf("somebody's table was changed: %s", got)
	}
}

// The Streaming API fills a table of the hunting table's name; the view has its rows and
// ours, each event once.
func TestStreamed_TheViewUnitesBothByEvent(t *testing.T) {
	rounds.Long(t)
	w := newWorld(t)
	w.run(t, ".create table DeviceEvents (Timestamp: datetime, DeviceId: string, ReportId: long, ActionType: string, InitiatingProcessId: string, TenantId: string)",
		".create table DeviceTvmCertificateInfo (DeviceId: string)",
		".append DeviceEvents <| datatable (a: datetime, b: string, c: long, d: string, e: string, f: string) ["+
			"datetime(2026-03-01), 'a', 1, 'both, theirs', '7', 't', datetime(2026-03-01), 'a', 2, 'theirs', '9', 't']")
	notes := func(o adx.Options) (names []string) {
		for _, s := range w.setUp(t, o) {
			if s.Outcome == adx.Note && strings.HasPrefix(s.Name, "view ") {
				names = append(names, s.Name)
			}
		}
		return names
	}
	if got := notes(adx.Options{}); !slices.Equal(got, []string{"view DeviceEvents", "view DeviceTvmCertificateInfo"}) {
		t.Errorf("notes %q", got)
	}
	if got := notes(adx.Options{Streamed: true}); !slices.Equal(got, []string{"view DeviceTvmCertificateInfo"}) {
		t.Errorf("with the option: notes %q", got)
	}
	if again := w.changed(t, adx.Options{}); len(again) != 0 {
		t.Errorf("setup again does %q", again)
	}
	w.records(t, "DeviceEventsRaw", "d2a1", 1, "null", `{"Timestamp": "2026-03-01T00:00:00Z", "DeviceId": "a", "ReportId": 1, "ActionType": "both, ours"}`,
		`{"Timestamp": "2026-03-02T00:00:00Z", "DeviceId": "a", "ReportId": 1, "ActionType": "ours"}`)
	want := []string{"both, ours||{}", "ours||{}", `theirs|9|{"TenantId":"t"}`}
	got := w.ask(t, "DeviceEvents | project ActionType, InitiatingProcessId, tostring(_Extra)")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the view (-want +got):\n%s", diff)
	}
	// Under another name as well, and beside a typed table.
	w.changed(t, adx.Options{ViewPrefix: "Hunting", Streamed: true, Typed: []string{"DeviceEvents"}})
	w.records(t, "DeviceEventsRaw", "d2a2", 1, "null", `{"Timestamp": "2026-03-03T00:00:00Z", "DeviceId": "a", "ReportId": 1, "ActionType": "typed"}`)
	got = w.ask(t, "HuntingDeviceEvents | project ActionType")
	slices.Sort(got)
	if diff := cmp.Diff([]string{"both, ours", "ours", "theirs", "typed"}, got); diff != "" {
		t.Errorf("the view of another name (-want +got):\n%s", diff)
	}
}
