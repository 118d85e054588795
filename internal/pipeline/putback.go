package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// deliveriesEnough is the delivery of a message at whose failure a new one takes its
// place: the queue's own retries come a minute apart and end in the poison queue.
const deliveriesEnough = 3

// growing are the delays of a wake-up whose work fails again and again, in units of
// Config.Retry.
var growing = []time.Duration{1, 2, 5, 15, 30}

// sendAgain puts a wake-up into the queue that takes the place of the one in work,
// and remembers it. Of wake-ups that the timer sent, one that is pending already and
// comes no later is enough. The message goes first: a kill in between leaves one too
// many, which is harmless, and never none.
func (m *migration) sendAgain(ctx context.Context, w plan.WakeUp, delay time.Duration, reason string) error {
	if m.state == nil || m.state.Table.Source == "" || m.lease.Context().Err() != nil {
		return m.req.wake(ctx, m.ports.Waker, w, delay, reason) // nothing is known of the table yet, or it is another's
	}
	if m.req.Attendant != nil {
		// It may be gone before its time: nobody else may count on it.
		return errors.Join(m.req.wake(ctx, m.ports.Waker, w, delay, reason), m.lease.SaveState(ctx, m.state))
	}
	due := m.ports.Clock.Now().Add(delay)
	pending := m.state.Pending
	if w.Trigger != plan.Scheduled || !pending.Waits(m.req.WakeUp, m.ports.Clock.Now()) || pending.Due.After(due) {
		w.PutOff = pending.No + 1
		if err := m.req.wake(ctx, m.ports.Waker, w, delay, reason); err != nil {
			return err
		}
		m.state.Pending = plan.Pending{No: w.PutOff, Due: due, Failed: w.Failures > 0}
	}
	return m.lease.SaveState(ctx, m.state)
}

// mayPutBack reports whether the queue has delivered the wake-up often enough. Who
// attends the run gets the failure itself.
func (m *migration) mayPutBack() bool {
	return m.req.Attendant == nil && (m.req.Failures > 0 || m.req.Deliveries >= deliveriesEnough)
}

// putBack sends the wake-up again after a failure, later each time but not later than
// the next tick, unless one is pending anyway.
func (m *migration) putBack(ctx context.Context) error {
	now := m.ports.Clock.Now()
	if m.state != nil && m.state.Pending.Waits(m.req.WakeUp, now) {
		return m.lease.SaveState(ctx, m.state)
	}
	delay := min(growing[min(m.req.Failures, len(growing)-1)]*m.cfg.Retry, plan.LongestDelay)
	if m.cfg.NextTick != nil {
		if tick := m.cfg.NextTick(now); tick.After(now) {
			delay = min(delay, tick.Sub(now))
		}
	}
	w := m.req.WakeUp
	w.Failures, w.Again = m.req.Failures+1, 0
	return m.sendAgain(ctx, w, delay, "failed again")
}

// auditFailure records how the attempt ended, a failure that may pass once for each
// cause and hour. The run stays open.
func (m *migration) auditFailure(ctx context.Context, cause error) error {
	var undelivered *undelivered
	if errors.As(cause, &undelivered) {
		return nil // what could not be said is all that failed, and it waits in the outbox
	}
	if m.state != nil && m.alreadyServed() {
		return nil // the run has ended, and nothing else was to be done
	}
	row := m.audit(plan.Audit{Status: plan.Failed, FailureReason: cause.Error()})
	once := time.Hour
	if errors.Is(cause, errOtherTenant) {
		once = 24 * time.Hour
	} else if fault.KindOf(cause) == fault.Permanent {
		once = 0
	}
	if once > 0 && m.state != nil && !m.state.Say(plan.Gist(cause.Error()), m.ports.Clock.Now(), once) {
		if m.state.Last.Status == plan.Failed {
			return nil
		}
		m.state.Ended(row) // said before, but a run has ended well since
		return m.lease.SaveState(ctx, m.state)
	}
	if m.state != nil && m.state.OpenRun != "" {
		if ledger, err := m.lease.Ledger(ctx, m.state.OpenRun); err != nil {
			m.log.Warn("read ledger for the audit row", "error", err.Error())
		} else if ledger != nil {
			row = ofRun(row, ledger)
			row.RecordCount += m.unverified(ctx, ledger)
		}
	}
	if m.state == nil || m.state.Table.Source == "" {
		// A table that is configured nowhere gets no state.
		return m.ports.ControlTables.Deliver(ctx, plan.Outgoing{Tag: looseTag(), Audit: &row})
	}
	m.outbox.addAudit(row)
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return err
	}
	return m.outbox.flush(ctx)
}

// unverified counts the rows of slices under way that ADX shows already, so that
// the audit row of a failure denies none of them.
func (m *migration) unverified(ctx context.Context, l *plan.Ledger) (n int64) {
	if l.Count(plan.Committing) == 0 {
		return 0
	}
	landed, err := m.ports.Verifier.Landed(ctx, l.Table.Destination, []string{l.RunID}, l.Started)
	if err != nil {
		m.log.Warn("count rows for the audit row", "error", err.Error())
		return 0
	}
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == plan.Committing {
			rows := landed[l.RunID][s.No].Rows
			if s.Blob.Rows != plan.RowsUnknown {
				rows = min(rows, s.Blob.Rows)
			}
			n += rows
		}
	}
	return n
}
