package funchost

import (
	"context"
	"log/slog"
	"time"
)

// scheduleStatus is what the host remembers of a timer, in UTC. Last is the zero
// time (year 1) before the first run.
type scheduleStatus struct {
	Last        time.Time `json:"Last"`
	Next        time.Time `json:"Next"`
	LastUpdated time.Time `json:"LastUpdated"`
}

// statusStore keeps timer status. Load returns nil if there is none yet.
type statusStore interface {
	Load(ctx context.Context, function string) (*scheduleStatus, error)
	Save(ctx context.Context, function string, status scheduleStatus) error
}

// timerListener runs one timer function. Runs never overlap: the next tick is
// armed when a run has ended. However many ticks a run or a stopped host has
// missed, exactly one run makes up for them.
type timerListener struct {
	function     string
	schedule     schedule
	runOnStartup bool
	store        statusStore // nil: not monitored
	log          *slog.Logger
	invoke       func(ctx context.Context, status *scheduleStatus, pastDue bool) error
}

// listen runs the timer until fetch is done; work bounds the storage calls.
func (l *timerListener) listen(fetch, work context.Context) {
	last := time.Now()
	if pastDue := l.checkPastDue(work, last); pastDue || l.runOnStartup {
		l.run(work, pastDue)
	}
	for {
		next := l.schedule.next(last)
		timer := time.NewTimer(time.Until(next))
		select {
		case <-fetch.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		// The clock that woke us may run a little ahead of the schedule's; never
		// take the same tick twice.
		if last = time.Now(); last.Before(next) {
			last = next
		}
		l.run(work, false)
	}
}

// run invokes the function once and records the run, failed or not.
func (l *timerListener) run(ctx context.Context, pastDue bool) {
	started := time.Now().UTC()
	status, err := l.load(ctx)
	if err != nil {
		l.log.Error("reading timer status", "function", l.function, "err", err)
	}
	if err := l.invoke(ctx, status, pastDue); err != nil {
		l.log.Error("timer run failed", "function", l.function, "err", err)
	}
	if l.store == nil {
		return
	}
	err = l.store.Save(ctx, l.function, scheduleStatus{Last: started, Next: l.schedule.next(started), LastUpdated: started})
	if err != nil {
		l.log.Error("recording timer run", "function", l.function, "err", err)
	}
}

func (l *timerListener) load(ctx context.Context) (*scheduleStatus, error) {
	if l.store == nil {
		return nil, nil
	}
	return l.store.Load(ctx, l.function)
}

// checkPastDue tells whether a tick was missed while no host ran. A timer seen
// for the first time, or with another schedule than recorded, missed none: its
// next tick is recorded instead.
func (l *timerListener) checkPastDue(ctx context.Context, now time.Time) bool {
	if l.store == nil {
		return false
	}
	status, err := l.load(ctx)
	if err != nil {
		l.log.Error("reading timer status", "function", l.function, "err", err)
		return false // overwriting what could not be read would lose a missed tick for good
	}
	if status != nil {
		since := status.Last
		if since.IsZero() {
			since = status.LastUpdated
		}
		if l.schedule.next(since).Equal(status.Next) {
			return now.After(status.Next)
		}
	}
	err = l.store.Save(ctx, l.function, scheduleStatus{Next: l.schedule.next(now), LastUpdated: now.UTC()})
	if err != nil {
		l.log.Error("recording first timer status", "function", l.function, "err", err)
	}
	return false
}
