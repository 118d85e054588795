package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// liar is a source whose answers are well formed and lack rows.
type liar struct {
	*process
	counts  int                                        // of CountBuckets and Count so far
	count   func(call int, c *plan.Counts)             // spoils an answer of Count
	buckets func(call int, parts [][]plan.BucketCount) // spoils one of CountBuckets
}

func (l *liar) Count(ctx context.Context, call plan.Caller, q plan.CountQuery) (plan.Counts, error) {
	c, err := l.process.Count(ctx, call, q)
	if l.counts++; err == nil && l.count != nil {
		l.count(l.counts, &c)
	}
	return c, err
}

func (l *liar) CountBuckets(ctx context.Context, call plan.Caller, t plan.Table, parts []plan.Slice, width int) ([][]plan.BucketCount, error) {
	out, err := l.process.CountBuckets(ctx, call, t, parts, width)
	if l.counts++; err == nil && l.buckets != nil {
		l.buckets(l.counts, out)
	}
	return out, err
}

// lie runs the world for the duration, a tick an hour, with spoilt answers.
func (w *world) lie(t *testing.T, d time.Duration, l *liar) {
	t.Helper()
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(time.Hour) {
		l.process = &process{world: w}
		pipe := w.pipe(l.process, func(ports *pipeline.Ports) { ports.Source = l })
		w.messages = nil
		for range 50 {
			err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}})
			if err == nil && len(w.messages) == 0 {
				break
			}
			if len(w.messages) > 0 {
				w.now, w.messages = w.messages[0].visible, nil
			} else {
				w.now = w.now.Add(time.Minute)
			}
		}
	}
}

// nth calls f for the n-th count.
func nth[T any](n int, f func(T)) func(int, T) {
	return func(call int, answer T) {
		if call == n {
			f(answer)
		}
	}
}

func TestScenario_R1_AnswersThatLackRows(t *testing.T) {
	empty := func(parts [][]plan.BucketCount) { clear(parts) }
	last := func(parts [][]plan.BucketCount) { parts[len(parts)-1] = nil }
	none := func(c *plan.Counts) { c.Bins, c.Buckets, c.Nulls, c.Later = nil, nil, 0, 0 }
	tie := func(w *world) { // one bin of a hundred rows
		for range 100 {
			w.add(w.now.Add(-5 * time.Hour))
		}
	}
	spread := func(w *world) { w.fill(200, 20) }
	grown := func(w *world) { // bytes a row that are learned by the first slice
		w.cfg.Limits = plan.Limits{Rows: 1000, Bytes: 30_000}
		w.cap = 1000
		for range 300 {
			w.add(w.now.Add(-5 * time.Hour))
		}
	}
	split := func(w *world) { w.cap = 12; w.fill(60, 10) } // refused as too large and divided
	for _, tt := range []struct {
		name string
		fill func(*world)
		load string
		lies liar
		told int // the count after the one that lies
	}{
		{"a bin's buckets are empty", tie, "Full", liar{buckets: nth(2, empty)}, 3},
		{"slices of a split have no line", split, "Full", liar{buckets: nth(2, empty)}, 3},
		{"one slice of a split has no line", split, "Full", liar{buckets: nth(2, last)}, 3},
		{"the window is empty", spread, "Full", liar{count: nth(1, none)}, 2},
		{"the recount after the width is learned is empty", grown, "Full", liar{buckets: nth(3, empty)}, 4},
		{"a snapshot is empty", spread, "Snapshot", liar{count: nth(1, none)}, 2},
		{"a snapshot's closing count is empty", spread, "Snapshot", liar{count: nth(2, none)}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(41)
			w.config[0].LoadType = tt.load
			tt.fill(w)
			w.lie(t, time.Hour, &tt.lies)
			w.whole(t, w.now.Add(-3*time.Hour))
			if n := w.count(key.Source, plan.Success); n == 0 || tt.lies.counts < tt.told {
				t.Errorf("%d Success rows after %d counts: %s", n, tt.lies.counts, w.story())
			}
		})
	}
}

// A count has no line of the null rows: at first, so that a later run copies them, and
// after the state was lost, when nobody knows how many of them were copied.
func TestScenario_R1_TheLineOfNullRowsIsMissing(t *testing.T) {
	none := func(c *plan.Counts) { c.Nulls = 0 }
	for _, tt := range []struct {
		name string
		lost bool
	}{{"in the first count", false}, {"in the first count after the state was lost", true}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(65)
			w.fill(50, 10)
			for range 12 {
				w.add(time.Time{})
			}
			if tt.lost {
				w.run(time.Hour)
				delete(w.states, key)
			}
			w.lie(t, time.Hour, &liar{count: nth(1, none)})
			w.run(5 * time.Hour)
			w.check(t, w.now.Add(-2*time.Hour))
		})
	}
}

// A window without rows after a run that had some is counted twice, and a quiet
// table costs one call a tick.
func TestScenario_R1_AQuietTableCostsOneCall(t *testing.T) {
	w := newWorld(42)
	w.fill(20, 10)
	w.run(2 * time.Hour)
	w.now = w.now.Add(time.Hour)
	w.run(2 * time.Hour)
	calls := w.calls
	w.run(5 * time.Hour)
	if got := w.calls - calls; got > 5 {
		t.Errorf("%d calls in five ticks", got)
	}
}

// A table that had rows an hour ago is not quiet because one count says so: the count
// is taken again in the same run, which copies what it finds.
func TestScenario_R1_AnEmptyCountAfterRowsIsTakenAgain(t *testing.T) {
	w := newWorld(44)
	w.fill(20, 10)
	w.run(time.Hour)
	first := w.copied(key.Source)
	for range 5 {
		w.add(w.now)
	}
	w.now = w.now.Add(3 * time.Hour)
	l := &liar{count: nth(1, func(c *plan.Counts) { c.Bins, c.Buckets, c.Nulls, c.Later = nil, nil, 0, 0 })}
	w.lie(t, time.Hour, l)
	w.whole(t, w.now.Add(-2*time.Hour))
	if got := w.copied(key.Source) - first; first == 0 || got < 5 {
		t.Errorf("%d rows in the first runs, %d after the empty count, want 5: %s", first, got, w.story())
	}
}

// The last run had no rows, but the next one does not go on from it: the state was lost
// and nobody knows what the last run had, or the user has set the watermark back or named
// another column. An empty count is taken again.
func TestScenario_R1_AnEmptyCountOfAnotherWindow(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"the state was lost": func(w *world) { clear(w.states); w.fill(20, 0.5) },
		"the watermark was set back": func(w *world) {
			w.configure(func(r *plan.Row) {
				r.LastRefreshedTime = w.now.Add(-12 * time.Hour)
				r.LastRefreshedTimeInString = ""
			})
		},
		"another column": func(w *world) {
			w.late(20, 20)
			w.configure(func(r *plan.Row) { r.WatermarkColumn = "Timestamp" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(46)
			w.fill(50, 10)
			w.run(3 * time.Hour)
			if w.state(t, key).LastRows != 0 {
				t.Fatalf("the table is not quiet: %s", w.story())
			}
			before := w.copied(key.Source)
			change(w)
			w.now = w.now.Add(2 * time.Hour)
			l := &liar{count: nth(1, func(c *plan.Counts) { c.Bins, c.Buckets, c.Nulls, c.Later = nil, nil, 0, 0 })}
			w.lie(t, time.Minute, l)
			if got := w.copied(key.Source) - before; got < 20 {
				t.Errorf("%d rows were copied after the empty count: %s", got, w.story())
			}
		})
	}
}

// The buckets of a bin cannot be counted, and the even parts it is divided into are
// twice counted as if one of them were empty. At the end the rows are missed: the
// window is counted once more by slice, and what is missing is read again. Where it
// cannot be found then, the run is a Gap. The watermark moves all the same.
func TestScenario_R1_WhatNothingExplainsIsAGap(t *testing.T) {
	for _, tt := range []struct {
		name string
		lies []int // counts in which a part has no line
		want plan.Status
	}{
		{"read again", []int{3, 4}, plan.Success},
		{"and not found again", []int{3, 4, 6, 7}, plan.Gap},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(43)
			for range 100 {
				w.add(w.now.Add(-5 * time.Hour))
			}
			w.before(1, "tally", func(*process) error { return fault.As(fault.Split, errors.New("too complex")) })
			l := &liar{}
			l.buckets = func(call int, parts [][]plan.BucketCount) {
				if slices.Contains(tt.lies, call) {
					parts[len(parts)-1] = nil
				}
			}
			w.lie(t, time.Hour, l)
			if got := w.last(); got.Status != tt.want {
				t.Fatalf("%d counts; audit: %s", l.counts, w.story())
			}
			if tt.want == plan.Success {
				w.whole(t, w.now.Add(-3*time.Hour))
			}
			for _, a := range w.audits {
				if a.Status == plan.Gap && (!strings.Contains(a.FailureReason, "LastRefreshedTime") || a.WindowTo.IsZero()) {
					t.Errorf("audit: %s", w.story())
				}
			}
		})
	}
}
