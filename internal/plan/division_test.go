package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// divided is a ledger with verified slices, written "part from-to lo-hi rows", numbered
// from 1: w is of the window, by minutes, n of null rows; "." is one not verified.
func divided(t *testing.T, slices ...string) *plan.Ledger {
	t.Helper()
	l := &plan.Ledger{Next: 1}
	for i, text := range slices {
		var part string
		var from, to int
		s := plan.LedgerSlice{State: plan.Verified, Slice: plan.Slice{No: i + 1, Part: plan.PartWindow}}
		scan(t, text, "%1s %d-%d %d-%d %d", &part, &from, &to, &s.Lo, &s.Hi, &s.Slice.Rows)
		s.Window = plan.Window{From: at(from), To: at(to)}
		s.Landed, s.Blob = s.Rows, plan.Blob{Path: "b", Rows: s.Rows}
		switch part {
		case "n":
			s.Part, s.Window = plan.PartNull, plan.Window{}
		case ".":
			s.State = plan.Planned
		}
		l.Slices = append(l.Slices, s)
		l.Next = i + 2
	}
	l.Account.Planned = l.Rows()
	return l
}

func TestDivisions_JoinWhatHashHasDivided(t *testing.T) {
	for _, tc := range []struct {
		name   string
		slices []string
		want   string // number: parts = rows
	}{
		{"by time alone", []string{"w 0-10 0-65536 5", "w 10-20 0-65536 6"}, "1:1=5 2:2=6"},
		{"one bin", []string{"w 0-10 0-65536 5", "w 10-20 0-30000 6", "w 10-20 30000-65536 7", "w 20-30 0-65536 8"}, "1:1=5 2:2,3=13 4:4=8"},
		{"two bins side by side", []string{"w 0-10 0-9 1", "w 0-10 9-65536 2", "w 10-20 0-9 3", "w 10-20 9-65536 4"}, "1:1,2=3 3:3,4=7"},
		{"a bucket divided in time", []string{"w 0-10 0-1 1", "w 10-20 0-1 2", "w 0-20 1-65536 3"}, "1:1,2,3=6"},
		{"null rows beside a bin", []string{"n 0-0 0-9 1", "n 0-0 9-65536 2", "w 0-10 0-9 3", "w 0-10 9-65536 4"}, "1:1,2=3 3:3,4=7"},
		{"null rows in one", []string{"n 0-0 0-65536 1", "w 0-10 0-65536 3"}, "1:1=1 2:2=3"},
		{"a part without rows, and one that is not verified", []string{"w 0-10 0-9 0", "w 0-10 9-100 2", ". 0-10 100-65536 5"}, "1:1,2=2"},
	} {
		var got []string
		for _, d := range divided(t, tc.slices...).Divisions() {
			var parts []string
			for _, p := range d.Parts {
				parts = append(parts, fmt.Sprint(p.No))
			}
			got = append(got, fmt.Sprintf("%d:%s=%d", d.No, strings.Join(parts, ","), d.Rows))
			if d.Hashed() || d.Divided() != (len(d.Parts) > 1) {
				t.Errorf("%s: division %d holds buckets [%d, %d), divided: %v", tc.name, d.No, d.Lo, d.Hi, d.Divided())
			}
		}
		if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

// Slices 2 to 4 are a division of 60 rows, of which 20 stand in two parts. What is read
// again answers to all of it: that its parts hold other numbers is no difference.
func TestDoubled_ReadsAllPartsAgainAsOne(t *testing.T) {
	for _, tc := range []struct {
		name   string
		counts map[int]int64
		doubt  string
		want   string // arrived recounted repeated
	}{
		{"as many as differ", map[int]int64{5: 10, 6: 5, 7: 35}, "[]", "0 0 -10"},
		{"and those that were in no part", map[int]int64{5: 20, 6: 20, 7: 20}, "[]", "10 0 -10"},
		{"fewer than differ", map[int]int64{5: 10, 6: 5, 7: 5}, "[5 6 7]", "0 -30 -10"},
	} {
		for _, closed := range []bool{false, true} {
			l := divided(t, "w 0-10 0-65536 5", "w 10-20 0-30000 60", "w 10-20 30000-60000 0", "w 10-20 60000-65536 0")
			l.Account.Closed = closed
			d := l.Divisions()[1]
			if err := l.Doubled(d, plan.Overlap{Rows: 20, Different: 10}); err != nil {
				t.Fatal(err)
			}
			if l.StoredFormat() != plan.LedgerFormat {
				t.Error("the first version would send the same blobs again, and may read this ledger")
			}
			for _, p := range d.Parts {
				no, err := l.Replace(p.No, day, false)
				if err != nil || l.Slice(no).State != plan.Planned || l.Slice(no).Rows != -1 || l.Slice(no).Parent != 2 {
					t.Fatalf("slice %d: %+v, %v", p.No, l.Slice(no), err)
				}
			}
			if got := fmt.Sprint(l.Doubt(tc.counts)); got != tc.doubt {
				t.Errorf("%s: to be counted again %s, want %s", tc.name, got, tc.doubt)
			}
			if err := l.TakeCounts(tc.counts); err != nil {
				t.Fatal(err)
			}
			for no, rows := range tc.counts {
				play(t, l, fmt.Sprintf("f%d=%d", no, rows))
				play(t, l, fmt.Sprintf("v%d", no))
			}
			a := l.Account
			if got := fmt.Sprint(a.Arrived, a.Recounted, a.Repeated); got != tc.want || a.Gap(l.Rows()) != 0 || a.Closed {
				t.Errorf("%s: account %s, a gap of %d, want %s", tc.name, got, a.Gap(l.Rows()), tc.want)
			}
		}
	}
}

// A division is counted as a whole: its parts may hold other numbers by another hash.
func TestClose_CountsADivisionAsAWhole(t *testing.T) {
	l := divided(t, "w 0-10 0-65536 5", "w 10-20 0-30000 20", "w 10-20 30000-65536 30")
	l.Account.Recounted, l.Account.Planned = -10, l.Account.Planned+10
	if !l.Vanished() {
		t.Fatal("rows are gone of what was divided, and nobody asks")
	}
	again, err := l.Close(map[int]int64{1: 5, 2: 60})
	if err != nil || len(again) != 1 || again[0].Name() != "slices 2 to 3" || again[0].Rows != 60 || l.Landed(again[0]) != 50 {
		t.Fatalf("%+v, %v", again, err)
	}
	if gap := l.Account.Gap(65); gap != 0 {
		t.Errorf("a gap of %d to what the source holds", gap)
	}
	if undivided := divided(t, "w 0-10 0-65536 5"); undivided.Vanished() {
		t.Error("nothing is gone, and nothing divided")
	}
}
