package pipeline_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestMigrate_SnapshotThatChangesMeanwhileIsBegunAgain(t *testing.T) {
	for _, call := range []string{"fetch", "landed"} {
		w := snapshot(71)
		w.before(2, call, w.exchange)
		w.run(10 * time.Minute)
		got := w.last()
		if w.count(key.Source, plan.Success) != 1 || !strings.Contains(got.Note, "begun again 1 times") {
			t.Fatalf("a row was exchanged at %s: want one Success, begun again once:%s", call, w.story())
		}
		var want []int
		for _, r := range w.rows {
			want = append(want, r.id)
		}
		if diff := cmp.Diff(want, w.of(got.RunID)); diff != "" {
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
