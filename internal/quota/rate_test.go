package quota

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func TestNewRate_LeavesCallsFree(t *testing.T) {
	tests := []struct {
		name      string
		calls     int
		window    time.Duration
		free      float64
		interval  time.Duration
		burst     int
		perWindow int // under steady load
	}{
		{"both APIs, a minute", 45, time.Minute, 0.2, 1666666667, 3, 36},
		{"Defender for Endpoint, an hour", 1500, time.Hour, 0.2, 3 * time.Second, 150, 1200},
		{"nothing left free: further apart", 45, time.Minute, 0, 1400 * time.Millisecond, 1, 42},
		{"a single call", 1, time.Minute, 0.2, 63 * time.Second, 1, 0},
		{"raised for a demonstration", 10_000, time.Minute, 0.2, 7500 * time.Microsecond, 601, 8000},
		{"most of it left free: the burst stays a quarter", 1000, time.Hour, 0.9, 36 * time.Second, 25, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRate(tt.calls, tt.window, tt.free)
			burst := 1 + int(r.tolerance/r.interval)
			if r.interval != tt.interval || burst != tt.burst {
				t.Errorf("interval %v and burst %d, want %v and %d", r.interval, burst, tt.interval, tt.burst)
			}
			// An interval is rounded up to whole nanoseconds.
			if got := int((tt.window + 10*time.Microsecond) / r.interval); got != tt.perWindow {
				t.Errorf("%d calls per window, want %d", got, tt.perWindow)
			}
		})
	}
}

// TestRate_NoWindowExceedsTheLimit reserves slots for arbitrary arrivals, begins
// each call as late as timing allows, and counts every sliding window.
func TestRate_NoWindowExceedsTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		calls := rapid.IntRange(1, 300).Draw(t, "calls")
		window := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "window"))
		free := rapid.Float64Range(0, 0.95).Draw(t, "free")
		if calls == 1 {
			free = 0
		}
		r := newRate(calls, window, free)
		slack := min(timing, window/20)

		now, next := epoch, time.Time{}
		var begun []time.Time
		for _, pause := range rapid.SliceOfN(rapid.Int64Range(-int64(window), int64(window)), 1, 400).Draw(t, "pauses") {
			// Two thirds of the arrivals come at once, the others after up to a window.
			now = now.Add(max(0, time.Duration(pause)*2-window))
			slot := r.slot(next, now)
			if slot.Before(now) {
				t.Fatalf("slot %v lies before now %v", slot, now)
			}
			next = r.take(next, slot)
			delay := time.Duration(rapid.Int64Range(0, int64(slack)-1).Draw(t, "delay"))
			begun = append(begun, slot.Add(delay))
		}
		slices.SortFunc(begun, time.Time.Compare)
		if n := most(begun, window); n > calls {
			t.Fatalf("%d calls in a window of %v, limit %d", n, window, calls)
		}
	})
}

func TestRate_SteadyLoadSpendsTheAllowance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		calls := rapid.IntRange(2, 2000).Draw(t, "calls")
		window := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "window"))
		free := rapid.Float64Range(0, 0.5).Draw(t, "free")
		r := newRate(calls, window, free)
		const windows = 10
		now, next, n := epoch, time.Time{}, 0
		for {
			now = r.slot(next, now)
			if !now.Before(epoch.Add(windows * window)) {
				break
			}
			next = r.take(next, now)
			n++
		}
		if allowed := windows * int(float64(calls)*(1-free)); float64(n) < 0.95*float64(allowed) {
			t.Fatalf("%d calls in %d windows, want 95 %% of %d", n, windows, allowed)
		}
	})
}

// most returns the largest number of instants, sorted, in any half-open window.
func most(instants []time.Time, window time.Duration) (n int) {
	first := 0
	for i := range instants {
		for instants[i].Sub(instants[first]) >= window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

func TestTally_CountsTheLastMinute(t *testing.T) {
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	tests := []struct {
		name  string
		calls []int // seconds
		now   int
		want  int
	}{
		{"none", nil, 0, 0},
		{"this minute", []int{0, 10, 20}, 30, 3},
		{"half of the last minute's count", []int{0, 10, 20, 30, 70}, 90, 3},
		{"the last minute fades", []int{0, 10}, 90, 1},
		{"long ago", []int{0, 10}, 120, 0},
		{"after a pause", []int{0, 10, 500}, 510, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ty tally
			for _, s := range tt.calls {
				ty.count(at(s), time.Minute)
			}
			if got := ty.recent(at(tt.now), time.Minute); got != tt.want {
				t.Errorf("calls at %v: %d at %ds, want %d", tt.calls, got, tt.now, tt.want)
			}
		})
	}
}
