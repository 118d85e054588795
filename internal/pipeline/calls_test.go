package pipeline_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
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

// slowFirst is a stager whose first blob takes a second; beside is how many others
// begin meanwhile.
type slowFirst struct {
	pipeline.Stager
	began  atomic.Int64
	beside int64
}

func (s *slowFirst) Stage(ctx context.Context, name string, produce func(io.Writer) error) (plan.Blob, error) {
	if s.began.Add(1) == 1 {
		time.Sleep(time.Second)
		s.beside = s.began.Load() - 1
	}
	return s.Stager.Stage(ctx, name, produce)
}

// Rows may have grown since their width was learned: what one refused answer tells,
// all calls under way must not be spent on.
func TestCalls_TheFirstSliceOfManyGoesAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes int64 // target of one answer; a row of this world takes 3 to 4
		alone bool
	}{"filled by bytes": {45, true}, "filled by rows": {1 << 30, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1)
				w.fill(300, 48)
				p := &process{world: w}
				migrate := func(change func(*pipeline.Ports)) {
					t.Helper()
					if err := w.pipe(p, change).Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil {
						t.Fatal(err)
					}
				}
				migrate(nil)
				w.now = w.now.Add(48 * time.Hour)
				w.fill(300, 40)
				w.cfg.CallsInFlight, w.cfg.Limits.Bytes = 8, tt.bytes
				s := &slowFirst{Stager: p}
				migrate(func(ports *pipeline.Ports) { ports.Stager = s })
				if s.began.Load() < 10 || (s.beside == 0) != tt.alone {
					t.Errorf("%d of %d slices began beside the first", s.beside, s.began.Load())
				}
			})
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
