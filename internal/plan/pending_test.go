package plan_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func TestPending_Superfluous(t *testing.T) {
	waits := plan.Pending{No: 4, Due: noon.Add(20 * time.Minute)}
	failed := waits
	failed.Failed = true
	fresh := plan.WakeUp{Trigger: plan.Scheduled}
	tests := []struct {
		name    string
		pending plan.Pending
		wakeUp  plan.WakeUp
		now     time.Time
		want    bool
	}{
		{"none", plan.Pending{No: 4}, fresh, noon, false},
		{"pending", waits, fresh, noon, true},
		{"due", waits, fresh, waits.Due.Add(time.Minute), true},
		{"lost", waits, fresh, waits.Due.Add(5 * time.Minute), false},
		{"due beyond belief", plan.Pending{No: 4, Due: noon.Add(2 * time.Hour)}, fresh, noon, false},
		{"the pending one itself", waits, plan.WakeUp{Trigger: plan.Scheduled, PutOff: 4}, noon, false},
		{"an older one", waits, plan.WakeUp{Trigger: plan.Scheduled, PutOff: 3}, noon, true},
		{"a person's", waits, plan.WakeUp{Trigger: plan.Manual}, noon, false},
		{"a tick beside a failure", failed, fresh, noon, false},
		{"a failure's", waits, plan.WakeUp{Trigger: plan.Scheduled, PutOff: 3, Failures: 1}, noon, false},
	}
	for _, tt := range tests {
		if got := tt.pending.Superfluous(tt.wakeUp, tt.now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestGist_LeavesOutNumbersAndIDs(t *testing.T) {
	a := plan.Gist("migrate DeviceInfo: fetch slice 17 (2026-11-01T00:00:00.0000000Z]: HTTP 503 (request 7f3a-11)")
	b := plan.Gist("migrate DeviceInfo: fetch slice 4 (2026-11-02T01:00:00.0000000Z]: HTTP 503 (request 0c9d-2)")
	if a != b || a != "migrate DeviceInfo fetch slice HTTP request" {
		t.Errorf("%q and %q", a, b)
	}
}

func TestState_SayOncePerPeriod(t *testing.T) {
	var s plan.TableState
	say := func(cause string, after time.Duration) bool { return s.Say(cause, noon.Add(after), time.Hour) }
	if !say("a", 0) || say("a", 59*time.Minute) || !say("b", 59*time.Minute) || !say("a", time.Hour) || say("b", 59*time.Minute+time.Second) {
		t.Errorf("said %v", s.Said)
	}
	for i := range 20 {
		s.Say(string(rune('c'+i)), noon, time.Hour)
	}
	if len(s.Said) > 8 {
		t.Errorf("%d causes are kept", len(s.Said))
	}
}

func TestLedger_CorrectNeverSendsEarly(t *testing.T) {
	slice := func(no int, state plan.SliceState, sent time.Time) plan.LedgerSlice {
		return plan.LedgerSlice{Slice: plan.Slice{No: no}, State: state, Sent: sent, Sends: 1}
	}
	l := plan.Ledger{Slices: []plan.LedgerSlice{
		slice(1, plan.Verified, noon.Add(time.Hour)), slice(2, plan.Committing, noon.Add(-time.Minute)), slice(3, plan.Verified, noon.Add(-time.Hour)),
	}, ProbeSent: noon.Add(2 * time.Hour)}
	l.Correct(noon)
	for i, want := range []time.Time{noon, noon, noon.Add(-time.Hour)} {
		if got := l.Slices[i].Sent; !got.Equal(want) {
			t.Errorf("slice %d: sent %v, want %v", i+1, got, want)
		}
	}
	if !l.ProbeSent.Equal(noon) {
		t.Errorf("probed %v", l.ProbeSent)
	}
	// Right instants stay.
	before := l
	l.Correct(noon.Add(time.Minute))
	if !l.Slices[1].Sent.Equal(before.Slices[1].Sent) {
		t.Errorf("a right instant was moved to %v", l.Slices[1].Sent)
	}
}
