package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/secret"
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
	healTicks    = 4
	healPatience = 25 * time.Second
)

// runInProcess plays a schedule over the real adapters in this process.
func (w *world) runInProcess(ctx context.Context) (Verdict, error) {
	local := newLocalQueue(w)
	serving, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); local.serve(serving) }()
	defer func() { stop(); <-done; local.stop() }()

	w.hook()
	for i := 0; i < w.plan.ticks || w.calls.Load() < enoughCalls && i < mostTicks && !w.faults.calm(); i++ {
		if i > 0 && local.idle() {
			if r, ok := w.faults.inject("between ticks", 0.7); ok {
				if err := w.source.live(r, false); err != nil {
					return Verdict{}, err
				}
			}
		}
		if err := local.tick(ctx); err != nil {
			w.log.Warn("tick", "error", err.Error())
		}
		if err := local.rest(ctx, tickPatience); err != nil {
			return Verdict{}, err
		}
	}
	w.faults.rest()
	w.log.Info("CHAOS faults end")
	var stuck []string
	for range healTicks {
		if err := sleep(ctx, time.Until(w.source.lastChange().Add(settle+w.plan.skew))); err != nil {
			return Verdict{}, err
		}
		before, err := w.runs(ctx)
		if err != nil {
			return Verdict{}, err
		}
		if err := local.tick(ctx); err != nil {
			w.log.Warn("tick", "error", err.Error())
		}
		if err := local.rest(ctx, healPatience); err != nil {
			return Verdict{}, err
		}
		if stuck, err = w.stuck(ctx, before); err != nil {
			return Verdict{}, err
		}
		if len(stuck) == 0 {
			return w.oracle.judge(ctx)
		}
		w.hours.Add(1)
		if local.idle() {
			// Ticks are hours apart: a lease that nobody works under, left by a lost
			// answer, has run out before the next one.
			for _, t := range w.plan.tables {
				w.breakLease(ctx, t.source)
			}
		}
	}
	return w.judgeStuck(ctx, stuck)
}

// judgeStuck judges a schedule whose tables are not all well.
func (w *world) judgeStuck(ctx context.Context, stuck []string) (Verdict, error) {
	v, err := w.oracle.judge(ctx)
	v.Stuck = len(stuck)
	v.complain("not healed within %d ticks of the end of all faults: %s", healTicks, strings.Join(stuck, ", "))
	return v, err
}

// tick runs the timer function in the first process.
func (q *localQueue) tick(ctx context.Context) error {
	p, err := q.process(0)
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
func (q *localQueue) rest(ctx context.Context, patience time.Duration) error {
	for deadline := time.Now().Add(patience); !q.idle() && time.Now().Before(deadline); {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// runs returns the runs that are open or have ended.
func (w *world) runs(ctx context.Context) (map[string]bool, error) {
	open, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	known, err := w.oracle.ended()
	if err != nil {
		return nil, err
	}
	for _, run := range open {
		known[run] = true
	}
	return known, nil
}

// stuck returns the tables that have an open run, or no Success of a run that is not
// one of those before: clocks may have been wrong then, so times prove nothing.
func (w *world) stuck(ctx context.Context, before map[string]bool) (tables []string, err error) {
	open, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	well, err := w.oracle.succeeded(before)
	if err != nil {
		return nil, err
	}
	for _, t := range w.plan.tables {
		if open[t.source] != "" || !well[t.source] {
			tables = append(tables, t.source)
		}
	}
	return tables, nil
}

// open returns the open run of each table that has a state, empty where none is.
func (w *world) open(ctx context.Context) (map[string]string, error) {
	store, err := state.New(state.Config{Storage: blobstore.Config{ConnectionString: secret.New(w.StorageConnection), Container: w.name}})
	if err != nil {
		return nil, err
	}
	states, err := store.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the states: %w", err)
	}
	runs := map[string]string{}
	for _, s := range states {
		runs[s.Key.Source] = s.OpenRun
	}
	return runs, nil
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
