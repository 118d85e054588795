package pipeline_test

import (
	"encoding/json"
	"testing"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// spoken fails unless every run has one audit row and one configuration row.
func (w *world) spoken(t *testing.T, runs int) {
	t.Helper()
	audits, rows := map[string]int{}, map[string]int{}
	for _, a := range w.audits {
		if a.Status == plan.Success && a.RecordCount > 0 {
			audits[a.RunID]++
		}
	}
	for _, r := range w.config {
		if r.RunID != "" {
			rows[r.RunID]++
		}
	}
	if len(audits) < runs || len(rows) != len(audits) {
		t.Errorf("%d runs have an audit row and %d a configuration row, want %d or more of both", len(audits), len(rows), runs)
	}
	for id, n := range audits {
		if n != 1 || rows[id] != 1 {
			t.Errorf("run %s has %d audit rows and %d configuration rows, want one of each", id, n, rows[id])
		}
	}
}

// ADX took a row and the answer was lost: delivered again, it is not added again.
func TestMigrate_ALostReplyToARowAddsItOnce(t *testing.T) {
	w := paged(61, 2_000, 20)
	for n := range 6 {
		w.after(1+2*n, "deliver", func(*process) error { return fault.As(fault.Retry, errNet) })
	}
	for range 4 {
		w.run(hour)
		w.fill(5, 0.5)
	}
	w.whole(t, w.now.Add(-2*hour))
	w.spoken(t, 3)
}

// The state carries what must still be said: a kill between the checkpoint and
// the rows that speak of it neither loses nor doubles them.
func TestMigrate_KilledRightAfterTheCheckpoint(t *testing.T) {
	w := paged(62, 2_000, 20)
	killed := false
	w.ill = append(w.ill, &mishap{call: "save state", after: true, do: func(*process) error {
		var s plan.TableState
		if err := json.Unmarshal(w.states[key].body, &s); err != nil {
			return err
		}
		if killed || s.Watermark.Year() < 2000 || s.OpenRun != "" {
			return nil
		}
		killed = true
		return errDead
	}})
	if err := w.wake(plan.Scheduled); err != errDead {
		t.Fatalf("the process was not killed: %v", err)
	}
	if len(w.audits) != 0 {
		t.Fatalf("something was said before the checkpoint:%s", w.story())
	}
	for range 3 {
		w.run(hour)
		w.fill(5, 0.5)
	}
	w.whole(t, w.now.Add(-2*hour))
	w.spoken(t, 2)
}
