package pipeline_test

import (
	"slices"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios in which the table moves while it is read, or its keys tie.

// between changes the rows right before the n-th fetch.
func (w *world) between(n int, change func()) {
	w.before(n, "fetch", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		change()
		return nil
	})
}

// newestRow is the index of the row that a table in descending order begins with.
func (w *world) newestRow() int {
	at := 0
	for i, r := range w.rows {
		if r.at.After(w.rows[at].at) {
			at = i
		}
	}
	return at
}

func TestScenario_O6_RowDeletedFromThePartRead(t *testing.T) {
	for name, oldest := range map[string]bool{"the newest": false, "the oldest": true} {
		t.Run(name, func(t *testing.T) {
			w := large(1, 20_001, 20)
			w.between(2, func() {
				i := w.newestRow()
				if oldest {
					i = slices.IndexFunc(w.rows, func(r record) bool { return r.id == 20_000 })
				}
				w.rows = slices.Delete(w.rows, i, i+1)
			})
			w.run(2 * time.Hour)
			w.check(t, w.now.Add(-3*time.Hour))
			// The row was copied before it went, or it was not: never another one with it.
			if n := len(w.arrived("")); n != 20_000 && n != 20_001 {
				t.Errorf("%d rows in ADX", n)
			}
		})
	}
}

func TestScenario_O7_RowsArriveAtTheHead(t *testing.T) {
	w := large(2, 20_000, 20)
	w.between(2, func() {
		for range 500 {
			w.add(w.now)
		}
	})
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	if w.copied(key.Source) != 20_500 {
		t.Errorf("want 20,500 rows:%s", w.story())
	}
}

// A load gives all its rows one timestamp, and the service answers in no order.
func TestScenario_O8_OneTimestampForAllRows(t *testing.T) {
	w := large(3, 0, 1)
	for range 30_000 {
		w.add(w.now.Add(-2 * time.Hour))
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.copied(key.Source) != 30_000 {
		t.Errorf("audit:%s", w.story())
	}
}

// Rows that come with an old business date, or one that was seen before, have an
// arrival time of their own.
func TestScenario_O9_TiesAndLateRows(t *testing.T) {
	w := large(4, 20_000, 20)
	w.run(time.Hour)
	mark := w.states[key].watermark(t)
	for range 2 { // one of the same age as the newest that was copied, one of old age
		w.add(mark.Add(plan.Tick)) // both arrive as soon as arrival can be
	}
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	if w.copied(key.Source) != 20_002 {
		t.Errorf("want 20,002 rows:%s", w.story())
	}
}

// The window ends at an instant, both ends are exact, and nothing arrives with
// the instant of the watermark after the settle time.
func TestScenario_P16_RowAtTheWatermark(t *testing.T) {
	w := large(5, 1_000, 20)
	end := w.now.Add(-w.cfg.Settle)
	w.add(end)
	// What settles late: as young as the settle time allows, visible only later.
	w.after(1, "release", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.add(w.now.Add(-w.cfg.Settle / 2))
		return nil
	})
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	if w.copied(key.Source) != 1_002 {
		t.Errorf("want 1,002 rows:%s", w.story())
	}
}

// A snapshot is loaded anew each day: each copy has its instant, and rows that
// disappeared are in no later one.
func TestScenario_O14_SnapshotReloadedUnchanged(t *testing.T) {
	w := large(6, 20_000, 20)
	w.config[0].LoadType = "Snapshot"
	w.run(time.Minute)
	w.rows = w.rows[:19_000]
	w.now = w.now.Add(24 * time.Hour)
	w.run(time.Minute)
	if w.count(key.Source, plan.Success) != 2 || w.last().RecordCount != 19_000 {
		t.Fatalf("audit:%s", w.story())
	}
	times := map[time.Time]int{}
	for _, e := range w.extents {
		times[e.snapshot] += len(e.ids)
	}
	if len(times) != 2 || times[time.Time{}] != 0 {
		t.Errorf("rows by SnapshotTime: %v", times)
	}
	latest := map[int]int{}
	for _, e := range w.extents {
		if e.runID == w.last().RunID {
			for _, id := range e.ids {
				latest[id]++
			}
		}
	}
	for _, r := range w.rows {
		if latest[r.id] != 1 {
			t.Fatalf("row %d is %d times in the latest snapshot", r.id, latest[r.id])
		}
		delete(latest, r.id)
	}
	if len(latest) > 0 {
		t.Errorf("%d rows that disappeared are in the latest snapshot", len(latest))
	}
}

// The table shrinks before the last page, or the last page fails: the watermark
// comes from the window, not from a page.
func TestScenario_P8_LastPageEmptyOrFailed(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"a row expires": func(w *world) {
			w.between(1, func() { w.rows = slices.Delete(w.rows, len(w.rows)-1, len(w.rows)) })
		},
		"the last page is empty": func(w *world) {
			w.between(6, func() {
				read := w.read()
				w.rows = slices.DeleteFunc(w.rows, func(r record) bool { return !read[r.id] })
			})
		},
		"the last page fails": func(w *world) { w.repeatedly(6, 8, "fetch", unavailable) },
	} {
		t.Run(name, func(t *testing.T) {
			w := large(7, 50_001, 20)
			spoil(w)
			end := w.now.Add(-w.cfg.Settle)
			w.run(time.Hour)
			w.whole(t, w.now.Add(-2*time.Hour))
			if got := w.states[key].watermark(t); got.Sub(end).Abs() > time.Minute {
				t.Errorf("watermark %v, want %v", got, end)
			}
			// Nothing after a run that had rows is counted twice; a quiet table costs one
			// call a tick.
			for _, want := range []int{2, 1} {
				calls := w.calls
				w.run(time.Hour)
				w.whole(t, w.now.Add(-2*time.Hour))
				if w.calls > calls+want {
					t.Errorf("the next tick took %d calls, want %d", w.calls-calls, want)
				}
			}
		})
	}
}

// read returns the rows in blobs that were sent.
func (w *world) read() map[int]bool {
	ids := map[int]bool{}
	for _, in := range w.sent {
		for _, id := range w.idsOf(in.Blob.Path) {
			ids[id] = true
		}
	}
	return ids
}

func TestScenario_P9_RowsDeletedWhileOthersAreRead(t *testing.T) {
	w := large(8, 60_000, 20)
	gone := 0
	w.between(2, func() {
		read := w.read() // the first page
		w.rows = slices.DeleteFunc(w.rows, func(r record) bool {
			if gone < 100 && read[r.id] {
				gone++
				return true
			}
			return false
		})
	})
	w.run(2 * time.Hour)
	if gone != 100 {
		t.Fatalf("%d rows were deleted", gone)
	}
	w.whole(t, w.now.Add(-3*time.Hour))
	if w.copied(key.Source) != 60_000 {
		t.Errorf("want all 60,000, a hundred of them gone since:%s", w.story())
	}
}

// Twenty tied rows lie across the border of two pages; the ingestion of one of
// them fails once.
func TestScenario_P14_TiesAcrossABorder(t *testing.T) {
	w := large(9, 9_490, 20)
	tied := w.rows[0].at
	for range 20 {
		w.add(tied)
	}
	failed := false
	w.fate = func(in plan.Ingestion) fate {
		if !failed && in.Slice > 1 {
			failed = true
			return refused
		}
		return well
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if !failed || w.copied(key.Source) != 9_510 {
		t.Errorf("failed %v, want 9,510 rows:%s", failed, w.story())
	}
}

// More rows tie than one answer can hold, and the answer is cut without a word.
func TestScenario_P15_TieWiderThanAnAnswer(t *testing.T) {
	w := large(10, 0, 1)
	w.cut, w.cap = true, 5_001 // less than a slice is planned to hold
	for range 120_000 {
		w.add(w.now.Add(-3 * time.Hour))
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.copied(key.Source) != 120_000 {
		t.Errorf("audit:%s", w.story())
	}
}

// Rows of one millisecond lie on both sides of every border.
func TestScenario_S3_BorderInsideATie(t *testing.T) {
	w := large(11, 0, 1)
	w.cap, w.cfg.Limits.Rows = 101, 100
	for i := range 2_000 {
		w.add(w.now.Add(-time.Hour - time.Duration(i/150)*time.Millisecond))
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if got := w.last(); got.RecordCount != 2_000 || got.Slices < 20 {
		t.Errorf("audit:%s", w.story())
	}
}

// An answer names a further page under a spelling that nobody reads: what came
// is less than what was counted.
func TestScenario_A1_OnlyTheFirstPageComes(t *testing.T) {
	w := large(12, 9_000, 20)
	w.cut, w.cap = true, 5_001 // of 9,000 rows asked for at once
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.copied(key.Source) != 9_000 {
		t.Errorf("audit:%s", w.story())
	}
}

// Two daily runs over a table that did not change.
func TestScenario_A5_DailyRunsWithoutAKey(t *testing.T) {
	w := large(13, 20_000, 20)
	w.run(time.Minute)
	w.now = w.now.Add(24 * time.Hour)
	extents := len(w.extents)
	w.run(time.Minute)
	w.whole(t, w.now.Add(-time.Hour))
	if len(w.extents) != extents {
		t.Errorf("the second run appended %d extents:%s", len(w.extents)-extents, w.story())
	}
}

// One record stays in the table for thirty hours of ticks.
func TestScenario_E1_OneRecord(t *testing.T) {
	w := large(14, 1, 1)
	w.run(30 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	if w.copied(key.Source) != 1 || w.count(key.Source, plan.Success) < 29 {
		t.Errorf("audit:%s", w.story())
	}
}

// A slow copy leaves no gap behind it, and ticks in quick succession none
// between them.
func TestScenario_E2_SlowAndTooFrequentPolls(t *testing.T) {
	w := large(15, 10_000, 20)
	w.repeatedly(1, 2, "fetch", func(p *process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = w.now.Add(40 * time.Minute)
		w.add(w.now.Add(-20 * time.Minute)) // arrived while the poll went on
		return nil
	})
	w.run(time.Minute)
	for range 30 {
		w.add(w.now)
		if err := w.wake(plan.Manual); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
	}
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	if w.copied(key.Source) != 10_032 {
		t.Errorf("want 10,032 rows:%s", w.story())
	}
	var to time.Time
	for _, a := range w.audits {
		if !to.IsZero() && !a.WindowFrom.Equal(to) {
			t.Errorf("a window begins at %v, the one before ended at %v", a.WindowFrom, to)
		}
		if a.WindowTo.After(a.Timestamp.Add(-w.cfg.Settle)) {
			t.Errorf("a window ends at %v, less than the settle time before %v", a.WindowTo, a.Timestamp)
		}
		to = a.WindowTo
	}
}
