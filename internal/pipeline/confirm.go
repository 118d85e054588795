package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// confirmAll waits until ADX shows every slice sent, and mends what it does not
// show. It returns early when something has to be fetched again.
func (r *run) confirmAll(ctx context.Context) error {
	pause := r.m.cfg.Poll
	began := r.ports.Clock.Now()
	for r.ledger.Unconfirmed() > 0 {
		if err := r.poll(ctx); err != nil {
			return err
		}
		if r.ledger.Unconfirmed() == 0 || r.ledger.Count(plan.Planned) > 0 {
			return nil
		}
		if r.ports.Clock.Now().Sub(began) > pollsBeforePutOff*r.m.cfg.Poll {
			// ADX takes its time: that is for the message to wait.
			return &snooze{delay: r.m.cfg.Waiting, reason: "waiting for ADX"}
		}
		if r.m.budget.spent(pause) {
			return &snooze{delay: r.m.cfg.Waiting, reason: "waiting for ADX"}
		}
		if err := r.ports.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(pause*3/2, 4*r.m.cfg.Poll)
	}
	return nil
}

// pollsBeforePutOff is how many pauses an invocation spends on waiting for ADX,
// two minutes by the default settings.
const pollsBeforePutOff = 12

// poll asks ADX once what it holds of the run and moves every slice in doubt to
// what is now known of it.
func (r *run) poll(ctx context.Context) error {
	landed, err := r.ports.Verifier.Landed(ctx, r.table.Destination, r.ledger.RunID)
	if err != nil {
		return fmt.Errorf("look for run %s in %s: %w", r.ledger.RunID, r.table.Destination, err)
	}
	var unconfirmed []int
	changed := false
	for i := range r.ledger.Slices {
		s := &r.ledger.Slices[i]
		l := landed[s.No]
		switch {
		case s.State == plan.Voiding:
			unconfirmed = append(unconfirmed, s.No)
		case s.State != plan.Committing:
		case l.Rows >= s.Blob.Rows && l.Nulls == 0:
			if l.Rows > s.Blob.Rows {
				if err := r.surplus(ctx, s, l); err != nil {
					return err
				}
			}
			s.State, s.Landed = plan.Verified, s.Blob.Rows
			changed = true
			r.log.Info("slice verified", "slice", s.No, "rows", s.Landed, "after_ms", r.ports.Clock.Now().Sub(s.Sent).Milliseconds())
		default:
			unconfirmed = append(unconfirmed, s.No)
		}
	}
	for _, no := range unconfirmed {
		moved, err := r.reconcile(ctx, no, landed[no])
		if err != nil {
			return err
		}
		changed = changed || moved
	}
	if !changed {
		return nil
	}
	return r.save(ctx)
}

// finalCheck looks once more before the checkpoint at every slice of the run: those
// verified must still be there whole, and copies are reported. It reports whether
// all is well; otherwise the ledger says what is left to do.
func (r *run) finalCheck(ctx context.Context) (bool, error) {
	landed, err := r.ports.Verifier.Landed(ctx, r.table.Destination, r.ledger.RunID)
	if err != nil {
		return false, fmt.Errorf("look for run %s in %s: %w", r.ledger.RunID, r.table.Destination, err)
	}
	well := true
	for i := range r.ledger.Slices {
		s := &r.ledger.Slices[i]
		l := landed[s.No]
		switch {
		case s.State == plan.Verified && l.Rows > max(s.Blob.Rows, s.Surplus):
			if err := r.surplus(ctx, s, l); err != nil {
				return false, err
			}
		case s.State == plan.Verified && l.Rows < s.Blob.Rows:
			r.ledger.Note(fmt.Sprintf("slice %d: %d of %d rows were left in ADX when the run ended; sent again", s.No, l.Rows, s.Blob.Rows))
			s.State, well = plan.Voiding, false
		}
	}
	if well {
		return true, nil
	}
	return false, r.save(ctx)
}

// reconcile deals with a slice that ADX shows in part or not at all.
func (r *run) reconcile(ctx context.Context, no int, l plan.Landed) (changed bool, err error) {
	s := r.ledger.Slice(no)
	if s.State == plan.Voiding {
		return true, r.void(ctx, no)
	}
	if l.Rows > 0 {
		return true, r.markVoid(ctx, no, l)
	}
	if ticket := r.tickets[no]; ticket != nil {
		if reason, failed := ticket.Failed(); failed {
			s.Failed = true
			delete(r.tickets, no)
			r.log.Warn("ingestion failed", "slice", no, "reason", reason)
			r.ledger.Note("ingestion failed and was repeated: " + reason)
			return true, r.resend(ctx, no, reason)
		}
	}
	if s.Failed {
		return true, r.resend(ctx, no, "ingestion failed")
	}
	if r.ports.Clock.Now().Sub(s.Sent) < r.m.cfg.Grace {
		return false, nil
	}
	overtaken, changed, err := r.overtaken(ctx, s)
	if err != nil || !overtaken {
		return changed, err
	}
	return true, r.resend(ctx, no, "not in ADX although something sent later is")
}

// overtaken reports whether something of ours that was sent after the slice has
// arrived. Where nothing was sent later a one-row probe is, and since a probe can
// be lost as well, another one after each grace time.
func (r *run) overtaken(ctx context.Context, s *plan.LedgerSlice) (overtaken, changed bool, err error) {
	for i := range r.ledger.Slices {
		if o := &r.ledger.Slices[i]; o.State == plan.Verified && o.Sends > 0 && o.Sent.After(s.Sent) {
			return true, false, nil
		}
	}
	if r.ledger.Probe != "" && r.ledger.ProbeSent.After(s.Sent) {
		arrived, err := r.ports.Verifier.Probed(ctx, r.ledger.Probe)
		if err != nil || arrived || r.ports.Clock.Now().Sub(r.ledger.ProbeSent) < r.m.cfg.Grace {
			return arrived, false, err
		}
	}
	id := plan.RunID(r.m.cfg.AppID, r.ports.Clock.Now(), randomID(8))
	if err := r.ports.Ingester.Probe(ctx, id); err != nil {
		return false, false, fmt.Errorf("probe ingestion: %w", err)
	}
	r.ledger.Probe, r.ledger.ProbeSent = id, r.ports.Clock.Now()
	return false, true, nil
}

// resend sends the frozen blob again, under the same number and tag: if the
// first one arrives after all, the tag makes the service skip the second. Where
// the blob itself is gone the slice is retired and its rows are fetched under a
// new number.
func (r *run) resend(ctx context.Context, no int, why string) error {
	s := r.ledger.Slice(no)
	staged, err := r.ports.Stager.Staged(ctx, s.Blob)
	if err != nil {
		return err
	}
	if !staged {
		r.log.Warn("staged blob is gone: fetched again", "slice", no)
		r.ledger.Note(fmt.Sprintf("slice %d was fetched again: its staged blob was gone before ADX had taken it", no))
		s.State, s.Refetch = plan.Voiding, true
		if err := r.save(ctx); err != nil {
			return err
		}
		return r.void(ctx, no)
	}
	if s.Sends >= maxSends {
		cause := fault.As(fault.Permanent, fmt.Errorf(
			"ADX did not take in %s of %s after %d attempts (%s); see .show ingestion failures | where IngestionSourcePath startswith %q",
			s.Slice, r.table.Destination, s.Sends, why, s.Blob.Path))
		s.Sends = maxSends - 1 // each tick sends once more: the cause may be mended by then
		return errors.Join(cause, r.save(ctx))
	}
	s.Failed, s.Sent = false, r.ports.Clock.Now()
	s.Sends++
	if err := r.save(ctx); err != nil {
		return err
	}
	r.log.Warn("slice sent again", "slice", no, "why", why)
	return r.send(ctx, no)
}

// markVoid marks a slice of which ADX holds only a part. The ledger says so before
// the slice is hidden: from then on nobody takes it for verified, even if the rest
// shows later.
func (r *run) markVoid(ctx context.Context, no int, l plan.Landed) error {
	s := r.ledger.Slice(no)
	what := fmt.Sprintf("slice %d: %d of %d rows in ADX, %d without Records", no, l.Rows, s.Blob.Rows, l.Nulls)
	if s.Voids >= maxVoids {
		cause := fault.As(fault.Permanent, fmt.Errorf("%s of %s, again and again; its rows do not fit the column Records: check its encoding policy with handler setup", what, r.table.Destination))
		s.Voids = maxVoids - 1 // each tick sends once more: the cause may be mended by then
		return errors.Join(cause, r.save(ctx))
	}
	r.log.Warn("slice void", "slice", no, "rows", l.Rows, "sent_rows", s.Blob.Rows, "null_records", l.Nulls)
	r.ledger.Note(what + "; hidden and sent again under a new number")
	s.State, s.Landed = plan.Voiding, l.Rows
	if err := r.save(ctx); err != nil {
		return err
	}
	return r.void(ctx, no)
}

// void hides a slice that is Voiding and brings its rows in under a new number:
// the same blob, or a new one where it is gone. Hidden first: at no time do both
// show. A process that lost its lease must not hide what another has verified.
func (r *run) void(ctx context.Context, no int) error {
	s := r.ledger.Slice(no)
	if err := r.stillOurs(); err != nil {
		return fmt.Errorf("hide %s: %w", s.Slice, err)
	}
	if err := r.ports.Ingester.Void(ctx, r.table.Destination, r.ledger.RunID, no); err != nil {
		return err
	}
	s.State = plan.Void
	again := s.Slice
	again.No = r.ledger.Next
	if s.Refetch {
		again.Rows = -1
		r.ledger.Add(again)
		return r.save(ctx)
	}
	r.ledger.Slices = append(r.ledger.Slices, plan.LedgerSlice{Slice: again, State: plan.Committing, Blob: s.Blob, Cut: s.Cut,
		Voids: s.Voids + 1, Sent: r.ports.Clock.Now(), Sends: 1})
	r.ledger.Next++
	if err := r.save(ctx); err != nil {
		return err
	}
	return r.send(ctx, again.No)
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

// checkLateCopies looks once more at the run that ended last, before the next one: a
// copy may have come in when it was over. One look, a schedule later, is enough
// for what queued ingestion holds back.
func (m *migration) checkLateCopies(ctx context.Context) error {
	if m.state.LastRun == "" {
		return nil
	}
	l, err := m.lease.Ledger(ctx, m.state.LastRun)
	if err != nil {
		return err
	}
	if l != nil {
		landed, err := m.ports.Verifier.Landed(ctx, l.Table.Destination, l.RunID)
		if fault.KindOf(err) == fault.Permanent {
			// The table may be gone by now: nothing of the next run depends on it.
			m.log.Warn("no look for copies", "run_id", l.RunID, "error", err.Error())
			landed, err = nil, nil
		}
		if err != nil {
			return fmt.Errorf("look for copies of run %s in %s: %w", l.RunID, l.Table.Destination, err)
		}
		r := newRun(m, l, nil)
		said := len(m.state.Outbox)
		for i := range l.Slices {
			s := &l.Slices[i]
			if found := landed[s.No]; s.State == plan.Verified && s.Sends > 0 && found.Rows > max(s.Blob.Rows, s.Surplus) {
				if err := r.reportSurplus(ctx, s, found); err != nil {
					m.state.Outbox = m.state.Outbox[:min(said, len(m.state.Outbox))] // all are said at once, or none
					return err
				}
			}
		}
	}
	m.state.LastRun = ""
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return err
	}
	return m.outbox.flush(ctx)
}
