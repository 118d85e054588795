package pipeline_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios in which the clock of the processes is wrong for a while. Storage, queue,
// Defender and ADX go by their own.

// A run ends while the clock is an hour ahead: the wake-ups of the hour after it are
// not taken for served.
func TestScenario_L1_ClockAheadByAnHour(t *testing.T) {
	w := large(1, 1_000, 20)
	w.skew = time.Hour
	w.run(22 * time.Second)
	w.skew = 0
	for range 4 {
		w.now = w.now.Add(10 * time.Minute)
		counts := w.tried["count"]
		w.messages = append(w.messages, failed(plan.Scheduled, 0, 0))
		w.messages[len(w.messages)-1].req.Inserted = w.now
		w.now = w.now.Add(time.Minute) // other work goes first
		w.deliverDue(0)
		if w.tried["count"] == counts {
			t.Errorf("%v: the wake-up was dropped", w.now)
		}
	}
	w.run(2 * time.Hour)
	w.check(t, w.now.Add(-2*time.Hour))
}

// A chain of runs goes on although the clock is a little ahead of the storage's.
func TestScenario_L1_ChainGoesOn(t *testing.T) {
	w := large(2, 3_000, 20)
	w.cap, w.cfg.Limits.Rows = 6, 5 // 600 slices: two runs
	w.cfg.Budget = 20 * time.Second
	w.skew = 10 * time.Second
	w.run(55 * time.Minute)
	w.check(t, w.now.Add(-time.Hour))
	if w.count(key.Source, plan.Success) < 2 {
		t.Errorf("the chain waited for a tick:%s", w.story())
	}
}

// A slice that was sent "tomorrow" and lost is sent again today.
func TestScenario_L1_SentInTheFuture(t *testing.T) {
	w := large(3, 1_000, 20)
	w.skew = 24 * time.Hour
	w.fate = func(plan.Ingestion) fate { return lost }
	w.after(1, "enqueue", func(*process) error { w.skew, w.fate = 0, nil; return nil })
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-4*time.Hour))
	if got := len(w.sent); got != 2 {
		t.Errorf("sent %d times, want twice", got)
	}
}

// A wait that only a wrong clock can have set is forgotten.
func TestScenario_L1_WaitBeyondBelief(t *testing.T) {
	w := large(4, 1_000, 20)
	w.skew = 10 * 24 * time.Hour
	w.before(1, "fetch", throttled(2*time.Hour))
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	w.skew = 0
	w.run(4 * time.Hour)
	w.whole(t, w.now.Add(-5*time.Hour))
}
