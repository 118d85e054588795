package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// The state tells how the last attempt ended, also where the audit log does not say a
// cause twice in an hour, and when the last run started.
func TestMigrate_StateTellsHowTheLastAttemptEnded(t *testing.T) {
	w := newWorld(311)
	w.fill(30, 5)
	down := false
	w.ill = append(w.ill, &mishap{call: "fetch", do: func(*process) error {
		if down {
			return fault.As(fault.Permanent, errors.New("no role"))
		}
		return nil
	}})
	began := w.now
	w.run(time.Minute)
	first := w.known(t)
	if first.Last.Status != plan.Success || first.Last.Reason != "" || first.LastStarted.Before(began) || first.LastStarted.After(first.LastEnded) {
		t.Errorf("after a run: %+v, started %v, ended %v", first.Last, first.LastStarted, first.LastEnded)
	}
	for _, bad := range []bool{true, false} {
		down = bad
		w.now = w.now.Add(2 * time.Hour)
		w.fill(30, 1)
		_ = w.wake(plan.Scheduled) // the state tells
		got := w.known(t).Last
		if bad != (got.Status == plan.Failed) || bad != (got.Reason != "") || !got.At.After(first.LastEnded) {
			t.Errorf("Defender refuses: %v; the state says %+v:%s", bad, got, w.story())
		}
	}
}

// A cause that was said within the hour has no second audit row, and the state says
// Failed all the same.
func TestMigrate_StateTellsOfAFailureSaidBefore(t *testing.T) {
	w := newWorld(312)
	down := true
	w.ill = append(w.ill, &mishap{call: "count", do: func(*process) error {
		if down {
			return fault.As(fault.Retry, errNet)
		}
		return nil
	}})
	for i, bad := range []bool{true, false, true} {
		down = bad
		w.fill(30, 0.2)
		w.now = w.now.Add(10 * time.Minute)
		_ = w.wake(plan.Scheduled)
		if got := w.known(t).Last; bad != (got.Status == plan.Failed) {
			t.Errorf("attempt %d, Defender is away: %v; the state says %+v:%s", i+1, bad, got, w.story())
		}
	}
	if got := w.count(key.Source, plan.Failed); got != 1 {
		t.Errorf("%d audit rows for one cause in an hour", got)
	}
}
