package pipeline_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// spaced is a quota that gives one call every gap, and is the source that takes the
// call: its answers take latency.
type spaced struct {
	*process
	gap, latency time.Duration

	mu       sync.Mutex
	next     time.Time
	given    []time.Time // when a call was given
	begun    []time.Time // when one began
	in, most int
}

func (s *spaced) Take(ctx context.Context, _ string, _ bool) error {
	s.mu.Lock()
	at := time.Now()
	if s.next.After(at) {
		at = s.next
	}
	s.next = at.Add(s.gap)
	s.given = append(s.given, at)
	s.mu.Unlock()
	time.Sleep(time.Until(at))
	return ctx.Err()
}

func (s *spaced) Fetch(ctx context.Context, call plan.Caller, t plan.Table, sl plan.Slice, stage pipeline.Stage) (plan.Received, error) {
	return s.process.Fetch(ctx, slowly{s, call}, t, sl, stage)
}

// slowly makes calls whose answers take their time.
type slowly struct {
	s    *spaced
	call plan.Caller
}

func (c slowly) Do(ctx context.Context, try func(context.Context) error) error {
	return c.call.Do(ctx, func(ctx context.Context) error {
		s := c.s
		s.mu.Lock()
		s.begun = append(s.begun, time.Now())
		s.in++
		s.most = max(s.most, s.in)
		s.mu.Unlock()
		time.Sleep(s.latency)
		s.mu.Lock()
		s.in--
		s.mu.Unlock()
		return try(ctx)
	})
}

// migrate copies a table of so many slices with so many calls in flight.
func (s *spaced) migrate(t *testing.T, rows, inFlight int) {
	t.Helper()
	w := newWorld(1)
	w.fill(rows, 48)
	w.cfg.CallsInFlight = inFlight
	s.process = &process{world: w}
	pipe := w.pipe(s.process, func(ports *pipeline.Ports) { ports.Source, ports.Quota = s, s })
	if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil {
		t.Fatal(err)
	}
	w.check(t, w.now.Add(-time.Hour))
}

// The allowance of a minute, and how long the answer to a large slice takes.
const (
	allowance  = 36
	longAnswer = 20 * time.Second
)

// One table alone has the tenant's whole allowance while it fetches, however long its
// answers take.
func TestScenario_L6_OneTableAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spaced{gap: time.Minute / allowance, latency: longAnswer}
		s.migrate(t, 1_500, 14) // as many as a process takes
		slices.SortFunc(s.begun, time.Time.Compare)
		n := len(s.begun)
		if n < 3*allowance {
			t.Fatalf("%d slices are too few for three minutes", n)
		}
		// The first goes alone where rows may have grown, so its answer is not counted.
		took := s.begun[n-1].Sub(s.begun[1])
		if used := float64(n-2) / allowance / took.Minutes(); used < 0.95 {
			t.Errorf("%d calls in %v: %.2f of the allowance", n-1, took, used)
		}
	})
}

// A place of the process comes before the call: what the quota gave is used at once,
// and no answer waits at the service until there is memory for it.
func TestScenario_L7_NoAnswerWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spaced{gap: time.Second, latency: longAnswer}
		s.migrate(t, 300, 2)
		if s.most != 2 {
			t.Errorf("%d calls in flight, want 2", s.most)
		}
		// Counts are given calls, too, and begin unseen: those of slices come last.
		given := s.given[len(s.given)-len(s.begun):]
		for i := range given {
			if late := s.begun[i].Sub(given[i]); late != 0 {
				t.Fatalf("call %d of %d began %v after the quota gave it", i+1, len(given), late)
			}
		}
	})
}
