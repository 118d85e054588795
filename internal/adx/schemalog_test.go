package adx_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// What the app recorded of Defender's columns, `handler setup` makes columns of views.
func TestSetup_ViewsFollowTheColumnsThatDefenderHas(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	app := w.client(t, "app")
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	say := func(tag string, drifts ...plan.Drift) {
		t.Helper()
		at = at.Add(time.Hour)
		change := plan.SchemaChange{SourceTable: "AlertInfo", Instance: "two", Timestamp: at, RunID: "d2a1", Columns: drifts}
		if err := app.Deliver(t.Context(), plan.Outgoing{Tag: tag, Schema: &change}); err != nil {
			t.Fatal(err)
		}
	}
	added := func(name, kind string) plan.Drift {
		return plan.Drift{Column: name, Change: plan.ColumnNew, NewType: kind}
	}
	say("t1", added("Rank", "string"), added("kind", "bool"), added("Odd name", "string"), added("Instance", "string"), added("Severity1", "string"), added("Strange", "sandwich"))
	say("t2", plan.Drift{Column: "Rank", Change: plan.ColumnRetyped, OldType: "string", NewType: "long"}, plan.Drift{Column: "Title", Change: plan.ColumnGone, OldType: "string"})
	replaced := func() (names []string) {
		for _, s := range w.setUp(t, adx.Options{}) {
			if s.Outcome != adx.Already {
				names = append(names, s.Name+" "+string(s.Outcome))
			}
		}
		return names
	}
	if got := replaced(); !slices.Equal(got, []string{"function AlertInfo done"}) {
		t.Errorf("setup does %q, want the view of the table alone", got)
	}
	if got := replaced(); len(got) != 0 {
		t.Errorf("setup a second time does %q", got)
	}
	w.records(t, "AlertInfoRaw", "d2a1", 1, "null",
		`{"AlertId": "1", "Title": "old", "Rank": "7", "kind": 1, "Odd name": "x", "Instance": "theirs", "Severity1": "y", "Strange": "z", "Other": 1}`)
	want := []string{`1|old|7|long|true||{"Odd name":"x","Instance":"theirs","Severity1":"y","Strange":"z","Other":1}`}
	if diff := cmp.Diff(want, w.ask(t, "AlertInfo | project AlertId, Title, Rank, gettype(Rank), ['kind'], Instance, tostring(_Extra)")); diff != "" {
		t.Errorf("the view (-want +got):\n%s", diff)
	}
}
