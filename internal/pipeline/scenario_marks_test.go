package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// configure appends a row of the user's that differs from the newest by change.
func (w *world) configure(change func(*plan.Row)) {
	row := w.config[len(w.config)-1]
	row.RunID, row.Generation, row.Ingested = "", 0, w.now
	change(&row)
	w.config = append(w.config, row)
}

// late lets n rows come in over an hour, each reported minutes after its event.
func (w *world) late(n int, minutes time.Duration) {
	for i := range n {
		at := w.now.Add(time.Duration(i) * time.Hour / time.Duration(n))
		w.add(at).event = at.Add(-minutes * time.Minute)
	}
}

// The watermark column changes while rows report twenty minutes late, there, back,
// and from a snapshot: a watermark is of a column.
func TestScenario_R2_TheWatermarkColumnChanges(t *testing.T) {
	event := func(r *plan.Row) { r.WatermarkColumn = "Timestamp" }
	arrival := func(r *plan.Row) { r.WatermarkColumn = "None" }
	for _, tt := range []struct {
		name  string
		steps []func(*plan.Row)
	}{
		{"event to arrival", []func(*plan.Row){event, arrival}},
		{"arrival to event", []func(*plan.Row){arrival, event}},
		{"there and back", []func(*plan.Row){event, arrival, event}},
		{"back and there", []func(*plan.Row){arrival, event, arrival}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(51)
			w.cfg.Settle = time.Hour // longer than rows are late
			w.now = w.now.Add(-5 * time.Hour)
			w.late(100, 20)
			w.now = w.now.Add(5 * time.Hour)
			for _, step := range tt.steps {
				w.configure(step)
				w.run(10 * time.Minute)
				w.late(60, 20)
				w.run(3 * time.Hour)
			}
			w.run(5 * time.Hour)
			w.check(t, w.now.Add(-2*time.Hour))
			if n := w.count(key.Source, plan.Success); n < len(tt.steps) || w.count(key.Source, plan.Gap) > 0 {
				t.Errorf("audit: %s", w.story())
			}
			if !strings.Contains(w.story(), "what was copied by the old one is left out") {
				t.Errorf("nothing is said of the change: %s", w.story())
			}
		})
	}
}

// From a snapshot to increments: rows of the settle time stand in both, and the note
// says so.
func TestScenario_R2_IncrementsAfterASnapshot(t *testing.T) {
	w := newWorld(52)
	w.fill(60, 10)
	w.config[0].LoadType = "Snapshot"
	overlap := w.now.Add(-w.cfg.Settle) // of the snapshot
	w.run(30 * time.Minute)
	w.add(w.now.Add(-time.Minute)) // younger than the settle time when it is copied next
	w.configure(func(r *plan.Row) { r.LoadType = "Incr" })
	w.run(5 * time.Hour)
	missing, repeated := 0, 0
	arrived := w.arrived(key.Source)
	for _, r := range w.rows {
		switch {
		case arrived[r.id] == 0:
			missing++
		case arrived[r.id] > 1 && !r.at.After(overlap):
			repeated++
		}
	}
	if missing > 0 || repeated > 0 || !strings.Contains(w.story(), "differ in SnapshotTime") {
		t.Errorf("%d rows missing, %d repeated before the overlap: %s", missing, repeated, w.story())
	}
}

// The state is lost after the column has changed, at different moments of the chain
// of runs that copies the new column's rows: configuration and ledger tell what the
// old column had copied.
func TestScenario_R2_StateLostAfterTheColumnChanged(t *testing.T) {
	for _, tt := range []struct {
		name  string
		busy  bool // the user's row comes while a run is open
		heavy bool // the new column's window is too long for one count: a chain of runs copies it
		lost  func(plan.TableState) bool
	}{
		{"between two runs of the chain", false, true, func(s plan.TableState) bool { return s.OpenRun == "" && s.More && !s.Watermark.IsZero() }},
		{"in the new column's only run", false, false, func(s plan.TableState) bool { return s.OpenRun != "" }},
		{"in a later run of the chain", false, true, func(s plan.TableState) bool { return s.OpenRun != "" }},
		{"after the run that the change met", true, true, func(s plan.TableState) bool { return s.OpenRun == "" && s.Watermark.IsZero() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(51)
			w.cfg.Settle = time.Hour
			w.configure(func(r *plan.Row) { r.WatermarkColumn = "Timestamp" })
			w.now = w.now.Add(-30 * time.Hour)
			for range 25 {
				w.late(10, 20)
				w.now = w.now.Add(time.Hour)
			}
			w.now = w.now.Add(5 * time.Hour)
			w.run(10 * time.Minute)
			w.late(60, 20)
			w.now = w.now.Add(75 * time.Minute) // rows come in on both sides of the watermark to come
			arrival := func(r *plan.Row) { r.WatermarkColumn = "None" }
			if tt.busy {
				w.before(1, "fetch", func(*process) error { w.configure(arrival); return nil })
			} else {
				w.run(10 * time.Minute)
				w.configure(arrival)
				w.late(60, 20)
				w.now = w.now.Add(3 * time.Hour)
				w.before(2, "fetch", kill)
			}
			w.heavy = func(q plan.CountQuery) error {
				if tt.heavy && q.Table.WatermarkColumn == "" && q.Window.Span(w.now.Add(-30*24*time.Hour)) > 10*24*time.Hour {
					return fault.As(fault.Split, errors.New("too heavy"))
				}
				return nil
			}
			w.cfg.Budget = 2 * time.Second
			lost := false
			for i := 0; i < 300 && !lost; i++ {
				w.run(time.Second)
				if s := w.state(t, key); s.Table.WatermarkColumn == "" && tt.lost(s) {
					delete(w.states, key)
					lost = true
				}
			}
			if !lost {
				t.Fatalf("the moment never came:%s", w.story())
			}
			w.cfg.Budget = 5 * time.Minute
			w.run(8 * time.Hour)
			w.check(t, w.now.Add(-2*time.Hour))
		})
	}
}
