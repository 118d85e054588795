package pipeline_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// exchange replaces the oldest row by a new one, so that their number stays.
func (w *world) exchange(*process) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows = w.rows[1:]
	w.add(w.now)
	return nil
}

// replace replaces the oldest row by a new one of the same bucket, so that each part
// of the table holds as many as before.
func (w *world) replace(p *process) error {
	bucket := w.rows[0].bucket
	err := w.exchange(p)
	w.rows[len(w.rows)-1].bucket = bucket
	return err
}

// renew lets a row arrive anew, under the key that it had.
func (w *world) renew(*process) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows[0].at = w.now
	return nil
}

func snapshot(seed uint64) *world {
	w := newWorld(seed)
	w.fill(50, 10)
	w.config[0].LoadType = "Snapshot"
	return w
}

// What a run copied, as far as it is shown.
func (w *world) of(runID string) (ids []int) {
	for _, e := range w.extents {
		if e.runID == runID {
			ids = append(ids, e.ids...)
		}
	}
	slices.Sort(ids)
	return ids
}

// present returns the rows that the source has.
func (w *world) present() (ids []int) {
	for _, r := range w.rows {
		ids = append(ids, r.id)
	}
	slices.Sort(ids)
	return ids
}

func TestMigrate_SnapshotThatChangesMeanwhileIsBegunAgain(t *testing.T) {
	for _, tt := range []struct {
		call   string
		change func(*world, *process) error
	}{{"fetch", (*world).exchange}, {"landed", (*world).exchange}, {"landed", (*world).renew}} {
		w := snapshot(71)
		w.before(2, tt.call, func(p *process) error { return tt.change(w, p) })
		w.run(10 * time.Minute)
		got := w.last()
		if w.count(key.Source, plan.Success) != 1 || !strings.Contains(got.Note, "begun again 1 times") {
			t.Fatalf("a row changed at %s: want one Success, begun again once:%s", tt.call, w.story())
		}
		if diff := cmp.Diff(w.present(), w.of(got.RunID)); diff != "" {
			t.Errorf("rows of the snapshot (-source +copied):\n%s", diff)
		}
	}
}

func TestMigrate_SnapshotThatChangesAgainAndAgainIsTorn(t *testing.T) {
	w := snapshot(72)
	w.repeatedly(1, 0, "landed", w.exchange)
	w.run(20 * time.Minute)
	if w.count(key.Source, plan.Torn) != 1 || w.count(key.Source, plan.Success) != 0 {
		t.Fatalf("want one Torn and no Success:%s", w.story())
	}
	w.mend()
	w.run(hour)
	if w.count(key.Source, plan.Torn) != 1 || w.last().Status != plan.Success {
		t.Errorf("want a Success once the table rests:%s", w.story())
	}
}

// A row is replaced by another, in a table whose rows have no time of arrival: number
// and newest arrival stay, and only the checksum of the keys tells.
func TestScenario_R4_ReplacedWhileCopied(t *testing.T) {
	for _, call := range []string{"fetch", "landed"} {
		w := snapshot(73)
		w.timeless = true
		w.after(1, call, w.replace)
		w.run(10 * time.Minute)
		got := w.last()
		if w.count(key.Source, plan.Success) != 1 || !strings.Contains(got.Note, "begun again 1 times") {
			t.Fatalf("a row was replaced after a %s: want one Success, begun again once:%s", call, w.story())
		}
		if diff := cmp.Diff(w.present(), w.of(got.RunID)); diff != "" {
			t.Errorf("a row was replaced after a %s; rows of the snapshot (-source +copied):\n%s", call, diff)
		}
		if want := "rows have no time of arrival: a change while it was copied shows in the number of rows and in their keys (DeviceId, Timestamp, ReportId)"; !strings.Contains(got.Note, want) {
			t.Errorf("the note %q does not say which changes the snapshot shows", got.Note)
		}
	}
}

// As before, in a snapshot that is too heavy to be counted in one piece: the row stays
// within its part. Where the source gives no checksums the number of rows in each part
// is all that is seen, and the note says so.
func TestScenario_R4_ReplacedWhileCopiedInParts(t *testing.T) {
	for name, tt := range map[string]struct {
		arrived int // rows in ADX when one of them is replaced
		sumless bool
		want    []string // in the note
	}{
		"while copied":      {arrived: 1, want: []string{"begun again 1 times", "counted in parts: a change while it was copied shows in the number of rows and in their keys (Dev"}},
		"when all is there": {arrived: 3_000, want: []string{"begun again 1 times", "and in their keys"}},
		"without checksums": {arrived: 3_000, sumless: true, want: []string{"counted in parts: a change while it was copied shows only in the number of rows"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := heavySnapshot(74, fault.As(fault.Split, errors.New("too heavy")))
			w.sumless = tt.sumless
			replaced := false
			w.ill = append(w.ill, &mishap{call: "landed", after: true, do: func(p *process) error {
				w.mu.Lock()
				copied := w.arrived("")
				at := slices.IndexFunc(w.rows, func(r record) bool { return copied[r.id] > 0 })
				due := !replaced && len(copied) >= tt.arrived
				if due {
					w.rows[0], w.rows[at] = w.rows[at], w.rows[0]
				}
				w.mu.Unlock()
				if !due {
					return nil
				}
				replaced = true
				return w.replace(p)
			}})
			w.run(59 * time.Minute)
			got := w.last()
			for _, want := range tt.want {
				if !replaced || w.count(key.Source, plan.Success) != 1 || !strings.Contains(got.Note, want) {
					t.Fatalf("replaced %t; want one Success that says %q:%s", replaced, want, w.story())
				}
			}
			if diff := cmp.Diff(w.present(), w.of(got.RunID)); (diff == "") == tt.sumless {
				t.Errorf("rows of the snapshot (-source +copied):\n%s", diff)
			}
		})
	}
}
