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
	granted, err := r.ledger.MaySend(no)
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

// hide hides a slice and brings its rows in under a new number. The ledger says so
// before the slice is hidden: from then on nobody takes it for verified, even if
// the rest shows later.
func (r *run) hide(ctx context.Context, no int, rows int64) error {
	if err := r.ledger.Condemn(no, rows); err != nil {
		return err
	}
	if err := r.save(ctx); err != nil {
		return err
	}
	return r.void(ctx, no)
}

// void hides a slice that is Voiding and brings its rows in under a new number:
// the same blob, or a new one where it is gone or all of a division is read again. Hidden first: at no time do both
// show. A process that lost its lease must not hide what another has verified.
func (r *run) void(ctx context.Context, no int) error {
	s := r.ledger.Slice(no)
	readAgain := s.ReadAgain()
	var err error
	if !readAgain {
		var blob plan.BlobState
		blob, err = r.blobState(ctx, s.Blob)
		readAgain = blob == plan.BlobGone && s.Recut == nil
	}
	if err == nil && readAgain && r.outrun(s) {
		return fmt.Errorf("read %s of a list again, whose younger parts were read: %w", s.Slice, errTorn)
	}
	if err == nil {
		err = r.stillOurs()
	}
	if err == nil {
		err = r.ports.Ingester.Void(ctx, r.table.Destination, r.ledger.RunID, no)
	}
	if err != nil {
		return fmt.Errorf("hide %s: %w", s.Slice, err)
	}
	successor, err := r.ledger.Replace(no, r.ports.Clock.Now(), readAgain)
	if err != nil {
		return err
	}
	if err := r.save(ctx); err != nil || readAgain {
		return err
	}
	return r.send(ctx, successor)
}

// surplus reports a slice that the service took in more than once. Only a person
// may delete; the run goes on.
func (r *run) surplus(ctx context.Context, s *plan.LedgerSlice, l plan.Landed) error {
	if err := r.reportSurplus(ctx, s, l); err != nil {
		return err
	}
	return r.m.lease.SaveState(ctx, r.m.state)
}

// reportSurplus puts the audit row of copies into the outbox and saves nothing.
func (r *run) reportSurplus(ctx context.Context, s *plan.LedgerSlice, l plan.Landed) error {
	command, err := r.ports.Verifier.Surplus(ctx, r.table.Destination, r.ledger.RunID, s.No, s.Blob.Rows)
	if err != nil {
		return err
	}
	s.Surplus = l.Rows
	r.log.Error("slice taken in more than once", "slice", s.No, "rows", l.Rows, "sent_rows", s.Blob.Rows)
	audit := plan.Audit{Status: plan.Surplus, RecordCount: l.Rows - s.Blob.Rows,
		FailureReason: fmt.Sprintf("slice %d: %d rows in ADX, %d sent: the service took the blob in more than once; remove the copies with: %s", s.No, l.Rows, s.Blob.Rows, command)}
	row := ofRun(r.m.audit(audit), r.ledger)
	row.RecordCount = audit.RecordCount
	r.m.outbox.addAudit(row)
	return nil
}
