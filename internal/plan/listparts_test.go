package plan_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

var shownFrom = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// shownAt is what a reading has shown that met versions at these instants.
func shownAt(at ...time.Time) *plan.Versions {
	v := &plan.Versions{}
	for i, t := range at {
		v.Add(plan.Version{byte(i), byte(i >> 8)}, t)
	}
	return v
}

// hourly are n instants, an hour apart.
func hourly(n int) (at []time.Time) {
	for i := range n {
		at = append(at, shownFrom.Add(time.Duration(i)*time.Hour))
	}
	return at
}

func TestVersions_CutsWhereAReadingWasTooLong(t *testing.T) {
	half := shownFrom.AddDate(0, 6, 0)
	second := shownFrom.Add(time.Hour)
	for _, c := range []struct {
		name  string
		shown *plan.Versions
		w     plan.Window
		most  int // of what was shown that one part may hold
		none  bool
	}{
		{name: "newest first, from the beginning", shown: shownAt(hourly(1000)...), w: plan.Window{To: shownFrom.Add(1001 * time.Hour)}, most: 150},
		{name: "oldest first", shown: shownAt(hourly(1000)...), w: plan.Window{From: shownFrom, To: half}, most: 150},
		{name: "one far away", shown: shownAt(append(hourly(200), shownFrom.AddDate(-20, 0, 0))...), w: plan.Window{To: half}, most: 40},
		{name: "most in one second", shown: shownAt(second, second, second, second), w: plan.Window{To: half}, most: 4},
		{name: "nothing shown", shown: &plan.Versions{}, w: plan.Window{To: half}, none: true},
		{name: "one second", shown: shownAt(second), w: plan.Window{From: second, To: second.Add(time.Second)}, none: true},
		{name: "none of the window", shown: shownAt(hourly(10)...), w: plan.Window{From: half, To: half.Add(time.Hour)}, none: true},
	} {
		cuts := c.shown.Cuts(c.w, 0.125)
		if c.none != (len(cuts) == 0) {
			t.Errorf("%s: %d cuts", c.name, len(cuts))
		}
		rest := c.shown
		from := c.w.From
		for _, at := range cuts {
			if !at.After(from) || !at.Before(c.w.To) || at.Nanosecond() != 0 {
				t.Fatalf("%s: cut at %v, the part begins at %v and the window ends at %v", c.name, at, from, c.w.To)
			}
			if n := rest.Len() - rest.Outside(from, at).Len(); n > c.most {
				t.Errorf("%s: %d versions between %v and %v", c.name, n, from, at)
			}
			from = at
		}
	}
}

func listLedger(load plan.LoadType) *plan.Ledger {
	l := &plan.Ledger{Table: plan.Table{Source: "security/incidents", WatermarkColumn: "lastUpdateDateTime", Load: load}, Next: 1, SnapshotTime: shownFrom.AddDate(0, 6, 0)}
	s := plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: plan.RowsUnknown}
	if load != plan.Snapshot {
		l.Table.WatermarkColumn = "lastUpdateDateTime"
		l.SnapshotTime = time.Time{}
		s.Part, s.Window = plan.PartWindow, plan.Window{From: shownFrom, To: shownFrom.AddDate(0, 6, 0)}
	}
	l.Add(s)
	return l
}

// The parts of a list hold together what the whole held, and the youngest has no end.
func TestLedger_DividesAList(t *testing.T) {
	a, b, late := shownFrom.AddDate(0, 1, 0), shownFrom.AddDate(0, 2, 0), shownFrom.AddDate(0, 7, 0)
	for _, load := range []plan.LoadType{plan.Incr, plan.Snapshot} {
		l := listLedger(load)
		begin := l.Slices[0].Window.From
		if w := l.ListPart(l.Slices[0].Slice); !w.From.Equal(begin) || !w.To.IsZero() {
			t.Errorf("%s: the whole is read as %v", load, w)
		}
		if ok, err := l.DivideList(1, []time.Time{a, b}); !ok || err != nil || len(l.Slices) != 3 {
			t.Fatalf("%s: divided %v into %d, %v", load, ok, len(l.Slices), err)
		}
		want := []plan.Window{{From: begin, To: a}, {From: a, To: b}, {From: b}}
		for i, s := range l.Slices {
			if w := l.ListPart(s.Slice); w != want[i] || s.State != plan.Planned || s.Rows != plan.RowsUnknown {
				t.Errorf("%s: part %d is read as %v, want %v", load, i, w, want[i])
			}
		}
		// What came since the plan lies behind the window's end.
		youngest := l.Slices[2].No
		if ok, err := l.DivideList(youngest, []time.Time{late}); !ok || err != nil {
			t.Fatalf("%s: divided %v, %v", load, ok, err)
		}
		if w := l.ListPart(l.Slices[2].Slice); w != (plan.Window{From: b, To: late}) {
			t.Errorf("%s: %v", load, w)
		}
		if w := l.ListPart(l.Slices[3].Slice); w != (plan.Window{From: late}) {
			t.Errorf("%s: the youngest is read as %v", load, w)
		}
		if ok, err := l.DivideList(l.Slices[0].No, []time.Time{b}); ok || err != nil {
			t.Errorf("%s: divided at an instant outside: %v, %v", load, ok, err)
		}
	}
	whole := &plan.Ledger{Table: plan.Table{Source: "api/vulnerabilities", Load: plan.Snapshot}, Next: 1}
	whole.Add(plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: plan.RowsUnknown})
	if ok, err := whole.DivideList(1, []time.Time{a}); ok || err == nil {
		t.Errorf("a list without an instant was divided: %v", err)
	}
}

// All parts of a snapshot bear one instant, whenever they are read.
func TestLedger_PartsOfASnapshotBearOneInstant(t *testing.T) {
	l := listLedger(plan.Snapshot)
	if ok, err := l.DivideList(1, []time.Time{shownFrom}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	first, second := shownFrom.AddDate(0, 6, 1), shownFrom.AddDate(0, 6, 2)
	l.ListRead(first, time.Hour)
	if err := l.Freeze(l.Slices[0].No, plan.Blob{Path: "https://a/b", Rows: 1}, 0, first); err != nil {
		t.Fatal(err)
	}
	l.ListRead(second, time.Hour)
	if !l.SnapshotTime.Equal(first) {
		t.Errorf("the snapshot is of %v, want %v", l.SnapshotTime, first)
	}
}

func TestVersions_OutsideAPart(t *testing.T) {
	at := hourly(4)
	v := shownAt(at...)
	for _, c := range []struct {
		from, to time.Time
		want     int
	}{{time.Time{}, time.Time{}, 0}, {at[1], time.Time{}, 1}, {at[1], at[2], 3}, {time.Time{}, at[3], 1}} {
		if n := v.Outside(c.from, c.to).Len(); n != c.want {
			t.Errorf("outside %v to %v: %d, want %d", c.from, c.to, n, c.want)
		}
	}
}
