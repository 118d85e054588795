package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// inEachState returns a ledger with a slice of 100 rows in each state: 1 planned, 2
// uncounted, 3 committing, 4 verified, 5 voiding, 6 void, 7 retired, 8 planned
// without rows, 9 verified without rows.
func inEachState() *plan.Ledger {
	l := &plan.Ledger{RunID: "r", Next: 10}
	for i, state := range []plan.SliceState{plan.Planned, plan.Planned, plan.Committing, plan.Verified, plan.Voiding, plan.Void, plan.Retired, plan.Planned, plan.Verified} {
		from := day.Add(time.Duration(i) * 4 * time.Hour)
		s := plan.LedgerSlice{State: state, Slice: plan.Slice{
			No: i + 1, Part: plan.PartWindow, Window: plan.Window{From: from, To: from.Add(4 * time.Hour)}, Hi: plan.Buckets, Rows: 100}}
		if state != plan.Planned && state != plan.Retired && s.No != 9 {
			s.Blob = plan.Blob{Path: "b", Rows: 100}
			s.Sends, s.Sent = 1, day
		}
		l.Slices = append(l.Slices, s)
	}
	l.Slice(2).Rows, l.Slice(2).Parent = -1, 7
	l.Slice(8).Rows, l.Slice(9).Rows = 0, 0
	return l
}

// steps are all steps that a ledger knows, for a slice.
var steps = map[string]func(l *plan.Ledger, no int) error{
	"freeze":         func(l *plan.Ledger, no int) error { return l.Freeze(no, plan.Blob{Path: "new", Rows: 90}, 2, day) },
	"freeze nothing": func(l *plan.Ledger, no int) error { return l.Freeze(no, plan.Blob{Path: "new"}, 0, day) },
	"verify 100":     func(l *plan.Ledger, no int) error { return l.Verify(no, 100) },
	"verify 200":     func(l *plan.Ledger, no int) error { return l.Verify(no, 200) },
	"verify 99":      func(l *plan.Ledger, no int) error { return l.Verify(no, 99) },
	"verify 0":       func(l *plan.Ledger, no int) error { return l.Verify(no, 0) },
	"divide":         func(l *plan.Ledger, no int) error { _, _, _, err := l.Divide(no); return err },
	"divide at":      func(l *plan.Ledger, no int) error { _, _, _, err := l.DivideAt(no, day.Add(time.Hour)); return err },
	"count 60":       func(l *plan.Ledger, no int) error { return l.Counted(no, 60) },
	"count -1":       func(l *plan.Ledger, no int) error { return l.Counted(no, -1) },
	"resend":         func(l *plan.Ledger, no int) error { return l.Resend(no, day) },
	"condemn":        func(l *plan.Ledger, no int) error { return l.Condemn(no, 7) },
	"replace":        func(l *plan.Ledger, no int) error { _, err := l.Replace(no, day, false); return err },
	"read again":     func(l *plan.Ledger, no int) error { _, err := l.Replace(no, day, true); return err },
	"reread": func(l *plan.Ledger, no int) error {
		rows := int64(0)
		if s := l.Slice(no); s != nil {
			rows = s.Landed
		}
		return l.Reread(plan.Division{Slice: plan.Slice{No: no}, Parts: []plan.Slice{{No: no}}}, rows)
	},
	"may send": func(l *plan.Ledger, no int) error { _, err := l.MaySend(no); return err },
	"may try":  func(l *plan.Ledger, no int) error { _, err := l.MayTry(no, 1, 3); return err },
}

// drawn is the drawing: the slices of inEachState that each step takes, and where to.
var drawn = map[string]map[int]plan.SliceState{
	"freeze":         {1: plan.Committing, 8: plan.Committing},
	"freeze nothing": {},
	"verify 100":     {3: plan.Verified},
	"verify 200":     {3: plan.Verified},
	"verify 99":      {},
	"verify 0":       {1: plan.Verified, 8: plan.Verified},
	"divide":         {1: plan.Retired, 2: "", 8: plan.Retired},           // slice 2 has no count that anybody needs
	"divide at":      {1: plan.Retired, 2: plan.Planned, 8: plan.Planned}, // the instant lies in slice 1 alone
	"count 60":       {2: plan.Planned},
	"count -1":       {},
	"resend":         {3: plan.Committing},
	"condemn":        {3: plan.Voiding, 4: plan.Voiding},
	"replace":        {5: plan.Void},
	"read again":     {5: plan.Void},
	"reread":         {4: plan.Voiding, 9: plan.Voiding},
	"may send":       {3: plan.Committing},
	"may try":        {3: plan.Committing, 4: plan.Verified, 9: plan.Verified},
}

func TestLedger_TakesTheStepsDrawnAndNoOther(t *testing.T) {
	for name, step := range steps {
		for no := 1; no <= 10; no++ {
			l, before := inEachState(), inEachState()
			err := step(l, no)
			want, legal := drawn[name][no]
			if !legal {
				if fault.KindOf(err) != fault.Permanent || !strings.HasPrefix(fmt.Sprint(err), "internal error: ") {
					t.Errorf("%s of slice %d: %v, want an internal error", name, no, err)
				}
				if diff := cmp.Diff(before, l); diff != "" {
					t.Errorf("%s of slice %d was refused and changed the ledger:\n%s", name, no, diff)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s of slice %d: %v", name, no, err)
			}
			if got := l.Slice(no); got == nil && want != "" || got != nil && got.State != want {
				t.Errorf("%s of slice %d makes %+v, want it %q", name, no, got, want)
			}
		}
	}
}

func TestLedger_KeepsWhatEachStepTeaches(t *testing.T) {
	now := day.Add(time.Hour)
	l := inEachState()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.Freeze(1, plan.Blob{Path: "p", Rows: 90, Bytes: 9}, 2, now))
	if s := l.Slice(1); s.Rows != 90 || s.Blob.Path != "p" || s.Cut != 2 || s.Sends != 1 || !s.Sent.Equal(now) {
		t.Errorf("frozen: %+v", s)
	}
	must(l.Resend(1, now.Add(time.Hour)))
	if s := l.Slice(1); s.Sends != 2 || !s.Sent.Equal(now.Add(time.Hour)) {
		t.Errorf("sent again: %+v", s)
	}
	must(l.Condemn(1, 40))
	no, err := l.Replace(1, now, false)
	must(err)
	s := l.Slice(no)
	if no != 10 || l.Next != 11 || s.State != plan.Committing || s.Blob != l.Slice(1).Blob || s.Cut != 2 || s.Voids != 1 || s.Sends != 1 || !s.Sent.Equal(now) || s.Parent != 0 {
		t.Errorf("replaced by the same blob: %+v", s)
	}
	if l.Slice(1).Landed != 40 {
		t.Errorf("void: %+v", l.Slice(1))
	}
	must(l.Verify(no, 180))
	if s := l.Slice(no); s.Landed != 90 {
		t.Errorf("verified with copies: %+v", s)
	}
	must(l.Condemn(4, 0))
	no, err = l.Replace(4, now, true)
	must(err)
	if s := l.Slice(no); s.State != plan.Planned || s.Rows != -1 || s.Parent != 4 || s.Voids != 0 || s.Blob.Path != "" || s.Sends != 0 {
		t.Errorf("to be read again: %+v", s)
	}
	must(l.Verify(8, 0))
	if s := l.Slice(8); s.Landed != 0 || s.Sends != 0 {
		t.Errorf("verified without rows: %+v", s)
	}
}

func TestLedger_ATickGrantsOneTryBeyondTheLimit(t *testing.T) {
	l := inEachState()
	var granted []bool
	for tries := 4; tries < 6; tries++ {
		for range 2 {
			ok, err := l.MayTry(3, tries, 5)
			if err != nil {
				t.Fatal(err)
			}
			granted = append(granted, ok)
		}
	}
	if diff := cmp.Diff([]bool{true, true, false, true}, granted); diff != "" {
		t.Error(diff)
	}
	if ok, _ := l.MayTry(3, 6, 5); ok || !l.Slice(3).LastTry {
		t.Error("a second try without a word")
	}
}

// A send that is refused has all that wait for ADX tried once more; a copy that would have
// to be hidden is made for one slice alone.
func TestLedger_ARefusalArmsTheSendsOfAllAndTheCopiesOfOne(t *testing.T) {
	waiting := func() *plan.Ledger {
		l := &plan.Ledger{Next: 1}
		for no := 1; no <= 3; no++ {
			l.Add(plan.Slice{No: no, Part: plan.PartAll, Hi: plan.Buckets, Rows: 100})
		}
		for i := range l.Slices {
			l.Slices[i].State, l.Slices[i].Sends, l.Slices[i].Voids = plan.Committing, plan.MaxSends, plan.MaxVoids
		}
		return l
	}
	armed := func(l *plan.Ledger) (n int) {
		for _, s := range l.Slices {
			if s.LastTry {
				n++
			}
		}
		return n
	}
	l := waiting()
	if ok, err := l.MaySend(1); ok || err != nil || armed(l) != 3 {
		t.Errorf("a refused send: %v, %v, %d slices may be sent, want 3", ok, err, armed(l))
	}
	l = waiting()
	if ok, err := l.MayTry(1, l.Slices[0].Voids, plan.MaxVoids); ok || err != nil || armed(l) != 1 {
		t.Errorf("a refused copy: %v, %v, %d slices may be copied, want 1", ok, err, armed(l))
	}
}

func TestLedger_KeepsARetiredSliceWhileItsPartsAreNotCounted(t *testing.T) {
	l := &plan.Ledger{Next: 1}
	l.Add(plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: 100})
	for _, tc := range []struct {
		step string
		do   func() error
		want string // number, state, rows, parent
	}{
		{"divide", func() error { _, _, _, err := l.Divide(1); return err }, "1r100<0 2p-1<1 3p-1<1"},
		{"count one", func() error { return l.Counted(2, 70) }, "1r100<0 2p70<1 3p-1<1"},
		{"divide the uncounted", func() error { _, _, _, err := l.Divide(3); return err }, "1r100<0 2p70<1 4p-1<1 5p-1<1"},
		{"divide the counted", func() error { _, _, _, err := l.Divide(2); return err }, "1r100<0 2r70<1 4p-1<1 5p-1<1 6p-1<2 7p-1<2"},
		{"count", func() error { return l.Counted(6, 30) }, "1r100<0 2r70<1 4p-1<1 5p-1<1 6p30<2 7p-1<2"},
		{"count", func() error { return l.Counted(7, 40) }, "1r100<0 2r70<1 4p-1<1 5p-1<1 6p30<2 7p40<2"},
		{"count", func() error { return l.Counted(4, 10) }, "1r100<0 2r70<1 4p10<1 5p-1<1 6p30<2 7p40<2"},
		{"count the last", func() error { return l.Counted(5, 20) }, "4p10<1 5p20<1 6p30<2 7p40<2"},
		{"pack again", func() error {
			return l.Repack([]plan.Slice{{Part: plan.PartAll, Hi: plan.Buckets, Rows: 100}})
		}, "8p100<0"},
	} {
		if err := tc.do(); err != nil {
			t.Fatalf("%s: %v", tc.step, err)
		}
		var got []string
		for _, s := range l.Slices {
			got = append(got, fmt.Sprintf("%d%c%d<%d", s.No, s.State[0], s.Rows, s.Parent))
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.step, text, tc.want)
		}
	}
}

func TestLedger_RepackRefusesToLoseRows(t *testing.T) {
	whole := plan.Window{From: day, To: day.Add(2 * time.Hour)}
	for name, packed := range map[string][]plan.Slice{
		"nothing":         nil,
		"an hour less":    {{Part: plan.PartWindow, Window: plan.Window{From: day, To: day.Add(time.Hour)}, Hi: plan.Buckets}},
		"a tick less":     {{Part: plan.PartWindow, Window: plan.Window{From: day.Add(plan.Tick), To: whole.To}, Hi: plan.Buckets}},
		"a bucket less":   {{Part: plan.PartWindow, Window: whole, Hi: plan.Buckets - 1}},
		"an hour twice":   {{Part: plan.PartWindow, Window: whole, Hi: plan.Buckets}, {Part: plan.PartWindow, Window: plan.Window{From: day, To: day.Add(time.Hour)}, Hi: plan.Buckets}},
		"nulls, not time": {{Part: plan.PartNull, Hi: plan.Buckets}},
	} {
		l := &plan.Ledger{Next: 1}
		l.Add(plan.Slice{No: 1, Part: plan.PartWindow, Window: whole, Hi: plan.Buckets, Rows: 100})
		if err := l.Repack(packed); fault.KindOf(err) != fault.Permanent || l.Slice(1).State != plan.Planned || len(l.Slices) != 1 {
			t.Errorf("%s: %v, %+v", name, err, l.Slices)
		}
	}
}

// A document of an earlier version holds members that are no longer read.
func TestLedger_ReadsWhatEarlierVersionsWrote(t *testing.T) {
	const old = `{"Format":1,"RunID":"r","Next":3,"Slices":[
		{"No":1,"Part":"all","Lo":0,"Hi":65536,"Rows":5,"State":"committing","Blob":{"Path":"b","Rows":5},"Sends":5,"Failed":true},
		{"No":2,"Part":"null","Lo":0,"Hi":65536,"Rows":5,"State":"voiding","Blob":{"Path":"c","Rows":5},"Sends":1,"Refetch":true}]}`
	var l plan.Ledger
	if err := json.Unmarshal([]byte(old), &l); err != nil {
		t.Fatal(err)
	}
	if err := l.Resend(1, day); err != nil {
		t.Error(err)
	}
	if no, err := l.Replace(2, day, true); err != nil || l.Slice(no).Rows != -1 {
		t.Errorf("slice %d, %v", no, err)
	}
}

// Whatever happens to a run's slices, in whatever order: each row of the source is
// in exactly one that lives, no number is used twice, and a step refused changes
// nothing.
func TestLedger_AnySequenceKeepsEveryRowOnce(t *testing.T) {
	names := make([]string, 0, len(steps))
	for name := range steps {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		l := &plan.Ledger{RunID: "r", Next: 1}
		hours := 6
		w := plan.Window{From: day, To: day.Add(time.Duration(hours) * time.Hour)}
		l.Add(plan.Slice{No: 1, Part: plan.PartWindow, Window: w, Hi: plan.Buckets, Rows: 100},
			plan.Slice{No: 2, Part: plan.PartNull, Hi: plan.Buckets, Rows: 100})
		l.Open(200, at(60))
		used := map[int]bool{1: true, 2: true}
		now := day
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Second)
			before := clone(l)
			no := rapid.IntRange(1, l.Next).Draw(t, "slice")
			var err error
			var name string
			if name = rapid.SampledFrom(append(names, "pack again", "freeze 100", "count 100")).Draw(t, "step"); name == "pack again" {
				err = l.Repack(planned(l))
			} else if name == "freeze 100" {
				err = l.Freeze(no, plan.Blob{Path: "x", Rows: 100}, 0, now)
			} else if name == "count 100" {
				err = l.Counted(no, 100)
			} else {
				err = steps[name](l, no)
			}
			if err != nil {
				if diff := cmp.Diff(before, l); diff != "" {
					t.Fatalf("%s of %d was refused and changed the ledger:\n%s", name, no, diff)
				}
				continue
			}
			seen := map[int]bool{}
			for _, s := range l.Slices {
				if seen[s.No] || s.No >= l.Next || s.No < before.Next && !used[s.No] {
					t.Fatalf("%s of %d: number %d again, of %d", name, no, s.No, l.Next)
				}
				if s.No < before.Next && before.Slice(s.No) == nil {
					t.Fatalf("%s of %d: number %d came back", name, no, s.No)
				}
				seen[s.No], used[s.No] = true, true
			}
			covers(t, l, w)
		}
		// However it ends: what the slices hold by their last counts, and the account
		// of how it came to that, agree.
		for !l.Done() {
			advance(t, l, now)
		}
		if gap := l.Account.Gap(l.Rows()); gap != 0 {
			t.Fatalf("the account %+v differs from %d rows verified by %d", l.Account, l.Rows(), gap)
		}
	})
}

// advance takes every slice that is not at its end one step on.
func advance(t *rapid.T, l *plan.Ledger, now time.Time) {
	uncounted := map[int]int64{}
	for _, s := range l.Slices {
		if s.State == plan.Planned && s.Rows < 0 {
			uncounted[s.No] = 30
		}
	}
	err := l.TakeCounts(uncounted)
	for i := 0; i < len(l.Slices) && err == nil; i++ {
		switch s := &l.Slices[i]; {
		case s.State == plan.Voiding:
			_, err = l.Replace(s.No, now, false)
		case s.State == plan.Committing:
			err = l.Verify(s.No, s.Blob.Rows)
		case s.State == plan.Planned && s.Rows == 0:
			err = l.Verify(s.No, 0)
		case s.State == plan.Planned && s.Rows > 0:
			err = l.Freeze(s.No, plan.Blob{Path: "x", Rows: s.Rows + 1}, 0, now)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func clone(l *plan.Ledger) *plan.Ledger {
	c := *l
	c.Slices = append([]plan.LedgerSlice(nil), l.Slices...)
	return &c
}

func planned(l *plan.Ledger) (out []plan.Slice) {
	for _, s := range l.Slices {
		if s.State == plan.Planned {
			s.No, s.Slice.Rows = 0, 100
			out = append(out, s.Slice)
		}
	}
	return out
}

// covers looks at points of the window at and beside every edge.
func covers(t *rapid.T, l *plan.Ledger, w plan.Window) {
	live := func(s plan.LedgerSlice) bool { return s.State != plan.Retired && s.State != plan.Void }
	instants := map[time.Time]bool{w.To: true}
	buckets := map[int]bool{0: true, plan.Buckets - 1: true}
	for _, s := range l.Slices {
		if s.Part == plan.PartWindow && live(s) {
			instants[s.Window.To], instants[s.Window.From.Add(plan.Tick)] = true, true
		}
		if live(s) {
			buckets[s.Lo], buckets[s.Hi-1] = true, true
		}
	}
	for b := range buckets {
		nulls := 0
		for _, s := range l.Slices {
			if live(s) && s.Part == plan.PartNull && s.Lo <= b && b < s.Hi {
				nulls++
			}
		}
		if nulls != 1 {
			t.Fatalf("null rows of bucket %d are in %d slices", b, nulls)
		}
		for at := range instants {
			n := 0
			for _, s := range l.Slices {
				if live(s) && s.Part == plan.PartWindow && s.Lo <= b && b < s.Hi && at.After(s.Window.From) && !at.After(s.Window.To) {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("the row of %v in bucket %d is in %d slices", at, b, n)
			}
		}
	}
}

// A program of before condemned a slice of which the source held more by its rows alone.
func TestReplace_ReadsAgainWhatAnOlderProgramCondemned(t *testing.T) {
	l := inEachState()
	l.Slice(5).Rows = 120
	if !l.Slice(5).ReadAgain() {
		t.Error("the blob of 100 rows would be sent again for 120 at the source")
	}
	no, err := l.Replace(5, day, false)
	if s := l.Slice(no); err != nil || s.State != plan.Planned || s.Rows != -1 || s.Parent != 5 {
		t.Errorf("%+v, %v", s, err)
	}
}
