package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// resend sends the frozen blob again, under the same number and tag: if the
// first one arrives after all, the tag makes the service skip the second. Where
// the blob itself is gone the slice is hidden and its rows are fetched under a
// new number.
func (r *run) resend(ctx context.Context, no int, why string) error {
	s := r.ledger.Slice(no)
	blob, err := r.blobState(ctx, s.Blob)
	if err != nil {
		return err
	}
	if blob == plan.BlobGone {
		r.log.Warn("staged blob is gone: fetched again", "slice", no)
		r.ledger.Note(fmt.Sprintf("slice %d was fetched again: its staged blob was gone before ADX had taken it", no))
		return r.hide(ctx, no, 0)
	}
	granted, err := r.ledger.MayTry(no, s.Sends, plan.MaxSends)
	if err != nil {
		return err
	}
	if !granted {
		cause := fault.As(fault.Permanent, fmt.Errorf(
			"ADX did not take in %s of %s after %d attempts (%s); see .show ingestion failures | where IngestionSourcePath contains %q",
			s.Slice, r.table.Destination, s.Sends, why, s.Blob.Path))
		return errors.Join(cause, r.save(ctx))
	}
	r.m.offer.distrust(s.Sent)
	if err := r.ledger.Resend(no, r.ports.Clock.Now()); err != nil {
		return err
	}
	if err := r.save(ctx); err != nil {
		return err
	}
	r.log.Warn("slice sent again", "slice", no, "why", why)
	return r.send(ctx, no)
}

// rewrite deals with rows that ADX made null, since they are larger than it keeps: it
// does not say which. All that are above half the limit are cut, once, in a copy of
// the blob that is sent under a new number. What is null then is accepted.
func (r *run) rewrite(ctx context.Context, no int, l plan.Landed) error {
	s := r.ledger.Slice(no)
	name := r.blobName(s.Slice)
	limit, err := r.rowLimit(ctx)
	if err != nil {
		return err
	}
	blob, err := r.blobState(ctx, s.Blob)
	cut := int64(0)
	var copied plan.Blob
	if err == nil && blob == plan.BlobThere {
		copied, cut, err = r.ports.Stager.Recut(ctx, s.Blob, name, limit)
	}
	if err != nil {
		return fmt.Errorf("cut rows of %s: %w", s.Slice, err)
	}
	if cut == 0 {
		return r.verify(s, l) // which notes the nulls
	}
	r.log.Warn("rows too large for ADX are cut", "slice", no, "null_records", l.Nulls, "cut", cut, "limit", limit)
	r.ledger.Note(fmt.Sprintf("slice %d: %d rows were null in ADX; hidden and sent again with %d large rows cut, marked _truncated", no, l.Nulls, cut))
	s.Recut, s.Cut = &copied, cut
	return r.hide(ctx, no, l.Rows)
}

// markVoid marks a slice of which ADX holds a part, or copies.
func (r *run) markVoid(ctx context.Context, no int, l plan.Landed) error {
	s := r.ledger.Slice(no)
	what := fmt.Sprintf("slice %d: %d of %d rows in ADX, %d without Records", no, l.Rows, s.Blob.Rows, l.Nulls)
	if err := r.mayVoid(ctx, s, what+", again and again; its rows do not fit the column Records: check its encoding policy with handler setup"); err != nil {
		return err
	}
	r.log.Warn("slice void", "slice", no, "rows", l.Rows, "sent_rows", s.Blob.Rows, "null_records", l.Nulls)
	r.ledger.Note(what + "; hidden and sent again under a new number")
	return r.hide(ctx, no, l.Rows)
}

// mayVoid bounds how often the rows of a slice are hidden and sent again: cause, which
// names the slice, is the error once that was enough.
func (r *run) mayVoid(ctx context.Context, s *plan.LedgerSlice, cause string) error {
	granted, err := r.ledger.MayTry(s.No, s.Voids, plan.MaxVoids)
	if err != nil || granted {
		return err
	}
	return errors.Join(fault.As(fault.Permanent, fmt.Errorf("%s: %s", r.table.Destination, cause)), r.save(ctx))
}
