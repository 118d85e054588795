package pipeline_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// stored reads the table's state and the ledger of its open run as they lie in
// storage.
func (w *world) stored(t *testing.T) (state plan.TableState, ledger plan.Ledger) {
	t.Helper()
	if err := json.Unmarshal(w.states[key].body, &state); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(w.ledgers[state.OpenRun].body, &ledger); err != nil {
		t.Fatal(err)
	}
	return state, ledger
}

// A process freezes, loses its lease, and goes on after a second one has taken
// the table over and done nothing else: takeover alone must shut it out.
func TestMigrate_FrozenProcessChangesNothingAfterATakeover(t *testing.T) {
	freezes := map[string]mishap{
		"while it uploads a slice":              {call: "stage", skip: 1},
		"between promising and sending a slice": {call: "save ledger", skip: 2, after: true},
	}
	for name, freeze := range freezes {
		t.Run(name, func(t *testing.T) {
			w := paged(31, 3_000, 20)
			var state, ledger []byte
			sent := 0
			freeze.last = 1
			freeze.do = func(*process) error {
				before, _ := w.stored(t)
				w.mu.Lock()
				w.now = w.now.Add(2 * lease)
				w.states[key].leased = w.now
				w.mu.Unlock()
				w.before(1, "rows", kill)
				if err := w.wake(plan.Scheduled); err != errDead {
					t.Fatalf("the second process: %v, want it killed after its takeover", err)
				}
				after, open := w.stored(t)
				if after.Generation <= before.Generation || open.Generation != after.Generation {
					t.Errorf("generation %d before; after the takeover %d in the state, %d in the ledger", before.Generation, after.Generation, open.Generation)
				}
				state, ledger, sent = w.states[key].body, w.ledgers[after.OpenRun].body, len(w.sent)
				return nil
			}
			w.ill = append(w.ill, &freeze)
			if err := w.wake(plan.Scheduled); err == nil || state == nil {
				t.Fatalf("the frozen process ended with %v", err)
			}
			if len(w.sent) != sent {
				t.Errorf("the frozen process sent %d blobs after it had lost the table", len(w.sent)-sent)
			}
			now, _ := w.stored(t)
			if !bytes.Equal(w.states[key].body, state) || !bytes.Equal(w.ledgers[now.OpenRun].body, ledger) {
				t.Error("the frozen process changed state or ledger after it had lost the table")
			}
			w.run(3 * hour)
			w.whole(t, w.now.Add(-2*hour))
		})
	}
}

func TestMigrate_StateBlobGoneInTheMiddleOfARun(t *testing.T) {
	w := paged(32, 5_000, 20)
	w.before(4, "fetch", kill)
	if err := w.wake(plan.Scheduled); err != errDead {
		t.Fatalf("the process was not killed: %v", err)
	}
	clear(w.states)
	w.run(3 * hour)
	w.whole(t, w.now.Add(-2*hour))
	if got := w.tried["fetch"]; got != 7 {
		t.Errorf("%d fetches for 6 slices and one kill, want 7: the open run goes on", got)
	}
}

// A wake-up for a table that another process holds waits once for as long as a
// dead holder's lease can last. Only a person's goes on waiting, and one that was put off.
func TestMigrate_ATableInWork(t *testing.T) {
	tests := []struct {
		trigger string
		again   int
		putOff  int64
		want    string // delay of the wake-up; "" when it is dropped
	}{
		{plan.Scheduled, 0, 0, "1m0s"},
		{plan.Scheduled, 1, 0, ""},
		{plan.Scheduled, 3, 7, "1m0s"},
		{plan.Manual, 0, 0, "1m0s"},
		{plan.Manual, 1, 0, "5m0s"},
		{plan.Forced, 2, 0, "5m0s"},
	}
	for _, tt := range tests {
		w := newWorld(33)
		w.states[key] = &blob{leased: w.now.Add(hour)}
		if _, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: tt.trigger, Again: tt.again, PutOff: tt.putOff}}}); err != nil {
			t.Errorf("%s, put off %d times: %v", tt.trigger, tt.again, err)
		}
		got := ""
		for _, m := range w.messages {
			got += m.visible.Sub(w.now).String()
			if m.req.Again != tt.again+1 || m.req.Trigger != tt.trigger || m.req.PutOff != tt.putOff {
				t.Errorf("%s, put off %d times: sent again as %+v", tt.trigger, tt.again, m.req)
			}
		}
		if got != tt.want {
			t.Errorf("%s, put off %d times: sent again after %q, want %q", tt.trigger, tt.again, got, tt.want)
		}
	}
}
