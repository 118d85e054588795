package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// An ADX that takes no rows for days must not let the state grow without end: the
// oldest failures go, what was published and copied stays.
func TestMigrate_RowsThatWaitForADXAreBounded(t *testing.T) {
	w := newWorld(310)
	w.fill(60, 10)
	w.repeatedly(1, 0, "deliver", func(*process) error { return fault.As(fault.Retry, errNet) })
	w.before(1, "fetch", kill)
	_ = w.wake(plan.Scheduled)
	state := func() (s plan.TableState) {
		t.Helper()
		if err := json.Unmarshal(w.states[key].body, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := state()
	if s.OpenRun == "" {
		t.Fatal("no run is open")
	}
	row := s.Table.Row()
	s.Outbox = []plan.Outgoing{{Tag: "audit", Audit: &plan.Audit{Status: plan.Success}}, {Tag: "row", Config: &row}}
	body, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	w.states[key].body = body

	n := 0
	w.repeatedly(1, 0, "read ledger", func(*process) error {
		n++
		return fault.As(fault.Permanent, fmt.Errorf("refusal %d", n))
	})
	w.run(80 * hour)
	s = state()
	if n < 80 || len(s.Outbox) > 50 || len(s.Outbox) < 3 || s.Outbox[0].Tag != "audit" || s.Outbox[1].Tag != "row" {
		t.Fatalf("after %d failures %d rows wait, want 50 with those of the run that ended", n, len(s.Outbox))
	}
	first, last := s.Outbox[2].Audit.FailureReason, s.Outbox[len(s.Outbox)-1].Audit.FailureReason
	if strings.HasSuffix(first, "refusal 1") || first == last {
		t.Errorf("the oldest failure is kept, %q, before %q", first, last)
	}
}

// urgency notes how urgent the calls of a table were.
type urgency struct {
	*process
	mu    sync.Mutex
	calls map[bool]int
}

func (u *urgency) Take(ctx context.Context, table string, urgent bool) error {
	u.mu.Lock()
	u.calls[urgent]++
	u.mu.Unlock()
	return u.process.Take(ctx, table, urgent)
}

// A snapshot must be whole before its source changes, while events can wait.
func TestMigrate_SnapshotsGoFirstInTheQuota(t *testing.T) {
	for load, urgent := range map[string]bool{"Snapshot": true, "Full": false} {
		w := newWorld(311)
		w.fill(60, 10)
		w.config[0].LoadType = load
		u := &urgency{process: &process{world: w}, calls: map[bool]int{}}
		p := pipeline.New(w.cfg, pipeline.Ports{Source: u, Quota: u, Stager: u.process, Ingester: u.process, Verifier: u.process, ControlTables: u, Store: u, Waker: u, Clock: u}, slog.New(slog.DiscardHandler))
		err := p.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}})
		if err != nil || u.calls[urgent] == 0 || u.calls[!urgent] > 0 {
			t.Errorf("%s: %d urgent calls and %d others, %v", load, u.calls[true], u.calls[false], err)
		}
	}
}

// cutting shortens a row of each answer, as a stage does with one that ADX does not
// take.
type cutting struct{ *process }

func (c cutting) Fetch(ctx context.Context, call plan.Caller, t plan.Table, s plan.Slice, stage pipeline.Stage) (plan.Received, error) {
	got, err := c.process.Fetch(ctx, call, t, s, stage)
	got.Cut = min(1, got.Rows)
	return got, err
}

func TestMigrate_RowsCutOnTheirWayAreNoted(t *testing.T) {
	w := newWorld(312)
	w.fill(60, 10)
	c := cutting{&process{world: w}}
	p := pipeline.New(w.cfg, pipeline.Ports{Source: c, Quota: c, Stager: c, Ingester: c, Verifier: c, ControlTables: c, Store: c, Waker: c, Clock: c}, slog.New(slog.DiscardHandler))
	err := p.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}})
	last := w.last()
	if want := fmt.Sprintf("%d rows were larger than ADX takes", last.Slices); err != nil || last.Slices == 0 || !strings.Contains(last.Note, want) {
		t.Errorf("%v; the audit row notes %q, want %q", err, last.Note, want)
	}
	w.check(t, w.now.Add(-2*time.Hour))
}
