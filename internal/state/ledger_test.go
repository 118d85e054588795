package state_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/state"
)

func TestLedger_RoundTrip(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	if l, err := h.Ledger(t.Context(), "r1"); l != nil || err != nil {
		t.Fatalf("ledger before the first save: %v, %v", l, err)
	}
	want := plan.Ledger{
		RunID: "r1", Generation: 2, Instance: "", Table: plan.Table{Source: "DeviceInfo", Load: plan.Incr},
		Started: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Notes: []string{"n"}, Bytes: 5,
	}
	want.Add(plan.Slice{No: 4})
	want.Slices[0].Blob = plan.Blob{Path: "https://x/y", Rows: 1, Bytes: 2}
	saveLedger(t, h, want)
	want.Calls = 9
	saveLedger(t, h, want)

	want.Format = 1
	got, err := a.store(nil).ReadLedger(t.Context(), "r1")
	if diff := cmp.Diff(&want, got); diff != "" || err != nil {
		t.Errorf("ReadLedger: %v (-want +got):\n%s", err, diff)
	}
}

func TestSaveLedger_OverAnUnseenVersionIsFenced(t *testing.T) {
	a := newAccount(t)
	old := acquire(t, a.store(nil), deviceInfo)
	saveLedger(t, old, plan.Ledger{RunID: "r", Generation: 1})
	a.breakLease("state/default/DeviceInfo.json")
	heir := acquire(t, a.store(nil), deviceInfo)

	check := func(err error, who string) {
		t.Helper()
		if !errors.Is(err, state.ErrFenced) || fault.KindOf(err) != fault.Retry {
			t.Errorf("%s: %v (%v), want ErrFenced of kind retry", who, err, fault.KindOf(err))
		}
	}
	check(heir.SaveLedger(t.Context(), &plan.Ledger{RunID: "r", Generation: 2}), "heir that did not read")
	l, err := heir.Ledger(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	l.Generation = 2
	saveLedger(t, heir, *l)
	check(old.SaveLedger(t.Context(), &plan.Ledger{RunID: "r", Generation: 1}), "old holder")
	saveLedger(t, heir, *l)
}

func TestOpenLedger_FindsTheNewestOpenOneOfTheTable(t *testing.T) {
	a := newAccount(t)
	s := a.store(nil)
	h := acquire(t, s, deviceInfo)
	if l, err := h.OpenLedger(t.Context()); l != nil || err != nil {
		t.Fatalf("OpenLedger of nothing: %v, %v", l, err)
	}
	ended := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	mine := plan.Table{Source: "DeviceInfo"}
	for _, l := range []plan.Ledger{
		{RunID: "app1", Table: mine},
		{RunID: "app3", Table: mine},
		{RunID: "app2", Table: mine},
		{RunID: "app4", Table: mine, Ended: ended, Status: "Success"},
		{RunID: "app5", Table: plan.Table{Source: "DeviceEvents"}},
		{RunID: "app6", Table: mine, Instance: "default"},
	} {
		saveLedger(t, h, l)
	}
	heirs := a.store(nil)
	if err := h.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	heir := acquire(t, heirs, deviceInfo)
	l, err := heir.OpenLedger(t.Context())
	if err != nil || l == nil || l.RunID != "app3" {
		t.Fatalf("OpenLedger = %+v, %v; want app3", l, err)
	}
	l.Ended = ended
	saveLedger(t, heir, *l) // the version was remembered
	if l, err = heir.OpenLedger(t.Context()); err != nil || l == nil || l.RunID != "app2" {
		t.Errorf("OpenLedger after app3 ended = %+v, %v; want app2", l, err)
	}
}

func TestSweep_DeletesOldLedgersThatNoStateNames(t *testing.T) {
	a := newAccount(t)
	s := a.store(nil)
	h := acquire(t, s, deviceInfo)
	saveState(t, h, plan.TableState{OpenRun: "open"})
	now := time.Now()
	saveLedger(t, h, plan.Ledger{RunID: "open"})
	saveLedger(t, h, plan.Ledger{RunID: "left-open"})
	saveLedger(t, h, plan.Ledger{RunID: "ended", Ended: now})
	for _, tt := range []struct {
		olderThan time.Time
		want      int
	}{{now.Add(-time.Hour), 0}, {now.Add(time.Hour), 2}, {now.Add(time.Hour), 0}} {
		if n, err := s.Sweep(t.Context(), tt.olderThan); n != tt.want || err != nil {
			t.Errorf("Sweep(%v) = %d, %v; want %d", tt.olderThan, n, err, tt.want)
		}
	}
	if l, err := s.ReadLedger(t.Context(), "open"); l == nil || err != nil {
		t.Errorf("the open ledger: %v, %v", l, err)
	}
	for _, run := range []string{"ended", "left-open"} {
		if l, err := s.ReadLedger(t.Context(), run); l != nil || err != nil {
			t.Errorf("the ledger %s: %v, %v", run, l, err)
		}
	}
	saveState(t, h, plan.TableState{})
}
