package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// attempt is one invocation's work on one leased table.
type attempt struct {
	*Pipeline
	req     Request
	held    TableLease
	base    *slog.Logger // without the run
	log     *slog.Logger
	started time.Time

	state *plan.TableState
	table plan.Table // the configuration in force

	unplanned int          // calls of a plan that came to nothing, for the audit row
	counted   []plan.Slice // the time bins of the run planned last; nil of one taken up
}

// work takes up the table and runs until nothing is left or something stops it.
func (a *attempt) work(ctx context.Context) error {
	ledger, err := a.takeUp(ctx)
	if err != nil {
		return err
	}
	if err := a.flush(ctx); err != nil {
		return err
	}
	if err := a.configure(ctx); err != nil {
		return err
	}
	if !a.table.Active && a.req.Trigger != Forced {
		return a.skip(ctx, "the table is switched off (IsActive=false)")
	}
	if a.alreadyServed() {
		a.log.Info("dropped: a run has ended since this wake-up was sent")
		return nil
	}
	if wait := a.state.NotBefore.Sub(a.Clock.Now()); wait > 0 {
		return &snooze{delay: wait, reason: "told to wait"}
	}
	for {
		if ledger == nil {
			if ledger, err = a.plan(ctx); ledger == nil || err != nil {
				return err
			}
		}
		r := newRun(a, ledger)
		if err := r.copyAll(ctx); err != nil {
			return err
		}
		again, err := r.finish(ctx)
		if err != nil || !again {
			return err
		}
		ledger = nil
		if !a.table.Active && a.req.Trigger != Forced {
			return nil
		}
		if a.outOfTime() {
			return &snooze{delay: a.cfg.PutOff, reason: "time budget spent, more windows to copy"}
		}
	}
}

// alreadyServed reports whether a scheduled wake-up has had its purpose: a run that ended
// after it was sent, with nothing left open. After a long wait many of them come at
// once. The margin is for clocks that differ. A message that comes again had not its
// purpose: its work was cut off, maybe between two runs.
func (a *attempt) alreadyServed() bool {
	return !a.req.Redelivered && a.req.Trigger == Scheduled && a.state.OpenRun == "" && !a.req.Inserted.IsZero() &&
		a.req.Inserted.Add(5*time.Second).Before(a.state.Settled)
}

// outOfTime reports whether the invocation should begin nothing more.
func (a *attempt) outOfTime() bool { return a.Clock.Now().Sub(a.started) >= a.cfg.Budget }

// takeUp loads the state and raises its generation, in state and open ledger,
// before any other effect: from here on a process that lost this table cannot
// write either of them.
func (a *attempt) takeUp(ctx context.Context) (*plan.Ledger, error) {
	a.state = a.held.State()
	if a.state == nil {
		return a.rebuild(ctx)
	}
	a.state.Generation++
	if err := a.held.SaveState(ctx, a.state); err != nil {
		return nil, err
	}
	if a.state.OpenRun == "" {
		return nil, nil
	}
	ledger, err := a.held.Ledger(ctx, a.state.OpenRun)
	if err != nil {
		return nil, err
	}
	if ledger == nil {
		return nil, a.hideLostRun(ctx)
	}
	return ledger, a.fence(ctx, ledger)
}

func (a *attempt) fence(ctx context.Context, ledger *plan.Ledger) error {
	ledger.Generation = a.state.Generation
	ledger.Attempts++
	return a.held.SaveLedger(ctx, ledger)
}

// hideLostRun gives up a run whose ledger is gone. What of it is in ADX, or still on
// its way, is hidden as a whole before the same window is copied again.
func (a *attempt) hideLostRun(ctx context.Context) error {
	a.log.Error("ledger is gone: the run is hidden and its window copied again", "run_id", a.state.OpenRun)
	if err := a.Sink.Void(ctx, a.state.Table.Destination, a.state.OpenRun, -1); err != nil {
		return err
	}
	a.state.OpenRun = ""
	return a.held.SaveState(ctx, a.state)
}

// rebuild makes a state for a table that has none: from an open ledger if one is
// found, else from what MigrationConfiguration says.
func (a *attempt) rebuild(ctx context.Context) (*plan.Ledger, error) {
	state := &plan.TableState{
		Format: plan.StateFormat, Instance: a.req.Key.Instance, Source: a.req.Key.Source,
		Generation: 1, Nulls: plan.NullsNotCopied, Rebuilt: true,
	}
	rows, err := a.ControlTables.Rows(ctx, a.req.Key, time.Time{})
	if err != nil {
		return nil, err
	}
	published(state, rows)
	ledger, err := a.held.OpenLedger(ctx)
	if err != nil {
		return nil, err
	}
	if ledger != nil && ended(state, ledger) {
		a.log.Warn("an old ledger was left open; it is not taken up", "run_id", ledger.RunID)
		ledger = nil
	}
	if ledger != nil {
		state.Generation = max(state.Generation, ledger.Generation+1)
		state.OpenRun, state.Table, state.Rebuilt = ledger.RunID, ledger.Table, false
		if ledger.Table.Load != plan.Snapshot {
			state.Watermark = ledger.Window.From
		}
	}
	if len(rows) == 0 && ledger == nil {
		// Nothing is known of such a table, so nothing is written for it.
		a.state = state
		return nil, nil
	}
	if err := a.held.SaveState(ctx, state); err != nil {
		return nil, err
	}
	a.state = state
	if ledger == nil {
		return nil, nil
	}
	return ledger, a.fence(ctx, ledger)
}

// published fills the state from the rows that we published: the first of each
// run and generation, since a later one is a user's copy. What users wrote is
// left to be judged as always.
func published(state *plan.TableState, rows []plan.Row) {
	type origin struct {
		run        string
		generation int64
	}
	seen := map[origin]bool{}
	for _, row := range rows {
		state.Generation = max(state.Generation, row.Generation+1)
		t, err := row.Table()
		from := origin{t.RunID, t.Generation}
		if err != nil || t.RunID == "" || seen[from] {
			continue
		}
		seen[from] = true
		state.Watermark, state.Command, state.Settled = t.LastRefreshed, t.Ingested, t.Ingested
		// Rows without watermark were copied by the run that published this.
		state.Nulls = plan.NullsUnknown
		state.Table = t
		state.Publish(t)
		state.Published[len(state.Published)-1].Ingested = t.Ingested
	}
}

// ended reports whether an open ledger is one that a kill left behind after its
// run was published, or before anything was promised and something newer was.
func ended(state *plan.TableState, l *plan.Ledger) bool {
	for _, p := range state.Published {
		if p.RunID == l.RunID {
			return true
		}
	}
	begin := l.Window.From
	if l.Table.Load == plan.Snapshot {
		begin = l.Started
	}
	return len(state.Published) > 0 && begin.Before(state.Watermark)
}

// rowsSettle is how much later than its ingestion time a configuration row may
// become visible.
const rowsSettle = time.Minute

// configure reads the table's rows and takes up what the user says there: the
// newest row that is not exactly one we published.
func (a *attempt) configure(ctx context.Context) error {
	rows, err := a.ControlTables.Rows(ctx, a.req.Key, a.state.Command)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fault.As(fault.Permanent, fmt.Errorf(
			"no row for SourceTable %q in MigrationConfiguration: append one, or correct the name", a.req.Key.Source))
	}
	var command *plan.Table
	var problem error
	hidden := false // by a row of ours that came in after it
	seen := a.state.Command
	for _, row := range rows {
		t, err := row.Table()
		switch {
		case err != nil:
			problem = fmt.Errorf("MigrationConfiguration: %w", err)
		case a.state.Table.Source != "" && !row.Ingested.IsZero() && !row.Ingested.After(a.state.Command):
			// Taken up before, or older than what was.
		case a.state.Ours(t):
			hidden = command != nil
		default:
			problem, hidden = nil, false
			command = &t
		}
		if row.Ingested.After(seen) {
			seen = row.Ingested
		}
	}
	if problem != nil {
		return fault.As(fault.Permanent, problem)
	}
	a.table = a.state.Table
	if command == nil {
		// Rows of ours are judged once, too, since only so many of them are
		// remembered; the youngest again, in case a user's comes to light beside them.
		if settled := a.Clock.Now().Add(-rowsSettle); seen.After(settled) {
			seen = settled
		}
		if seen.After(a.state.Command) {
			a.state.Command = seen
		}
		return nil
	}
	if err := a.applyCommand(ctx, *command, seen); err != nil {
		return err
	}
	if hidden {
		a.publish(a.state.Watermark)
	}
	if err := a.held.SaveState(ctx, a.state); err != nil {
		return err
	}
	return a.flush(ctx)
}

// applyCommand takes the user's row for the configuration in force. Its watermark counts
// as a command only where it is one and none that we wrote: whoever edits a
// column copies the row's watermark with it, or leaves it out. seen is the arrival
// of the newest row looked at: no row up to it is judged again.
func (a *attempt) applyCommand(ctx context.Context, t plan.Table, seen time.Time) error {
	first := a.state.Table.Source == ""
	switch mark := t.LastRefreshed; {
	case first:
		if a.state.OpenRun == "" && len(a.state.Published) == 0 {
			a.state.Watermark = mark
		}
	case mark.IsZero() || mark.Equal(a.state.Table.LastRefreshed):
	case a.state.EverPublished(mark):
		a.state.Rewind = nil // back to what we wrote: an earlier command is withdrawn
	default:
		ours, err := a.onceOurs(ctx, t)
		if err != nil {
			return err
		}
		if !ours {
			a.state.Rewind = &mark
		}
	}
	a.state.Command = seen
	a.state.Table, a.table = t, t
	return nil
}

// onceOurs looks through all of the table's rows for one of ours with t's
// watermark: the state remembers the youngest only.
func (a *attempt) onceOurs(ctx context.Context, t plan.Table) (bool, error) {
	rows, err := a.ControlTables.Rows(ctx, a.req.Key, time.Time{})
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if row.RunID != "" && plan.Ticks(row.LastRefreshedTime).Equal(t.LastRefreshed) && row.Ingested.Before(t.Ingested) {
			return true, nil
		}
	}
	return false, nil
}

// publish puts the configuration row with the watermark into the outbox, with
// the user's columns as they are in force.
func (a *attempt) publish(watermark time.Time) {
	t := a.state.Table
	t.LastRefreshed, t.Generation = watermark, a.state.Generation
	if t.RunID == "" {
		t.RunID = plan.RunID(a.cfg.AppID, a.Clock.Now(), randomID(8))
	}
	a.state.Publish(t)
	a.state.Seq++
	row := t.Row()
	a.state.Outbox = append(a.state.Outbox, plan.Outgoing{Tag: a.tag(), Config: &row})
}

// skip ends an attempt that has nothing to do, with an audit row that says why.
func (a *attempt) skip(ctx context.Context, reason string) error {
	return a.recordAudit(ctx, plan.Audit{Status: plan.Skipped, FailureReason: reason})
}

// auditFailure records how the attempt ended. The run stays open.
func (a *attempt) auditFailure(ctx context.Context, cause error) error {
	audit := plan.Audit{Status: plan.Failed, FailureReason: cause.Error()}
	if a.state == nil {
		return a.ControlTables.Deliver(ctx, plan.Outgoing{Tag: "x" + randomID(24), Audit: a.completeAudit(audit, nil)})
	}
	var ledger *plan.Ledger
	if a.state.OpenRun != "" {
		var err error
		if ledger, err = a.held.Ledger(ctx, a.state.OpenRun); err != nil {
			a.log.Warn("read ledger for the audit row", "error", err.Error())
		}
	}
	if a.state.Table.Source == "" {
		// A table that is configured nowhere gets no state.
		return a.ControlTables.Deliver(ctx, plan.Outgoing{Tag: "x" + randomID(24), Audit: a.completeAudit(audit, ledger)})
	}
	full := a.completeAudit(audit, ledger)
	if ledger != nil {
		full.RecordCount += a.unverified(ctx, ledger)
	}
	a.enqueueAudit(*full)
	if err := a.held.SaveState(ctx, a.state); err != nil {
		return err
	}
	return a.flush(ctx)
}

// unverified counts the rows of slices under way that ADX shows already, so that
// the audit row of a failure denies none of them.
func (a *attempt) unverified(ctx context.Context, l *plan.Ledger) (n int64) {
	if l.Count(plan.Committing) == 0 {
		return 0
	}
	landed, err := a.Sink.Landed(ctx, l.Table.Destination, l.RunID)
	if err != nil {
		a.log.Warn("count rows for the audit row", "error", err.Error())
		return 0
	}
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == plan.Committing {
			n += min(landed[s.No].Rows, s.Blob.Rows)
		}
	}
	return n
}

// recordAudit records an audit row outside a run.
func (a *attempt) recordAudit(ctx context.Context, audit plan.Audit) error {
	a.enqueueAudit(*a.completeAudit(audit, nil))
	if err := a.held.SaveState(ctx, a.state); err != nil {
		return err
	}
	return a.flush(ctx)
}

// completeAudit completes an audit row with what is known of attempt and run.
func (a *attempt) completeAudit(audit plan.Audit, ledger *plan.Ledger) *plan.Audit {
	now := a.Clock.Now()
	audit.Timestamp, audit.Instance, audit.SourceTable = now, a.req.Key.Instance, a.req.Key.Source
	audit.AttemptID, audit.API, audit.Duration = a.req.AttemptID, a.Source.API(), now.Sub(a.started)
	audit.TableName, audit.Calls = a.table.Destination, a.unplanned
	if audit.TableName == "" && a.state != nil {
		audit.TableName = a.state.Table.Destination
	}
	if ledger != nil {
		fillRun(&audit, ledger)
	}
	return &audit
}

// outboxKept bounds the rows that wait for an ADX that does not take them.
// Configuration rows always stay; the oldest audit rows go first.
const outboxKept = 50

func (a *attempt) enqueueAudit(audit plan.Audit) {
	a.state.Seq++
	a.state.Outbox = append(a.state.Outbox, plan.Outgoing{Tag: a.tag(), Audit: &audit})
	for len(a.state.Outbox) > outboxKept {
		i := slices.IndexFunc(a.state.Outbox, func(o plan.Outgoing) bool { return o.Audit != nil && o.Audit.Status == plan.Failed })
		if i < 0 {
			break
		}
		a.state.Outbox = slices.Delete(a.state.Outbox, i, i+1)
	}
}

// tag names an outgoing row for ever. Generation and Seq never repeat while the
// state lives; the attempt's random part covers a rebuilt state.
func (a *attempt) tag() string {
	return fmt.Sprintf("%s%sg%ds%dr%s", a.cfg.AppID, alphanumeric(a.req.Key.Source), a.state.Generation, a.state.Seq, randomID(6))
}

func alphanumeric(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			out = append(out, c)
		}
	}
	return string(out)
}

// flush delivers what stands in the outbox, in order. A row is taken out after
// ADX took it; delivering it again under its tag adds nothing.
func (a *attempt) flush(ctx context.Context) error {
	if len(a.state.Outbox) == 0 {
		return nil
	}
	var errs error
	sent := 0
	for _, out := range a.state.Outbox {
		if err := a.ControlTables.Deliver(ctx, out); err != nil {
			errs = errors.Join(errs, err)
			break
		}
		sent++
	}
	if sent > 0 {
		a.state.Outbox = slices.Clone(a.state.Outbox[sent:])
		if err := a.held.SaveState(ctx, a.state); err != nil {
			return errors.Join(errs, err)
		}
	}
	return errs
}
