package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Whatever cannot be written down once, or is and its reply lost: a run that ended well
// is not followed by a row that says it failed, and one that failed is followed by one
// that ended well. A tick's wake-up may fail twice: it has had its purpose.
func TestMigrate_TheAuditLogSaysHowARunEnded(t *testing.T) {
	for _, tt := range []struct {
		trigger string
		times   int
	}{{plan.Scheduled, 1}, {plan.Scheduled, 2}, {plan.Manual, 1}} {
		for _, call := range []string{"save state", "save ledger", "deliver"} {
			for _, after := range []bool{false, true} {
				for n := 1; ; n++ {
					w := newWorld(170)
					w.fill(40, 10)
					refused := func(*process) error { return fault.As(fault.Retry, errors.New("503")) }
					w.ill = append(w.ill, &mishap{call: call, after: after, skip: n - 1, last: tt.times, do: refused})
					w.messages = append(w.messages, message{visible: w.now, req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: tt.trigger}, Inserted: w.now}})
					for range 30 {
						w.deliverDue(time.Minute)
					}
					if w.ill[0].last == tt.times {
						break // so many there are not
					}
					w.check(t, w.now.Add(-2*time.Hour))
					if what := contradicts(w.audits); what != "" {
						t.Errorf("%s, %s %d refused %d times, done all the same: %v: %s:%s", tt.trigger, call, n, tt.times, after, what, w.story())
					}
				}
			}
		}
	}
}

// contradicts tells how audit rows of runs that all ended well say something else.
func contradicts(rows []plan.Audit) string {
	ended := false
	for _, a := range rows {
		if ended = ended || a.Status == plan.Success; ended && a.Status != plan.Success {
			return "a failure after the end"
		}
	}
	if !ended {
		return "no end"
	}
	return ""
}

// hider remembers of which table a run was hidden.
type hider struct {
	pipeline.Ingester
	hidden map[string]string // raw tables by run
}

func (h hider) Void(ctx context.Context, destination, runID string, slice int) error {
	if slice == -1 {
		h.hidden[runID] = destination
	}
	return h.Ingester.Void(ctx, destination, runID, slice)
}

// The user names another raw table while a run is open, and then its ledger is lost: the
// rows that it has sent lie in the old one, and are hidden there.
func TestMigrate_ALostRunIsHiddenWhereItsRowsAre(t *testing.T) {
	w := newWorld(171)
	w.fill(100, 10)
	w.before(3, "fetch", kill)
	if err := w.wake(plan.Scheduled); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	w.edit(func(r *plan.Row) { r.DestinationTable = "MovedRaw" })
	w.now = w.now.Add(5 * time.Minute)
	w.before(1, "fetch", kill) // the command was taken up
	if err := w.wake(plan.Scheduled); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	lost := w.state(t, key)
	if lost.Table.Destination != "MovedRaw" || lost.OpenRun == "" {
		t.Fatalf("state %+v", lost)
	}
	clear(w.ledgers)
	w.now = w.now.Add(5 * time.Minute)
	p := &process{world: w}
	h := hider{p, map[string]string{}}
	pipe := w.pipe(p, func(ports *pipeline.Ports) { ports.Ingester = h })
	if err := pipe.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{lost.OpenRun: "DeviceInfoRaw"}, h.hidden); diff != "" {
		t.Errorf("hidden:\n%s", diff)
	}
	w.check(t, w.now.Add(-2*time.Hour))
	if got := w.last(); got.Status != plan.Success || got.TableName != "MovedRaw" {
		t.Error(fmt.Sprint("audit:", w.story()))
	}
}
