package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

const (
	// tickPatience is how long a tick under faults may go on before the next one.
	// The faults last until the processes have made enoughCalls, on a machine of
	// any speed, within mostTicks.
	tickPatience = 4 * time.Second
	enoughCalls  = 400
	mostTicks    = 10
	// healTicks is within how many ticks everything must be well again once the
	// faults have stopped. They are an hour apart, in which all that waits is done;
	// healPatience bounds each, on a machine that many schedules share.
	healTicks    = 4
	healPatience = time.Minute
)

// runInProcess plays a schedule over the real adapters in this process.
func (w *world) runInProcess(ctx context.Context) (Verdict, error) {
	local := newLocalQueue(w)
	serving, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); local.serve(serving) }()
	defer func() { stop(); <-done; local.stop() }()

	people := &terminals{world: w, local: local}
	defer people.end()
	w.hook()
	for i := 0; i < w.plan.ticks || w.calls.Load() < enoughCalls && i < mostTicks && !w.faults.calm(); i++ {
		if i > 0 && local.idle() {
			if r, ok := w.faults.inject("between ticks", 0.7); ok {
				if err := w.source.live(r, false); err != nil {
					return Verdict{}, err
				}
			}
		}
		// In the place of a tick, or beside it.
		r, person := w.faults.inject("terminal", w.plan.terminal)
		if person {
			if err := people.begin(ctx, r); err != nil {
				return Verdict{}, err
			}
		}
		if person && r.IntN(2) == 0 {
			people.rest(ctx, pauseOf(r, tickPatience))
		} else if err := local.tick(ctx); err != nil {
			w.log.Warn("tick", "error", err.Error())
		}
		if err := local.rest(ctx, tickPatience); err != nil {
			return Verdict{}, err
		}
	}
	w.calm()
	people.end()
	// What the last tick began ends first: the next one is an hour later.
	if err := local.rest(ctx, healPatience); err != nil {
		return Verdict{}, err
	}
	var stuck []string
	for range healTicks {
		if err := w.stirAll(); err != nil {
			return Verdict{}, err
		}
		if err := sleep.For(ctx, time.Until(w.source.lastChange().Add(settle+w.plan.skew))); err != nil {
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

// calm ends the faults.
func (w *world) calm() {
	w.faults.rest()
	w.Hunting.SetREST(w.plan.rest.switches(true))
	w.log.Info("CHAOS faults end")
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
		if err := sleep.For(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// runs returns the runs that are open or have ended. Those that ended last are asked of
// the states: their audit rows may still be on their way.
func (w *world) runs(ctx context.Context) (map[string]bool, error) {
	states, err := w.states(ctx)
	if err != nil {
		return nil, err
	}
	known, err := w.oracle.ended()
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		known[s.OpenRun], known[s.LastRun] = true, true
	}
	return known, nil
}

// stuck returns the tables that have an open run, or no Success of a run that is not
// one of those before: clocks may have been wrong then, so times prove nothing.
func (w *world) stuck(ctx context.Context, before map[string]bool) (tables []string, err error) {
	states, err := w.states(ctx)
	if err != nil {
		return nil, err
	}
	well, err := w.oracle.succeeded(before)
	if err != nil {
		return nil, err
	}
	for _, t := range w.plan.tables {
		if states[t.source].OpenRun != "" || !well[t.source] {
			tables = append(tables, t.source)
		}
	}
	return tables, nil
}

// states returns the state of each table that has one, by source.
func (w *world) states(ctx context.Context) (map[string]plan.TableState, error) {
	out := map[string]plan.TableState{}
	for _, t := range w.plan.tables {
		answer, err := w.blobs.NewBlobClient(w.stateBlob(t.source)).DownloadStream(ctx, nil)
		if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) { // storage may have been out of reach from the first
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at the state of %s: %w", t.source, err)
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return nil, fmt.Errorf("look at the state of %s: %w", t.source, err)
		}
		var s plan.TableState
		if len(body) == 0 { // made for its lease alone
			continue
		}
		if err := json.Unmarshal(body, &s); err != nil {
			return nil, fmt.Errorf("look at the state of %s: %w", t.source, err)
		}
		out[t.source] = s
	}
	return out, nil
}
