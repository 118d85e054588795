package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// A command that is killed in the middle leaves its run to the service, and a command
// goes on with a run of a handler that was killed: each is one run, every row once.
func TestTerminal_KilledInTheMiddleEitherWay(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	events := table{source: "DeviceEvents", kind: arrival, load: "Full", column: "None", rows: 600, largest: 10}
	for name, play := range map[string]func(t *testing.T, w *world, local *localQueue, people *terminals, halt func()) (runID string){
		"command first": func(t *testing.T, w *world, local *localQueue, people *terminals, _ func()) string {
			c, err := people.start(t.Context(), events)
			if err != nil {
				t.Fatal(err)
			}
			until(t, w, func() bool { return c.progress().Slices > 0 })
			people.end()
			if n := w.faults.done()["terminal: leaves a run to the service"]; n != 1 {
				t.Fatal("the command was not killed in the middle of a run")
			}
			if err := local.tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			until(t, w, local.idle)
			return c.progress().RunID
		},
		"service first": func(t *testing.T, w *world, local *localQueue, people *terminals, halt func()) (runID string) {
			if err := local.tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			until(t, w, func() bool {
				states, err := w.states(t.Context())
				runID = states[events.source].OpenRun
				return err == nil && runID != ""
			})
			handler, err := local.process(0)
			if err != nil {
				t.Fatal(err)
			}
			handler.kill("in the middle")
			halt()
			c, err := people.start(t.Context(), events)
			if err != nil {
				t.Fatal(err)
			}
			people.wait.Wait()
			if got := c.progress(); got.RunID != runID || got.Status != "Success" {
				t.Errorf("the command ended run %s with %q, want %s with Success", got.RunID, got.Status, runID)
			}
			return runID
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := quiet(t, 500*time.Millisecond, events)
			local := newLocalQueue(w)
			serving, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); local.serve(serving) }()
			halt := func() { stop(); <-done }
			defer func() { halt(); local.stop() }()
			people := &terminals{world: w, local: local}
			defer people.end()
			runID := play(t, w, local, people, halt)
			v, err := newOracle(w).judge(t.Context())
			if err != nil || !v.OK() {
				t.Errorf("%+v, %v", v, err)
			}
			audits, err := w.Audits()
			if err != nil || len(audits) == 0 || audits[len(audits)-1].Status != "Success" || audits[len(audits)-1].RunID != runID || audits[len(audits)-1].RecordCount != int64(events.rows) {
				t.Errorf("want one run, %s, of %d rows: %+v, %v", runID, events.rows, audits, err)
			}
		})
	}
}

func until(t *testing.T, w *world, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about\n%s", w.tell())
		}
	}
}
