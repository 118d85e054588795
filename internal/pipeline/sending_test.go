package pipeline_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

const hour = time.Hour

// sentOnce fails if a blob was handed to ADX twice.
func (w *world) sentOnce(t *testing.T) {
	t.Helper()
	times := map[string]int{}
	for _, in := range w.sent {
		times[plan.IngestTag(in.RunID, in.Slice)]++
	}
	for tag, n := range times {
		if n > 1 {
			t.Errorf("slice %s was sent %d times", tag, n)
		}
	}
	if len(times) < 2 {
		t.Errorf("%d slices were sent; the test wants several", len(times))
	}
}

// numbered fails if a ledger uses a slice number twice.
func (w *world) numbered(t *testing.T) {
	t.Helper()
	for id, b := range w.ledgers {
		var l plan.Ledger
		if err := json.Unmarshal(b.body, &l); err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for _, s := range l.Slices {
			if seen[s.No] || s.No < 1 || s.No >= l.Next {
				t.Errorf("run %s: number %d is used twice or not below the next, %d", id, s.No, l.Next)
			}
			seen[s.No] = true
		}
	}
}

// As long as nothing sent later has arrived, ADX may only be slow: however often
// the run is taken up meanwhile, nothing is sent again.
func TestMigrate_ABlobOnItsWayIsNotSentAgainWhileADXShowsNothing(t *testing.T) {
	w := paged(41, 3_000, 20)
	w.delay = 10 * hour
	w.run(8 * hour)
	w.sentOnce(t)
	if w.tried["acquire"] < 10 {
		t.Errorf("the run was taken up %d times; the test wants many", w.tried["acquire"])
	}
	w.run(6 * hour)
	w.delay = time.Second
	w.sentOnce(t)
	w.run(2 * hour)
	w.whole(t, w.now.Add(-2*hour))
}

// Even if something sent later has arrived, one that is a few minutes late is
// waited for.
func TestMigrate_ABlobOnItsWayIsNotSentAgainWithinTheGraceTime(t *testing.T) {
	w := paged(42, 3_000, 20)
	w.after(1, "enqueue", func(*process) error {
		w.pending[0].at = w.now.Add(w.cfg.Grace - time.Minute)
		return nil
	})
	w.run(hour)
	w.sentOnce(t)
	w.whole(t, w.now.Add(-2*hour))
}

// Frozen first, then promised, then sent: whoever goes on after a kill sends the
// very blob or finds it in ADX, and does not ask the source again.
func TestMigrate_KilledAroundSendingFetchesNothingAgain(t *testing.T) {
	for _, after := range []bool{false, true} {
		w := paged(43, 5_000, 20)
		w.ill = append(w.ill, &mishap{call: "enqueue", after: after, skip: 2, last: 1, do: kill})
		if err := w.wake(plan.Scheduled); err != errDead {
			t.Fatalf("the process was not killed: %v", err)
		}
		w.run(2 * hour)
		w.whole(t, w.now.Add(-2*hour))
		if got := w.tried["fetch"]; got != 6 {
			t.Errorf("killed after sending = %v: %d fetches for 6 slices", after, got)
		}
		if len(w.voids) > 0 {
			t.Errorf("killed after sending = %v: slices in doubt were hidden: %v", after, w.voids)
		}
	}
}

// A slice that arrives in part, or with rows that lost their content, is hidden
// and its rows come again under another number: at no time both, wherever the
// process is killed.
func TestMigrate_PartOfASliceIsHiddenBeforeItComesAgain(t *testing.T) {
	type harm func(w *world)
	harms := map[string]harm{
		"half of the rows": func(w *world) {
			w.fate = func(plan.Ingestion) fate {
				if len(w.sent) == 2 {
					return partial
				}
				return well
			}
		},
		"one row is null": func(w *world) { w.huge[w.rows[1_500].id] = 1 },
	}
	kills := map[string]func(w *world){
		"never":           func(*world) {},
		"before it hides": func(w *world) { w.before(1, "void", kill) },
		"after it hid":    func(w *world) { w.after(1, "void", kill) },
		"before it sends": func(w *world) {
			w.after(1, "void", func(*process) error { w.before(1, "enqueue", kill); return nil })
		},
		"after it sent": func(w *world) {
			w.after(1, "void", func(*process) error { w.after(1, "enqueue", kill); return nil })
		},
	}
	for harmed, harm := range harms {
		for killed, kill := range kills {
			t.Run(harmed+", killed "+killed, func(t *testing.T) {
				w := paged(44, 3_000, 20)
				harm(w)
				kill(w)
				w.run(2 * hour)
				w.whole(t, w.now.Add(-2*hour))
				w.numbered(t)
				if len(w.voids) != 1 {
					t.Errorf("%d slices are hidden, want one", len(w.voids))
				}
			})
		}
	}
}

// Slices planned by an assumed width are packed again once the first has told
// the true one; the numbers they had are not used again.
func TestMigrate_PackedAgainByTheLearnedWidth(t *testing.T) {
	plans := map[string]func(*plan.Row){
		"window":   func(*plan.Row) {},
		"snapshot": func(r *plan.Row) { r.LoadType = "Snapshot" },
	}
	for name, configure := range plans {
		t.Run(name, func(t *testing.T) {
			w := large(45, 3_000, 20)
			w.cfg.Limits.Bytes = 100 * plan.DefaultWidth // 100 rows, until it is known that they are short
			configure(&w.config[0])
			w.run(10 * time.Minute)
			w.whole(t, w.now.Add(-hour))
			w.numbered(t)
			if got := w.tried["fetch"]; got > 12 {
				t.Errorf("%d fetches: 3,000 short rows were not packed again", got)
			}
		})
	}
}
