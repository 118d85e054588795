package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios of tables that are too heavy to be counted in one piece.

// timesOut lets counts over more than a span take three minutes and end as
// unavailable.
func (w *world) timesOut(span time.Duration) {
	w.heavy = func(q plan.CountQuery) error {
		if q.Table.Load != plan.Snapshot && q.Window.To.Sub(q.Window.From) <= span {
			return nil
		}
		w.now = w.now.Add(3 * time.Minute)
		return fault.As(fault.Unavailable, errors.New("504 gateway timeout"))
	}
}

// The first plan times out: the oldest hour is copied, then four times as much each
// time, as far as the source can.
func TestScenario_L3_FirstPlanTimesOut(t *testing.T) {
	w := large(1, 3_000, 100)
	w.cfg.Budget, w.cfg.LookBack = 15*time.Minute, 120*time.Hour
	w.timesOut(20 * time.Hour)
	w.run(12 * time.Hour)
	w.whole(t, w.now.Add(-3*time.Hour))
	if n := w.count(key.Source, plan.Failed); n > 0 {
		t.Errorf("%d attempts failed:%s", n, w.story())
	}
	longest := time.Duration(0)
	for _, a := range w.audits {
		longest = max(longest, a.WindowTo.Sub(a.WindowFrom))
	}
	if longest < 15*time.Hour {
		t.Errorf("the longest window was %v, 16 hours could be counted:%s", longest, w.story())
	}
}

// Refused as too heavy: half as much, at once remembered.
func TestScenario_L3_RefusedAsTooHeavy(t *testing.T) {
	w := large(2, 3_000, 100)
	w.heavy = func(q plan.CountQuery) error {
		if q.Window.To.Sub(q.Window.From) <= 10*time.Hour {
			return nil
		}
		return fault.As(fault.Split, errors.New("query exceeded its limits"))
	}
	w.repeatedly(3, 3, "count", kill)
	if err := w.wake(plan.Scheduled); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	if got := w.state(t, key).Reach; got == 0 || got > 9*24*time.Hour {
		t.Errorf("reach %v after two refusals of thirty days", got)
	}
	w.run(12 * time.Hour)
	w.whole(t, w.now.Add(-3*time.Hour))
}

// An outage that the oldest hour sees, too, leaves the reach as it was.
func TestScenario_L3_OutageShortensNothing(t *testing.T) {
	w := large(3, 3_000, 100)
	w.repeatedly(1, 0, "count", unavailable)
	for range 3 {
		if err := w.wake(plan.Scheduled); fault.KindOf(err) != fault.Retry {
			t.Fatalf("got %v, want a retry", err)
		}
	}
	if got := w.state(t, key).Reach; got != 0 {
		t.Errorf("reach %v after an outage", got)
	}
	w.mend()
	w.run(time.Hour)
	w.whole(t, w.now.Add(-3*time.Hour))
	if n := w.count(key.Source, plan.Success); n != 1 {
		t.Errorf("%d runs after the outage, want one:%s", n, w.story())
	}
}

// A snapshot that cannot be counted in one piece is counted, copied and closed by
// parts, over several invocations where it must be.
func TestScenario_L3_SnapshotInParts(t *testing.T) {
	for name, cause := range map[string]error{
		"times out": fault.As(fault.Unavailable, errors.New("504")), "refused": fault.As(fault.Split, errors.New("too heavy")),
	} {
		t.Run(name, func(t *testing.T) {
			w := heavySnapshot(4, cause)
			w.run(59 * time.Minute)
			w.whole(t, w.now)
			if n := w.count(key.Source, plan.Success); n != 1 || w.audits[0].RecordCount != 3_000 {
				t.Errorf("want one whole snapshot:%s", w.story())
			}
		})
	}
}

// A row that leaves one part while another comes in elsewhere makes it torn.
func TestScenario_L3_SnapshotInPartsIsTorn(t *testing.T) {
	w := heavySnapshot(5, fault.As(fault.Split, errors.New("too heavy")))
	w.after(30, "enqueue", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range w.rows {
			if w.rows[i].bucket < plan.Buckets/16 {
				w.rows[i].bucket = plan.Buckets - 1
				break
			}
		}
		return nil
	})
	w.run(3 * time.Hour)
	restarted := 0
	for _, b := range w.ledgers {
		if w.ledger(t, b).Status == "Restarted" {
			restarted++
		}
	}
	if restarted != 1 {
		t.Errorf("begun again %d times, want once:%s", restarted, w.story())
	}
}

func heavySnapshot(seed uint64, cause error) *world {
	w := large(seed, 3_000, 100)
	w.config[0].LoadType = "Snapshot"
	w.cap, w.cfg.Limits = 101, plan.Limits{Rows: 100, Bytes: 1 << 60}
	w.heavy = func(plan.CountQuery) error { w.now = w.now.Add(time.Minute); return cause }
	w.branches = 1
	return w
}
