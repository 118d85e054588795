package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

const (
	// hostedTick is how long a tick under faults may go on, and hostedHeal how long
	// one without: a table whose worker was killed waits for a lease of 15 s.
	hostedTick = 6 * time.Second
	hostedHeal = 75 * time.Second
	// frozenFor outlasts that lease.
	frozenFor = 17 * time.Second
)

// instance is one Functions host with its handler process.
type instance struct {
	*funchost.Host
	name  string
	clock fileClock
}

// runHosted plays a schedule over the built handler under two local Functions
// hosts on one queue, as after a scale-out.
func (w *world) runHosted(ctx context.Context, app stack.App) (_ Verdict, err error) {
	var hosts []*instance
	defer func() {
		for _, h := range hosts {
			// A frozen handler could not be ended politely.
			_ = h.ThawHandler()
			stopping, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			err = errors.Join(err, h.Stop(stopping))
			done()
		}
	}()
	dir, err := os.MkdirTemp("", "chaos-clock")
	if err != nil {
		return Verdict{}, err
	}
	w.ends = append(w.ends, func() { _ = os.RemoveAll(dir) }) // of the system's own folder for such
	for i := range w.plan.processes {
		h, err := w.startHost(ctx, app, fileClock{filepath.Join(dir, fmt.Sprint("clock", i))}, fmt.Sprintf("host %d", i+1))
		if err != nil {
			return Verdict{}, err
		}
		hosts = append(hosts, h)
	}
	persons := &people{world: w, app: app}
	defer persons.end()
	w.hook()
	faulty, stop := context.WithCancel(ctx)
	struck := make(chan struct{})
	go func() { defer close(struck); w.killAndFreeze(faulty, hosts) }()
	for i := range w.plan.ticks {
		// In the place of a tick, or beside it; by the first the app's id is in its storage.
		r, person := w.faults.inject("terminal", w.plan.terminal)
		if person = person && i > 0; person {
			if err := persons.begin(ctx, r); err != nil {
				w.log.Warn("terminal", "error", err.Error())
			}
		}
		if !person || r.IntN(2) == 0 {
			if err := stack.Tick(ctx, hosts[0].Host); err != nil {
				w.log.Warn("tick", "error", err.Error())
			}
		}
		if err := sleep.For(ctx, hostedTick); err != nil {
			stop()
			<-struck
			return Verdict{}, err
		}
	}
	stop()
	<-struck
	w.calm()
	persons.end()
	for _, h := range hosts {
		if err := h.clock.set(0); err != nil {
			return Verdict{}, err
		}
	}
	var stuck []string
	for range healTicks {
		if err := w.stirAll(); err != nil {
			return Verdict{}, err
		}
		if err := sleep.For(ctx, time.Until(w.source.lastChange().Add(settle))); err != nil {
			return Verdict{}, err
		}
		before, err := w.runs(ctx)
		if err != nil {
			return Verdict{}, err
		}
		began := time.Now()
		if err := stack.Tick(ctx, hosts[0].Host); err != nil {
			w.log.Warn("tick", "error", err.Error())
		}
		for time.Since(began) < hostedHeal {
			if stuck, err = w.stuck(ctx, before); err != nil {
				return Verdict{}, err
			}
			if len(stuck) == 0 {
				return w.oracle.judge(ctx)
			}
			if err := sleep.For(ctx, 200*time.Millisecond); err != nil {
				return Verdict{}, err
			}
		}
	}
	return w.judgeStuck(ctx, stuck)
}

func (w *world) startHost(ctx context.Context, app stack.App, clock fileClock, name string) (*instance, error) {
	log := w.log.With("host", name)
	var started atomic.Pointer[funchost.Host]
	kill := func(where string) {
		if h := started.Load(); h != nil && h.KillHandler(syscall.SIGKILL) == nil {
			w.faults.count("process: killed " + where)
			log.Info("CHAOS killed", "where", where)
		}
	}
	settings := w.settings()
	settings["MIGRATION_SCHEDULE"] = "0 0 0 1 1 *" // ticks come from us
	settings["CHAOS_CLOCK"] = clock.path
	host, err := w.StartHost(ctx, app, settings, funchost.Options{
		OnLine: func(l funchost.Line) { log.Info(l.Text) },
		Timing: funchost.Timing{QueueLease: 3 * time.Second, QueuePolling: 200 * time.Millisecond, QueueVisibility: 300 * time.Millisecond, RestartWindow: time.Millisecond},
		Faults: funchost.Faults{
			BeforeCall: func(_ context.Context, inv funchost.Invocation) {
				if _, ok := w.faults.inject("kill before an invocation", w.plan.kill*4); ok && inv.Function == "migrate" {
					kill("before an invocation")
				}
			},
			AfterCall: func(_ context.Context, inv funchost.Invocation, err error) error {
				if _, ok := w.faults.inject("kill after an invocation", w.plan.kill*4); ok && inv.Function == "migrate" {
					kill("after an invocation")
				}
				return err
			},
			Deliver: func(funchost.Invocation) funchost.Delivery {
				if _, ok := w.faults.inject("deliver", w.plan.queue); ok {
					w.faults.count("queue: delivered twice")
					return funchost.DeliverTwice
				}
				return funchost.DeliverOnce
			},
			Complete: func(funchost.Invocation, bool) funchost.Completion {
				r, ok := w.faults.inject("complete", w.plan.queue)
				switch {
				case !ok:
					return funchost.CompleteNormally
				case r.IntN(2) == 0:
					w.faults.count("queue: delete lost")
					return funchost.DropCompletion
				}
				w.faults.count("queue: receipt overtaken")
				return funchost.StaleReceipt
			},
		},
	})
	if err != nil {
		return nil, err
	}
	started.Store(host)
	return &instance{host, name, clock}, nil
}

// killAndFreeze kills and freezes handlers, and sets their clocks wrong, until ctx ends.
func (w *world) killAndFreeze(ctx context.Context, hosts []*instance) {
	r := w.faults.roll("strike")
	for ctx.Err() == nil {
		if sleep.For(ctx, 200*time.Millisecond+pauseOf(r, 2500*time.Millisecond)) != nil {
			return
		}
		h := hosts[r.IntN(len(hosts))]
		if w.plan.lies.jump > 0 && r.IntN(2) == 0 && w.faults.atMost(8, "clock: jumps") {
			by := jumpOf(r)
			if err := h.clock.set(by); err != nil {
				w.log.Warn("set a clock", "error", err.Error())
			}
			w.log.Info("CHAOS clock jumps", "host", h.name, "ahead", by)
		}
		if w.plan.freeze > 0 && r.IntN(2) == 0 && w.faults.atMost(1, "process: frozen beyond its lease") {
			w.freezeHost(ctx, h)
			continue
		}
		if w.plan.kill > 0 && h.KillHandler(syscall.SIGKILL) == nil {
			w.faults.count("process: killed in mid-work")
			w.log.Info("CHAOS killed", "host", h.name)
		}
		if sleep.For(ctx, pauseOf(r, 4*time.Second)) != nil {
			return
		}
	}
}

func (w *world) freezeHost(ctx context.Context, h *instance) {
	if h.FreezeHandler() != nil {
		return
	}
	w.log.Info("CHAOS frozen", "host", h.name)
	// For its whole time, even if the faults end meanwhile: it thaws into a world
	// that went on without it.
	_ = sleep.For(context.WithoutCancel(ctx), frozenFor)
	if err := h.ThawHandler(); err != nil {
		w.log.Warn("thaw", "error", err.Error())
	}
	w.log.Info("CHAOS thawed", "host", h.name)
}
