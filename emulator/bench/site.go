package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// site is a tenant, the emulators and a database that is set up for its table.
type site struct {
	*stack.Emulators
	bench  *Bench
	tables int
	// adopted: a handler has served here and said whose the storage is.
	adopted bool
}

// open starts the emulators. Without limits nobody waits.
func (b *Bench) open(ctx context.Context, data *tenant.Tenant, o hunting.Options, tables ...string) (*site, error) {
	return b.openSlow(ctx, data, o, 0, tables...)
}

// openSlow is open with an ADX that takes so long over a blob.
func (b *Bench) openSlow(ctx context.Context, data *tenant.Tenant, o hunting.Options, ingest time.Duration, tables ...string) (*site, error) {
	if o.Limits == nil {
		o.Limits = stack.Unhurried()
	}
	e, err := stack.Start(ctx, stack.Options{Data: data, Hunting: o, IngestLatency: ingest})
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		tables = []string{benchTable}
	}
	s := &site{Emulators: e, bench: b, tables: len(tables)}
	if _, err := s.Setup(ctx, b.App, "none"); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := s.Configure(ctx, tables); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return s, nil
}

// settings are changes over the default settings that let a measurement run on
// one machine; none of them touches memory, slices or calls.
func settings(changes map[string]string) map[string]string {
	out := map[string]string{"DEFENDER_CALLS_PER_MINUTE": "100000", "MIGRATION_SETTLE": "0s", "MIGRATION_INGEST_POLL": "100ms"}
	maps.Copy(out, changes)
	return out
}

// work is what one copy of the table took.
type work struct {
	rows, bytes int64 // received
	calls       int64
	took        time.Duration
	peakRSS     float64 // MiB
	handlerCPU  time.Duration
	allCPU      time.Duration // of every process of the stack, the handler's too
}

// copyOnce starts the handler, fires the timer once, and waits until no table has
// anything left to copy.
func (s *site) copyOnce(ctx context.Context, changes map[string]string) (work, error) {
	s.adopted = true
	f := &watcher{tables: s.tables, done: make(chan int64, 1), failed: make(chan string, 1)}
	host, err := s.StartHost(ctx, s.bench.App, settings(changes), funchost.Options{OnLine: f.line})
	if err != nil {
		return work{}, err
	}
	w, err := s.measure(ctx, host, f)
	return w, errors.Join(err, stop(ctx, host))
}

func stop(ctx context.Context, host *funchost.Host) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer done()
	return host.Stop(ctx)
}

func (s *site) measure(ctx context.Context, host *funchost.Host, f *watcher) (work, error) {
	before := s.Hunting.Stats()
	pid := host.HandlerPID()
	all, err := familyCPU()
	if err != nil {
		return work{}, err
	}
	own, err := readUsage(pid)
	if err != nil {
		return work{}, err
	}
	began := time.Now()
	if err := stack.Tick(ctx, host); err != nil {
		return work{}, err
	}
	var w work
	select {
	case w.rows = <-f.done:
	case reason := <-f.failed:
		return w, fmt.Errorf("copy: %s", reason)
	case <-host.Done():
		return w, fmt.Errorf("the Functions host stopped: %w", host.Wait())
	case <-ctx.Done():
		return w, context.Cause(ctx)
	}
	w.took = time.Since(began)
	after := s.Hunting.Stats()
	w.calls, w.bytes = after.Calls-before.Calls, after.Bytes-before.Bytes
	if host.Stats().Restarts > 0 || host.HandlerPID() != pid {
		return w, errors.New("the handler was started more than once")
	}
	if w.peakRSS, err = peakRSS(pid); err != nil {
		return w, err
	}
	ownAfter, err := readUsage(pid)
	if err != nil {
		return w, err
	}
	allAfter, err := familyCPU()
	w.handlerCPU, w.allCPU = ownAfter.cpu-own.cpu, allAfter-all
	return w, err
}
