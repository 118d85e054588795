package pipeline_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// A blob whose sending was answered by nothing may come in twice, hours after its run
// has ended and others have followed.
func TestScenario_R3_CopiesHoursLaterAreReported(t *testing.T) {
	for _, tc := range []struct {
		name  string
		copy  []time.Duration // after the end of the run
		lost  bool            // the reply to the first send
		tells int
	}{
		{"after the next run", []time.Duration{50 * time.Minute}, true, 1},
		{"ten hours later", []time.Duration{10 * time.Hour}, true, 1},
		{"twice", []time.Duration{50 * time.Minute, 8 * time.Hour}, true, 2},
		{"before the next run, and told once", []time.Duration{10 * time.Minute}, true, 1},
		{"two days later nobody looks", []time.Duration{48 * time.Hour}, true, 0},
		{"a run that is not in doubt is looked at once", []time.Duration{10 * time.Hour}, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(31)
			w.fill(100, 10)
			if tc.lost {
				w.after(1, "enqueue", unavailable)
			}
			w.run(20 * time.Minute)
			if w.count(key.Source, plan.Success) != 1 || len(w.state(t, key).Looks) > 0 != tc.lost {
				t.Fatalf("not as it should begin: %s", w.story())
			}
			doubled := w.extents[0]
			began := w.now
			for _, after := range tc.copy {
				w.run(after - w.now.Sub(began))
				w.extents = append(w.extents, doubled)
			}
			w.run(3 * 24 * time.Hour)
			if n := w.count(key.Source, plan.Surplus); n != tc.tells {
				t.Errorf("%d Surplus rows, want %d: %s", n, tc.tells, w.story())
			}
			if looks := w.state(t, key).Looks; len(looks) > 0 {
				t.Errorf("looks that never end: %v", looks)
			}
		})
	}
}

// Of a chain of runs the first one's blob comes in twice, while others follow: the next
// run tells, or, where its send was in doubt, the look an hour later.
func TestScenario_R3_CopyInTheMiddleOfAChain(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after int  // runs with rows that have ended when the copy comes
		lost  bool // the reply to the first send
	}{{"before the second run", 1, false}, {"after the third, and the send was in doubt", 3, true}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(33)
			w.fill(300, 100)
			w.heavy = func(q plan.CountQuery) error {
				if q.Window.Span(w.now.Add(-w.cfg.LookBack)) <= 30*time.Hour {
					return nil
				}
				return fault.As(fault.Split, errors.New("too heavy"))
			}
			if tc.lost {
				w.after(1, "enqueue", unavailable)
			}
			ended := map[time.Time]bool{}
			doubled := extent{}
			w.ill = append(w.ill, &mishap{call: "save state", after: true, do: func(*process) error {
				s := w.state(t, key)
				if s.OpenRun != "" || s.LastRows == 0 || ended[s.Watermark] {
					return nil
				}
				if ended[s.Watermark] = true; len(ended) == tc.after {
					doubled = w.extents[0]
					w.extents = append(w.extents, doubled)
				}
				return nil
			}})
			w.run(4 * time.Hour)
			runs := w.count(key.Source, plan.Success)
			told := slices.DeleteFunc(slices.Clone(w.audits), func(a plan.Audit) bool { return a.Status != plan.Surplus })
			if runs <= tc.after || len(told) != 1 || told[0].RunID != doubled.runID || told[0].RecordCount != int64(len(doubled.ids)) {
				t.Errorf("%d runs; want one Surplus row of run %s: %s", runs, doubled.runID, w.story())
			}
		})
	}
}
