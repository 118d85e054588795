package pipeline_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Windows are (From, To]: a row on the end of one belongs to it, and to no other.
func TestMigrate_ARowOnTheEdgeOfAWindowIsCopiedOnce(t *testing.T) {
	first := func(more ...record) *world {
		w := newWorld(51)
		w.fill(40, 10)
		w.rows = append(w.rows, more...)
		if err := w.wake(plan.Scheduled); err != nil {
			t.Fatal(err)
		}
		return w
	}
	edge := first().newest(key.Source).LastRefreshedTime // the same in a second, equal world
	w := first(record{id: 1000, at: edge, bucket: 5}, record{id: 1001, at: edge.Add(plan.Tick), bucket: 5})
	if got := w.newest(key.Source).LastRefreshedTime; !got.Equal(edge) {
		t.Fatalf("the window ends at %v, want %v", got, edge)
	}
	if got := w.arrived(key.Source); got[1000] != 1 || got[1001] != 0 {
		t.Errorf("the row on the edge was copied %d times, the one after it %d times; want 1 and 0", got[1000], got[1001])
	}
	w.run(3 * hour)
	w.whole(t, w.now.Add(-2*hour))
	if got := w.arrived(key.Source); got[1000] != 1 || got[1001] != 1 {
		t.Errorf("in the end the row on the edge is there %d times, the one after it %d times", got[1000], got[1001])
	}
}

// Arrival is told by the source's clock: where that is behind, the window ends
// earlier.
func TestMigrate_TheSourcesClockIsBehind(t *testing.T) {
	for name, behind := range map[string]time.Duration{
		"by more than the slack":             2 * hour,
		"by so little that one count is all": 30 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(52)
			w.fill(60, 30)
			w.before(1, "count", func(*process) error { w.now = w.now.Add(-behind); return nil })
			w.after(1, "count", func(*process) error { w.now = w.now.Add(behind); return nil })
			if err := w.wake(plan.Scheduled); err != nil {
				t.Fatal(err)
			}
			if got, latest := w.newest(key.Source).LastRefreshedTime, w.now.Add(-behind-w.cfg.Settle); got.After(latest) {
				t.Errorf("watermark %v, the source had settled only up to %v", got, latest)
			}
			w.add(w.now.Add(-behind)) // arrives now, by the source's clock
			w.run(3 * hour)
			w.whole(t, w.now.Add(-2*hour))
		})
	}
}

// A date in the future, as a device with a wrong clock or a vendor's field
// reports it, waits for its time and holds nothing back.
func TestMigrate_FutureDatedRowsDoNotMoveTheWatermark(t *testing.T) {
	w := newWorld(53)
	w.config[0].WatermarkColumn = "InstallationTime"
	w.fill(50, 10)
	w.add(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
	w.add(w.now.Add(5 * hour))
	w.run(10 * time.Minute)
	if got := w.newest(key.Source).LastRefreshedTime; got.After(w.now.Add(-w.cfg.Settle)) {
		t.Fatalf("watermark %v lies in the future of %v", got, w.now)
	}
	w.fill(50, 0.1)
	w.run(8 * hour)
	w.whole(t, w.now.Add(-2*hour))
}

// A row may become visible later than its time says, by the settle time at most.
func TestMigrate_RowsThatArriveWithinTheSettleTimeAreCopied(t *testing.T) {
	w := newWorld(54)
	w.fill(50, 10)
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	for ago := time.Minute; ago < w.cfg.Settle; ago += time.Minute {
		w.add(w.now.Add(-ago))
	}
	w.run(3 * hour)
	w.whole(t, w.now.Add(-2*hour))
}
