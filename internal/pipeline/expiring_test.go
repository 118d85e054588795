package pipeline_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// ageing is a source whose calls take time, while its oldest rows expire.
type ageing struct{ *process }

func (a ageing) pass(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
	held := a.now.Add(-a.cfg.LookBack)
	kept := a.rows[:0:0]
	for _, r := range a.rows {
		if r.at.After(held) {
			kept = append(kept, r)
		}
	}
	a.rows = kept
}

func (a ageing) Count(ctx context.Context, call plan.Caller, q plan.CountQuery) (plan.Counts, error) {
	a.pass(3 * time.Second)
	return a.process.Count(ctx, call, q)
}

func (a ageing) CountBuckets(ctx context.Context, call plan.Caller, t plan.Table, parts []plan.Slice, width int) ([][]plan.BucketCount, error) {
	a.pass(3 * time.Second)
	return a.process.CountBuckets(ctx, call, t, parts, width)
}

func (a ageing) Fetch(ctx context.Context, call plan.Caller, t plan.Table, s plan.Slice, stage pipeline.Stage) (plan.Received, error) {
	a.pass(8 * time.Second)
	return a.process.Fetch(ctx, call, t, s, stage)
}

// TestMigrate_RowsExpireWhileTheyAreCopied is the first run of every table that is
// older than Defender's memory: its first slice is smaller with each look.
func TestMigrate_RowsExpireWhileTheyAreCopied(t *testing.T) {
	for _, tt := range []struct {
		perSecond int
		skew      time.Duration // of our clock; Defender tells age by its own
	}{{1, 0}, {5, 0}, {20, 0}, {5, -4 * time.Hour}} {
		perSecond := tt.perSecond
		t.Run(fmt.Sprint(perSecond, " rows a second, our clock off by ", tt.skew), func(t *testing.T) {
			w := newWorld(8)
			w.skew = tt.skew
			w.cap, w.cfg.Limits.Rows, w.cfg.Budget = 100_000, 95_000, 15*time.Minute
			from := w.now.Add(-w.cfg.LookBack)
			for i := range perSecond * 3600 {
				w.add(from.Add(time.Duration(i) * time.Second / time.Duration(perSecond)).Truncate(plan.Tick))
			}
			for i := range 1000 {
				w.add(w.now.Add(-time.Duration(i+60) * time.Minute))
			}
			p := &process{world: w}
			a := ageing{p}
			pipe := pipeline.New(w.cfg, pipeline.Ports{Source: a, Quota: p, Stager: p, Ingester: p, Verifier: p, ControlTables: p, Store: p, Waker: p, Clock: p}, slog.New(slog.DiscardHandler))
			if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil {
				t.Fatal(err)
			}
			last := w.last()
			if last.Status != plan.Success || last.Calls > 5 || !strings.Contains(last.Note, "expired at Defender") {
				t.Errorf("want Success within 5 calls, and a note: %s", w.story())
			}
			arrived := w.arrived("")
			for _, r := range w.rows {
				if arrived[r.id] != 1 && r.at.Before(w.now.Add(tt.skew-w.cfg.Settle)) {
					t.Fatalf("a row of %v is there %d times", r.at, arrived[r.id])
				}
			}
		})
	}
}
