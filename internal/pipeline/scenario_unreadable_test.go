package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// unreadable is an answer that breaks off at a row which can never be read.
type unreadable struct{ error }

func (unreadable) Signature() string { return "nesting of row abc" }

// One row can never be read: the slice is divided without the pauses that an outage
// gets, down to the row, and a permanent audit row names it. The others arrive when
// the row is gone.
func TestScenario_L27_DividedWithoutPauses(t *testing.T) {
	w := newWorld(71)
	w.fill(30, 5)
	bad := w.rows[10]
	w.poison = func(r record) error {
		if r.id == bad.id {
			return fault.As(fault.Unavailable, unreadable{errors.New("row abc: nested deeper than 512")})
		}
		return nil
	}
	began := w.now
	w.run(time.Minute)
	if got := w.last(); got.Status != plan.Failed || !strings.Contains(got.FailureReason, "row abc") || !strings.Contains(got.FailureReason, "cannot be divided") {
		t.Fatalf("audit: %s", w.story())
	}
	if took := w.last().Timestamp.Sub(began); took > 2*time.Minute {
		t.Errorf("took %v: pauses as for an outage", took)
	}
	w.poison = nil
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
}

// A snapshot that is known to be torn is not copied to its end.
func TestScenario_L8_NotCopiedToItsEnd(t *testing.T) {
	w := newWorld(72)
	w.fill(200, 20)
	w.config[0].LoadType = "Snapshot"
	w.before(2, "fetch", func(p *process) error { // of many slices the second shows it
		p.mu.Lock()
		defer p.mu.Unlock()
		p.rows = p.rows[100:]
		return nil
	})
	w.run(30 * time.Minute)
	slices := w.last().Slices
	if w.count(key.Source, plan.Success) != 1 || w.tried["fetch"] > slices+4 {
		t.Errorf("%d fetches for a snapshot of %d slices: %s", w.tried["fetch"], slices, w.story())
	}
}

// An answer is cut by fewer rows than expired meanwhile, in a slice that reaches from
// what may expire into what may not: it is divided there, and only the older part may
// shrink.
func TestScenario_R10_CutSmallerThanWhatExpired(t *testing.T) {
	w := newWorld(73)
	w.cap, w.cfg.Limits.Rows = 10_000, 9_500
	edge := w.now.Add(2*time.Hour - w.cfg.LookBack)
	for i := range 200 {
		w.add(edge.Add(time.Duration(i-100) * time.Minute)) // a hundred on either side
	}
	fetches := 0
	w.answers = func(rows []record) []record {
		if fetches++; fetches == 1 && len(rows) > 0 {
			w.rows = w.rows[40:] // expired between count and copy
			return rows[40 : len(rows)-5]
		}
		return rows
	}
	w.config[0].WatermarkColumn = "None"
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.count(key.Source, plan.Success) == 0 {
		t.Errorf("audit: %s", w.story())
	}
}
