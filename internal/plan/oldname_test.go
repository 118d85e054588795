package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOldNames_AreOnePairEach(t *testing.T) {
	for old, today := range todaysNames {
		for _, written := range []string{strings.ToLower(old), strings.ToUpper(old)} {
			if got := (Row{SourceTable: written}).Renamed(); got.SourceTable != today || got.WrittenName() != written {
				t.Errorf("%s becomes %+v", written, got)
			}
		}
		if got := (Row{SourceTable: old}).Renamed(); got.SourceTable != today || got.Written != old || got.WrittenName() != old {
			t.Errorf("%s becomes %+v", old, got)
		}
		if diff := cmp.Diff([]string{today, old}, NamesOf(today)); diff != "" {
			t.Errorf("names of %s (-want +got):\n%s", today, diff)
		}
	}
	if got := (Row{SourceTable: "DeviceInfo"}).Renamed(); got.Written != "" || got.WrittenName() != "DeviceInfo" {
		t.Errorf("today's name becomes %+v", got)
	}
	// What a run publishes goes back under the name that a person wrote.
	table, err := (Row{SourceTable: "MachineInfo", DestinationTable: "D", LoadType: "Full"}).Renamed().Table()
	if err != nil || table.Source != "DeviceInfo" || table.Row().WrittenName() != "MachineInfo" {
		t.Errorf("published as %+v, %v", table.Row(), err)
	}
}

func TestRow_AlertEventsNamesTheRowsToAppend(t *testing.T) {
	for _, written := range []string{"AlertEvents", "alertevents"} {
		_, err := Row{SourceTable: written, DestinationTable: "D", LoadType: "Full"}.Table()
		for _, part := range []string{"AlertInfo", "AlertEvidence", "IsActive = false"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %s", written, err, part)
			}
		}
	}
}

func TestOneName_WhatIsSwitchedOffCommandsNothing(t *testing.T) {
	row := func(written, run string, on bool) Row {
		return Row{SourceTable: "DeviceInfo", Written: written, RunID: run, IsActive: on}
	}
	old, oldRun, oldOff := row("MachineInfo", "", true), row("MachineInfo", "r1", true), row("MachineInfo", "", false)
	today, todayOff := row("", "", true), row("", "", false)
	tests := []struct {
		name string
		rows []Row
		want []Row
	}{
		{"one name", []Row{old, oldRun, oldOff}, []Row{old, oldRun, oldOff}},
		{"moved to today's name", []Row{old, oldRun, today, oldOff}, []Row{oldRun, today}},
		{"moved, the old one off first", []Row{old, oldOff, today}, []Row{today}},
		{"both on", []Row{old, today}, []Row{old, today}},
		{"both off", []Row{oldOff, todayOff}, []Row{oldOff, todayOff}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, OneName(tt.rows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if err := Doubled(old, today); err == nil || !strings.Contains(err.Error(), "DeviceInfo and MachineInfo are one table") {
		t.Errorf("both on: %v", err)
	}
	for _, pair := range [][2]Row{{old, oldRun}, {old, todayOff}, {oldOff, today}} {
		if err := Doubled(pair[0], pair[1]); err != nil {
			t.Errorf("%+v: %v", pair, err)
		}
	}
}
