package plan_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// What a shortened window leaves out is planned and newer than all that is promised;
// what it keeps ends where the window ends.
func TestLedger_ShortenLeavesOutTheNewestPlanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 30).Draw(t, "slices")
		hour := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Hour) }
		l := plan.Ledger{Window: plan.Window{From: hour(0), To: hour(n)}, Next: 1}
		promised := 0
		for i := range n {
			s := plan.Slice{No: l.Next, Part: plan.PartWindow, Window: plan.Window{From: hour(i), To: hour(i + 1)}, Hi: plan.Buckets, Rows: int64(i)}
			halves := []plan.Slice{s}
			if rapid.Bool().Draw(t, "by buckets") {
				a, b := s, s
				a.Hi, b.Lo, b.No = plan.Buckets/2, plan.Buckets/2, s.No+1
				halves = []plan.Slice{a, b}
			}
			l.Add(halves...)
			if rapid.IntRange(0, 9).Draw(t, "promised") == 0 {
				l.Slices[len(l.Slices)-1].State = plan.Committing
				promised = i + 1
			}
		}
		l.Open(l.PlannedRows(), time.Time{})
		all, limit := len(l.Slices), rapid.IntRange(1, 40).Draw(t, "limit")
		was := l.Account.Planned
		rows := l.PlannedRows()
		if !l.Shorten(limit) {
			if all > limit && promised < n-1 {
				t.Fatalf("%d slices stay, %d are allowed", all, limit)
			}
			return
		}
		if !l.More || l.Window.To.Before(hour(promised)) || l.Window.Empty() {
			t.Fatalf("window %v, promised up to %v", l.Window, hour(promised))
		}
		for _, s := range l.Slices {
			if s.Window.To.After(l.Window.To) {
				t.Fatalf("%v reaches beyond the window's end %v", s.Slice, l.Window.To)
			}
		}
		if left := rows - l.PlannedRows(); was-l.Account.Planned != left {
			t.Fatalf("the account still has %d rows that are left out", left)
		}
	})
}

func TestRowWidth_Cut(t *testing.T) {
	w := plan.NewRowWidth(plan.Limits{Rows: 95_000, Bytes: 1 << 40}, 500)
	for i, tt := range []struct {
		received int64
		stop     bool
	}{{10_000, false}, {9_000, false}, {10_000, false}, {10_000, true}, {10_000, false}} {
		if got := w.Cut(tt.received); got != tt.stop {
			t.Errorf("answer %d: stop %v", i+1, got)
		}
	}
	if !w.Learn(false) || w.RowCap() != 10_000 || w.Target() != 9_500 || w.Width() != 500 {
		t.Errorf("cap %d, target %d, width %v", w.RowCap(), w.Target(), w.Width())
	}
	if !w.Repack([]plan.Slice{{Rows: 95_000}}) || w.Repack([]plan.Slice{{Rows: 9_000}}) {
		t.Error("slices above the cap are packed again, and others not")
	}
	if w.Learn(false) {
		t.Error("learned twice")
	}
}
