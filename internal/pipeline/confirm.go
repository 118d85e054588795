package pipeline

import (
	"context"
	"fmt"
	"time"

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
		if r.m.budget.endsWithin(pause) {
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
	landed, err := r.landed(ctx)
	if err != nil {
		return err
	}
	var reports map[int]fileReport
	if r.table.IsExport() {
		var succeeded bool
		if reports, succeeded, err = r.reports(ctx, landed); err != nil {
			return err
		}
		if succeeded {
			// Only what is looked at after the report is all that there will be.
			if landed, err = r.landed(ctx); err != nil {
				return err
			}
		}
	}
	var rest []int
	changed := false
	for i := range r.ledger.Slices {
		s := &r.ledger.Slices[i]
		switch {
		case s.State != plan.Committing && s.State != plan.Voiding:
		case s.Verdict(landed[s.No]) == plan.Complete:
			if err := r.verify(s, landed[s.No]); err != nil {
				return err
			}
			changed = true
		default:
			rest = append(rest, s.No)
		}
	}
	for _, no := range rest {
		var moved bool
		if r.table.IsExport() {
			moved, err = r.reconcileFile(ctx, no, landed[no], reports[no])
		} else {
			moved, err = r.reconcile(ctx, no, landed[no])
		}
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

func (r *run) landed(ctx context.Context) (map[int]plan.Landed, error) {
	landed, err := r.ports.Verifier.Landed(ctx, r.table.Destination, []string{r.ledger.RunID}, r.ledger.Started)
	if err != nil {
		return nil, fmt.Errorf("look for run %s in %s: %w", r.ledger.RunID, r.table.Destination, err)
	}
	return landed[r.ledger.RunID], nil
}

func (r *run) verify(s *plan.LedgerSlice, l plan.Landed) error {
	if err := r.ledger.Verify(s.No, l.Rows); err != nil {
		return err
	}
	if l.Nulls > 0 {
		r.ledger.Note(fmt.Sprintf("slice %d: %d rows are null in ADX, which could not take them in", s.No, l.Nulls))
	}
	r.log.Info("slice verified", "slice", s.No, "rows", s.Landed, "after_ms", r.ports.Clock.Now().Sub(s.Sent).Milliseconds())
	return nil
}

// verdict judges a slice by what ADX holds of it. Copies can only be hidden while
// there is a blob to send instead.
func (r *run) verdict(ctx context.Context, s *plan.LedgerSlice, l plan.Landed) (plan.Verdict, error) {
	v := s.Verdict(l)
	if v != plan.Copies {
		return v, nil
	}
	blob, err := r.blobState(ctx, s.Blob)
	if err == nil && blob != plan.BlobThere {
		v = plan.Excess
	}
	return v, err
}

// reconcile deals with a slice that ADX does not show once and whole.
func (r *run) reconcile(ctx context.Context, no int, l plan.Landed) (changed bool, err error) {
	s := r.ledger.Slice(no)
	verdict, err := r.verdict(ctx, s, l)
	if err != nil {
		return false, err
	}
	switch verdict {
	case plan.Unjudged:
		return true, r.void(ctx, no)
	case plan.Nulls:
		return true, r.rewrite(ctx, no, l)
	case plan.Partial, plan.Copies:
		return true, r.markVoid(ctx, no, l)
	case plan.Excess:
		if err := r.surplus(ctx, s, l); err != nil {
			return false, err
		}
		return true, r.verify(s, l)
	}
	if s.Sends == 0 {
		return true, r.resend(ctx, no, "it was never queued")
	}
	waited := r.ports.Clock.Now().Sub(s.Sent)
	status, err := r.status(ctx, s.SourceID, no, waited)
	if err != nil {
		return false, err
	}
	if status.State == plan.IngestFailed && status.Permanent {
		r.log.Warn("ingestion failed", "slice", no, "reason", status.Reason)
		r.ledger.Note("ingestion failed and was repeated: " + status.Reason)
		return true, r.resend(ctx, no, status.Reason)
	}
	if waited < r.m.cfg.Grace {
		return false, nil
	}
	if status.State == plan.IngestSucceeded {
		// Taken in and not to be seen: a policy in the way. Sending again would only
		// repeat what nobody sees.
		if err := r.trouble(ctx); err != nil {
			return false, fmt.Errorf("%s of %s was taken in and cannot be seen: %w", s.Slice, r.table.Destination, err)
		}
	}
	overtaken, changed, err := r.overtaken(ctx, s)
	if err != nil || !overtaken {
		return changed, err
	}
	return true, r.resend(ctx, no, "not in ADX although something sent later is")
}

// statusAfter is how many pauses a slice may take before the status of its ingestion
// is read, a minute by the default settings. The count in ADX is the authority, and
// reading the status of every ingestion is what Microsoft warns of.
const statusAfter = 6

// status reads what ADX has reported of one send of a slice that is late.
func (r *run) status(ctx context.Context, sourceID string, no int, waited time.Duration) (plan.IngestStatus, error) {
	if sourceID == "" || waited < statusAfter*r.m.cfg.Poll {
		return plan.IngestStatus{}, nil
	}
	status, err := r.ports.Verifier.IngestStatus(ctx, sourceID)
	if err != nil && fault.KindOf(err) != fault.Permanent {
		r.log.Warn("read the status of an ingestion", "slice", no, "error", err.Error())
		return plan.IngestStatus{}, nil // what cannot be read has not failed
	}
	return status, err
}

// overtaken reports whether something of ours that was sent after the slice has
// arrived: of a slice sent more than once nobody knows which of the sends did. Where nothing was sent later a one-row probe is, and since a probe can
// be lost as well, another one after each grace time.
func (r *run) overtaken(ctx context.Context, s *plan.LedgerSlice) (overtaken, changed bool, err error) {
	for i := range r.ledger.Slices {
		if o := &r.ledger.Slices[i]; o.State == plan.Verified && o.Sends == 1 && !o.Doubt && o.Sent.After(s.Sent) {
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
