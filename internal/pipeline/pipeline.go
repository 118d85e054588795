// Package pipeline copies one table: it takes up the table's open run or plans a
// new one, freezes each slice in a staged blob, hands it to ADX, and moves the
// watermark once ADX has shown every row.
//
// It declares the interfaces it needs and knows no SDK. Its invariant: the
// watermark never passes a row that ADX has not returned, and a slice whose
// blob was promised is only ever sent as that blob.
package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Config holds what may be tuned. Zero values are not defaults: the settings
// supply every field.
type Config struct {
	AppID    string        // begins every RunId
	Tenant   string        // whose rows are copied, in lower case; "": not known
	Settle   time.Duration // rows younger than this are left for the next run
	Lease    time.Duration // length of the table's lease
	Budget   time.Duration // working time of one invocation
	Grace    time.Duration // before a blob that ADX does not show may be sent again
	LookBack time.Duration // how far back Defender holds event tables
	Limits   plan.Limits   // row and byte targets; Width is ignored

	CallsInFlight int // calls to the source at a time, of all tables of the process
	// Places are those calls where the process has several instances, which share
	// them; nil: this one has them all.
	Places *Places

	Poll    time.Duration // first pause between two looks into ADX; grows fourfold
	Pause   time.Duration // pause after a 5xx answer, with jitter
	Nearby  time.Duration // longest wait spent by the process and not by the message
	PutOff  time.Duration // delay of a wake-up put off because the budget is spent
	Waiting time.Duration // delay of a wake-up that waits for ADX
	Retry   time.Duration // first delay of a wake-up whose work failed again and again; grows thirtyfold

	// NextTick returns when the timer wakes the tables next after an instant; zero
	// when that is not known.
	NextTick func(time.Time) time.Time
}

func (c Config) places() *Places {
	if c.Places != nil {
		return c.Places
	}
	return NewPlaces(c.CallsInFlight, 1)
}

// Ports are the adapters a Pipeline works through.
type Ports struct {
	Source        Source
	Quota         Quota
	Exports       Exporter // of file exports, whose calls ExportQuota guards
	ExportQuota   Quota
	Lists         []Lists // beside the hunting tables; none serves what another does
	Stager        Stager
	Ingester      Ingester
	Verifier      Verifier
	ControlTables ControlTables
	Store         Store
	Waker         Waker
	Clock         Clock
}

// Pipeline migrates tables of one instance. It is safe for concurrent use; the
// lease keeps two migrations of one table apart.
type Pipeline struct {
	cfg     Config
	ports   Ports
	calls   *calls   // of hunting
	exports *calls   // of file exports; nil: there are none
	lists   []*calls // of each of ports.Lists
	log     *slog.Logger
}

// New returns a Pipeline. It does no I/O.
func New(cfg Config, ports Ports, log *slog.Logger) *Pipeline {
	places := cfg.places().ofInstance()
	of := func(ready func(context.Context) error, quota Quota) *calls {
		return newCalls(cfg, ready, quota, ports.Clock, places)
	}
	p := &Pipeline{cfg: cfg, ports: ports, log: log, calls: of(ports.Source.Ready, ports.Quota)}
	if ports.Exports != nil {
		p.exports = of(ports.Exports.Ready, ports.ExportQuota)
	}
	for _, l := range ports.Lists {
		p.lists = append(p.lists, of(l.Source.Ready, l.Quota))
	}
	return p
}

// way is how a table is asked.
type way struct {
	calls *calls
	api   func() string
	list  ListSource // nil: it is no list
}

func (p *Pipeline) way(source string) way {
	for i, l := range p.ports.Lists {
		if l.Source.Serves(source) {
			return way{p.lists[i], l.Source.API, l.Source}
		}
	}
	if (plan.Table{Source: source}).IsExport() && p.ports.Exports != nil {
		return way{calls: p.calls, api: p.ports.Exports.API}
	}
	return way{calls: p.calls, api: p.ports.Source.API}
}

// Request is one wake-up as it was delivered.
type Request struct {
	plan.WakeUp
	// Deliveries of this message so far, this one included; 0 when not known.
	Deliveries int
	// Inserted is when the message came into the queue, by the storage's clock;
	// zero when not known.
	Inserted  time.Time
	AttemptID string // of the invocation, for the audit row
	// Log carries the invocation; nil is the Pipeline's own.
	Log *slog.Logger
	// Attendant waits in the place of a message; nil: the wake-up goes to the queue.
	Attendant Attendant
}

// leasedManually is how long a manual wake-up waits for a table in work: a person
// who asked for it looks again about then.
const leasedManually = 5 * time.Minute

// redelivered: an earlier delivery of this message came to no end, so the holder of
// the lease may be its own dead worker.
func (r Request) redelivered() bool { return r.Deliveries > 1 }

// Migrate works on the table until its run ended, the time budget is spent or a
// wait is longer than seconds; then it sends the wake-up again itself and
// returns nil. A Permanent error was written to the audit log and must not be
// redelivered; any other error asks for redelivery. Calling it twice for one
// wake-up is harmless.
func (p *Pipeline) Migrate(ctx context.Context, req Request) error {
	log := cmp.Or(req.Log, p.log).With("table", req.Key.Source, "trigger", req.Trigger)
	if req.Key.Instance != "" {
		log = log.With("instance", req.Key.Instance)
	}
	if err := plan.CheckSource("SourceTable", req.Key.Source); err != nil {
		// No lease and no state for a name that can be no table.
		return p.reject(ctx, req, fault.As(fault.Permanent, err))
	}
	lease, err := p.ports.Store.Acquire(ctx, req.Key)
	if err != nil {
		if errors.Is(err, fault.ErrNewer) {
			return p.answer(ctx, newMigration(p, req, nil, log), err)
		}
		if fault.KindOf(err) == fault.Wait {
			return p.waitForHolder(ctx, req, log)
		}
		return fmt.Errorf("migrate %s: %w", req.Key, err)
	}
	defer func() {
		// Released under a context of its own: a cancelled attempt must not keep
		// the table locked for the rest of the lease.
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer done()
		if err := lease.Release(ctx); err != nil {
			log.Warn("release lease", "error", err.Error())
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(lease.Context(), func() { cancel(context.Cause(lease.Context())) })
	defer stop()

	m := newMigration(p, req, lease, log)
	err = m.work(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return p.answer(ctx, m, err)
}

const (
	// releaseTimeout bounds the last request of an attempt; the lease ends by itself.
	releaseTimeout = 5 * time.Second
	// farewellTimeout bounds what is said after an attempt has ended, be it by its
	// deadline: one audit row, one message.
	farewellTimeout = 15 * time.Second
)

// reject records a wake-up that cannot be worked on.
func (p *Pipeline) reject(ctx context.Context, req Request, cause error) error {
	a := attempt{req: req, api: p.ports.Source.API, started: p.ports.Clock.Now()}
	audit := a.audit(p.ports.Clock.Now(), plan.Audit{Status: plan.Failed, FailureReason: cause.Error()})
	audit.SourceTable = strings.ToValidUTF8(audit.SourceTable, "\uFFFD")
	if err := p.ports.ControlTables.Deliver(ctx, plan.Outgoing{Tag: looseTag(), Audit: &audit}); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// waitForHolder answers a wake-up for a table that somebody else works on. The
// holder may be dead, so the message waits one lease; then a living holder does
// the work, or the next tick, and only a person's wake-up waits on. A message
// whose own worker was killed waits a lease each time, as does one that was put off:
// the holder may be about to end because that one is pending.
func (p *Pipeline) waitForHolder(ctx context.Context, req Request, log *slog.Logger) error {
	delay := p.cfg.Lease
	switch {
	case req.Again == 0 || req.redelivered():
	case req.Trigger != plan.Scheduled:
		delay = leasedManually
	case req.PutOff == 0:
		log.Info("dropped: the table is in work")
		return nil
	}
	again := req.WakeUp
	again.Again++
	if err := req.wake(ctx, p.ports.Waker, again, delay, "another process works on the table"); err != nil {
		return fmt.Errorf("migrate %s: %w", req.Key, err)
	}
	log.Info("put off: the table is in work", "delay_s", delay.Seconds())
	return nil
}

// answer turns the end of an attempt into what the queue is told: a snooze is a
// new message and no error, a fault an audit row.
func (p *Pipeline) answer(ctx context.Context, m *migration, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fault.ErrNewer) {
		p.auditNewer(ctx, m, err)
		if fault.Overdue(err, p.ports.Clock.Now()) {
			m.log.Error("waits for a newer version that does not come", "error", err.Error())
		}
		if m.lease == nil && m.req.Trigger == plan.Scheduled && m.req.PutOff == 0 {
			// The next tick looks again; without a state nothing tells it that a wake-up of
			// this one is pending, and they would add up.
			return nil
		}
	}
	var off *snooze
	if until, ok := fault.Until(err); ok {
		off = &snooze{delay: until.Sub(p.ports.Clock.Now()), reason: err.Error()}
	}
	if off != nil || errors.As(err, &off) {
		return p.requeue(ctx, m, off)
	}
	if lost := m.lease.Context().Err(); lost != nil {
		// Whoever holds the table now speaks for it.
		return fmt.Errorf("migrate %s: %w", m.req.Key, err)
	}
	// The audit row survives the attempt's deadline.
	farewell, done := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
	defer done()
	if auditErr := m.auditFailure(farewell, err); auditErr != nil {
		m.log.Error("audit", "error", auditErr.Error())
	}
	cause := fmt.Errorf("migrate %s: %w", m.req.Key, err)
	if fault.KindOf(err) == fault.Permanent {
		return fault.As(fault.Permanent, cause)
	}
	if m.mayPutBack() {
		putErr := m.putBack(farewell)
		if putErr == nil {
			m.log.Error("failed again", "error", cause.Error(), "failures", m.req.Failures+1)
			return nil
		}
		cause = errors.Join(cause, putErr)
	}
	return fault.As(fault.Retry, cause)
}

// auditNewer says, once for each table and day (UTC), that the table waits for a
// newer version of the program. The state cannot remember that it was said, since
// it may be what cannot be read: the row's tag does. A row that could not be
// delivered is tried again with the next wake-up.
func (p *Pipeline) auditNewer(ctx context.Context, m *migration, cause error) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
	defer done()
	row := m.audit(plan.Audit{Status: plan.Failed, FailureReason: cause.Error()})
	tag := fmt.Sprintf("%snewer-%s-%s", p.cfg.AppID, m.req.Key, row.Timestamp.UTC().Format(time.DateOnly))
	if err := p.ports.ControlTables.Deliver(ctx, plan.Outgoing{Tag: tag, Audit: &row}); err != nil {
		m.log.Error("audit", "error", err.Error())
	}
}

// snooze ends an attempt without a fault: the wake-up comes again after delay.
type snooze struct {
	delay  time.Duration
	reason string
}

func (s *snooze) Error() string { return fmt.Sprintf("put off for %v: %s", s.delay, s.reason) }

// requeue sends the wake-up again. What is longer than a message can wait stands
// in the table's state.
func (p *Pipeline) requeue(ctx context.Context, m *migration, off *snooze) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
	defer done()
	delay := max(off.delay, 0)
	if delay > plan.LongestDelay {
		if m.state != nil && m.lease.Context().Err() == nil {
			m.state.NotBefore = p.ports.Clock.Now().Add(delay)
		}
		delay = plan.LongestDelay
	}
	if err := m.sendAgain(ctx, plan.WakeUp{Key: m.req.Key, Trigger: m.req.Trigger}, delay, off.reason); err != nil {
		return fmt.Errorf("migrate %s: %w", m.req.Key, err)
	}
	m.log.Info("put off", "delay_s", delay.Seconds(), "reason", off.reason)
	return nil
}
