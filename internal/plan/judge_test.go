package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// at is a minute of the test's day; 0 is no instant.
func at(minute int) time.Time {
	if minute == 0 {
		return time.Time{}
	}
	return day.Add(time.Duration(minute) * time.Minute)
}

// configured reads "minute words...": a row that came in then. Words: ours (as published by
// run r), off, snapshot, mark=minute, bad (a LoadType that is none).
func configured(text string) plan.Row {
	words := strings.Fields(text)
	var minute int
	_, _ = fmt.Sscan(words[0], &minute)
	r := plan.Row{SourceTable: "T", DestinationTable: "T", WatermarkColumn: "None", LoadType: "Full", IsActive: true, Ingested: at(minute)}
	for _, w := range words[1:] {
		switch {
		case w == "ours":
			r.RunID, r.Generation = "r", 3
		case w == "off":
			r.IsActive = false
		case w == "snapshot":
			r.LoadType = "Snapshot"
		case w == "bad":
			r.LoadType = "Never"
		case strings.HasPrefix(w, "mark="):
			_, _ = fmt.Sscan(w[5:], &minute)
			r.LastRefreshedTime = at(minute)
		default:
			panic("unknown word " + w)
		}
	}
	return r
}

func TestJudge_FindsTheUsersCommand(t *testing.T) {
	for _, tc := range []struct {
		name      string
		taken     int    // arrival of the newest row judged before; 0: the table is new
		published string // what we published; its minute is that of its arrival seen so far
		rows      string // separated by ;
		now       int
		command   string // its arrival and what it says; "" none
		hidden    bool
		seen      int
		problem   string
	}{
		{name: "a new table", rows: "10", now: 60, command: "10 Full", seen: 10},
		{name: "a new table, corrected", rows: "10; 20 snapshot", now: 60, command: "20 Snapshot", seen: 20},
		{name: "nothing new", taken: 10, rows: "10", now: 60, seen: 10},
		{name: "older than what was taken up", taken: 10, rows: "5 off; 10", now: 60, seen: 10},
		{name: "ours alone", taken: 10, published: "0 ours mark=9", rows: "10; 20 ours mark=9", now: 60, seen: 20},
		{name: "ours, so young that a user's may come to light", taken: 10, published: "0 ours mark=9", rows: "10; 59 ours mark=9", now: 59, seen: 58},
		{name: "ours, younger than what was taken up", taken: 59, published: "0 ours mark=9", rows: "59; 60 ours mark=9", now: 59, seen: 59},
		{name: "switched off", taken: 10, rows: "10; 20 off", now: 60, command: "20 Full off", seen: 20},
		{name: "two commands, the newest counts", taken: 10, rows: "20 off; 30 snapshot", now: 60, command: "30 Snapshot", seen: 30},
		{name: "after ours", taken: 10, published: "0 ours mark=9", rows: "20 ours mark=9; 30 off", now: 60, command: "30 Full off", seen: 30},
		{name: "before ours, which hides it", taken: 10, published: "0 ours mark=9", rows: "20 off; 30 ours mark=9", now: 60, command: "20 Full off", hidden: true, seen: 30},
		{name: "hidden, then said again", taken: 10, published: "0 ours mark=9", rows: "20 off; 30 ours mark=9; 40 off", now: 60, command: "40 Full off", seen: 40},
		{name: "ours with a column changed", taken: 10, published: "0 ours mark=9", rows: "20 ours mark=9 off", now: 60, command: "20 Full off", seen: 20},
		{name: "ours with another watermark", taken: 10, published: "0 ours mark=9", rows: "20 ours mark=8", now: 60, command: "20 Full", seen: 20},
		{name: "a copy of ours is a user's", taken: 10, published: "20 ours mark=9", rows: "20 ours mark=9; 30 ours mark=9", now: 60, command: "30 Full", seen: 30},
		{name: "no rows", taken: 10, now: 60, problem: `no row for SourceTable "T"`},
		{name: "a fault in the newest", taken: 10, rows: "10; 20 bad", now: 60, problem: "LoadType"},
		{name: "a fault after a command", taken: 10, rows: "20 off; 30 bad", now: 60, problem: "LoadType"},
		{name: "a fault, mended", taken: 10, rows: "20 bad; 30", now: 60, command: "30 Full", seen: 30},
		{name: "a fault before ours stays one", taken: 10, published: "0 ours mark=9", rows: "20 bad; 30 ours mark=9", now: 60, problem: "LoadType"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			state := &plan.TableState{Source: "T", Command: at(tc.taken)}
			if tc.taken > 0 {
				state.Table.Source = "T"
			}
			if tc.published != "" {
				p, err := configured(tc.published).Table()
				if err != nil {
					t.Fatal(err)
				}
				state.Publish(p)
				state.Published[0].Ingested = p.Ingested
			}
			var rows []plan.Row
			for text := range strings.SplitSeq(tc.rows, ";") {
				if text != "" {
					rows = append(rows, configured(text))
				}
			}
			got, err := plan.Judge(state, rows, at(tc.now))
			if tc.problem != "" {
				if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tc.problem) || got.Command != nil {
					t.Fatalf("%+v, %v, want it permanent: %s", got, err, tc.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			command := ""
			if c := got.Command; c != nil {
				command = fmt.Sprintf("%d %s", int(c.Ingested.Sub(day).Minutes()), c.Load)
				if !c.Active {
					command += " off"
				}
			}
			if command != tc.command || got.Hidden != tc.hidden || !got.Seen.Equal(at(tc.seen)) {
				t.Errorf("command %q hidden %v seen %v, want %q, %v, %v", command, got.Hidden, got.Seen, tc.command, tc.hidden, at(tc.seen))
			}
			if !state.Command.Equal(at(tc.taken)) {
				t.Errorf("the state's command moved to %v", state.Command)
			}
		})
	}
}
