package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestMustRecount_ACountBelowItsParentIsTakenAgain(t *testing.T) {
	for _, tc := range []struct {
		name         string
		parent, rows int64
		want         bool
	}{
		{"buckets of a bin known to hold 100, no line at all", 100, 0, true},
		{"one line of its buckets is missing", 100, 70, true},
		{"as counted", 100, 100, false},
		{"rows arrived", 100, 101, false},
		{"an empty part of an empty bin", 0, 0, false},
		{"nothing known, something found", -1, 1, false},
		{"nothing known, nothing found", -1, 0, true},
		{"the recount after the width is learned", 60_000, 8_743, true},
		{"a snapshot's finer count", 500, 499, true},
	} {
		if got := plan.MustRecount(tc.parent, tc.rows); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestSuspicious_NamesThePartsToCountAgain(t *testing.T) {
	for _, tc := range []struct {
		name   string
		parent int64
		parts  []int64
		want   []int
	}{
		{"they add up", 100, []int64{60, 40}, nil},
		{"they add up beside an empty one", 100, []int64{100, 0}, nil},
		{"and beside a line that is missing", 100, []int64{100, -1}, nil},
		{"less than the parent", 100, []int64{60, 39}, []int{0, 1}},
		{"a line is missing", 100, []int64{60, -1}, []int{0, 1}},
		{"nothing at all", 100, []int64{0, 0}, []int{0, 1}},
		{"rows arrived", 100, []int64{60, 41}, nil},
		{"rows arrived and one part is empty", 100, []int64{110, 0}, []int{1}},
		{"rows arrived and a line is missing", 100, []int64{110, 5, -1}, []int{2}},
		{"no parent", -1, []int64{5, 0, -1, 7}, []int{1, 2}},
		{"an empty parent", 0, []int64{0, 0}, nil},
	} {
		if diff := cmp.Diff(tc.want, plan.Suspicious(tc.parent, tc.parts)); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

func TestBelieve_TakesTheLargerOfEachLine(t *testing.T) {
	bins := func(text string) (out []plan.Bin) {
		for word := range strings.FieldsSeq(text) {
			var minute int
			var rows int64
			scan(t, word, "%d:%d", &minute, &rows)
			out = append(out, plan.Bin{Start: at(minute), Rows: rows})
		}
		return out
	}
	buckets := func(text string) (out []plan.BucketCount) {
		for word := range strings.FieldsSeq(text) {
			var lo int
			var rows int64
			scan(t, word, "%d:%d", &lo, &rows)
			out = append(out, plan.BucketCount{Lo: lo, Hi: lo + 1, Rows: rows})
		}
		return out
	}
	for _, tc := range []struct{ name, first, second, want string }{
		{"equal", "1:5 2:6", "1:5 2:6", "1:5 2:6"},
		{"each lacks a line", "1:5 3:7", "2:6 3:7", "1:5 2:6 3:7"},
		{"the second lacks rows", "1:5 2:6", "1:4 2:1", "1:5 2:6"},
		{"the first lacks all", "", "1:5 2:6", "1:5 2:6"},
		{"the second lacks all", "1:5 2:6", "", "1:5 2:6"},
		{"neither has any", "", "", ""},
	} {
		if diff := cmp.Diff(bins(tc.want), plan.BelieveBins(bins(tc.first), bins(tc.second))); diff != "" {
			t.Errorf("%s, bins:\n%s", tc.name, diff)
		}
		if diff := cmp.Diff(buckets(tc.want), plan.BelieveBuckets(buckets(tc.first), buckets(tc.second))); diff != "" {
			t.Errorf("%s, buckets:\n%s", tc.name, diff)
		}
	}
	if plan.Believe(3, 5) != 5 || plan.Believe(5, 0) != 5 {
		t.Error("the smaller of two counts is believed")
	}
}

// The slices are of 100 rows counted; the edge lies at minute 60.
func TestReceive_SettlesRowsThatAreNotThoseCounted(t *testing.T) {
	for _, tc := range []struct {
		name              string
		from, to          int // minutes; 0, 0: null rows
		received, recount int64
		want              plan.Receipt
	}{
		{"as counted", 70, 80, 100, -1, plan.Accept},
		{"fewer", 70, 80, 90, -1, plan.Recount},
		{"more", 70, 80, 110, -1, plan.Recount},
		{"none", 70, 80, 0, -1, plan.Recount},
		{"a fresh count agrees", 70, 80, 90, 90, plan.Accept},
		{"a fresh count agrees on more", 70, 80, 110, 110, plan.Accept},
		{"a fresh count agrees with the first: cut", 70, 80, 90, 100, plan.Divide},
		{"three numbers, young rows", 70, 80, 90, 80, plan.Divide},
		{"three numbers, rows arrive", 10, 50, 110, 120, plan.Divide},
		{"three numbers, a recount between", 10, 50, 90, 95, plan.Divide},
		{"old rows expire between any two calls", 10, 50, 90, 80, plan.Accept},
		{"up to the edge itself", 10, 60, 90, 80, plan.Accept},
		{"old rows expire, young ones may be cut", 10, 80, 90, 80, plan.DivideAtEdge},
		{"a cut smaller than what expired", 10, 80, 60, 55, plan.DivideAtEdge},
		{"young from the edge on", 60, 80, 90, 80, plan.Divide},
		{"null rows do not expire by a window", 0, 0, 90, 80, plan.Divide},
	} {
		s := plan.Slice{Part: plan.PartWindow, Window: plan.Window{From: at(tc.from), To: at(tc.to)}, Hi: plan.Buckets, Rows: 100}
		if tc.to == 0 {
			s.Part = plan.PartNull
		}
		if got := plan.Receive(s, tc.received, tc.recount, at(60)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if tc.want == plan.DivideAtEdge {
			a, b, ok := s.SplitAt(at(60), 1)
			if !ok || !a.Window.To.Equal(at(60)) || !b.Window.From.Equal(at(60)) {
				t.Errorf("%s: cannot be divided at the edge: %v, %v", tc.name, a, b)
			}
		}
	}
}

func TestTable_ExpiryEdgeIsOfArrivalTimesAlone(t *testing.T) {
	now, month := day, 30*24*time.Hour
	for _, tc := range []struct {
		column string
		load   plan.LoadType
		want   time.Time
	}{
		{"", plan.Incr, now.Add(2*time.Hour - month)},
		{"Timestamp", plan.Full, now.Add(2*time.Hour - month)},
		{"InstallationTime", plan.Incr, time.Time{}},
		{"", plan.Snapshot, time.Time{}},
	} {
		if got := (plan.Table{WatermarkColumn: tc.column, Load: tc.load}).ExpiryEdge(now, month); !got.Equal(tc.want) {
			t.Errorf("%q %s: %v", tc.column, tc.load, got)
		}
	}
}

// The stories begin with one slice of 100 rows from minute 10 to minute 190, nulls of
// 0; the edge lies at minute 60. Words: "d2" divides slice 2, "c2=30,3=70" are counts
// in one answer, "?": what must be counted again of the counts named next, "f2=30"
// freezes, "v2" verifies, "gone2" finds the blob gone.
func TestAccount_ConservesRows(t *testing.T) {
	for _, tc := range []struct {
		name  string
		story string
		doubt string // what was to be counted again, one list a question
		want  string // planned arrived expired recounted gap
	}{
		{"as planned", "f1=100 v1", "", "100 0 0 0 0"},
		{"more received", "f1=104 v1", "", "100 4 0 0 0"},
		{"fewer received, as a recount said", "f1=90 v1", "", "100 0 0 -10 0"},
		{"nothing received", "v1", "", "100 0 0 -100 0"},
		{"divided", "d1 ?2=30,3=70 c2=30,3=70 f2=30 f3=70 v2 v3", "[]", "100 0 0 0 0"},
		{"divided, a part's line is missing", "d1 ?2=30,3=-1 c2=30,3=70 f2=30 f3=70 v2 v3", "[2 3]", "100 0 0 0 0"},
		{"divided, both parts are said to be empty", "d1 ?2=0,3=0 c2=30,3=70 f2=30 f3=70 v2 v3", "[2 3]", "100 0 0 0 0"},
		{"divided, and empty when counted again", "d1 ?2=30,3=0 c2=30,3=0 f2=30 v2 v3", "[2 3]", "100 0 0 -70 0"},
		{"divided, rows arrived", "d1 ?2=30,3=75 c2=30,3=75 f2=30 f3=75 v2 v3", "[]", "100 5 0 0 0"},
		{"divided at the edge, old rows expired", "e1 c2=40,3=60 f2=35 f3=60 v2 v3", "", "100 0 -5 0 0"},
		{"divided twice, the second refused to be counted", "d1 ?2=30 c2=30 d3 ?4=30,5=20 c4=30,5=40 f2=30 f4=30 f5=40 v2 v4 v5", "[] [4 5]", "100 0 0 0 0"},
		{"a part is copied before its sibling is counted", "d1 c2=30 f2=35 v2 ?3=60 c3=70 f3=70 v3", "[3]", "100 5 0 0 0"},
		{"more in the first part than in the whole", "d1 c2=110 ?3=0 c3=5 f2=110 f3=5 v2 v3", "[3]", "100 15 0 0 0"},
		{"read again since the blob is gone", "f1=100 gone1 ?2=60 c2=100 f2=100 v2", "[2]", "100 0 0 0 0"},
		{"read again, and fewer", "f1=90 gone1 ?2=90 c2=90 f2=90 v2", "[]", "100 0 0 -10 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &plan.Ledger{Next: 1}
			l.Add(plan.Slice{No: 1, Part: plan.PartWindow, Window: plan.Window{From: at(10), To: at(190)}, Hi: plan.Buckets, Rows: 100})
			l.Open(100, at(60))
			var doubts []string
			for word := range strings.FieldsSeq(tc.story) {
				if d := play(t, l, word); d != "" {
					doubts = append(doubts, d)
				}
			}
			if got := strings.Join(doubts, " "); got != tc.doubt {
				t.Errorf("to be counted again: %s, want %s", got, tc.doubt)
			}
			a := l.Account
			if got := fmt.Sprint(a.Planned, a.Arrived, a.Expired, a.Recounted, a.Gap(l.Rows())); got != tc.want || !l.Done() {
				t.Errorf("account %s, want %s; %+v", got, tc.want, l.Slices)
			}
		})
	}
}

func play(t *testing.T, l *plan.Ledger, word string) (doubt string) {
	t.Helper()
	var no int
	var rows int64
	var err error
	counts := map[int]int64{}
	for pair := range strings.SplitSeq(word[1:], ",") {
		if _, err := fmt.Sscanf(pair, "%d=%d", &no, &rows); err == nil {
			counts[no] = rows
		}
	}
	switch word[0] {
	case '?':
		return fmt.Sprint(l.Doubt(counts))
	case 'c':
		err = l.TakeCounts(counts)
	case 'd', 'e':
		scan(t, word[1:], "%d", &no)
		if word[0] == 'd' {
			_, _, _, err = l.Divide(no)
		} else {
			_, _, _, err = l.DivideAt(no, l.Account.Edge)
		}
	case 'f':
		err = l.Freeze(no, plan.Blob{Path: "b", Rows: rows}, 0, day)
	case 'v':
		scan(t, word[1:], "%d", &no)
		err = l.Verify(no, l.Slice(no).Blob.Rows)
	case 'g':
		scan(t, word, "gone%d", &no)
		if err = l.Condemn(no, 0); err == nil {
			_, err = l.Replace(no, day, true)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", word, err)
	}
	return ""
}

func TestAccount_OpensWithWhatTheFinerCountsMade(t *testing.T) {
	cells := []plan.Slice{
		{Window: plan.Window{From: at(0), To: at(10)}, Rows: 40},
		{Window: plan.Window{From: at(10), To: at(20)}, Rows: 60},
		{Window: plan.Window{From: at(20), To: at(30)}, Rows: 500},
	}
	cells[0].Window.From = day
	w := plan.Window{From: day, To: at(20)}
	if got := plan.RowsWithin(cells, w); got != 100 {
		t.Fatalf("%d rows planned in a window cut after two cells", got)
	}
	for _, tc := range []struct {
		name string
		rows []int64
		want string // arrived recounted
	}{
		{"as counted", []int64{40, 60}, "0 0"},
		{"rows arrived", []int64{40, 65}, "5 0"},
		{"fewer, counted twice", []int64{40, 50}, "0 -10"},
		{"not all counted yet", []int64{40, -1}, "0 0"},
	} {
		l := &plan.Ledger{Next: 1}
		for i, n := range tc.rows {
			l.Add(plan.Slice{No: i + 1, Part: plan.PartAll, Lo: i, Hi: i + 1, Rows: n})
		}
		l.Open(100, time.Time{})
		if got := fmt.Sprint(l.Account.Arrived, l.Account.Recounted); got != tc.want || l.Account.Planned != 100 {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// Slices made without a count of their own answer to nobody: only the end of the run
// shows what they lack.
func TestAccount_ClosesOnceAndThenSaysGap(t *testing.T) {
	begin := func() *plan.Ledger {
		l := &plan.Ledger{Next: 1}
		for i := range 3 {
			l.Add(plan.Slice{No: i + 1, Part: plan.PartWindow, Window: plan.Window{From: at(i), To: at(i + 1)}, Hi: plan.Buckets, Rows: -1})
		}
		l.Open(100, time.Time{})
		if diff := cmp.Diff([]int{2, 3}, l.Doubt(map[int]int64{1: 30, 2: 0, 3: -1})); diff != "" {
			t.Errorf("to be counted again:\n%s", diff)
		}
		for _, word := range []string{"c1=30,2=20,3=0", "f1=30", "f2=20", "v1", "v2", "v3"} {
			play(t, l, word)
		}
		return l
	}
	for _, tc := range []struct {
		name   string
		counts map[int]int64
		again  []int
		story  string // the slices read again are numbered from 4
		gap    int64
	}{
		{"the source holds just that", map[int]int64{1: 30, 2: 20}, nil, "", 0},
		{"and lacks a line of what was verified", map[int]int64{1: 30}, nil, "", 0},
		{"one holds more and is read again", map[int]int64{1: 30, 2: 20, 3: 50}, []int{3}, "c4=50 f4=50 v4", 0},
		{"two hold more", map[int]int64{1: 40, 2: 20, 3: 40}, []int{1, 3}, "c4=40,5=40 f4=40 f5=40 v4 v5", 0},
		{"read again, and again fewer", map[int]int64{1: 30, 2: 20, 3: 50}, []int{3}, "c4=0 v4", 50},
		{"read again, cut", map[int]int64{1: 30, 2: 20, 3: 50}, []int{3}, "c4=50 f4=45 v4", 5},
		{"read again, and more", map[int]int64{1: 30, 2: 20, 3: 50}, []int{3}, "c4=55 f4=55 v4", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := begin()
			if gap := l.Account.Gap(l.Rows()); gap != 50 {
				t.Fatalf("a gap of %d before the last count", gap)
			}
			found, err := l.Close(maps.Clone(tc.counts))
			var again []int
			for _, d := range found {
				again = append(again, d.No)
			}
			if err != nil || !slices.Equal(again, tc.again) || !l.Account.Closed {
				t.Fatalf("read again: %v, %v, want %v", again, err, tc.again)
			}
			for _, no := range again {
				if _, err := l.Replace(no, day, false); err != nil {
					t.Fatal(err)
				}
			}
			for word := range strings.FieldsSeq(tc.story) {
				play(t, l, word)
			}
			if gap := l.Account.Gap(l.Rows()); gap != tc.gap || !l.Done() {
				t.Errorf("a gap of %d, want %d; %+v", gap, tc.gap, l.Account)
			}
		})
	}
}

func TestAccount_PackingAgainIsPosted(t *testing.T) {
	for _, tc := range []struct {
		name string
		rows []int64
		want string // arrived recounted
	}{
		{"as counted", []int64{30, 70}, "0 0"},
		{"more", []int64{30, 77}, "7 0"},
		{"fewer, counted twice", []int64{30, 60}, "0 -10"},
		{"not counted yet", []int64{30, -1}, "0 0"},
	} {
		l := &plan.Ledger{Next: 1}
		l.Add(plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: 100})
		l.Open(100, time.Time{})
		half := plan.Buckets / 2
		err := l.Repack([]plan.Slice{{Part: plan.PartAll, Hi: half, Rows: tc.rows[0]}, {Part: plan.PartAll, Lo: half, Hi: plan.Buckets, Rows: tc.rows[1]}})
		if got := fmt.Sprint(l.Account.Arrived, l.Account.Recounted); err != nil || got != tc.want {
			t.Errorf("%s: %s, %v, want %s", tc.name, got, err, tc.want)
		}
	}
}

func TestTakeCounts_RefusesWhatWasCountedBefore(t *testing.T) {
	for _, counts := range []map[int]int64{{1: 5}, {2: -1}, {3: 5}, {2: 5, 1: 5}, {9: 1}} {
		l := inEachState()
		if err := l.TakeCounts(counts); fault.KindOf(err) != fault.Permanent || cmp.Diff(inEachState(), l) != "" {
			t.Errorf("%v: %v", counts, err)
		}
	}
}
