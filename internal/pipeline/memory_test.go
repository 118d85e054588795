package pipeline_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// crowd is a sink that keeps the rows of each slice waiting until those of so
// many flow, or for a moment.
type crowd struct {
	pipeline.Sink
	want int

	mu         sync.Mutex
	in, most   int
	gathered   chan struct{}
	gatherOnce sync.Once
}

func (c *crowd) Stage(ctx context.Context, name string, produce func(io.Writer) error) (plan.Blob, error) {
	return c.Sink.Stage(ctx, name, func(w io.Writer) error {
		f := &flow{crowd: c, w: w}
		defer f.end()
		return produce(f)
	})
}

// unhurried is a source that hands its rows over outside the world's lock.
type unhurried struct{ *process }

func (u unhurried) Fetch(ctx context.Context, t plan.Table, s plan.Slice, w io.Writer) (plan.Received, error) {
	var rows bytes.Buffer
	got, err := u.process.Fetch(ctx, t, s, &rows)
	if err == nil {
		_, err = rows.WriteTo(w)
	}
	return got, err
}

// flow is the rows of one slice.
type flow struct {
	*crowd
	w     io.Writer
	begun bool
}

func (f *flow) Write(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		f.mu.Lock()
		f.in++
		f.most = max(f.most, f.in)
		if f.in == f.want {
			f.gatherOnce.Do(func() { close(f.gathered) })
		}
		f.mu.Unlock()
		select {
		case <-f.gathered:
		case <-time.After(50 * time.Millisecond):
		}
	}
	return f.w.Write(p)
}

func (f *flow) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun {
		f.in--
	}
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
			lane := pipeline.New(w.cfg, pipeline.Ports{Source: unhurried{p}, Quota: p, Sink: c, ControlTables: p, Store: p, Waker: p, Clock: p}, slog.New(slog.DiscardHandler))
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

// unwell is a source of which one table never answers well.
type unwell struct {
	*process
	table   string
	waiting chan struct{} // closed when that table pauses
	once    sync.Once
}

func (u *unwell) Fetch(ctx context.Context, t plan.Table, s plan.Slice, w io.Writer) (plan.Received, error) {
	if t.Source == u.table {
		u.once.Do(func() { close(u.waiting) })
		<-ctx.Done()
		return plan.Received{}, ctx.Err()
	}
	return u.process.Fetch(ctx, t, s, w)
}

// TestMemory_WhoWaitsForAnAnswerHoldsNone gives the process memory for one slice,
// and one table that waits for its answer for ever.
func TestMemory_WhoWaitsForAnAnswerHoldsNone(t *testing.T) {
	w := newWorld(1)
	w.fill(30, 10)
	w.table("Silent")
	for range 5 {
		w.add(w.now.Add(-time.Hour)).source = "Silent"
	}
	w.cfg.Memory = pipeline.SliceMemory
	p := &process{world: w}
	u := &unwell{process: p, table: "Silent", waiting: make(chan struct{})}
	lane := pipeline.New(w.cfg, pipeline.Ports{Source: u, Quota: p, Sink: p, ControlTables: p, Store: p, Waker: p, Clock: p}, slog.New(slog.DiscardHandler))
	ctx, end := context.WithCancel(t.Context())
	var silent sync.WaitGroup
	silent.Go(func() {
		_ = lane.Migrate(ctx, pipeline.Request{Key: plan.Key{Source: "Silent"}, Trigger: pipeline.Scheduled})
	})
	<-u.waiting
	if err := lane.Migrate(t.Context(), pipeline.Request{Key: key, Trigger: pipeline.Scheduled}); err != nil {
		t.Error(err)
	}
	end()
	silent.Wait()
	if w.copied(key.Source) != 30 {
		t.Errorf("audit: %s", w.story())
	}
}
