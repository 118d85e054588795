package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

const (
	// attempts in a row may fail before a command gives up, as `handler migrate` does.
	attempts = 3
	// unkilled is how long a command may work before somebody ends it.
	unkilled = 2 * time.Second
)

// terminals are the commands of people who copy a table by `handler migrate` beside the
// service: in processes of their own, by the same program, without the queue. They are
// killed in the middle, and the service goes on, or go on with what it left.
type terminals struct {
	world *world
	local *localQueue
	wait  sync.WaitGroup

	mu   sync.Mutex
	open []*command
}

// command is one `handler migrate`.
type command struct {
	*process
	table table
	found string // the run that was open when it began

	mu  sync.Mutex
	now pipeline.Progress
	off *plan.WakeUp
	due time.Duration
}

// Progress implements pipeline.Attendant.
func (c *command) Progress(now pipeline.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.RunID != "" && now.RunID == c.found && c.now.RunID == "" {
		c.world.faults.count("terminal: goes on with a run of the service")
	}
	c.now = now
}

// PutOff implements pipeline.Attendant.
func (c *command) PutOff(w plan.WakeUp, delay time.Duration, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off, c.due = &w, min(delay, max(shortestWait, delay/hurry), longestWait)
}

func (c *command) takePutOff() (*plan.WakeUp, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	off := c.off
	c.off = nil
	return off, c.due
}

// begin starts a command for one of the schedule's tables, which in half of the cases is
// killed some time later.
func (t *terminals) begin(ctx context.Context, r *rand.Rand) error {
	c, err := t.start(ctx, t.world.plan.tables[r.IntN(len(t.world.plan.tables))])
	if err == nil && r.IntN(2) == 0 {
		time.AfterFunc(pauseOf(r, unkilled), c.interrupt)
	}
	return err
}

// start starts a command for a table.
func (t *terminals) start(ctx context.Context, of table) (*command, error) {
	w := t.world
	p, err := w.newProcess(t.local, w.plan.processes)
	if err != nil {
		return nil, err
	}
	states, err := w.states(ctx)
	if err != nil {
		p.stop()
		return nil, err
	}
	c := &command{process: p, table: of, found: states[of.source].OpenRun}
	w.faults.count("terminal: migrate")
	t.mu.Lock()
	t.open = append(t.open, c)
	t.mu.Unlock()
	done := p.working(of.source)
	t.wait.Go(func() {
		defer p.stop()
		defer done()
		c.work()
	})
	return c, nil
}

// work wakes the table until its run has ended, as the queue would.
func (c *command) work() {
	req := pipeline.Request{
		WakeUp:    plan.WakeUp{Key: plan.Key{Instance: c.table.instance, Source: c.table.source}, Trigger: plan.Manual},
		AttemptID: "command line", Attendant: c,
	}
	for failures := 0; failures < attempts && !c.dead(); {
		req.Deliveries = failures + 1
		err := c.app.Migrate(c.ctx, req)
		off, pause := c.takePutOff()
		switch {
		case err == nil && off == nil, fault.KindOf(err) == fault.Permanent:
			return
		case err == nil:
			failures, req.WakeUp = 0, *off
		default:
			failures++
			pause = time.Duration(failures) * 50 * time.Millisecond
		}
		if sleep.For(c.ctx, pause) != nil {
			return
		}
	}
}

// progress is how far the command's run is.
func (c *command) progress() pipeline.Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// interrupt kills a command in the middle of its work.
func (c *command) interrupt() {
	if len(c.tables()) == 0 || c.dead() {
		return // it has ended
	}
	if now := c.progress(); now.RunID != "" && now.Status == "" {
		c.world.faults.count("terminal: leaves a run to the service")
	}
	c.kill("at a terminal")
}

// rest returns when no command works, or after patience.
func (t *terminals) rest(ctx context.Context, patience time.Duration) {
	done := make(chan struct{})
	go func() { defer close(done); t.wait.Wait() }()
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(patience):
	}
}

// end kills the commands that still work, and waits for all.
func (t *terminals) end() {
	t.mu.Lock()
	for _, c := range t.open {
		c.interrupt()
	}
	t.mu.Unlock()
	t.wait.Wait()
}
