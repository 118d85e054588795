package pipeline_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// diary notes in which order a source and the quota were asked.
type diary struct {
	*process
	mu    sync.Mutex
	notes []string
}

func (d *diary) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, what)
}

func (d *diary) Ready(context.Context) error { d.note("ready"); return nil }

func (d *diary) Take(ctx context.Context, table string, urgent bool) error {
	d.note("take")
	return d.process.Take(ctx, table, urgent)
}

// TestMigrate_TakesACallOnlyWhenItCanBegin: whoever waits for a token with a call
// in hand makes it later, together with others, over the quota.
func TestMigrate_TakesACallOnlyWhenItCanBegin(t *testing.T) {
	w := newWorld(1)
	w.fill(60, 10)
	d := &diary{process: &process{world: w}}
	pipe := pipeline.New(w.cfg, pipeline.Ports{Source: d, Quota: d, Stager: d.process, Ingester: d.process, Verifier: d.process, ControlTables: d, Store: d, Waker: d, Clock: d}, slog.New(slog.DiscardHandler))
	if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil || w.last().Status != plan.Success {
		t.Fatalf("%v: %s", err, w.story())
	}
	w.check(t, w.now.Add(-2*time.Hour))
	if len(d.notes) < 6 {
		t.Fatalf("notes: %q", d.notes)
	}
	for i, what := range d.notes {
		if want := []string{"ready", "take"}[i%2]; what != want {
			t.Fatalf("notes: %q", d.notes)
		}
	}
}
