package pipeline_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// crowd is a stager that keeps each slice waiting until so many are in flight, or
// for a moment.
type crowd struct {
	pipeline.Stager
	want int

	mu         sync.Mutex
	in, most   int
	gathered   chan struct{}
	gatherOnce sync.Once
}

func (c *crowd) Stage(ctx context.Context, name string, produce func(io.Writer) error) (plan.Blob, error) {
	c.mu.Lock()
	c.in++
	c.most = max(c.most, c.in)
	if c.in == c.want {
		c.gatherOnce.Do(func() { close(c.gathered) })
	}
	c.mu.Unlock()
	select {
	case <-c.gathered:
	case <-time.After(50 * time.Millisecond):
	}
	defer func() {
		c.mu.Lock()
		c.in--
		c.mu.Unlock()
	}()
	return c.Stager.Stage(ctx, name, produce)
}

func (w *world) pipe(p *process, change func(*pipeline.Ports)) *pipeline.Pipeline {
	ports := p.ports()
	if change != nil {
		change(&ports)
	}
	return pipeline.New(w.cfg, ports, slog.New(slog.DiscardHandler))
}

// TestCalls_BoundWhatIsInFlight lets one table use all calls of the process and
// never more.
func TestCalls_BoundWhatIsInFlight(t *testing.T) {
	for name, want := range map[string]int{"one": 1, "three": 3, "as many as slices": 8} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(1)
			w.fill(300, 48)
			w.cfg.CallsInFlight = want
			p := &process{world: w}
			c := &crowd{Stager: p, want: want, gathered: make(chan struct{})}
			pipe := w.pipe(p, func(ports *pipeline.Ports) { ports.Stager = c })
			if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil {
				t.Fatal(err)
			}
			if got := w.last(); got.Slices < 10 {
				t.Fatalf("%d slices are too few for a crowd; audit: %s", got.Slices, w.story())
			}
			if c.most != want {
				t.Errorf("%d slices in flight, want %d", c.most, want)
			}
			w.check(t, w.now.Add(-time.Hour))
		})
	}
}

// silent is a source of which one table never gets an answer.
type silent struct {
	*process
	table   string
	waiting chan struct{} // closed when that table waits
	once    sync.Once
}

func (s *silent) Count(ctx context.Context, call plan.Caller, q plan.CountQuery) (c plan.Counts, err error) {
	if q.Table.Source != s.table {
		return s.process.Count(ctx, call, q)
	}
	return c, call.Do(ctx, func(ctx context.Context) error {
		s.once.Do(func() { close(s.waiting) })
		<-ctx.Done()
		return ctx.Err()
	})
}

// silence makes a world with a table that waits for an answer for ever, and the
// pipeline with so many calls.
func silence(calls int) (*world, *silent, *pipeline.Pipeline) {
	w := newWorld(1)
	w.fill(30, 10)
	w.table("Silent")
	w.cfg.CallsInFlight = calls
	s := &silent{process: &process{world: w}, table: "Silent", waiting: make(chan struct{})}
	return w, s, w.pipe(s.process, func(ports *pipeline.Ports) { ports.Source = s })
}

func TestCalls_ATableWithoutAnAnswerHoldsOnlyItsOwn(t *testing.T) {
	w, s, pipe := silence(2)
	ctx, end := context.WithCancel(t.Context())
	var other sync.WaitGroup
	other.Go(func() {
		_ = pipe.Migrate(ctx, pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Source: s.table}, Trigger: plan.Scheduled}})
	})
	<-s.waiting
	if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil {
		t.Error(err)
	}
	end()
	other.Wait()
	if w.copied(key.Source) != 30 {
		t.Errorf("audit: %s", w.story())
	}
}

// TestCalls_WithoutAPlaceTheMessageWaits: an invocation that does nothing must not
// keep one of the host's slots.
func TestCalls_WithoutAPlaceTheMessageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, pipe := silence(1)
		ctx, end := context.WithCancel(t.Context())
		go func() {
			_ = pipe.Migrate(ctx, pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Source: s.table}, Trigger: plan.Scheduled}})
		}()
		<-s.waiting
		began := time.Now()
		if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("waited %v for a place, want a minute", took)
		}
		if len(w.messages) != 1 || w.messages[0].req.Key != key || len(w.audits) > 0 {
			t.Errorf("messages %v, audit: %s; want the wake-up again and no failure", w.messages, w.story())
		}
		end()
		synctest.Wait()
	})
}

// TestCalls_NoPlaceIsKeptWhileTheQuotaMakesWait: of two tables one is told to wait
// by the quota, and the only place is free for the other.
func TestCalls_NoPlaceIsKeptWhileTheQuotaMakesWait(t *testing.T) {
	w := newWorld(1)
	w.fill(30, 10)
	p := &process{world: w}
	pipe := w.pipe(p, nil)
	w.before(1, "take", throttled(time.Hour))
	for _, trigger := range []string{plan.Scheduled, plan.Manual} {
		if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: trigger}}); err != nil {
			t.Fatal(err)
		}
	}
	if w.copied(key.Source) == 0 {
		t.Errorf("nothing copied: the place was kept; audit: %s", w.story())
	}
}
