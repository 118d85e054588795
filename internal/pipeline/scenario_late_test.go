package pipeline_test

import (
	"testing"
	"time"

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
