package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

const (
	// tablesAtOnce is how many tables a command works on at a time, as many as the
	// Functions host hands out by host.json; the calls in flight are bounded beside it.
	tablesAtOnce = 16
	// failuresEnough in a row end a table's work, as the queue hands out a message: a
	// fault that has not passed by then is for a person.
	failuresEnough = 3
)

// migrateCommand copies tables in this process.
type migrateCommand struct {
	instanceFlag
	outputFlag
	logFlag
	Force  bool     `help:"Copy tables that are switched off, too."`
	Tables []string `arg:"" name:"table" help:"Configured tables, or patterns such as DeviceTvm*."`
}

func (migrateCommand) Help() string {
	return `Works as the service does, without the Functions host: with its leases, quota and
promises. Where the service would put a table off, the command waits and says
why. Ended by Ctrl-C or a kill, it leaves the run open: the service or the next
migrate goes on with it. It needs the app's storage, and refuses a database whose
rows are another app's.

Example:

  handler migrate DeviceInfo`
}

// Run works on all tables and ends when each has ended.
func (c migrateCommand) Run(p *process) error {
	g, err := p.open(c.Instance, c.Verbose, true)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.named(p.ctx, c.Tables, c.Instance)
	if err != nil {
		return err
	}
	show := p.display(c.outputFlag)
	errands := make([]*errand, len(rows))
	var all errgroup.Group
	all.SetLimit(tablesAtOnce)
	for i, row := range rows {
		errands[i] = newErrand(row, show)
		all.Go(func() error { return errands[i].work(p.ctx, g, c) })
	}
	err = all.Wait()
	show.close()
	if p.ctx.Err() != nil {
		fmt.Fprintln(p.stderr, folded("handler: stopped; what is open stays open: the service or the next `handler migrate` goes on with it", "  "))
		return fmt.Errorf("%w (%w)", errSaid, context.Canceled)
	}
	var causes []error
	failed := false
	for _, e := range errands {
		failed = failed || e.outcome.Status != plan.Success && e.outcome.Status != nothingNew
		causes = append(causes, e.cause)
	}
	if failed {
		return said(causes...)
	}
	return err
}

// mayCopy says why a table is not copied by this command.
func (c migrateCommand) mayCopy(ctx context.Context, g *program, row plan.Candidate) error {
	if _, err := row.Table(); err != nil {
		return fmt.Errorf("MigrationConfiguration: %w", err)
	}
	if !row.IsActive && !c.Force {
		return fmt.Errorf("%s is switched off (IsActive=false): add --force, or switch it on with `handler on %s`", row.Key(), row.SourceTable)
	}
	return g.CheckOwner(ctx, row)
}

// nothingNew is the outcome where no run was due.
const nothingNew plan.Status = "Nothing new"

// outcome is how a table's work ended, over all runs that it took.
type outcome struct {
	Instance string      `json:"instance,omitempty"`
	Table    string      `json:"table"`
	Status   plan.Status `json:"status"`
	Rows     int64       `json:"rows"`
	Slices   int         `json:"slices"`
	Calls    int         `json:"calls"`
	Seconds  float64     `json:"seconds"`
	Problem  string      `json:"problem,omitempty"`
}

// errand is the work on one table; it attends the runs.
type errand struct {
	row   plan.Candidate
	show  display
	began time.Time

	mu      sync.Mutex
	runs    []pipeline.Progress // the last word of each run
	off     *putOff
	outcome outcome
	cause   error // of a failure
}

// putOff is a wait in the place of a message.
type putOff struct {
	wakeUp plan.WakeUp
	delay  time.Duration
	reason string
}

func newErrand(row plan.Candidate, show display) *errand {
	return &errand{row: row, show: show, began: time.Now(), outcome: outcome{Instance: row.Instance, Table: row.SourceTable}}
}

// Progress implements pipeline.Attendant.
func (e *errand) Progress(now pipeline.Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.runs); n > 0 && e.runs[n-1].RunID == now.RunID {
		e.runs[n-1] = now
	} else {
		e.runs = append(e.runs, now)
	}
	var planned, verified int64
	for _, r := range e.runs {
		planned, verified = planned+r.Planned, verified+r.Verified
	}
	e.show.moved(e.row.Key(), planned, verified)
}

// PutOff implements pipeline.Attendant.
func (e *errand) PutOff(w plan.WakeUp, delay time.Duration, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// The innermost cause is what a person waits for; the path to it is for logs.
	e.off = &putOff{w, delay, strings.TrimSpace(reason[strings.LastIndex(reason, ": ")+1:])}
}

func (e *errand) takePutOff() *putOff {
	e.mu.Lock()
	defer e.mu.Unlock()
	off := e.off
	e.off = nil
	return off
}

// migrator works on a table once.
type migrator interface {
	Migrate(ctx context.Context, req pipeline.Request) error
}

// work wakes the table again and again, as the queue would, until it ended. The error
// is that of the context alone: what went wrong stands in the outcome.
// A table that must not be copied holds up no other.
func (e *errand) work(ctx context.Context, g *program, c migrateCommand) error {
	e.show.begun(e.row.Key())
	err := c.mayCopy(ctx, g, e.row)
	if err == nil {
		err = e.follow(ctx, g, c.Force && !e.row.IsActive, g.cfg.Migration.Retry/4)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.conclude(err)
	e.show.ended(e.row.Key(), e.outcome)
	return nil
}

// follow does what the queue does with a wake-up: it waits where it is put off, and
// tries again after a failure, after pauses that grow from pause.
func (e *errand) follow(ctx context.Context, m migrator, force bool, pause time.Duration) error {
	req := pipeline.Request{WakeUp: plan.WakeUp{Key: e.row.Key(), Trigger: plan.Manual}, AttemptID: "command line", Attendant: e}
	if force {
		req.Trigger = plan.Forced
	}
	for failures := 0; ; {
		req.Deliveries = failures + 1
		err := m.Migrate(ctx, req)
		off := e.takePutOff()
		switch kind := fault.KindOf(err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case kind == fault.None && off == nil:
			return nil
		case kind == fault.None:
			failures, req.WakeUp = 0, off.wakeUp
		case kind == fault.Permanent:
			return err
		default:
			if failures++; failures == failuresEnough {
				return fmt.Errorf("failed %d times: %w", failures, err)
			}
			off = &putOff{req.WakeUp, pause * time.Duration(failures), err.Error()}
		}
		if off.delay >= time.Second {
			e.show.waits(e.row.Key(), off.delay, off.reason)
		}
		if err := sleep.For(ctx, off.delay); err != nil {
			return err
		}
	}
}

// conclude says how the work has ended.
func (e *errand) conclude(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := &e.outcome
	o.Seconds, o.Status = time.Since(e.began).Seconds(), nothingNew
	for _, r := range e.runs {
		o.Rows, o.Slices, o.Calls = o.Rows+r.Verified, o.Slices+r.Slices, o.Calls+r.Calls
		if o.Status == nothingNew || o.Status == plan.Success {
			o.Status = r.Status
		}
	}
	if err != nil {
		o.Status, o.Problem, e.cause = plan.Failed, strings.TrimSpace(err.Error()), err
		return
	}
	if o.Status == "" {
		// The run was gone on with by another process, or begun anew.
		o.Status, o.Problem = plan.Failed, "the run did not end here: `handler runs "+e.row.SourceTable+"` shows how it did"
	}
}
