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
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Config holds what may be tuned. Zero values are not defaults: the settings
// supply every field.
type Config struct {
	AppID    string        // begins every RunId
	Settle   time.Duration // rows younger than this are left for the next run
	Lease    time.Duration // length of the table's lease
	Budget   time.Duration // working time of one invocation
	Grace    time.Duration // before a blob that ADX does not show may be sent again
	LookBack time.Duration // how far back Defender holds event tables
	Parallel int           // slices of one table in flight
	Memory   int64         // bytes that the slices in flight of all tables may take
	Limits   plan.Limits   // row and byte targets; Width is ignored

	Poll    time.Duration // first pause between two looks into ADX; grows fourfold
	Pause   time.Duration // pause after a 5xx answer, with jitter
	Nearby  time.Duration // longest wait spent by the process and not by the message
	PutOff  time.Duration // delay of a wake-up put off because the budget is spent
	Waiting time.Duration // delay of a wake-up that waits for ADX
}

// SliceMemory is what one slice in flight takes, in bytes: two blocks of 4 MiB on
// their way into staging storage, and the row path's buffers. Measured by make
// bench, case memory.
const SliceMemory = 12 << 20

// Clock tells the time and lets time pass.
type Clock interface {
	Now() time.Time
	// Sleep returns early with the context's error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Ports are the adapters a Pipeline works through.
type Ports struct {
	Source        Source
	Quota         Quota
	Sink          Sink
	ControlTables ControlTables
	Store         Store
	Waker         Waker
	Clock         Clock
}

// Pipeline migrates tables of one instance. It is safe for concurrent use; the
// lease keeps two migrations of one table apart.
type Pipeline struct {
	Ports
	cfg    Config
	log    *slog.Logger
	memory *semaphore.Weighted
}

// New returns a Pipeline. It does no I/O.
func New(cfg Config, ports Ports, log *slog.Logger) *Pipeline {
	return &Pipeline{Ports: ports, cfg: cfg, log: log, memory: semaphore.NewWeighted(max(cfg.Memory, SliceMemory))}
}

// Triggers of a wake-up.
const (
	Scheduled = "scheduled"
	Manual    = "manual"
	Forced    = "forced" // manual, also for a table that is switched off
)

// Request is one wake-up as it was delivered.
type Request struct {
	Key     plan.Key
	Trigger string
	Again   int // how often it was put off because the lease was held
	// Redelivered: an earlier delivery of this message came to no end, so the
	// holder of the lease may be its own dead worker.
	Redelivered bool
	// Inserted is when the message came into the queue, by the storage's clock;
	// zero when not known.
	Inserted  time.Time
	AttemptID string // of the invocation, for the audit row
	// Log carries the invocation; nil is the Pipeline's own.
	Log *slog.Logger
}

// heldManually is how long a manual wake-up waits for a table in work.
const heldManually = 5 * time.Minute

// longestDelay is the longest visibility delay of a wake-up; longer waits stand
// in the table state. Source: DESIGN, "put off".
const longestDelay = time.Hour

// snooze ends an attempt without a fault: the wake-up comes again after delay.
type snooze struct {
	delay  time.Duration
	reason string
}

func (p *snooze) Error() string { return fmt.Sprintf("put off for %v: %s", p.delay, p.reason) }

// Migrate works on the table until its run ended, the time budget is spent or a
// wait is longer than seconds; then it sends the wake-up again itself and
// returns nil. A Permanent error was written to the audit log and must not be
// redelivered; any other error asks for redelivery. Calling it twice for one
// wake-up is harmless.
func (p *Pipeline) Migrate(ctx context.Context, req Request) error {
	log := cmp.Or(req.Log, p.log).With("table", req.Key.Source, "trigger", req.Trigger)
	if err := plan.CheckName("SourceTable", req.Key.Source); err != nil {
		// No lease and no state for a name that can be no table.
		return p.reject(ctx, req, fault.As(fault.Permanent, err))
	}
	held, err := p.Store.Acquire(ctx, req.Key)
	if err != nil {
		if fault.KindOf(err) == fault.Wait {
			return p.waitForHolder(ctx, req, log)
		}
		return fmt.Errorf("migrate %s: %w", req.Key, err)
	}
	defer func() {
		// Released under a context of its own: a cancelled attempt must not keep
		// the table locked for the rest of the lease.
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		if err := held.Release(ctx); err != nil {
			log.Warn("release lease", "error", err.Error())
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(held.Context(), func() { cancel(context.Cause(held.Context())) })
	defer stop()

	a := &attempt{Pipeline: p, req: req, held: held, base: log, log: log, started: p.Clock.Now()}
	err = a.work(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return a.answer(ctx, err)
}

// reject records a wake-up that cannot be worked on.
func (p *Pipeline) reject(ctx context.Context, req Request, cause error) error {
	a := &attempt{Pipeline: p, req: req, started: p.Clock.Now()}
	audit := a.completeAudit(plan.Audit{Status: plan.Failed, FailureReason: cause.Error()}, nil)
	audit.SourceTable = strings.ToValidUTF8(audit.SourceTable, "\uFFFD")
	if err := p.ControlTables.Deliver(ctx, plan.Outgoing{Tag: "x" + randomID(24), Audit: audit}); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// waitForHolder answers a wake-up for a table that somebody else works on. The
// holder may be dead, so the message waits one lease; then a living holder does
// the work, or the next tick, and only a person's wake-up waits on. A message
// whose own worker was killed waits a lease each time.
func (p *Pipeline) waitForHolder(ctx context.Context, req Request, log *slog.Logger) error {
	delay := p.cfg.Lease
	switch {
	case req.Again == 0 || req.Redelivered:
	case req.Trigger == Scheduled:
		log.Info("dropped: the table is in work")
		return nil
	default:
		delay = heldManually
	}
	if err := p.Waker.Wake(ctx, req.Key, req.Trigger, req.Again+1, delay); err != nil {
		return fmt.Errorf("migrate %s: %w", req.Key, err)
	}
	log.Info("put off: the table is in work", "delay_s", delay.Seconds())
	return nil
}

// answer turns the end of an attempt into what the queue is told: a put-off is a
// new message and no error, a fault an audit row.
func (a *attempt) answer(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var off *snooze
	if until, ok := fault.Until(err); ok {
		off = &snooze{delay: until.Sub(a.Clock.Now()), reason: err.Error()}
	}
	if off != nil || errors.As(err, &off) {
		return a.requeue(ctx, off)
	}
	if lost := a.held.Context().Err(); lost != nil {
		// Whoever holds the table now speaks for it.
		return fmt.Errorf("migrate %s: %w", a.req.Key, err)
	}
	// The audit row survives the attempt's deadline.
	say, done := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer done()
	if auditErr := a.auditFailure(say, err); auditErr != nil {
		a.log.Error("audit", "error", auditErr.Error())
	}
	if fault.KindOf(err) == fault.Permanent {
		return fault.As(fault.Permanent, fmt.Errorf("migrate %s: %w", a.req.Key, err))
	}
	return fault.As(fault.Retry, fmt.Errorf("migrate %s: %w", a.req.Key, err))
}

func (a *attempt) requeue(ctx context.Context, off *snooze) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer done()
	delay := max(off.delay, 0)
	if delay > longestDelay {
		if a.state != nil && a.held.Context().Err() == nil {
			a.state.NotBefore = a.Clock.Now().Add(delay)
			if err := a.held.SaveState(ctx, a.state); err != nil {
				return fmt.Errorf("migrate %s: %w", a.req.Key, err)
			}
		}
		delay = longestDelay
	}
	if err := a.Waker.Wake(ctx, a.req.Key, a.req.Trigger, 0, delay); err != nil {
		return fmt.Errorf("migrate %s: %w", a.req.Key, err)
	}
	a.log.Info("put off", "delay_s", delay.Seconds(), "reason", off.reason)
	return nil
}

// randomID returns n lower-case letters and digits. It names things apart and
// guards no secret.
func randomID(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	for range n {
		b.WriteByte(letters[rand.IntN(len(letters))])
	}
	return b.String()
}

// jitter returns a number in [0, 1).
func jitter() float64 { return rand.Float64() }
