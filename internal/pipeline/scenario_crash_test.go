package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// The scenarios of docs/failure-scenarios.md, here those in which a process dies,
// freezes or runs twice.

func TestScenario_O1_KilledBetweenPages(t *testing.T) {
	tests := []struct {
		name, call string
		parallel   int
	}{
		{"before page 2 is asked for", "fetch", 1},
		{"before page 1 is in the ledger", "save ledger", 1},
		{"before page 2 is sent", "enqueue", 1},
		{"with several pages in flight", "enqueue", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := large(1, 50_000, 20)
			w.cfg.CallsInFlight = tt.parallel
			w.before(2, tt.call, kill)
			if err := w.wake(plan.Scheduled); err != errDead {
				t.Fatalf("the process was not killed: %v", err)
			}
			if got := w.newest(key.Source).LastRefreshedTime; got.Year() != 1900 {
				t.Errorf("watermark %v was published before the run ended", got)
			}
			w.run(time.Hour)
			w.whole(t, w.now.Add(-2*time.Hour))
			if got := w.copied(key.Source); got != 50_000 {
				t.Errorf("audit says %d rows, want 50,000:%s", got, w.story())
			}
		})
	}
}

func TestScenario_O2_AnyErrorInTheMiddle(t *testing.T) {
	w := large(2, 50_000, 20)
	w.before(3, "fetch", func(*process) error { return fault.As(fault.Permanent, errForbidden) })
	if err := w.wake(plan.Scheduled); fault.KindOf(err) != fault.Permanent {
		t.Fatalf("got %v", err)
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.count(key.Source, plan.Failed) != 1 || w.copied(key.Source) != 50_000 {
		t.Errorf("want one Failed and 50,000 rows:%s", w.story())
	}
	if got := w.tried["fetch"]; got != 7 {
		t.Errorf("%d fetches for 6 slices and one error, want 7: what was frozen is not asked for again", got)
	}
}

// A first copy that takes many invocations and, since the source finds its whole
// window too heavy to count, two runs.
func TestScenario_O3_LongerThanTheHostAllows(t *testing.T) {
	w := large(3, 6_000, 600)
	w.cap, w.cfg.Limits.Rows = 101, 100
	w.before(1, "count", func(*process) error { return fault.As(fault.Split, errors.New("preempted")) })
	w.repeatedly(1, 0, "fetch", func(p *process) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.now = p.now.Add(30 * time.Second)
		return nil
	})
	began := w.now
	invocations := 0
	for w.count(key.Source, plan.Success) < 2 && invocations < 20 {
		invocations++
		from := w.now
		if err := w.wake(plan.Manual); err != nil { // a tick's would leave it to the one pending
			t.Fatal(err)
		}
		if took := w.now.Sub(from); took > w.cfg.Budget+2*time.Minute {
			t.Errorf("an invocation took %v, budget %v", took, w.cfg.Budget)
		}
	}
	w.whole(t, began.Add(-w.cfg.Settle))
	// Two runs; a third where the reach leaves a rest.
	if invocations < 6 || w.count(key.Source, plan.Success) > 3 || w.count(key.Source, plan.Failed) != 0 {
		t.Errorf("%d invocations; want six or more for two runs, none failed:%s", invocations, w.story())
	}
	pages := 0
	for _, a := range w.audits {
		pages += a.Slices
	}
	if got := w.tried["fetch"]; got != pages {
		t.Errorf("%d fetches for %d slices: something was read twice", got, pages)
	}
}

func TestScenario_O29_ScheduleOverlapsAManualRun(t *testing.T) {
	w := large(4, 50_000, 20)
	w.before(3, "fetch", func(p *process) error {
		if err := w.wake(plan.Manual); err != nil {
			t.Errorf("the second run: %v", err)
		}
		return nil
	})
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.tried["acquire"] < 2 || w.tried["fetch"] != 6 {
		t.Errorf("%d starts, %d fetches; want two starts or more and 6 fetches", w.tried["acquire"], w.tried["fetch"])
	}
}

// Two starts at the same instant, on two instances of the app.
func TestScenario_P12_TwoStarts(t *testing.T) {
	w := large(5, 60_000, 20)
	var starts sync.WaitGroup
	for range 2 {
		starts.Go(func() {
			if err := w.wake(plan.Manual); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if got := w.copied(key.Source); got != 60_000 {
		t.Errorf("audit says %d rows:%s", got, w.story())
	}
}

func TestScenario_P7_HostStopsHalfWay(t *testing.T) {
	w := paged(6, 9_500, 20)
	w.before(7, "fetch", kill)
	if err := w.wake(plan.Scheduled); err != errDead {
		t.Fatalf("the process was not killed: %v", err)
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if got := w.tried["fetch"]; got != 11 {
		t.Errorf("%d fetches for 10 slices and one kill, want 11", got)
	}
	if w.copied(key.Source) != 9_500 {
		t.Errorf("the audit row of the run must count what both processes copied:%s", w.story())
	}
}

// A snapshot that breaks off is not shown, is not taken for whole, and is the
// same snapshot when it goes on.
func TestScenario_S2_ErrorInTheMiddleOfASnapshot(t *testing.T) {
	w := large(7, 50_000, 20)
	w.config[0].LoadType = "Snapshot"
	w.before(3, "fetch", func(*process) error { return fault.As(fault.Retry, errNet) })
	if err := w.wake(plan.Scheduled); fault.KindOf(err) != fault.Retry {
		t.Fatalf("got %v, want a retry", err)
	}
	if w.count(key.Source, plan.Success)+w.count(key.Source, plan.Torn) > 0 {
		t.Errorf("half a snapshot is reported as whole:%s", w.story())
	}
	w.run(10 * time.Minute)
	w.whole(t, w.now)
	runs := map[string]bool{}
	for _, e := range w.extents {
		runs[e.runID] = true
	}
	if len(runs) != 1 || w.copied(key.Source) != 50_000 {
		t.Errorf("%d runs, want the one that was begun:%s", len(runs), w.story())
	}
}

// The host gives up on an invocation that still runs and delivers its message
// again: the first process is frozen at some call, a second takes the lease over
// and ends the run, and then the first goes on.
func TestScenario_F1_TimedOutInvocationKeepsRunning(t *testing.T) {
	for at, n := range map[string]int{"count": 1, "fetch": 2, "stage": 2, "save ledger": 3, "enqueue": 2, "landed": 1, "save state": 2, "deliver": 1} {
		t.Run(at, func(t *testing.T) {
			w := paged(8, 3_000, 20)
			w.before(n, at, func(p *process) error {
				w.mu.Lock()
				w.now = w.now.Add(2 * lease)
				w.states[key].leased = time.Time{} // nobody renewed it
				w.mu.Unlock()
				w.run(time.Hour)
				return nil
			})
			_ = w.wake(plan.Scheduled) // who lost the table may say so
			w.run(3 * time.Hour)
			w.whole(t, w.now.Add(-2*time.Hour))
			if got := w.count(key.Source, plan.Surplus); got > 0 {
				t.Errorf("rows came in twice:%s", w.story())
			}
		})
	}
}

// The service's tag cannot be relied on across a different division of the rows,
// so a slice that was promised is only ever sent as the same blob.
func TestScenario_K3_RetryKeepsThePartition(t *testing.T) {
	for _, call := range []string{"enqueue", "landed", "save ledger"} {
		w := paged(9, 5_000, 20)
		for n := range 3 {
			w.before(2+2*n, call, kill)
		}
		w.fate = func(in plan.Ingestion) fate {
			if len(w.sent)%2 == 0 {
				return lost
			}
			return well
		}
		w.run(time.Hour)
		w.mend()
		w.run(3 * time.Hour)
		w.whole(t, w.now.Add(-2*time.Hour))
		first := map[string]plan.Blob{}
		again := 0
		for _, in := range w.sent {
			tag := plan.IngestTag(in.RunID, in.Slice)
			if was, ok := first[tag]; ok {
				again++
				if diff := cmp.Diff(was, in.Blob); diff != "" {
					t.Errorf("%s was sent as another blob (-first +again):\n%s", tag, diff)
				}
			}
			first[tag] = in.Blob
		}
		if again == 0 {
			t.Errorf("nothing was sent twice around %s", call)
		}
	}
}

// Two tables migrate in one process at the same time.
func TestScenario_P21_TwoTablesInOneProcess(t *testing.T) {
	w := large(10, 20_000, 20)
	w.table("DeviceProcessEvents")
	for range 20_000 {
		w.add(w.now.Add(-time.Hour)).source = "DeviceProcessEvents"
	}
	p := &process{world: w}
	pipe := pipeline.New(w.cfg, pipeline.Ports{Source: p, Quota: p, Stager: p, Ingester: p, Verifier: p, ControlTables: p, Store: p, Waker: p, Clock: p}, slog.New(slog.DiscardHandler))
	var both sync.WaitGroup
	for _, source := range w.sources() {
		both.Go(func() {
			if err := pipe.Migrate(context.Background(), pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Source: source}, Trigger: plan.Scheduled}}); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	destination := map[string]string{}
	for _, e := range w.extents {
		if was, ok := destination[e.runID]; ok && was != e.destination {
			t.Errorf("run %s wrote into %s and %s", e.runID, was, e.destination)
		}
		destination[e.runID] = e.destination
	}
	for _, a := range w.audits {
		if a.RecordCount > 0 && destination[a.RunID] != a.TableName {
			t.Errorf("audit row of %s names run %s of %s", a.TableName, a.RunID, destination[a.RunID])
		}
	}
}
