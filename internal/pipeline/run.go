package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// run is the work of one attempt on one run. While slices are in flight they share
// the ledger under mu, which also puts ledger writes in order; before and after
// that the attempt alone touches it.
type run struct {
	m       *migration // whose lease, state and outbox these are
	table   plan.Table // as planned; the configuration may have moved on
	ports   Ports
	calls   *tableCalls
	counter *counter
	log     *slog.Logger
	cells   []plan.Slice // the window's parts as counted by this attempt; nil of a run taken up

	mu      sync.Mutex
	ledger  *plan.Ledger
	width   *plan.RowWidth
	checked bool              // the destination was looked at
	columns map[string]string // of the newest answer that named them; nil: none did

	stopped atomic.Bool // no further slice begins in this round of fetchAll
}

func newRun(m *migration, l *plan.Ledger, cells []plan.Slice) *run {
	log := m.unstated.With("run_id", l.RunID)
	call := m.callerFor(l.Table)
	l.Account.Edge = l.Table.ExpiryEdge(l.SourceAt(m.ports.Clock.Now()), m.cfg.LookBack)
	r := &run{
		m: m, table: l.Table, ports: m.ports, calls: call, log: log, cells: cells, ledger: l,
		width:   plan.NewRowWidth(m.cfg.Limits.Capped(m.state.RowCap), m.state.Width),
		counter: &counter{source: m.ports.Source, call: call, table: l.Table, budget: m.budget, ledger: l, log: log},
	}
	if l.Bytes == 0 {
		r.width.Try(r.planned())
	}
	return r
}

// copyAll brings every slice of the run into ADX and sees it there.
func (r *run) copyAll(ctx context.Context) error {
	if r.ledger.Unconfirmed() > 0 {
		if err := r.poll(ctx); err != nil {
			return err
		}
	}
	for {
		if err := r.fetchAll(ctx); err != nil {
			return err
		}
		if err := r.confirmAll(ctx); err != nil {
			return err
		}
		if r.ledger.Done() {
			return nil
		}
	}
}

// save writes the ledger, with the calls made since the last time.
func (r *run) save(ctx context.Context) error {
	r.ledger.Calls += r.calls.taken()
	err := r.m.lease.SaveLedger(ctx, r.ledger)
	if err == nil {
		r.m.req.show(r.ledger)
	}
	return err
}

// step takes a step of a slice's life and writes the ledger.
func (r *run) step(ctx context.Context, change func(*plan.Ledger) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := change(r.ledger); err != nil {
		return err
	}
	return r.save(ctx)
}

// fetchAll freezes and sends every planned slice, oldest first, as many at a time
// as the process has calls for. While no row width is known the first slice goes
// alone and the rest is packed again by what it teaches.
func (r *run) fetchAll(ctx context.Context) error {
	if r.table.IsExport() {
		return r.sendFiles(ctx)
	}
	for r.ledger.Count(plan.Planned) > 0 {
		if r.m.budget.outOfTime() || r.tooLateForList() {
			return &snooze{delay: r.m.cfg.PutOff, reason: "time budget spent"}
		}
		if err := r.countParts(ctx); err != nil {
			return err
		}
		if err := r.countUncounted(ctx); err != nil {
			return err
		}
		if err := r.askRowLimit(ctx); err != nil {
			return err
		}
		// An error stops new slices; those in flight finish, since their calls are
		// spent already.
		var g errgroup.Group
		r.stopped.Store(false)
		// More than calls: a slice whose blob is committed has given its place back and
		// still has to be written down and sent.
		g.SetLimit(max(1, 2*r.m.cfg.CallsInFlight-1))
		alone := r.width.Learning()
		next := r.plannedNumbers(alone)
		if r.m.list != nil {
			next = r.nextOfList()
		}
		for _, no := range next {
			g.Go(func() error {
				if !r.open() {
					return nil
				}
				err := guarded(func() error { return r.copySlice(ctx, no) })
				if err != nil {
					r.stopped.Store(true)
				}
				return err
			})
		}
		err := g.Wait()
		if driftErr := r.drift(ctx); err == nil {
			err = driftErr
		}
		if err != nil {
			// The calls were made all the same: the audit row counts them.
			if saveErr := r.save(ctx); saveErr != nil {
				r.log.Warn("save ledger", "error", saveErr.Error())
			}
			return err
		}
		if r.m.list == nil && r.width.Learn(alone) {
			if err := r.learned(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// askRowLimit asks, before the first rows are fetched, how large a row of the
// destination may be: what is larger is cut on its way.
func (r *run) askRowLimit(ctx context.Context) error {
	if len(r.plannedNumbers(true)) == 0 {
		return nil
	}
	_, err := r.rowLimit(ctx)
	return err
}

// rowLimit returns that size in bytes, which the ledger keeps; one of an earlier
// version may lack it.
func (r *run) rowLimit(ctx context.Context) (int64, error) {
	if r.table.RowLimit > 0 {
		return r.table.RowLimit, nil
	}
	limit, err := r.ports.Verifier.RowLimit(ctx, r.table.Destination)
	if err != nil {
		return 0, fmt.Errorf("look at %s: %w", r.table.Destination, err)
	}
	r.table.RowLimit, r.ledger.Table.RowLimit = limit, limit
	return limit, r.save(ctx)
}

// trouble is a Permanent error that says what is in the way of the destination's
// rows; nil if nothing is.
func (r *run) trouble(ctx context.Context) error {
	found, err := r.ports.Verifier.Trouble(ctx, r.table.Destination)
	if err != nil {
		return fmt.Errorf("look at %s: %w", r.table.Destination, err)
	}
	if len(found) > 0 {
		return fault.As(fault.Permanent, errors.New(strings.Join(found, "; ")))
	}
	return nil
}

// open reports whether another slice may begin.
func (r *run) open() bool { return !r.stopped.Load() && !r.m.budget.outOfTime() }

// guarded turns a panic into an error: one slice must not end the process and with
// it the work on every other table.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.As(fault.Permanent, fmt.Errorf("internal error: %T\n%s", p, debug.Stack()))
		}
	}()
	return f()
}

// plannedNumbers returns the planned slices, or the first alone.
func (r *run) plannedNumbers(first bool) (numbers []int) {
	for _, s := range r.planned() {
		if s.Rows >= 0 || r.table.Kind().RowsUnknown() {
			numbers = append(numbers, s.No)
		}
	}
	if first && len(numbers) > 1 {
		numbers = numbers[:1]
	}
	return numbers
}

// planned returns the slices that nothing was promised of.
func (r *run) planned() (rest []plan.Slice) {
	for i := range r.ledger.Slices {
		if s := &r.ledger.Slices[i]; s.State == plan.Planned {
			rest = append(rest, s.Slice)
		}
	}
	return rest
}
