package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// halfFirst makes the first blob arrive in part.
func halfFirst(w *world) {
	n := 0
	w.fate = func(plan.Ingestion) fate {
		if n++; n == 1 {
			return partial
		}
		return well
	}
}

// complete lets the rest of every half slice arrive after all.
func (w *world) complete() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.extents {
		e := &w.extents[i]
		for _, in := range w.sent {
			if in.RunID == e.runID && in.Slice == e.slice {
				e.ids = w.idsOf(in.Blob.Path)
			}
		}
	}
}

func TestMigrate_KilledRightAfterHidingASlice(t *testing.T) {
	w := paged(201, 2_000, 20)
	halfFirst(w)
	w.after(1, "void", func(*process) error { w.complete(); return errDead })
	w.run(4 * hour)
	w.whole(t, w.now.Add(-2*hour))
}

func TestMigrate_FrozenBeforeHidingASlice(t *testing.T) {
	w := paged(202, 2_000, 20)
	halfFirst(w)
	// Its last call before it looks whether the lease is still its own.
	w.after(1, "staged", func(*process) error {
		w.mu.Lock()
		w.now = w.now.Add(2 * lease)
		w.states[key].leased = w.now
		w.mu.Unlock()
		w.complete()
		_ = w.wake(plan.Scheduled) // a second process finishes the run
		return nil                 // and the frozen one goes on
	})
	w.run(4 * hour)
	w.whole(t, w.now.Add(-2*hour))
	if len(w.voids) != 1 || w.tried["void"] != 1 {
		t.Errorf("%d slices were hidden, in %d calls: the frozen process hid one, too", len(w.voids), w.tried["void"])
	}
}

func TestMigrate_AStagedBlobGoneArrivesAfterAll(t *testing.T) {
	w := newWorld(203)
	w.fill(100, 20)
	w.delay = 1000 * hour
	w.run(time.Minute)
	kept, late := w.staged, w.pending
	w.staged, w.pending = map[string][]byte{}, nil
	w.delay = time.Second
	w.run(6 * hour)
	for k, v := range kept {
		w.staged[k] = v
	}
	for _, a := range late {
		a.at = w.now
		w.pending = append(w.pending, a)
	}
	w.run(hour)
	w.check(t, w.now.Add(-2*hour))
}

func TestMigrate_OldLedgerLeftOpenIsNotTakenUp(t *testing.T) {
	w := newWorld(104)
	w.fill(100, 10)
	killed := false
	w.ill = append(w.ill, &mishap{call: "save state", after: true, do: func(*process) error {
		var s plan.TableState
		if err := json.Unmarshal(w.states[key].body, &s); err != nil {
			return err
		}
		if killed || s.Watermark.Year() < 2000 || s.OpenRun != "" {
			return nil
		}
		killed = true
		return errDead
	}})
	if err := w.wake(plan.Scheduled); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	w.mend()
	for range 5 {
		w.fill(20, 0.1)
		w.run(hour)
	}
	clear(w.states)
	w.run(3 * hour)
	w.check(t, w.now.Add(-2*hour))
}

func TestMigrate_SwitchedOffAndTheStateLost(t *testing.T) {
	w := newWorld(101)
	w.fill(100, 10)
	w.run(time.Minute)
	w.now = w.now.Add(10 * time.Minute)
	w.edit(func(r *plan.Row) { r.IsActive, r.RunID, r.Generation = false, "", 0 })
	clear(w.states)
	n := len(w.extents)
	w.fill(50, 0.1)
	w.run(6 * hour)
	if len(w.extents) != n {
		t.Errorf("a table that is switched off was copied: %s", w.story())
	}
}

func TestMigrate_RowsThatNobodyVouchesForStopATableWithoutState(t *testing.T) {
	stopped := func(t *testing.T) *world {
		w := newWorld(106)
		w.fill(100, 10)
		w.ill = append(w.ill, &mishap{call: "enqueue", after: true, do: func(*process) error { return errDead }})
		if err := w.wake(plan.Scheduled); !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		w.mend()
		w.now = w.now.Add(time.Hour)
		w.land()
		clear(w.states)
		clear(w.ledgers)
		n := len(w.extents)
		w.run(3 * hour)
		last := w.last()
		if n == 0 || len(w.extents) != n || last.Status != plan.Failed || !strings.Contains(last.FailureReason, w.extents[0].runID) || !strings.Contains(last.FailureReason, ".set-or-append") {
			t.Fatalf("%d extents, then %d; audit: %s", n, len(w.extents), w.story())
		}
		return w
	}
	t.Run("hidden", func(t *testing.T) {
		w := stopped(t)
		w.voids[fmt.Sprint(w.extents[0].runID, -1)] = true
		w.run(3 * hour)
		w.check(t, w.now.Add(-2*hour))
		if w.last().Status != plan.Success {
			t.Errorf("audit: %s", w.story())
		}
	})
	t.Run("vouched for", func(t *testing.T) {
		w := stopped(t)
		upTo := w.rows[len(w.rows)-1].at
		w.edit(func(r *plan.Row) { r.RunID, r.LastRefreshedTime = w.extents[0].runID, upTo })
		n := len(w.extents)
		w.fill(30, 0.5)
		w.run(3 * hour)
		if w.last().Status != plan.Success || len(w.extents) == n {
			t.Errorf("audit: %s", w.story())
		}
	})
}

func TestMigrate_RowsThatNobodyVouchesForMayStillBeOnTheirWay(t *testing.T) {
	w := newWorld(106)
	w.fill(100, 10)
	w.delay = 3 * time.Minute
	w.ill = append(w.ill, &mishap{call: "enqueue", after: true, do: func(*process) error { return errDead }})
	if err := w.wake(plan.Scheduled); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	w.mend()
	clear(w.states)
	clear(w.ledgers)
	w.run(3 * hour)
	last := w.last()
	if last.Status != plan.Failed || !strings.Contains(last.FailureReason, w.extents[0].runID) || w.count(key.Source, plan.Success) > 0 {
		t.Fatalf("audit: %s", w.story())
	}
	w.voids[fmt.Sprint(w.extents[0].runID, -1)] = true
	w.run(3 * hour)
	w.check(t, w.now.Add(-2*hour))
	if w.last().Status != plan.Success {
		t.Errorf("audit: %s", w.story())
	}
}

// A restarted snapshot leaves rows that show nowhere; they accuse nobody later.
func TestMigrate_SnapshotBegunAgainThenIncremental(t *testing.T) {
	w := snapshot(71)
	w.before(2, "fetch", w.exchange)
	w.run(10 * time.Minute)
	w.edit(func(r *plan.Row) { r.LoadType = "Incr" })
	w.run(5 * hour)
	if w.last().Status != plan.Success {
		t.Errorf("audit: %s", w.story())
	}
}

// A copy that comes in when its run is over is reported by the next run.
func TestMigrate_ACopyAfterTheEndIsReported(t *testing.T) {
	w := newWorld(12)
	w.fill(100, 10)
	w.run(time.Minute)
	copied := w.extents[1]
	w.extents = append(w.extents, copied)
	w.run(3 * hour)
	if w.count(key.Source, plan.Surplus) != 1 {
		t.Errorf("want one Surplus row: %s", w.story())
	}
	for _, a := range w.audits {
		if a.Status == plan.Surplus && (a.RunID != copied.runID || a.RecordCount != int64(len(copied.ids)) || !strings.Contains(a.FailureReason, ".delete")) {
			t.Errorf("audit: %s", w.story())
		}
	}
}

// Copies that come again and again are reported; of a further one that comes later
// somebody has to hear as well.
func TestMigrate_AFurtherCopyIsReportedToo(t *testing.T) {
	w := newWorld(12)
	w.fill(100, 10)
	w.twins(100)
	w.run(5 * time.Minute)
	last := slices.MaxFunc(w.extents, func(a, b extent) int { return a.slice - b.slice }) // its third number
	w.extents = append(w.extents, last)
	w.run(3 * hour)
	if n := w.count(key.Source, plan.Surplus); n != 2 {
		t.Errorf("%d Surplus rows, want 2: %s", n, w.story())
	}
}

// Rows that have grown since their width was learned cost two refusals and not one
// for each slice.
func TestMigrate_RowsThatHaveGrownArePackedAgain(t *testing.T) {
	w := newWorld(21)
	w.cfg.Limits.Bytes = 40_000_000
	w.fill(60, 10)
	w.run(time.Minute)
	w.now = w.now.Add(time.Hour)
	w.fill(600, 0.8)
	w.now = w.now.Add(time.Hour)
	w.cap = 12
	fetches, blobs := w.tried["fetch"], len(w.sent)
	w.run(time.Minute)
	w.check(t, w.now.Add(-30*time.Minute))
	refused, sent := w.tried["fetch"]-fetches-(len(w.sent)-blobs), len(w.sent)-blobs
	if w.last().Status != plan.Success || sent < 50 || refused > 4 {
		t.Errorf("%d blobs, %d answers refused: %s", sent, refused, w.story())
	}
}

// A service that refuses for a while, whatever the size, must not shrink what comes
// after, in this run or the next.
func TestMigrate_RefusalsDoNotShrinkSlicesWithoutEnd(t *testing.T) {
	w := newWorld(22)
	w.cfg.Limits = plan.Limits{Rows: 15, Bytes: 40_000_000}
	w.fill(60, 10)
	w.run(time.Minute)
	width := func() float64 {
		var s plan.TableState
		if err := json.Unmarshal(w.states[key].body, &s); err != nil {
			t.Fatal(err)
		}
		return s.Width
	}
	learned := width()
	w.now = w.now.Add(time.Hour)
	w.fill(600, 0.8)
	w.now = w.now.Add(time.Hour)
	before := w.calls
	w.repeatedly(1, 14, "fetch", func(*process) error { return fault.As(fault.Split, errors.New("low memory")) })
	w.run(time.Minute)
	w.check(t, w.now.Add(-30*time.Minute))
	if calls := w.calls - before; w.last().Status != plan.Success || calls > 150 {
		t.Errorf("%d calls for 600 rows in slices of 15: %s", calls, w.story())
	}
	if now := width(); now > 2*learned {
		t.Errorf("%v bytes a row were learned, then %v", learned, now)
	}
}

// The table of the last run may be gone when the next one begins.
func TestMigrate_TheLastRunsTableIsGone(t *testing.T) {
	w := newWorld(14)
	w.fill(30, 10)
	w.run(time.Minute)
	w.fill(10, 0.1)
	w.before(1, "landed", func(*process) error { return fault.As(fault.Permanent, errors.New("no such table")) })
	w.run(3 * hour)
	w.check(t, w.now.Add(-2*hour))
	if w.last().Status != plan.Success || w.count(key.Source, plan.Failed) > 0 {
		t.Errorf("audit: %s", w.story())
	}
}

func TestMigrate_RedeliveredBetweenTwoRunsGoesOn(t *testing.T) {
	w := newWorld(1)
	w.fill(300, 700)
	w.before(1, "count", func(*process) error { return fault.As(fault.Split, errors.New("too heavy")) })
	w.before(1, "foreign", func(*process) error { return fault.As(fault.Retry, errors.New("ADX 503")) })
	w.run(50 * time.Minute)
	w.check(t, w.now.Add(-2*hour))
}

func TestMigrate_LedgerOfARewoundRunLost(t *testing.T) {
	w := newWorld(9)
	w.fill(100, 10)
	w.run(time.Minute)
	w.now = w.now.Add(5 * time.Minute)
	n := len(w.extents)
	back := w.now.Add(-9 * hour)
	w.edit(func(r *plan.Row) {
		r.RunID, r.Generation, r.LastRefreshedTime, r.LastRefreshedTimeInString = "", 0, back, ""
	})
	w.now = w.now.Add(5 * time.Minute)
	w.before(2, "fetch", kill)
	if err := w.wake(plan.Scheduled); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	w.mend()
	clear(w.ledgers)
	w.run(3 * hour)
	again := 0
	for _, e := range w.extents[n:] {
		if !w.voids[fmt.Sprint(e.runID, -1)] {
			again += len(e.ids)
		}
	}
	if again < 80 || again > 100 {
		t.Errorf("%d rows were copied again, want those of nine of ten hours, once: %s", again, w.story())
	}
}

func TestMigrate_CopiesOfOurRowsAreTheUsersWord(t *testing.T) {
	t.Run("off and on between two attempts", func(t *testing.T) {
		w := newWorld(103)
		w.fill(100, 10)
		w.run(time.Minute)
		w.now = w.now.Add(10 * time.Minute)
		w.edit(func(r *plan.Row) { r.IsActive = false })
		w.now = w.now.Add(time.Minute)
		w.edit(func(r *plan.Row) { r.IsActive = true })
		w.now = w.now.Add(2 * time.Minute)
		if err := w.wake(plan.Scheduled); err != nil {
			t.Fatal(err)
		}
		if r := w.newest(key.Source); !r.IsActive {
			t.Errorf("the user's last word was on; newest row %+v", r)
		}
	})
	t.Run("a typo mended by appending our row again", func(t *testing.T) {
		w := newWorld(301)
		w.fill(100, 10)
		w.run(time.Minute)
		good := w.newest(key.Source)
		w.now = w.now.Add(10 * time.Minute)
		w.edit(func(r *plan.Row) { r.LoadType = "Snapshott" })
		w.now = w.now.Add(5 * time.Minute)
		good.Ingested = w.now
		w.config = append(w.config, good)
		w.run(3 * hour)
		if n := w.count(key.Source, plan.Failed); n > 0 {
			t.Errorf("%d failures after the row was mended: %s", n, w.story())
		}
	})
	t.Run("a row without watermark changes a column only", func(t *testing.T) {
		w := newWorld(112)
		w.fill(100, 10)
		w.run(time.Minute)
		w.now = w.now.Add(10 * time.Minute)
		w.config = append(w.config, plan.Row{SourceTable: key.Source, DestinationTable: "DeviceInfoRaw", WatermarkColumn: "None",
			LoadType: "Full", IsActive: true, Frequency: "1h", Ingested: w.now})
		w.run(3 * hour)
		w.check(t, w.now.Add(-2*hour))
	})
	t.Run("a watermark of ours from long ago is no rewind", func(t *testing.T) {
		w := newWorld(302)
		w.fill(100, 10)
		w.run(3 * hour)
		old := w.newest(key.Source)
		for range 40 {
			w.add(w.now)
			w.run(hour)
		}
		w.now = w.now.Add(10 * time.Minute)
		old.Frequency, old.Ingested = "2h", w.now
		w.config = append(w.config, old)
		w.run(3 * hour)
		w.check(t, w.now.Add(-2*hour))
	})
}

func TestMigrate_GoesOnWhenTheOtherAppHasStopped(t *testing.T) {
	w := newWorld(105)
	w.fill(10, 5)
	w.run(time.Minute)
	w.extents = append(w.extents, extent{runID: "other120261101000000aaaaaaaa", slice: 1, destination: "DeviceInfoRaw", at: w.now.Add(time.Minute)})
	w.run(4 * hour)
	if failed := w.count(key.Source, plan.Failed); failed > 2 || w.last().Status != plan.Success {
		t.Errorf("%d failures, the last row %s: %s", failed, w.last().Status, w.story())
	}
}

func TestMigrate_WakeUpsOfALongWaitMakeOneRun(t *testing.T) {
	w := newWorld(107)
	w.config[0].LoadType = "Snapshot"
	w.fill(100, 10)
	w.before(1, "count", throttled(12*hour))
	w.run(11*hour + 50*time.Minute)
	w.run(hour / 2)
	if n := w.count(key.Source, plan.Success); n > 2 {
		t.Errorf("%d snapshots within half an hour", n)
	}
}

func TestMigrate_TheDeadlineLeavesAnAuditRow(t *testing.T) {
	w := newWorld(108)
	w.fill(100, 10)
	ctx, cancel := context.WithCancel(context.Background())
	w.before(3, "fetch", func(*process) error { cancel(); return ctx.Err() })
	p := &process{world: w}
	pipe := pipeline.New(w.cfg, pipeline.Ports{Source: p, Quota: p, Stager: p, Ingester: p, Verifier: p, ControlTables: p, Store: p, Waker: p, Clock: p}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := pipe.Migrate(ctx, pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); fault.KindOf(err) != fault.Retry || len(w.audits) == 0 {
		t.Errorf("%v with %d audit rows, want a retry and its row", err, len(w.audits))
	}
}

func TestMigrate_SnapshotSlicesKeepTheTarget(t *testing.T) {
	w := newWorld(113)
	w.config[0].LoadType = "Snapshot"
	w.cap, w.cfg.Limits.Rows = 5, 3
	w.fill(240, 10)
	for i := range w.rows {
		w.rows[i].bucket %= 40 * 256 // six rows in each of forty ranges, target three
	}
	w.run(30 * time.Minute)
	for _, b := range w.ledgers {
		var l plan.Ledger
		if err := json.Unmarshal(b.body, &l); err != nil {
			t.Fatal(err)
		}
		if n := l.Count(plan.Retired); n > 0 {
			t.Errorf("%d of %d slices were refused and divided", n, len(l.Slices))
		}
	}
	w.check(t, w.now)
}

func TestMigrate_ASliceThatPanicsIsAnError(t *testing.T) {
	w := newWorld(115)
	w.fill(50, 10)
	w.before(2, "fetch", func(*process) error { panic("a row nobody thought of") })
	err := w.wake(plan.Scheduled)
	if fault.KindOf(err) != fault.Permanent || w.last().Status != plan.Failed {
		t.Errorf("%v, want a permanent error and its audit row: %s", err, w.story())
	}
}

func TestMigrate_APlanThatFailsSaysItsCalls(t *testing.T) {
	w := newWorld(31)
	w.fill(30, 10)
	w.before(1, "count", func(*process) error { return fault.As(fault.Permanent, errors.New("no such table")) })
	if err := w.wake(plan.Scheduled); fault.KindOf(err) != fault.Permanent {
		t.Fatal(err)
	}
	if got := w.last(); got.Status != plan.Failed || got.RunID != "" || got.Calls != 1 {
		t.Errorf("want one call in the audit row: %s", w.story())
	}
}
