package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
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

// A row that leaves one part while another comes in elsewhere makes it torn, also where
// the source gives no checksums.
func TestScenario_L3_SnapshotInPartsIsTorn(t *testing.T) {
	w := heavySnapshot(5, fault.As(fault.Split, errors.New("too heavy")))
	w.sumless = true
	moved := false
	w.ill = append(w.ill, &mishap{call: "landed", after: true, do: func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if moved || len(w.arrived("")) < 3_000 {
			return nil
		}
		moved = true
		for i := range w.rows {
			if w.rows[i].bucket < plan.Buckets/16 {
				w.rows[i].bucket = plan.Buckets - 1
				break
			}
		}
		return nil
	}})
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

// A tenant's answers are cut far below the service's cap: that is found out once.
func TestScenario_L15_CapBelowTheServices(t *testing.T) {
	w := large(6, 3_000, 20)
	w.cut, w.cap = true, 51 // 50 rows an answer
	w.cfg.Limits = plan.Limits{Rows: 1_000, Bytes: 1 << 60}
	w.run(30 * time.Minute)
	w.whole(t, w.now.Add(-time.Hour))
	if got := w.state(t, key).RowCap; got != 50 {
		t.Fatalf("the cap learned is %d, want 50:%s", got, w.story())
	}
	// Sixty answers at the least; the first ones were cut, and settled by a count.
	if got := w.calls; got > 90 {
		t.Errorf("%d calls for the first run", got)
	}
	w.now = w.now.Add(30 * time.Minute)
	for i := range 2_000 {
		w.add(w.now.Add(-w.cfg.Settle - time.Duration(i)*500*time.Millisecond).Truncate(plan.Tick))
	}
	calls := w.calls
	w.run(30 * time.Minute)
	w.whole(t, w.now.Add(-time.Hour))
	if got := w.calls - calls; got > 2_000*100/(50*95)+8 {
		t.Errorf("%d calls for 2,000 rows", got)
	}
}

// Refusals make slices so small that a run would have thousands of them: the window
// is cut short instead.
func TestScenario_L12_RepackedWithinBounds(t *testing.T) {
	rounds.Long(t)
	w := large(7, 5_000, 20)
	w.cut, w.cap = true, 9 // 8 rows an answer
	w.cfg.Limits, w.cfg.Budget = plan.Limits{Rows: 1_000, Bytes: 1 << 60}, time.Hour
	most := 0
	w.repeatedly(1, 0, "save ledger", func(*process) error {
		if w.tried["save ledger"]%50 > 0 {
			return nil
		}
		for _, b := range w.ledgers {
			most = max(most, len(w.ledger(t, b).Slices))
		}
		return nil
	})
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-5*time.Hour))
	if most > plan.MaxSlices+40 {
		t.Errorf("a ledger of %d slices", most)
	}
	if n := w.count(key.Source, plan.Success); n < 2 {
		t.Errorf("%d runs for 630 slices:%s", n, w.story())
	}
}
