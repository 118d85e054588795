package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

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
	err := r.enqueue(ctx, no)
	if errors.Is(err, fault.ErrNotQueued) {
		err = errors.Join(err, r.unsent(ctx, no))
	}
	return err
}

// unsent writes down slices of which the last send was surely not queued.
func (r *run) unsent(ctx context.Context, numbers ...int) error {
	return r.step(ctx, func(l *plan.Ledger) error {
		for _, no := range numbers {
			if err := l.Unsent(no); err != nil {
				return err
			}
		}
		return nil
	})
}

// enqueue is send without a word in the ledger of what was not queued.
func (r *run) enqueue(ctx context.Context, no int) error {
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
	if err != nil {
		return fmt.Errorf("send %s: %w", s.Slice, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ledger.Queued(no, id) // stored with the next step
}
