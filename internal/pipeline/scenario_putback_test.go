package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios in which the work fails for a while, and of wake-ups that are pending.

// outage lets calls fail until an instant.
func (w *world) outage(d time.Duration, calls ...string) {
	until := w.now.Add(d)
	for _, call := range calls {
		w.ill = append(w.ill, &mishap{call: call, do: func(p *process) error {
			if p.Now().Before(until) {
				return fault.As(fault.Retry, errors.New("connection refused after 31 ms, id 7c3"))
			}
			return nil
		}})
	}
}

// Ten minutes without a service end long before the next tick, with one audit row
// and no message in the poison queue.
func TestScenario_L5_TenMinutesWithoutAService(t *testing.T) {
	for service, calls := range map[string][]string{
		"ADX": {"rows", "deliver", "landed", "enqueue", "foreign"}, "Defender": {"fetch"}, "Defender before the plan": {"count"},
		"storage of ADX": {"stage"}, "Entra ID or Key Vault": {"ready"},
	} {
		t.Run(service, func(t *testing.T) {
			w := large(1, 15_000, 20)
			began := w.now
			w.outage(10*time.Minute, calls...)
			w.run(59 * time.Minute)
			w.whole(t, began.Add(-w.cfg.Settle))
			if w.count(key.Source, plan.Success) == 0 || w.count(key.Source, plan.Failed) > 1 || w.poisoned > 0 {
				t.Errorf("%d messages poisoned; want a Success before the next tick and one Failed:%s", w.poisoned, w.story())
			}
		})
	}
}

// Two causes are two rows, in each hour.
func TestScenario_L5_OneRowForACauseAndHour(t *testing.T) {
	w := large(2, 15_000, 20)
	w.repeatedly(1, 0, "fetch", func(p *process) error {
		text := "no route to host, try 1"
		if p.tried["fetch"]%2 == 0 {
			text = "no such host, try 2"
		}
		return fault.As(fault.Retry, errors.New(text))
	})
	w.run(3*time.Hour - time.Minute)
	if got := w.count(key.Source, plan.Failed); got != 2*3 {
		t.Errorf("%d rows for two causes in three hours:%s", got, w.story())
	}
}

// down fails each fetch, as long as the world lasts.
func down(seed uint64) *world {
	w := large(seed, 15_000, 20)
	w.repeatedly(1, 0, "fetch", func(*process) error { return fault.As(fault.Retry, errNet) })
	return w
}

func failed(trigger string, deliveries, failures int) message {
	return message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: trigger, Failures: failures}, Deliveries: deliveries}}
}

// A wake-up whose work fails is put back by growing delays from its third delivery
// on, and answered as done.
func TestScenario_L5_PutBackWithGrowingDelay(t *testing.T) {
	tests := []struct {
		deliveries, failures int
		want                 time.Duration // 0: delivered again by the queue
	}{
		{1, 0, 0}, {2, 0, 0}, {3, 0, time.Minute}, {5, 0, time.Minute}, {1, 1, 2 * time.Minute}, {1, 2, 5 * time.Minute},
		{1, 3, 15 * time.Minute}, {1, 4, 30 * time.Minute}, {1, 9, 30 * time.Minute},
	}
	for _, tt := range tests {
		w := down(3)
		_, err := w.deliver(failed(plan.Manual, tt.deliveries, tt.failures))
		if tt.want == 0 {
			if fault.KindOf(err) != fault.Retry || len(w.messages) > 0 {
				t.Errorf("delivery %d: %v, messages %v; want a redelivery", tt.deliveries, err, w.messages)
			}
			continue
		}
		if err != nil || len(w.messages) != 1 {
			t.Errorf("delivery %d after %d failures: %v, messages %v", tt.deliveries, tt.failures, err, w.messages)
			continue
		}
		again := w.messages[0]
		if got := again.visible.Sub(w.now); got > tt.want || got < tt.want-time.Second {
			t.Errorf("delivery %d after %d failures: put back by %v, want %v", tt.deliveries, tt.failures, got, tt.want)
		}
		if again.req.Failures != tt.failures+1 || again.req.Trigger != plan.Manual {
			t.Errorf("put back as %+v", again.req.WakeUp)
		}
	}
}

func TestScenario_L5_NotBeyondTheNextTick(t *testing.T) {
	w := down(4)
	tick := w.now.Add(7 * time.Minute)
	w.cfg.NextTick = func(time.Time) time.Time { return tick }
	if _, err := w.deliver(failed(plan.Scheduled, 1, 4)); err != nil {
		t.Fatal(err)
	}
	if len(w.messages) != 1 || w.messages[0].visible.After(tick.Add(time.Second)) {
		t.Errorf("put back to %v, the next tick is at %v", w.messages, tick)
	}
}

// What cannot be put back is left to the queue.
func TestScenario_L5_StateOrQueueCannotBeWritten(t *testing.T) {
	for _, call := range []string{"wake", "save state"} {
		w := large(5, 15_000, 20)
		w.before(1, "fetch", func(*process) error {
			w.repeatedly(1, 0, call, func(*process) error { return fault.As(fault.Retry, errNet) })
			return fault.As(fault.Retry, errNet)
		})
		if _, err := w.deliver(failed(plan.Scheduled, 3, 0)); fault.KindOf(err) != fault.Retry {
			t.Errorf("no %s: answered %v", call, err)
		}
	}
}

// A tick tries at once although a failed wake-up is pending, and adds none.
func TestScenario_L5_ATickTriesAtOnce(t *testing.T) {
	w := down(6)
	if _, err := w.deliver(failed(plan.Scheduled, 1, 4)); err != nil {
		t.Fatal(err)
	}
	tried := w.tried["fetch"]
	for n := range 3 {
		if _, err := w.deliver(failed(plan.Scheduled, n+1, 0)); (err == nil) != (n == 2) {
			t.Errorf("delivery %d: %v", n+1, err)
		}
	}
	if got := w.tried["fetch"] - tried; got != 3 || len(w.messages) != 1 {
		t.Errorf("%d tries, messages %v", got, w.messages)
	}
	w.mend()
	if err := w.wake(plan.Scheduled); err != nil || w.count(key.Source, plan.Success) != 1 {
		t.Errorf("the tick did not work: %v%s", err, w.story())
	}
}

// Ticks come faster than the quota serves: each table has a wake-up that waits, and
// one that was just sent, at most.
func TestScenario_L29_TicksFasterThanTheQuota(t *testing.T) {
	w := large(7, 200, 20)
	for _, source := range []string{"DeviceEvents", "DeviceLogonEvents", "DeviceFileEvents"} {
		w.table(source)
	}
	w.repeatedly(1, 80, "take", throttled(17*time.Minute))
	for range 60 {
		for _, source := range w.sources() {
			up := plan.WakeUp{Key: plan.Key{Source: source}, Trigger: plan.Scheduled}
			w.messages = append(w.messages, message{visible: w.now, req: pipeline.Request{WakeUp: up, Inserted: w.now}})
		}
		queued := map[plan.Key]int{}
		for _, m := range w.messages {
			if queued[m.req.Key]++; queued[m.req.Key] > 2 {
				t.Fatalf("%d wake-ups of %s", queued[m.req.Key], m.req.Key)
			}
		}
		w.deliverDue(time.Minute)
	}
	// One planning call of each table for each wait, not for each tick.
	if got := w.tried["take"]; got > 4*(60/17+2) {
		t.Errorf("%d asked for a call in an hour", got)
	}
	w.ill = nil
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-3*time.Hour))
}

// A pending wake-up that got lost keeps nobody waiting beyond its time.
func TestScenario_L29_PendingOneIsLost(t *testing.T) {
	w := large(8, 15_000, 20)
	w.before(1, "fetch", throttled(20*time.Minute))
	if err := w.wake(plan.Scheduled); err != nil || len(w.messages) != 1 {
		t.Fatalf("%v, messages %v", err, w.messages)
	}
	w.messages = nil
	w.now = w.now.Add(time.Minute)
	calls := w.calls
	if err := w.wake(plan.Scheduled); err != nil || w.calls != calls {
		t.Fatalf("%v; %d calls although a wake-up is pending", err, w.calls-calls)
	}
	w.now = w.now.Add(25 * time.Minute)
	if err := w.wake(plan.Scheduled); err != nil || w.count(key.Source, plan.Success) != 1 {
		t.Errorf("the table still waits: %v%s", err, w.story())
	}
}

// The pending wake-up comes while others hold the table, each only to find that one is
// pending: it waits until they are gone.
func TestScenario_L29_PendingOneMeetsOneThatYieldsToIt(t *testing.T) {
	w := large(12, 15_000, 20)
	w.before(1, "fetch", throttled(20*time.Minute))
	if err := w.wake(plan.Scheduled); err != nil || len(w.messages) != 1 {
		t.Fatalf("%v, messages %v", err, w.messages)
	}
	for range 3 {
		pending := w.messages[0]
		w.messages, w.now = nil, pending.visible
		w.states[key].leased = w.now.Add(time.Second)
		if _, err := w.deliver(pending); err != nil || len(w.messages) != 1 {
			t.Fatalf("%v, messages %v", err, w.messages)
		}
	}
	w.run(5 * time.Minute)
	if w.count(key.Source, plan.Success) != 1 {
		t.Errorf("the table stands still:%s", w.story())
	}
}

// The delivery of a row that failed right after the checkpoint is no failure of the
// run: the row is delivered by the next attempt.
func TestScenario_L22_DeliveryFailsAfterTheCheckpoint(t *testing.T) {
	w := large(9, 15_000, 20)
	w.repeatedly(1, 4, "deliver", func(*process) error { return fault.As(fault.Retry, errNet) })
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.count(key.Source, plan.Failed) > 0 || w.copied(key.Source) != 15_000 {
		t.Errorf("want no failure:%s", w.story())
	}
}

// A watermark in the future is said once a day.
func TestScenario_L21_WatermarkInTheFuture(t *testing.T) {
	w := large(10, 1_000, 20)
	w.run(time.Minute)
	ahead := w.now.AddDate(0, 1, 0)
	w.edit(func(r *plan.Row) { r.LastRefreshedTime, r.LastRefreshedTimeInString = ahead, plan.Stamp(ahead) })
	w.run(3 * 24 * time.Hour)
	if got := w.count(key.Source, plan.Skipped); got < 3 || got > 4 {
		t.Errorf("%d rows in three days:%s", got, w.story())
	}
	if got := w.last(); !strings.Contains(got.FailureReason, "lies in the future") || !strings.Contains(got.FailureReason, "LastRefreshedTime") {
		t.Errorf("neither reason nor remedy are said:%s", w.story())
	}
}

// A quiet table publishes a row a day.
func TestScenario_L19_QuietTable(t *testing.T) {
	w := large(11, 1_000, 20)
	w.run(3 * 24 * time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if got := len(w.config) - 1; got < 3 || got > 4 {
		t.Errorf("%d configuration rows in three days", got)
	}
	if mark := w.states[key].watermark(t); mark.Before(w.now.Add(-2 * time.Hour)) {
		t.Errorf("the watermark stayed at %v", mark)
	}
	// The state may be lost between two of them.
	clear(w.states)
	w.fill(50, 0.1)
	w.run(3 * time.Hour)
	w.check(t, w.now.Add(-2*time.Hour))
}
