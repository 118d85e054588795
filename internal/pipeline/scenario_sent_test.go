package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// The service refuses a send before anything was queued: the next delivery sends the
// same blob at once and does not wait for the grace time.
func TestScenario_L13_SentAgainAtOnce(t *testing.T) {
	w := newWorld(61)
	w.fill(30, 5)
	w.before(1, "enqueue", func(*process) error {
		return fault.Mark(fault.As(fault.Retry, errors.New("throttled")), fault.ErrNotQueued)
	})
	w.run(5 * time.Minute) // less than the grace time
	w.whole(t, w.now.Add(-time.Hour))
	if w.count(key.Source, plan.Success) != 1 || w.tried["fetch"] != w.last().Slices {
		t.Errorf("%d fetches of %d slices: %s", w.tried["fetch"], w.last().Slices, w.story())
	}
}

// A raw table lacks a column: that is found after the first slice sent and not after
// all of them were fetched.
func TestScenario_L14_FoundAfterTheFirstSlice(t *testing.T) {
	w := newWorld(62)
	w.fill(200, 20)
	w.trouble = map[string][]string{"DeviceInfoRaw": {"table DeviceInfoRaw lacks Slice: int; run handler setup"}}
	w.run(time.Minute)
	if got := w.last(); got.Status != plan.Failed || !strings.Contains(got.FailureReason, "handler setup") || w.tried["fetch"] > 2 {
		t.Errorf("%d fetches; audit: %s", w.tried["fetch"], w.story())
	}
	w.trouble = nil
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
}

// ADX reports success and shows nothing: a policy is in the way. The same blob is not
// sent again; the audit row names the policy, at each tick until it is gone.
func TestScenario_L25_SucceededAndNotToBeSeen(t *testing.T) {
	w := newWorld(63)
	w.fill(30, 5)
	w.fate = func(plan.Ingestion) fate { return unseen }
	w.before(2, "trouble", func(p *process) error { return nil })
	w.after(1, "trouble", func(p *process) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.trouble = map[string][]string{"DeviceInfoRaw": {"row-level security of DeviceInfoRaw hides rows from the app: exempt it"}}
		return nil
	})
	w.run(10 * time.Hour)
	sent := map[string]int{}
	for _, in := range w.sent {
		sent[in.Blob.Path]++
	}
	for path, n := range sent {
		if n > 1 {
			t.Errorf("%s was sent %d times", path, n)
		}
	}
	if n := w.count(key.Source, plan.Failed); n < 3 || n > 30 || !strings.Contains(w.last().FailureReason, "row-level security") {
		t.Errorf("%d Failed rows: %s", n, w.story())
	}
}

// Rows that ADX makes null are cut in a copy of the blob, once; what is null then is
// accepted with a note, and the table goes on.
func TestScenario_R7_RowsTooLargeForADX(t *testing.T) {
	for name, times := range map[string]int{"cut once": 1, "null for ever": 1000} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(64)
			w.fill(60, 10)
			w.huge[w.rows[20].id] = times
			w.run(2 * time.Hour)
			w.whole(t, w.now.Add(-2*time.Hour))
			slices := 0
			runs := map[string]bool{}
			for _, a := range w.audits {
				slices += a.Slices
				if a.Slices > 0 {
					runs[a.RunID] = true
				}
			}
			if asked := w.tried["row limit"]; asked != len(runs) {
				t.Errorf("%d runs asked %d times how large a row may be; the ledger knows: %s", len(runs), asked, w.story())
			}
			if len(w.voids) != 1 || w.count(key.Source, plan.Failed) > 0 || w.tried["fetch"] != slices {
				t.Errorf("%d slices hidden, %d fetches: %s", len(w.voids), w.tried["fetch"], w.story())
			}
			want := "1 large rows cut"
			if times > 1 {
				want = "1 rows are null in ADX"
			}
			if !strings.Contains(w.story(), want) {
				t.Errorf("want a note with %q: %s", want, w.story())
			}
		})
	}
}

// The count of rows is the authority: nobody asks for the status of what is not late.
func TestScenario_L20_StatusOfLateSlicesOnly(t *testing.T) {
	w := newWorld(65)
	w.fill(200, 20)
	w.run(time.Minute)
	if w.tried["status"] > 0 || w.count(key.Source, plan.Success) != 1 {
		t.Errorf("the status was read %d times: %s", w.tried["status"], w.story())
	}
}
