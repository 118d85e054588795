package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

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
