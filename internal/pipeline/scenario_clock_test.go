package pipeline_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
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

// The clock is days ahead at a table's first run, and nearly all that Defender holds
// ahead at a later one: the window begins at the oldest row by Defender's clock.
func TestScenario_L1_WindowByAClockAhead(t *testing.T) {
	for _, later := range []bool{false, true} {
		w := newWorld(61)
		w.fill(100, 24)
		if later {
			w.run(20 * time.Minute)
			w.now = w.now.Add(20 * time.Hour)
			w.fill(100, 20)
			w.skew = 18 * 24 * time.Hour
		} else {
			w.fill(100, 25*24)
		}
		w.skew += 10 * 24 * time.Hour
		w.run(20 * time.Minute)
		w.skew = 0
		w.run(5 * time.Hour)
		w.check(t, w.now.Add(-2*time.Hour))
	}
}

// A run that began "in five days" finds what it has in ADX when the clock is right
// again.
func TestScenario_L1_StartedInTheFuture(t *testing.T) {
	w := large(6, 1_000, 20)
	w.skew = 5 * 24 * time.Hour
	w.after(1, "enqueue", func(*process) error { w.skew = 0; return errDead })
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-4*time.Hour))
	if n := w.count(key.Source, plan.Success); n == 0 || len(w.sent) > 1 {
		t.Errorf("%d sends: %s", len(w.sent), w.story())
	}
}

// A snapshot that cannot be counted in one piece is dated by the storage's clock, so
// that increments after it begin where it ended.
func TestScenario_L1_SnapshotInPartsByAClockAhead(t *testing.T) {
	w := heavySnapshot(5, unavailable(nil))
	w.cfg.Budget = time.Hour
	began := w.now
	w.skew = 3 * time.Hour
	w.run(2 * time.Hour)
	if mark := w.state(t, key).Watermark; mark.Before(began) || mark.After(w.now) {
		t.Errorf("the snapshot's time is %v, want it between %v and %v", mark, began, w.now)
	}
}

// A chain of runs goes on although the clock is a little ahead of the storage's.
func TestScenario_L1_ChainGoesOn(t *testing.T) {
	rounds.Long(t)
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
