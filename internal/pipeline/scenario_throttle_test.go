package pipeline_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios in which Defender throttles or is not well.

func TestScenario_O4_OneThrottle(t *testing.T) {
	w := large(1, 30_000, 20)
	w.before(1, "fetch", throttled(30*time.Second))
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	// One planning call; one that was throttled; four slices.
	if got := w.last(); w.calls != 6 || got.Calls != 6 || got.RecordCount != 30_000 {
		t.Errorf("%d calls, want 6 and an audit row that says so:%s", w.calls, w.story())
	}
}

func TestScenario_O5_FourThrottlesInARow(t *testing.T) {
	w := large(2, 30_000, 20)
	w.repeatedly(1, 4, "fetch", throttled(30*time.Second))
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.calls != 1+4+4 {
		t.Errorf("%d calls, want 1 to plan, 4 throttled ones and 4 slices: the size of a page does not follow a throttle", w.calls)
	}
	if w.count(key.Source, plan.Failed) != 0 {
		t.Errorf("waits are no failures:%s", w.story())
	}
}

// A service that always asks for one more second gets few calls of one
// invocation.
func TestScenario_O5_ThrottledForEver(t *testing.T) {
	w := large(2, 30_000, 20)
	w.repeatedly(1, 0, "fetch", throttled(time.Second))
	w.before(100, "take", kill) // or it would go on for ever
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatalf("got %v after %d calls", err, w.calls)
	}
	if w.calls > 2+4 || len(w.messages) != 1 {
		t.Errorf("%d calls, %d messages; want the wake-up put off after a few", w.calls, len(w.messages))
	}
	w.mend()
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
}

// A throttle of many minutes is waited for by the message, not by a process, and
// holds all tables of the tenant.
func TestScenario_P4_SixThrottlesOnOnePage(t *testing.T) {
	w := large(3, 30_000, 20)
	w.repeatedly(2, 7, "fetch", throttled(15*time.Minute))
	from := w.now
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	if took := w.now.Sub(from); took > time.Minute {
		t.Errorf("the process waited %v", took)
	}
	if n := len(w.messages); n != 1 || w.messages[0].visible.Sub(w.now) < 14*time.Minute {
		t.Errorf("messages %+v, want one in 15 minutes", w.messages)
	}
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-4*time.Hour))
	if w.tried["hold"] != 6 {
		t.Errorf("the tenant was told to wait %d times, want 6", w.tried["hold"])
	}
	if got := w.newest(key.Source); !got.IsActive || w.count(key.Source, plan.Failed) != 0 {
		t.Errorf("active %v:%s", got.IsActive, w.story())
	}
}

// After a persistent outage everything arrives; during it a process gives the
// message back after a few calls, and divides nothing that was not too large.
func TestScenario_O21_ServiceUnavailableForHours(t *testing.T) {
	w := large(4, 50_000, 20)
	w.repeatedly(2, 0, "fetch", unavailable)
	w.repeatedly(2, 0, "count", unavailable)
	w.repeatedly(1, 0, "tally", unavailable)
	from := w.now
	err := w.wake(plan.Scheduled)
	if fault.KindOf(err) != fault.Retry {
		t.Fatalf("got %v, want a retry", err)
	}
	// One to plan, a page, three for the next page, three to count its parts.
	if w.calls > 9 || w.now.Sub(from) > 5*time.Minute {
		t.Errorf("%d calls in %v at a service that is down", w.calls, w.now.Sub(from))
	}
	w.run(5 * time.Hour)
	if w.count(key.Source, plan.Success) > 0 || w.last().FailureReason == "" {
		t.Errorf("audit:%s", w.story())
	}
	w.mend()
	calls := w.calls
	w.run(time.Hour)
	w.whole(t, w.now.Add(-7*time.Hour))
	// Five slices are left, one of them in two parts that are counted first.
	if got := w.calls - calls; got > 9 {
		t.Errorf("%d calls for the rest, want 9 at most", got)
	}
}

func TestScenario_P1_ThrottledCount(t *testing.T) {
	w := large(5, 60_000, 20)
	w.before(1, "count", throttled(10*time.Minute))
	if err := w.wake(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	if len(w.audits) != 0 || len(w.messages) != 1 {
		t.Errorf("%d messages, want the put-off; audit:%s", len(w.messages), w.story())
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.copied(key.Source) != 60_000 {
		t.Errorf("audit:%s", w.story())
	}
}

func TestScenario_P2_ErrorOnOnePage(t *testing.T) {
	for name, times := range map[string]int{"once": 1, "until the page is divided": 3} {
		t.Run(name, func(t *testing.T) {
			w := large(6, 100_000, 20)
			w.repeatedly(2, 1+times, "fetch", unavailable)
			w.run(time.Hour)
			w.whole(t, w.now.Add(-2*time.Hour))
			if w.count(key.Source, plan.Success) != 1 || w.copied(key.Source) != 100_000 {
				t.Errorf("want one Success of 100,000 rows:%s", w.story())
			}
			if divided := w.tried["tally"] > 0; divided != (times == 3) {
				t.Errorf("error %s: divided %v", name, divided)
			}
		})
	}
}

// No failure switches a table off: the tick after it goes on by itself.
func TestScenario_P3_FailuresSwitchNothingOff(t *testing.T) {
	w := large(7, 50_000, 20)
	w.repeatedly(2, 0, "fetch", func(*process) error { return fault.As(fault.Permanent, errForbidden) })
	w.run(3 * time.Hour)
	if w.count(key.Source, plan.Failed) < 3 {
		t.Errorf("want a failure at each tick:%s", w.story())
	}
	w.mend()
	w.run(time.Hour)
	w.whole(t, w.now.Add(-5*time.Hour))
	for _, row := range w.config {
		if !row.IsActive {
			t.Errorf("a row was published that switches the table off: %+v", row)
		}
	}
}

// The first call of the day is throttled: the table is late, not left out.
func TestScenario_A4_FirstCallThrottled(t *testing.T) {
	w := large(8, 20_000, 20)
	w.table("DeviceProcessEvents")
	for range 5_000 {
		w.add(w.now.Add(-time.Hour)).source = "DeviceProcessEvents"
	}
	w.repeatedly(1, 2, "count", throttled(2*time.Minute))
	w.run(30 * time.Minute)
	w.whole(t, w.now.Add(-time.Hour))
	for _, source := range w.sources() {
		if w.count(source, plan.Success) != 1 {
			t.Errorf("%s did not end within the hour:%s", source, w.story())
		}
	}
}
