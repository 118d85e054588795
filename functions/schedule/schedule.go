// Package schedule is the timer function: at each tick it puts one wake-up on
// the queue for every table that is due and for every table with an open run.
// It copies nothing and changes no state.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Binding is the trigger's name in function.json.
const Binding = "tick"

// Configuration reads what is to be migrated.
type Configuration interface {
	// Latest returns the newest configuration row of every source and instance.
	Latest(ctx context.Context) ([]plan.Candidate, error)
}

// States knows the tables with an open run, and when the last one started.
type States interface {
	Open(ctx context.Context) ([]plan.Key, error)
	// Read returns the table's state without its lease, nil when it has none.
	Read(ctx context.Context, key plan.Key) (*plan.TableState, error)
}

// Auditor records a configuration row that cannot be migrated. It is called at
// every tick for as long as the row stands.
type Auditor interface {
	Reject(ctx context.Context, row plan.Candidate, cause error) error
}

// Function sends wake-ups.
type Function struct {
	Configuration Configuration
	States        States
	Waker         pipeline.Waker
	Auditor       Auditor
	Ticks         plan.Ticker
	LookBack      plan.LookBack
	Now           func() time.Time // our clock, by which runs start
	// Backlog returns about how many wake-ups are in the queue, sleeping ones and those
	// in work included, and how many of them wait for a host that is free.
	Backlog func(ctx context.Context) (plan.Backlog, error)
	// Sweep removes what old runs left behind and returns how many ledgers.
	Sweep func(ctx context.Context) (int, error)

	warned sync.Map // tables (plan.Key) of which a warning was logged by this process
}

// Serve answers one tick. Sender: the Functions timer, by MIGRATION_SCHEDULE. A
// duplicate tick sends duplicate wake-ups, which the lease and the state make
// harmless. A failure asks for nothing: the next tick does the work.
func (f *Function) Serve(ctx context.Context, in host.Invocation) host.Reply {
	log := host.Logger(ctx)
	if timer, err := host.DecodeTimer(in.Body, Binding); err != nil {
		// What the host says about the tick changes nothing that is done.
		log.Warn("decode timer", "error", err.Error())
	} else if timer.IsPastDue {
		log.Info("this tick is late")
	}
	sent, err := f.Tick(ctx)
	if err != nil {
		log.Error("schedule", "error", err.Error(), "wakeups", sent)
		return host.Reply{Redeliver: true}
	}
	log.Info("scheduled", "wakeups", sent)
	// Last, and no failure of the tick: what stays is swept by the next one.
	if n, err := f.Sweep(ctx); err != nil {
		log.Warn("sweep ledgers", "error", err.Error())
	} else if n > 0 {
		log.Info("swept", "ledgers", n)
	}
	return host.Reply{Logs: []string{fmt.Sprintf("wake-ups sent: %d", sent)}}
}

// Tick sends the wake-ups of one tick and returns how many: at most one a table, and
// none where that would leave more than two a table in the queue. One row that cannot be
// migrated keeps no other table from its turn.
func (f *Function) Tick(ctx context.Context) (sent int, err error) {
	var errs []error
	rows, unread := f.Configuration.Latest(ctx)
	if unread != nil {
		errs = append(errs, fmt.Errorf("read configuration: %w", unread))
	}
	known := map[plan.Key]bool{}
	var due []plan.Key
	tables := 0 // that may have a wake-up waiting
	for _, row := range rows {
		table, err := row.Table()
		if row.Problem != nil {
			known[row.Key()] = true // waking its open run would only say the same again
		}
		if err != nil {
			errs = append(errs, f.Auditor.Reject(ctx, row, err))
			continue
		}
		key := row.Key()
		known[key] = true
		if table.Active {
			tables++
		}
		if table.Active && f.due(ctx, table) {
			due = append(due, key)
		}
	}
	// A run that is open although its row is gone is woken, too, and says so; the
	// run of a table that is switched off pauses.
	open, err := f.States.Open(ctx)
	if err != nil {
		errs = append(errs, fmt.Errorf("list open runs: %w", err))
	}
	for _, key := range open {
		if !known[key] {
			due = append(due, key)
			tables++
		}
	}
	if unread == nil && f.full(ctx, len(due), tables) {
		return 0, errors.Join(errs...)
	}
	for _, key := range due {
		if err := f.Waker.Wake(ctx, plan.WakeUp{Key: key, Trigger: plan.Scheduled}, 0); err != nil {
			errs = append(errs, fmt.Errorf("wake %s: %w", key, err))
			continue
		}
		sent++
	}
	return sent, errors.Join(errs...)
}

// due reports whether the table's Frequency lets it run at this tick. A state that
// cannot be read is no reason to wait: whoever wakes up for the table says what is
// wrong.
func (f *Function) due(ctx context.Context, table plan.Table) bool {
	if table.Frequency == "" {
		return true
	}
	now := f.Now()
	tick := f.Ticks.Length(now)
	if warning := table.FrequencyWarning(tick, f.LookBack.Of(table.Instance)); warning != "" {
		if _, said := f.warned.LoadOrStore(plan.Key{Instance: table.Instance, Source: table.Source}, true); !said {
			host.Logger(ctx).Warn("frequency", "table", table.Source, "instance", table.Instance, "warning", warning)
		}
	}
	state, err := f.States.Read(ctx, plan.Key{Instance: table.Instance, Source: table.Source})
	if err != nil {
		host.Logger(ctx).Warn("read when the table ran last", "table", table.Source, "error", err.Error())
		return true
	}
	return !table.DueFrom(state, now, tick).After(now)
}

// full reports whether so many more wake-ups would be more than two a table in the
// queue although every host is busy: they come faster than they are worked off, and what
// waits will do. Wake-ups that sleep, a person's among them, keep nobody from their turn,
// and neither does a queue that cannot be counted.
func (f *Function) full(ctx context.Context, more, tables int) bool {
	b, err := f.Backlog(ctx)
	if err != nil {
		host.Logger(ctx).Warn("count the wake-ups that wait", "error", err.Error())
		return false
	}
	if b.All+more <= 2*tables || b.Ready < min(more, plan.MostReady) {
		return false
	}
	host.Logger(ctx).Warn("no wake-ups sent: ticks come faster than tables are copied; let MIGRATION_SCHEDULE tick less often", "waiting", b.All, "tables", tables)
	return true
}
