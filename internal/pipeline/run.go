package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
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

// checkDestination looks, after the first slice sent of a run that has none in ADX
// yet, for what keeps the destination from taking or showing rows: better now than
// after all slices were fetched.
func (r *run) checkDestination(ctx context.Context) error {
	r.mu.Lock()
	known := r.checked || slices.ContainsFunc(r.ledger.Slices, func(s plan.LedgerSlice) bool { return s.State == plan.Verified && s.Blob.Rows > 0 })
	r.checked = true
	r.mu.Unlock()
	if known {
		return nil
	}
	return r.trouble(ctx)
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

// countUncounted counts the slices that came out of a split, all in one call, and
// once more what the first answer puts below what is known of them.
func (r *run) countUncounted(ctx context.Context) error {
	parts := slices.DeleteFunc(r.planned(), func(s plan.Slice) bool { return s.Rows >= 0 })
	if len(parts) == 0 || r.table.Kind().RowsUnknown() {
		return nil
	}
	believed, err := r.countOnce(ctx, parts)
	if err != nil {
		return err
	}
	if doubt := r.ledger.Doubt(believed); len(doubt) > 0 {
		r.log.Warn("slices counted less than is known of them, counted again", "slices", doubt)
		again := slices.DeleteFunc(parts, func(s plan.Slice) bool { return !slices.Contains(doubt, s.No) })
		second, err := r.countOnce(ctx, again)
		if err != nil {
			return err
		}
		for _, s := range again {
			believed[s.No] = plan.Believe(believed[s.No], second[s.No])
		}
	}
	for no, rows := range believed {
		believed[no] = max(0, rows) // not doubted: all the parent's rows are in its other parts
	}
	if err := r.ledger.TakeCounts(believed); err != nil {
		return err
	}
	return r.save(ctx)
}

// countOnce counts slices by number; a slice that the answer does not speak of is
// negative. What the source refuses to count is divided and absent.
func (r *run) countOnce(ctx context.Context, parts []plan.Slice) (map[int]int64, error) {
	batch := r.ledger.CountBatch
	counts, refused, err := r.counter.parts(ctx, parts)
	if err != nil {
		if r.ledger.CountBatch != batch {
			err = errors.Join(err, r.save(ctx)) // the next invocation asks for less at once
		}
		return nil, fmt.Errorf("count %d slices: %w", len(parts), err)
	}
	rows := map[int]int64{}
	for i, p := range parts {
		if cause := refused[i]; cause != nil {
			// Too heavy to count is too heavy to fetch.
			if err := r.split(ctx, p, cause); err != nil {
				return nil, err
			}
			continue
		}
		rows[p.No] = counts[i]
	}
	return rows, nil
}

// copySlice fetches one planned slice, freezes it and sends it.
func (r *run) copySlice(ctx context.Context, no int) error {
	r.mu.Lock()
	s := *r.ledger.Slice(no)
	r.mu.Unlock()
	if s.Rows == 0 {
		return r.step(ctx, func(l *plan.Ledger) error { return l.Verify(no, 0) })
	}
	if r.m.list != nil {
		return r.copyList(ctx, s.Slice)
	}
	began := r.ports.Clock.Now()
	blob, received, err := r.freeze(ctx, s.Slice)
	switch kind := fault.KindOf(err); {
	case err == nil:
	case errors.Is(err, errClosed):
		return nil // its turn came when nothing more should begin
	case kind == fault.Unavailable:
		// The size may be the reason, or the service is down. Counting the parts
		// shows which, before any other slice spends its calls and is divided.
		r.stopped.Store(true)
		return r.split(ctx, s.Slice, err)
	case kind == fault.Split:
		return r.split(ctx, s.Slice, err)
	default:
		return fmt.Errorf("fetch %s: %w", s.Slice, err)
	}
	if received.Rows == 0 {
		// The rows expired or moved between count and fetch, and a fresh count
		// agreed: nothing to send.
		return r.step(ctx, func(l *plan.Ledger) error { return l.Verify(no, 0) })
	}
	// Frozen and promised before it is sent: whoever takes over sends this very
	// blob or sees it in ADX, and never fetches the slice again.
	err = r.step(ctx, func(l *plan.Ledger) error {
		l.Bytes += received.Bytes
		servedBy(l, r.m.attempt.api())
		r.width.Observe(received.Rows, received.Bytes)
		if received.Columns != nil {
			r.columns = received.Columns
		}
		return l.Freeze(no, blob, received.Cut, r.ports.Clock.Now())
	})
	if err != nil {
		return err
	}
	if err := r.send(ctx, no); err != nil {
		return err
	}
	if err := r.checkDestination(ctx); err != nil {
		return err
	}
	r.log.Info("slice sent", "slice", no, "rows", received.Rows, "bytes", received.Bytes, "dur_ms", r.ports.Clock.Now().Sub(began).Milliseconds())
	return nil
}

// errUnequal is an answer whose rows are not those counted, settled by a fresh
// count.
var errUnequal = errors.New("rows received differ from rows counted twice")

// errAtEdge is the same of a slice that reaches from what may expire into what may
// not: only its younger part can tell.
var errAtEdge = fmt.Errorf("some may have expired: %w", errUnequal)

// freeze fetches the slice into a staged blob and settles its row count. The
// blob is nobody's until the ledger names it: an earlier one, left by a killed
// process, is never read.
func (r *run) freeze(ctx context.Context, s plan.Slice) (plan.Blob, plan.Received, error) {
	if err := r.ports.Stager.Ready(ctx); err != nil {
		return plan.Blob{}, plan.Received{}, err
	}
	var blob plan.Blob
	stage := func(ctx context.Context, produce func(io.Writer) error) (err error) {
		blob, err = r.ports.Stager.Stage(ctx, r.blobName(s), produce)
		return err
	}
	received, err := r.ports.Source.Fetch(ctx, r.calls.while(r.open), r.table, s, stage)
	if err != nil {
		return plan.Blob{}, plan.Received{}, err
	}
	blob.Rows, blob.Bytes = received.Rows, received.Bytes
	return blob, received, r.settle(ctx, s, received.Rows)
}

// blobName names a staged blob for ever.
func (r *run) blobName(s plan.Slice) string {
	return fmt.Sprintf("%s-%06d-%d-%s.json.gz", r.ledger.RunID, s.No, r.m.state.Generation, randomID(8))
}

// settle compares the rows of an answer with those counted. An error of kind Split
// says that the slice must be divided.
func (r *run) settle(ctx context.Context, s plan.Slice, received int64) error {
	edge := r.ledger.Account.Edge
	if plan.Receive(s, received, -1, edge) == plan.Accept {
		return nil
	}
	least := received
	if s.Expiring(edge) {
		least = 0 // rows grow fewer between any two calls
	}
	recount, err := r.counter.again(ctx, s, least)
	if err != nil {
		return err
	}
	if s.Part == plan.PartAll && recount != s.Rows && r.m.state.Restarts < maxRestarts {
		return fmt.Errorf("%d rows counted, %d counted again: %w", s.Rows, recount, errTorn)
	}
	switch plan.Receive(s, received, recount, edge) {
	case plan.Accept:
		r.log.Info("slice changed since it was counted", "slice", s.No, "counted", s.Rows, "rows", received, "now", recount)
		return nil
	case plan.DivideAtEdge:
		return fault.As(fault.Split, fmt.Errorf("%d rows received, %d counted, %d counted again: %w", received, s.Rows, recount, errAtEdge))
	}
	if received < min(s.Rows, recount) {
		r.mu.Lock()
		if r.width.Cut(received) {
			r.log.Warn("answers are cut below the service's cap", "rows", received)
			r.stopped.Store(true)
		}
		r.mu.Unlock()
	}
	return fault.As(fault.Split, fmt.Errorf("%d rows received, %d counted, %d counted again: %w", received, s.Rows, recount, errUnequal))
}

// split divides a planned slice in the ledger. At the smallest slice the cause
// ends the attempt: a source that is only unavailable is tried again by the
// queue, a row that is too large for the service is not.
func (r *run) split(ctx context.Context, s plan.Slice, cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, b, ok, err := plan.Slice{}, plan.Slice{}, false, error(nil)
	if errors.Is(cause, errAtEdge) {
		a, b, ok, err = r.ledger.DivideAt(s.No, r.ledger.Account.Edge)
	}
	if !ok && err == nil {
		a, b, ok, err = r.ledger.Divide(s.No)
	}
	if err != nil {
		return err
	}
	if !ok {
		kind := fault.Permanent
		if fault.KindOf(cause) == fault.Unavailable && fault.Signature(cause) == "" || errors.Is(cause, errUnequal) {
			kind = fault.Retry
		}
		return fault.As(kind, fmt.Errorf("fetch %s, which cannot be divided further: %w", s, cause))
	}
	r.log.Warn("slice divided", "slice", s.No, "into", []int{a.No, b.No}, "rows", s.Rows, "cause", cause.Error())
	// All that is known of the width: the answer was larger than the cap.
	if fault.KindOf(cause) == fault.Split && !errors.Is(cause, errUnequal) && r.width.Refuse(s.Rows) {
		r.stopped.Store(true)
	}
	return r.save(ctx)
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

// stillOurs refuses an effect that only the holder of the lease may have, right
// before it: a process that was frozen past its lease must do nothing more.
func (r *run) stillOurs() error {
	if r.ports.Clock.Now().Before(r.m.lease.Deadline()) {
		return nil
	}
	return fault.As(fault.Retry, errors.New("the lease may have passed to another process"))
}

// send hands a slice's frozen blob to ingestion. What surely was not queued is
// written down, so that it is sent again at once and not after the grace time.
func (r *run) send(ctx context.Context, no int) error {
	r.mu.Lock()
	s := *r.ledger.Slice(no)
	r.mu.Unlock()
	in := plan.Ingestion{
		Destination: r.table.Destination, RunID: r.ledger.RunID, Slice: no,
		SnapshotTime: r.ledger.SnapshotTime, Blob: s.Blob, SourceID: s.SourceID,
	}
	var err error
	if r.table.IsExport() {
		if in.URL, err = r.address(ctx, s.Blob.Path); err != nil {
			err = fault.Mark(err, fault.ErrNotQueued)
		}
	}
	if err == nil {
		err = r.stillOurs()
	}
	var id string
	if err == nil {
		id, err = r.ports.Ingester.Enqueue(ctx, in)
	}
	if errors.Is(err, fault.ErrNotQueued) {
		err = errors.Join(err, r.step(ctx, func(l *plan.Ledger) error { return l.Unsent(no) }))
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", s.Slice, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ledger.Queued(no, id) // stored with the next step
}
