package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// weak is ADX whose n-th answer about what has landed, from 1, lacks every row where
// lacks says so.
type weak struct {
	pipeline.Verifier
	n     *int
	lacks func(n int) bool
}

func (v weak) Landed(ctx context.Context, destination string, runIDs []string, since time.Time) (plan.LandedRuns, error) {
	landed, err := v.Verifier.Landed(ctx, destination, runIDs, since)
	if *v.n++; v.lacks(*v.n) {
		return plan.LandedRuns{}, err
	}
	return landed, err
}

func (w *world) migrateWeakly(lacks func(n int) bool) (asked int, err error) {
	pipe := w.pipe(&process{world: w}, func(ports *pipeline.Ports) { ports.Verifier = weak{ports.Verifier, &asked, lacks} })
	err = pipe.Migrate(context.Background(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}})
	return asked, err
}

func table33() *world {
	w := newWorld(33)
	w.fill(10, 5)
	return w
}

// One short answer at the end hides nothing that is there.
func TestScenario_L11_OneShortAnswerAtTheEnd(t *testing.T) {
	asked, err := table33().migrateWeakly(func(int) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	w := table33()
	if _, err := w.migrateWeakly(func(n int) bool { return n == asked }); err != nil {
		t.Fatal(err)
	}
	if len(w.voids) > 0 || len(w.sent) > 1 || w.count(key.Source, plan.Success) != 1 {
		t.Errorf("one short answer hid %v and had %d blobs sent: %s", w.voids, len(w.sent), w.story())
	}
}

// A cluster that shows a slice to whoever waits for it and to no final check is not fed
// without end.
func TestScenario_L11_ShortAtTheEndForEver(t *testing.T) {
	w := table33()
	shown := 0 // answers in a row that were whole
	_, err := w.migrateWeakly(func(int) bool {
		if len(w.sent) == 0 {
			return false
		}
		shown++
		return shown%3 != 1 // the poll sees it, the final check and its second look do not
	})
	if fault.KindOf(err) != fault.Permanent && w.last().Status != plan.Failed {
		t.Errorf("ended with %v: %s", err, w.story())
	}
	if n := len(w.sent); n < 2 || n > plan.MaxVoids+1 {
		t.Errorf("%d blobs were sent, want %d at most: %s", n, plan.MaxVoids+1, w.story())
	}
}

// What was reported of an ingestion says nothing of the next one of the same blob.
func TestScenario_L20_StatusOfAnEarlierSend(t *testing.T) {
	w := table33()
	first := true
	w.fate = func(plan.Ingestion) fate {
		if first {
			first = false
			return refused
		}
		return well
	}
	w.delay = 8 * time.Minute
	w.after(2, "enqueue", unavailable)
	w.run(30 * time.Minute)
	if len(w.sent) > 2 || w.count(key.Source, plan.Success) != 1 {
		t.Errorf("%d sends, want the one that failed and the one that arrived: %s", len(w.sent), w.story())
	}
}

// A refusal at the moment of a look does not end the looks.
func TestScenario_R3_LookRefused(t *testing.T) {
	w := newWorld(31)
	w.fill(100, 10)
	w.after(1, "enqueue", unavailable)
	w.run(20 * time.Minute)
	w.extents = append(w.extents, w.extents[0])
	forbidden := func(*process) error { return fault.As(fault.Permanent, errors.New("403")) }
	w.before(1, "landed", forbidden)
	w.run(3 * hour)
	if n := w.count(key.Source, plan.Surplus); n != 1 {
		t.Errorf("%d Surplus rows, want 1: %s", n, w.story())
	}
}
