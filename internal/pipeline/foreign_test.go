package pipeline_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// known reads the table's state as it lies in storage.
func (w *world) known(t *testing.T) (state plan.TableState) {
	t.Helper()
	if err := json.Unmarshal(w.states[key].body, &state); err != nil {
		t.Fatal(err)
	}
	return state
}

func TestMigrate_RefusalForAnotherAppIsNoRunThatEnded(t *testing.T) {
	w := newWorld(301)
	w.fill(30, 5)
	w.run(time.Minute)
	first := w.known(t)
	ended := first.LastEnded
	if ended.IsZero() || !ended.Equal(first.ForeignSince) {
		t.Fatalf("after a run: ended %v, other apps' rows looked for since %v; want one instant", ended, first.ForeignSince)
	}

	w.now = w.now.Add(time.Hour)
	w.extents = append(w.extents, extent{runID: "other120261101120000aaaaaaaa", destination: "DeviceInfoRaw", at: w.now})
	waiting := message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}, Inserted: w.now}}
	w.now = w.now.Add(time.Minute)
	_, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Scheduled}, Inserted: w.now}})
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "another app") {
		t.Fatalf("with rows of another app: %v, want a refusal", err)
	}
	if got := w.known(t); !got.LastEnded.Equal(ended) || !got.ForeignSince.After(ended) {
		t.Errorf("after the refusal the last run ended %v, want still %v, and other apps' rows are looked for since %v, want later", got.LastEnded, ended, got.ForeignSince)
	}

	// The other app has stopped; this wake-up is older than the refusal.
	calls := w.calls
	if _, err := w.deliver(waiting); err != nil {
		t.Fatal(err)
	}
	if got := w.known(t); w.calls == calls || !got.LastEnded.After(ended) {
		t.Error("the next wake-up was dropped as served by a run that never was")
	}
}
