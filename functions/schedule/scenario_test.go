package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/functions/schedule"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// bench holds the configuration, the open runs and what a tick did.
type bench struct {
	depth    int // wake-ups in the queue
	rows     []plan.Candidate
	open     []plan.Key
	stuck    string // the table whose wake-up cannot be sent
	woken    []string
	rejected []string
	states   map[string]*plan.TableState
	now      time.Time
}

func (b *bench) Latest(context.Context) ([]plan.Candidate, error) { return b.rows, nil }
func (b *bench) Open(context.Context) ([]plan.Key, error)         { return b.open, nil }
func (b *bench) Read(_ context.Context, key plan.Key) (*plan.TableState, error) {
	if key.Source == b.stuck {
		return nil, errors.New("storage is busy")
	}
	return b.states[key.Source], nil
}
func (b *bench) Sweep(context.Context) (int, error) { return 0, nil }
func (b *bench) Reject(_ context.Context, r plan.Candidate, _ error) error {
	b.rejected = append(b.rejected, r.SourceTable)
	return nil
}

func (b *bench) Wake(_ context.Context, w plan.WakeUp, _ time.Duration) error {
	if w.Key.Source == b.stuck {
		return errors.New("storage is busy")
	}
	b.woken = append(b.woken, w.Key.Source)
	return nil
}

func (b *bench) Backlog(context.Context) (plan.Backlog, error) {
	return plan.Backlog{All: b.depth, Ready: min(plan.MostReady, b.depth)}, nil
}

func (b *bench) serve(t *testing.T) host.Reply {
	f := schedule.Function{Configuration: b, States: b, Waker: b, Auditor: b, Backlog: b.Backlog, Sweep: b.Sweep,
		Ticks: func(after time.Time) time.Time { return after.Truncate(time.Hour).Add(time.Hour) }, Now: func() time.Time { return b.now }}
	return f.Serve(t.Context(), host.Invocation{ID: "i", Function: "schedule", Body: []byte(`{"Data":{"tick":{}},"Metadata":{}}`)})
}

func row(source string, active bool) plan.Candidate {
	return plan.Candidate{Row: plan.Row{SourceTable: source, DestinationTable: source + "Raw", LoadType: "Full", IsActive: active}}
}

// Nobody has to start anything: the host's timer does, by a setting.
func TestScenario_P24_TimerWakesEveryActiveTable(t *testing.T) {
	var function struct {
		Bindings []struct{ Type, Direction, Name, Schedule string }
	}
	text, err := os.ReadFile("function.json")
	if err == nil {
		err = json.Unmarshal(text, &function)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := function.Bindings
	if len(b) != 1 || b[0].Type != "timerTrigger" || b[0].Name != schedule.Binding || b[0].Schedule != "%MIGRATION_SCHEDULE%" {
		t.Errorf("bindings %+v", b)
	}
	w := &bench{rows: []plan.Candidate{row("DeviceInfo", true), row("DeviceEvents", false), row("DeviceLogonEvents", true)}}
	if reply := w.serve(t); reply.Redeliver {
		t.Error("the tick failed")
	}
	if diff := cmp.Diff([]string{"DeviceInfo", "DeviceLogonEvents"}, w.woken); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
}

// One malformed row, or one table whose wake-up cannot be sent, keeps no other
// table from its turn.
func TestScenario_O24_OneMalformedRow(t *testing.T) {
	bad := row("DeviceEvents", true)
	bad.LastRefreshedTimeInString = "2026-13-45"
	w := &bench{rows: []plan.Candidate{bad, row("DeviceInfo", true), row("DeviceLogonEvents", true), row("DeviceProcessEvents", true)}, stuck: "DeviceInfo"}
	if reply := w.serve(t); !reply.Redeliver {
		t.Error("a wake-up that could not be sent is no failure")
	}
	if diff := cmp.Diff([]string{"DeviceLogonEvents", "DeviceProcessEvents"}, w.woken); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"DeviceEvents"}, w.rejected); diff != "" {
		t.Errorf("rejected with an audit row (-want +got):\n%s", diff)
	}
}

// A table that is wanted once a day is woken once a day, though the timer ticks each
// hour and neither ticks nor starts are punctual.
func TestScenario_U1_FrequencyIsObeyed(t *testing.T) {
	midnight := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	daily, nightly, always := row("DeviceTvmSoftwareInventory", true), row("DeviceInfo", true), row("DeviceEvents", true)
	daily.Frequency, nightly.Frequency = "1d", "0 0 2 * * *"
	w := &bench{rows: []plan.Candidate{daily, nightly, always}, states: map[string]*plan.TableState{}}
	runs := map[string][]int{}
	for tick := range 3 * 24 {
		late := time.Duration(tick%3-1) * time.Second // a second early, punctual, a second late
		w.now, w.woken = midnight.Add(time.Duration(tick)*time.Hour+late), nil
		if w.serve(t).Redeliver {
			t.Fatal("the tick failed")
		}
		for _, table := range w.woken {
			runs[table] = append(runs[table], tick)
			w.states[table] = &plan.TableState{LastStarted: w.now.Add(4 * time.Minute), LastEnded: w.now.Add(9 * time.Minute)}
		}
	}
	// The first at once, then once a day at the table's own hour.
	if own := runs["DeviceTvmSoftwareInventory"]; len(own) < 3 || own[0] != 0 || own[1] > 24 || own[2] != own[1]+24 {
		t.Errorf("ticks that woke the table of 1d: %v", own)
	}
	if diff := cmp.Diff([]int{0, 2, 26, 50}, runs["DeviceInfo"]); diff != "" { // the first at once
		t.Errorf("ticks that woke the table of two o'clock (-want +got):\n%s", diff)
	}
	if len(runs["DeviceEvents"]) != 3*24 {
		t.Errorf("the table without Frequency was woken at %d of 72 ticks", len(runs["DeviceEvents"]))
	}
}

// What is begun goes on at each tick, whatever the Frequency, and so does a table of
// which nothing can be read; a Frequency that is none is rejected with the reason.
func TestScenario_U1_WhatIsOpenIsAlwaysDue(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	w := &bench{now: now, states: map[string]*plan.TableState{
		"Open": {LastStarted: now.Add(-time.Hour), OpenRun: "r"}, "More": {LastStarted: now.Add(-time.Hour), More: true},
		"Done": {LastStarted: now.Add(-time.Hour)}, "Ahead": {LastStarted: now.Add(1000 * time.Hour)},
	}}
	for _, source := range []string{"Open", "More", "Done", "Ahead", "New", "Odd"} {
		r := row(source, true)
		r.Frequency = "1d"
		if source == "Odd" {
			r.Frequency = "daily"
		}
		w.rows = append(w.rows, r)
	}
	w.serve(t)
	if diff := cmp.Diff([]string{"Open", "More", "Ahead", "New"}, w.woken); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Odd"}, w.rejected); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

// Ticks go on while nothing is worked off: the host's slots are all busy.
func TestScenario_L29_HostsWhoseSlotsAreAllBusy(t *testing.T) {
	w := &bench{}
	for i := range 63 {
		w.rows = append(w.rows, row(fmt.Sprint("T", i), true))
	}
	for range 21 {
		w.serve(t)
		w.depth = len(w.woken)
	}
	if w.depth != 2*63 {
		t.Errorf("%d wake-ups wait after 21 ticks, want two a table", w.depth)
	}
	w.woken, w.depth = nil, 70 // worked off in part
	w.serve(t)
	if len(w.woken) != 0 {
		t.Errorf("%d wake-ups sent to a queue of 70", len(w.woken))
	}
	w.depth = 63
	w.serve(t)
	if len(w.woken) != 63 {
		t.Errorf("%d wake-ups sent to a queue of 63, want one a table", len(w.woken))
	}
}
