package pipeline_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// A newer program's document is met where it is read: each way the table waits,
// says so once a day, and goes on when the upgrade has finished.
func TestMigrate_WaitsForANewerProgram(t *testing.T) {
	newer := func(p *process) error { return fault.Newer(p.Now(), 2, 1, "9.8.7") }
	for _, call := range []string{"acquire", "read ledger", "take"} {
		t.Run(call, func(t *testing.T) {
			w := newWorld(311)
			w.fill(30, 5)
			if call == "read ledger" {
				w.before(1, "stage", kill)
				w.wake(plan.Scheduled)
				w.now = w.now.Add(2 * lease)
			}
			w.now = time.Date(2026, 11, 2, 20, 30, 0, 0, time.UTC)
			before := w.tried["save ledger"]
			w.repeatedly(1, 0, call, newer)
			w.messages = []message{{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Manual}, Inserted: w.now}}}
			for range 6 { // until 01:30 or so
				m := w.messages[0]
				w.messages = w.messages[1:]
				w.now = m.visible
				if w.now.IsZero() {
					w.now = m.req.Inserted
				}
				if _, err := w.deliver(m); err != nil {
					t.Fatalf("the wake-up failed: %v", err)
				}
				if len(w.messages) != 1 || w.messages[0].req.Trigger != plan.Manual {
					t.Fatalf("%d wake-ups wait, want the one put off: %+v", len(w.messages), w.messages)
				}
				if delay := w.messages[0].visible.Sub(w.now); delay < 59*time.Minute || delay > time.Hour {
					t.Fatalf("put off by %v, want an hour", delay)
				}
			}
			var days []int
			for _, a := range w.audits {
				if a.Status != plan.Failed || a.SourceTable != "DeviceInfo" || !strings.Contains(a.FailureReason, "deploy the newer version again") {
					t.Errorf("audit row %+v", a)
				}
				days = append(days, a.Timestamp.Day())
			}
			if len(days) != 2 || days[0] != 2 || days[1] != 3 {
				t.Errorf("audit rows on the days %v, want one on each of 2 and 3", days)
			}
			if n := w.tried["save ledger"] - before; n != 0 {
				t.Errorf("%d writes to a ledger while the table waits", n)
			}

			w.mend()
			w.run(4 * time.Hour)
			w.check(t, w.now.Add(-2*time.Hour))
		})
	}
}

// ADX may be down when the table begins to wait: it is said with a later wake-up.
func TestMigrate_NewerProgramIsSaidWhenADXIsBack(t *testing.T) {
	w := newWorld(312)
	w.repeatedly(1, 0, "acquire", func(p *process) error { return fault.Newer(p.Now(), 2, 1, "9.8.7") })
	w.before(1, "deliver", unavailable)
	for range 3 {
		if err := w.wake(plan.Scheduled); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.audits) != 1 {
		t.Errorf("%d audit rows, want 1", len(w.audits))
	}
}

// A newer program that does not come back is an error in the log, which alerts look for,
// a day after its last write; the table goes on waiting. Wake-ups of the timer, which
// comes again by itself, do not add up meanwhile.
func TestMigrate_NewerProgramThatStaysAway(t *testing.T) {
	for age, alerted := range map[time.Duration]bool{23 * time.Hour: false, 25 * time.Hour: true} {
		w := newWorld(313)
		written := w.now.Add(-age)
		w.repeatedly(1, 0, "acquire", func(p *process) error { return fault.Since(fault.Newer(p.Now(), 2, 1, "9.8.7"), written) })
		var log bytes.Buffer
		for _, trigger := range []string{plan.Scheduled, plan.Scheduled, plan.Manual} {
			req := pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: trigger}, Log: slog.New(slog.NewTextHandler(&log, nil))}
			if _, err := w.deliver(message{req: req}); err != nil {
				t.Fatalf("the wake-up failed: %v", err)
			}
		}
		if got := strings.Count(log.String(), `level=ERROR msg="waits for a newer version that does not come"`); (got == 3) != alerted || (got == 0) == alerted {
			t.Errorf("written %v ago: %d errors logged\n%s", age, got, log.String())
		}
		if len(w.messages) != 1 || w.messages[0].req.Trigger != plan.Manual {
			t.Errorf("written %v ago: %+v wait, want the person's wake-up alone", age, w.messages)
		}
	}
}
