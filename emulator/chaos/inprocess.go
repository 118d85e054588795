package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/state"
)

const (
	// tickPatience is how long a tick under faults may go on before the next one.
	// The faults last until the processes have made enoughCalls, on a machine of
	// any speed, within mostTicks.
	tickPatience = 4 * time.Second
	enoughCalls  = 400
	mostTicks    = 10
	// healTicks is within how many ticks everything must be well again once the
	// faults have stopped; healPatience bounds each.
	healTicks    = 8
	healPatience = 25 * time.Second
)

// runInProcess plays a schedule over the real adapters in this process.
func (w *world) runInProcess(ctx context.Context) (Verdict, error) {
	mail := newMailbox(w)
	serving, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); mail.serve(serving) }()
	defer func() { stop(); <-done; mail.stop() }()

	w.hook()
	for i := 0; i < w.plan.ticks || w.calls.Load() < enoughCalls && i < mostTicks && !w.dice.calm(); i++ {
		if i > 0 && mail.idle() {
			if r, ok := w.dice.strikes("between ticks", 0.7); ok {
				if err := w.source.live(r, false); err != nil {
					return Verdict{}, err
				}
			}
		}
		if err := mail.tick(ctx); err != nil {
			w.log.Warn("tick", "error", err.Error())
		}
		if err := mail.rest(ctx, tickPatience); err != nil {
			return Verdict{}, err
		}
	}
	w.dice.rest()
	w.log.Info("CHAOS faults end")
	for range healTicks {
		if err := sleep(ctx, time.Until(w.source.lastChange().Add(settle+w.plan.skew))); err != nil {
			return Verdict{}, err
		}
		began := time.Now()
		if err := mail.tick(ctx); err != nil {
			w.log.Warn("tick", "error", err.Error())
		}
		if err := mail.rest(ctx, healPatience); err != nil {
			return Verdict{}, err
		}
		healed, err := w.healed(ctx, began.Add(-w.plan.skew)) // as the slowest clock tells it
		if err != nil {
			return Verdict{}, err
		}
		if healed {
			return w.oracle.judge(ctx)
		}
		if mail.idle() {
			// Ticks are hours apart: a lease that nobody works under, left by a lost
			// answer, has run out before the next one.
			for _, t := range w.plan.tables {
				w.breakLease(ctx, t.source)
			}
		}
	}
	v, err := w.oracle.judge(ctx)
	v.complain("not healed within %d ticks of the end of all faults", healTicks)
	return v, err
}

// tick runs the timer function in the first process.
func (m *mailbox) tick(ctx context.Context) error {
	p, err := m.process(0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	stop := context.AfterFunc(p.ctx, cancel)
	defer stop()
	if !p.call(ctx, "schedule", []byte(`{"Data":{"tick":{}},"Metadata":{}}`)) {
		return errors.New("the timer function failed")
	}
	return nil
}

// rest returns when nothing is left to do, or after patience.
func (m *mailbox) rest(ctx context.Context, patience time.Duration) error {
	for deadline := time.Now().Add(patience); !m.idle() && time.Now().Before(deadline); {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// healed reports whether every table has a Success that began after the instant
// and no open run.
func (w *world) healed(ctx context.Context, since time.Time) (bool, error) {
	store, err := state.New(state.Config{Storage: blobstore.Config{ConnectionString: w.StorageConnection, Container: w.name}})
	if err != nil {
		return false, err
	}
	states, err := store.List(ctx)
	if err != nil {
		return false, fmt.Errorf("look at the states: %w", err)
	}
	for _, s := range states {
		if s.OpenRun != "" {
			return false, nil
		}
	}
	return len(states) == len(w.plan.tables) && w.oracle.succeeded(since) == len(w.plan.tables), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
