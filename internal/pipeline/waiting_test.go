package pipeline_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// A long wait is spent by the message: the process ends at once, every table of
// the tenant is held, and the source is left alone until then, whoever wakes the
// table meanwhile.
func TestMigrate_ALongWaitIsSpentByTheMessage(t *testing.T) {
	for _, wait := range []time.Duration{20 * time.Minute, 3 * hour} {
		for call, n := range map[string]int{"count": 1, "fetch": 2} {
			t.Run(call+" "+wait.String(), func(t *testing.T) {
				w := paged(81, 3_000, 20)
				w.before(n, call, throttled(wait))
				began := w.now
				if err := w.wake(plan.Scheduled); err != nil {
					t.Fatalf("a wait is no failure: %v", err)
				}
				if spent := w.now.Sub(began); spent > time.Minute {
					t.Errorf("the process took %v", spent)
				}
				if w.tried["hold"] != 1 {
					t.Errorf("the tenant's calls were held %d times, want once", w.tried["hold"])
				}
				// A message carries an hour at most; the state remembers the rest.
				delay := min(wait, hour)
				if len(w.messages) != 1 || w.messages[0].visible.Before(began.Add(delay)) || w.messages[0].visible.After(began.Add(delay+time.Minute)) {
					t.Fatalf("wake-ups %v, want one after %v", w.messages, delay)
				}
				calls := w.calls
				if wait > hour {
					if until := w.state(t, key).NotBefore; until.Before(began.Add(wait)) {
						t.Errorf("the state waits until %v, want %v at least, whatever becomes of the quota", until, began.Add(wait))
					}
					w.run(wait - time.Minute - w.now.Sub(began)) // with a tick each hour
				}
				if w.calls != calls {
					t.Errorf("%d calls during the wait", w.calls-calls)
				}
				w.run(wait + 2*hour)
				w.whole(t, w.now.Add(-2*hour))
			})
		}
	}
}
