package pipeline_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

func columnsNow() map[string]string {
	known, _ := schema.Lookup(key.Source)
	types := map[string]string{}
	for _, c := range known.Columns {
		types[c.Name] = c.Type
	}
	return types
}

// more lets another hour pass, with rows.
func (w *world) more(t *testing.T) {
	t.Helper()
	w.run(time.Hour)
	w.fill(5, 0.5)
}

func TestDrift_ColumnsThatChangeAreRecordedAndStopNothing(t *testing.T) {
	w := large(301, 3_000, 20)
	w.columns = columnsNow()
	w.more(t)
	if len(w.changes) != 0 {
		t.Fatalf("columns as catalogued are recorded as changed: %+v", w.changes)
	}
	w.columns["NewColumn"], w.columns["OSBuild"] = "bool", "string"
	delete(w.columns, "DeviceName")
	for range 3 {
		w.more(t)
	}
	w.whole(t, w.now.Add(-2*time.Hour))
	var got []string
	for _, c := range w.changes {
		if c.SourceTable != key.Source || c.RunID == "" || c.Timestamp.IsZero() {
			t.Errorf("incomplete: %+v", c)
		}
		for _, d := range c.Columns {
			got = append(got, d.String())
		}
	}
	want := []string{"NewColumn is new (bool)", "OSBuild is string and was long", "DeviceName is gone (it was string)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	noted := 0
	for _, a := range w.audits {
		if strings.Contains(a.Note, "NewColumn is new (bool)") {
			noted++
		}
	}
	if noted != 1 {
		t.Errorf("%d audit rows speak of the new column, want 1", noted)
	}
}

// A database that was set up by an older version has no table for it.
func TestDrift_WithoutItsTableItIsSaidAgainWithEachRun(t *testing.T) {
	w := large(302, 3_000, 20)
	w.columns = columnsNow()
	w.columns["NewColumn"] = "long"
	w.unlogged = true
	for range 3 {
		w.more(t)
	}
	w.whole(t, w.now.Add(-2*time.Hour))
	if len(w.changes) != 0 || len(w.audits) == 0 {
		t.Fatalf("%d changes and %d audit rows", len(w.changes), len(w.audits))
	}
	w.unlogged = false
	w.more(t)
	w.more(t)
	if len(w.changes) != 1 {
		t.Errorf("with the table there are %d changes, want 1", len(w.changes))
	}
}

// The process dies when every slice is frozen: no answer of the run will name columns
// again.
func TestDrift_KilledBeforeItWasSaidItIsSaidOnce(t *testing.T) {
	w := large(303, 3_000, 20)
	w.columns = columnsNow()
	w.more(t)
	w.columns["NewColumn"] = "long"
	w.now = w.now.Add(2 * time.Hour)
	killed := false
	w.ill = append(w.ill, &mishap{call: "landed", do: func(*process) error {
		var s plan.TableState
		var l plan.Ledger
		if err := json.Unmarshal(w.states[key].body, &s); err != nil || killed || s.OpenRun == "" {
			return err
		}
		if err := json.Unmarshal(w.ledgers[s.OpenRun].body, &l); err != nil || l.Count(plan.Planned) > 0 {
			return err
		}
		killed = true
		return errDead
	}})
	if err := w.wake(plan.Scheduled); err != errDead {
		t.Fatalf("the process was not killed: %v", err)
	}
	w.columns = nil
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if len(w.changes) != 1 || len(w.changes[0].Columns) != 1 {
		t.Errorf("recorded are %+v, want one change", w.changes)
	}
}
