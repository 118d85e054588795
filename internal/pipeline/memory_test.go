package pipeline_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// crowd is a sink that keeps each upload open until so many are under way, or
// for a moment.
type crowd struct {
	pipeline.Sink
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
	defer func() {
		c.mu.Lock()
		c.in--
		c.mu.Unlock()
	}()
	select {
	case <-c.gathered:
	case <-time.After(50 * time.Millisecond):
	}
	return c.Sink.Stage(ctx, name, produce)
}

// TestMemory_BoundsTheSlicesInFlight gives a table more slices in flight than the
// process has memory for.
func TestMemory_BoundsTheSlicesInFlight(t *testing.T) {
	tests := []struct {
		name   string
		budget int64
		want   int
	}{
		{"three fit", 3*pipeline.SliceMemory + 1, 3},
		{"less than one is one", 1, 1},
		{"more than the table may have", 100 * pipeline.SliceMemory, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(1)
			w.fill(300, 48)
			w.cfg.Parallel, w.cfg.Memory = 6, tt.budget
			p := &process{world: w}
			c := &crowd{Sink: p, want: tt.want, gathered: make(chan struct{})}
			lane := pipeline.New(w.cfg, pipeline.Ports{Source: p, Quota: p, Sink: c, Journal: p, Store: p, Waker: p, Clock: p}, slog.New(slog.DiscardHandler))
			if err := lane.Migrate(t.Context(), pipeline.Request{Key: key, Trigger: pipeline.Scheduled}); err != nil {
				t.Fatal(err)
			}
			if got := w.last(); got.Slices < 8 {
				t.Fatalf("%d slices are too few for a crowd; audit: %s", got.Slices, w.story())
			}
			if c.most != tt.want {
				t.Errorf("%d slices in flight, want %d", c.most, tt.want)
			}
			w.check(t, w.now.Add(-time.Hour))
		})
	}
}
