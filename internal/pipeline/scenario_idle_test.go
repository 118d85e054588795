package pipeline_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios in which the product must neither stand idle nor ask too often.

// refusing returns a world in which each of many slices is refused and its halves
// are counted: 4,000 rows, slices of 100, answers of 60 rows at most. The width of
// a row is known, and no refusal says anything of it.
func refusing(t *testing.T, seed uint64) *world {
	w := large(seed, 50, 1)
	w.cap, w.cfg.Limits = 61, plan.Limits{Rows: 100, Bytes: 1 << 60}
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(24 * time.Hour)
	for i := range 4_000 {
		w.add(w.now.Add(-w.cfg.Settle - time.Duration(i)*18*time.Second).Truncate(plan.Tick))
	}
	clear(w.tried)
	return w
}

// Waits for the quota say nothing of how much the source can count at a time.
func TestScenario_L4_TenQuotaWaits(t *testing.T) {
	calls := func(waits int) int {
		w := refusing(t, 1)
		if waits > 0 {
			w.repeatedly(2, 1+waits, "fetch", throttled(10*time.Minute))
		}
		w.run(4 * time.Hour)
		w.whole(t, w.now.Add(-5*time.Hour))
		return w.tried["tally"]
	}
	if none, ten := calls(0), calls(10); ten > none+1 {
		t.Errorf("%d counts after ten waits, %d without", ten, none)
	}
}

// A source that refuses a count of many parts is asked for as few as it took, also
// by the next invocation.
func TestScenario_L4_OvertaxedByACount(t *testing.T) {
	w := refusing(t, 2)
	w.branches = 5
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	w.whole(t, w.now.Add(-w.cfg.Settle-time.Minute))
	var batch int
	for _, b := range w.ledgers {
		batch = max(batch, w.ledger(t, b).CountBatch)
	}
	if batch != 5 {
		t.Errorf("the ledger remembers %d parts a count, want 5", batch)
	}
	// 80 parts by 5 are 16 counts; 40, 20, 20, 10, 10, 10, 10 were refused before, twice at most.
	if got := w.tried["tally"]; got > 16+2*7+6 {
		t.Errorf("%d counts", got)
	}
}
