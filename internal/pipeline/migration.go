package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// migration is one invocation's work on one leased table: it takes up the table's
// state, obeys what the user says, and copies one run after the other.
type migration struct {
	cfg      Config
	ports    Ports
	calls    *calls
	exports  *calls
	offer    *offer     // of the table's export, as it was told last
	list     ListSource // nil: the table is hunted
	req      Request
	attempt  attempt
	budget   budget
	lease    TableLease
	log      *slog.Logger
	unstated *slog.Logger // log, without the run

	state   *plan.TableState
	outbox  *outbox
	inForce plan.Table // the configuration, as the user has it

	wasted int // calls of a plan that came to nothing, for the audit row
}

func newMigration(p *Pipeline, req Request, lease TableLease, log *slog.Logger) *migration {
	now := p.ports.Clock.Now()
	by := p.way(req.Key.Source)
	return &migration{
		cfg: p.cfg, ports: p.ports, calls: by.calls, exports: p.exports, offer: &offer{}, list: by.list, req: req, lease: lease, log: log, unstated: log,
		attempt: attempt{req: req, api: by.api, started: now},
		budget:  budget{clock: p.ports.Clock, end: now.Add(p.cfg.Budget)},
	}
}

// budget is the working time of an invocation.
type budget struct {
	clock Clock
	end   time.Time
}

// endsWithin reports whether the working time is over d from now.
func (b budget) endsWithin(d time.Duration) bool { return !b.clock.Now().Add(d).Before(b.end) }

// outOfTime reports whether the invocation should begin nothing more.
func (b budget) outOfTime() bool { return b.endsWithin(0) }

// work takes up the table and runs until nothing is left or something stops it.
func (m *migration) work(ctx context.Context) error {
	if s := m.lease.State(); s != nil && s.Pending.Superfluous(m.req.WakeUp, m.ports.Clock.Now()) {
		m.log.Info("dropped: a wake-up of the table is pending", "due", s.Pending.Due)
		return nil
	}
	ledger, err := m.takeUp(ctx)
	if err != nil {
		return err
	}
	if err := m.outbox.flush(ctx); err != nil {
		return err
	}
	if err := m.command(ctx); err != nil {
		return err
	}
	if m.switchedOff() {
		return m.recordAudit(ctx, plan.Audit{Status: plan.Skipped, FailureReason: "the table is switched off (IsActive=false)"})
	}
	if err := m.checkTenant(); err != nil {
		return err
	}
	if m.state.OpenRun == "" {
		ledger = nil // the command has ended it
	}
	if m.alreadyServed() {
		m.log.Info("dropped: a run has ended since this wake-up was sent")
		return nil
	}
	if wait := m.state.NotBefore.Sub(m.ports.Clock.Now()); wait > 0 {
		return &snooze{delay: wait, reason: "told to wait"}
	}
	for {
		var cells []plan.Slice
		if ledger == nil {
			if ledger, cells, err = m.open(ctx); ledger == nil || err != nil {
				return err
			}
		}
		r := newRun(m, ledger, cells)
		m.log = r.log
		err := r.copyAll(ctx)
		again := false
		if err == nil {
			again, err = r.finish(ctx)
		}
		if errors.Is(err, errTorn) {
			return r.abandon(ctx)
		}
		if err != nil || !again {
			return err
		}
		ledger = nil
		if m.switchedOff() {
			return nil
		}
		if m.budget.outOfTime() {
			return &snooze{delay: m.cfg.PutOff, reason: "time budget spent, more windows to copy"}
		}
	}
}

func (m *migration) switchedOff() bool { return !m.inForce.Active && m.req.Trigger != plan.Forced }

// takeUp loads the state and raises its generation, in state and open ledger,
// before any other effect: from here on a process that lost this table cannot
// write either of them.
func (m *migration) takeUp(ctx context.Context) (*plan.Ledger, error) {
	state := m.lease.State()
	if state == nil {
		return m.rebuild(ctx)
	}
	m.hold(state)
	m.state.Correct(m.ports.Clock.Now())
	if m.req.PutOff == m.state.Pending.No {
		m.state.Pending.Due = time.Time{} // this is it
	}
	m.state.Generation++
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return nil, err
	}
	if m.state.OpenRun == "" {
		return nil, nil
	}
	ledger, err := m.lease.Ledger(ctx, m.state.OpenRun)
	if err != nil {
		return nil, err
	}
	if ledger == nil {
		return nil, m.hideLostRun(ctx)
	}
	return ledger, m.fence(ctx, ledger)
}

func (m *migration) hold(state *plan.TableState) {
	m.state = state
	m.outbox = &outbox{control: m.ports.ControlTables, lease: m.lease, state: state, appID: m.cfg.AppID, log: m.log}
}

func (m *migration) fence(ctx context.Context, ledger *plan.Ledger) error {
	ledger.Correct(m.ports.Clock.Now())
	ledger.Generation = m.state.Generation
	ledger.Attempts++
	return m.lease.SaveLedger(ctx, ledger)
}

// hideLostRun gives up a run whose ledger is gone. What of it is in ADX, or still
// on its way, is hidden as a whole before the same window is copied again.
func (m *migration) hideLostRun(ctx context.Context) error {
	m.log.Error("ledger is gone: the run is hidden and its window copied again", "run_id", m.state.OpenRun)
	if err := m.ports.Ingester.Void(ctx, m.state.Table.Destination, m.state.OpenRun, -1); err != nil {
		return err
	}
	m.state.OpenRun = ""
	return m.lease.SaveState(ctx, m.state)
}

// rebuild makes a state for a table that has none: from an open ledger if one is
// found, else from what MigrationConfiguration says.
func (m *migration) rebuild(ctx context.Context) (*plan.Ledger, error) {
	state := &plan.TableState{
		Instance: m.req.Key.Instance, Source: m.req.Key.Source,
		Generation: 1, Nulls: plan.NullsNotCopied, Rebuilt: true,
	}
	rows, err := m.ports.ControlTables.Rows(ctx, m.req.Key, time.Time{})
	if err != nil {
		return nil, err
	}
	if err := m.published(ctx, state, rows); err != nil {
		return nil, err
	}
	if err := m.shownBefore(ctx, state); err != nil {
		return nil, err
	}
	ledger, err := m.lease.OpenLedger(ctx)
	if err != nil {
		return nil, err
	}
	if ledger != nil && ended(state, ledger) {
		m.log.Warn("an old ledger was left open; it is not taken up", "run_id", ledger.RunID)
		ledger = nil
	}
	if ledger != nil {
		state.Generation = max(state.Generation, ledger.Generation+1)
		state.Adopt(ledger, m.cfg.Settle)
	}
	if len(rows) == 0 && ledger == nil {
		// Nothing is known of such a table, so nothing is written for it.
		m.hold(state)
		return nil, nil
	}
	if err := m.lease.SaveState(ctx, state); err != nil {
		return nil, err
	}
	m.hold(state)
	if ledger == nil {
		return nil, nil
	}
	return ledger, m.fence(ctx, ledger)
}

// published fills the state from the rows that we published: the first of each
// run and generation, since a later one is a user's copy. What users wrote last is
// left to be judged as always; what they wrote before tells which run began with a
// watermark of theirs.
func (m *migration) published(ctx context.Context, state *plan.TableState, rows []plan.Row) error {
	type origin struct {
		run        string
		generation int64
	}
	seen := map[origin]bool{}
	said, edited, commanded := time.Time{}, false, false // by the user's rows since the last of ours
	for _, row := range rows {
		state.Generation = max(state.Generation, row.Generation+1)
		t, err := row.Table()
		from := origin{t.RunID, t.Generation}
		switch {
		case err != nil:
			continue
		case t.RunID == "" || seen[from]:
			mark := t.LastRefreshed
			if !mark.IsZero() && !mark.Equal(said) {
				commanded = !state.EverPublished(mark)
			}
			said, edited = mark, true
			continue
		}
		seen[from] = true
		ran := t
		if edited {
			// The row may tell what the user wrote while its run went on by the old columns.
			if ran, err = m.ranBy(ctx, t); err != nil {
				return err
			}
		}
		state.Republish(t, ran, commanded, m.cfg.Settle)
		edited, commanded = false, false
	}
	return nil
}

// ranBy returns the table as the run of a published row copied it; where its ledger
// is gone, as the row says.
func (m *migration) ranBy(ctx context.Context, t plan.Table) (plan.Table, error) {
	l, err := m.lease.Ledger(ctx, t.RunID)
	switch {
	case fault.KindOf(err) == fault.Permanent:
		m.log.Warn("read the ledger of a published run", "run_id", t.RunID, "error", err.Error())
	case err != nil:
		return t, err
	case l != nil:
		t.WatermarkColumn, t.Load = l.Table.WatermarkColumn, l.Table.Load
	}
	return t, nil
}

// ended reports whether an open ledger is one that a kill left behind after its
// run was published, or before anything was promised and something newer was.
func ended(state *plan.TableState, l *plan.Ledger) bool {
	for _, p := range state.Published {
		if p.RunID == l.RunID {
			return true
		}
	}
	n := len(state.Published)
	if n == 0 {
		return false
	}
	if l.Table.WatermarkColumn != state.Table.WatermarkColumn || len(state.Marks.Older) > 0 && state.Watermark.IsZero() {
		// Watermarks of two columns do not compare; both instants are our clock's.
		return !l.Started.After(plan.RunIDTime(state.Published[n-1].RunID))
	}
	begin := l.Window.From
	if l.Table.Load == plan.Snapshot {
		begin = l.Started
	}
	return begin.Before(state.Watermark)
}

// alreadyServed reports whether a scheduled wake-up has had its purpose: a run that
// ended after it was sent, with nothing left open and no window left to copy. After
// a long wait many of them come at once. Both instants are the storage's.
func (m *migration) alreadyServed() bool {
	return m.req.Trigger == plan.Scheduled && m.state.OpenRun == "" && !m.state.More &&
		!m.req.Inserted.IsZero() && m.req.Inserted.Add(servedMargin).Before(m.state.Served)
}

// servedMargin is for the whole seconds that the storage tells, and for its servers,
// whose clocks may differ by a few.
const servedMargin = 5 * time.Second

// ended records in the state, which the caller saves, that the run has ended with
// the watermark.
func (m *migration) ended(l *plan.Ledger, mark time.Time) {
	s := m.state
	s.Watermark, s.OpenRun, s.LastEnded, s.Served = mark, "", m.ports.Clock.Now(), m.lease.ServiceNow()
	s.ForeignSince, s.LastRows, s.LastStarted = s.LastEnded, l.Rows(), l.Started
	s.NotBefore, s.Rebuilt, s.LastRun, s.More = time.Time{}, false, l.RunID, l.More
	if l.InDoubt() {
		s.Watch(l.RunID, m.serviceNow())
	}
}

// serviceNow is the storage's clock, or ours where that is not known.
func (m *migration) serviceNow() time.Time {
	if now := m.lease.ServiceNow(); !now.IsZero() {
		return now
	}
	return m.ports.Clock.Now()
}

// recordAudit records an audit row outside a run.
func (m *migration) recordAudit(ctx context.Context, row plan.Audit) error {
	m.outbox.addAudit(m.audit(row))
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return err
	}
	return m.outbox.flush(ctx)
}

// audit completes an audit row with what is known of attempt and table.
func (m *migration) audit(row plan.Audit) plan.Audit {
	row.TableName, row.Calls = m.inForce.Destination, m.wasted
	if row.TableName == "" && m.state != nil {
		row.TableName = m.state.Table.Destination
	}
	return m.attempt.audit(m.ports.Clock.Now(), row)
}

// auditFailure records how the attempt ended, a failure that may pass once for each
// cause and hour. The run stays open.
func (m *migration) auditFailure(ctx context.Context, cause error) error {
	var undelivered *undelivered
	if errors.As(cause, &undelivered) {
		return nil // what could not be said is all that failed, and it waits in the outbox
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
