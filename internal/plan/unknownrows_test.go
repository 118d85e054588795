package plan_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Slices whose rows nobody can count beforehand: of a list, which are known when they
// are read, and of files, which are known when they are in ADX.
func TestLedger_FreezesRowsThatNobodyCounted(t *testing.T) {
	const list, file = "api/machines", "api/machines/SoftwareVulnerabilitiesExport"
	counted, uncounted := plan.Blob{Path: "b", Rows: 90}, plan.Blob{Path: "f", Rows: plan.RowsUnknown}
	for _, tt := range []struct {
		name, source string
		step         func(*plan.Ledger) error
		want         plan.SliceState // "": the step is refused
	}{
		{"list read", list, func(l *plan.Ledger) error { return l.Freeze(1, counted, 0, day) }, plan.Committing},
		{"list that nobody counted", list, func(l *plan.Ledger) error { return l.Freeze(1, uncounted, 0, day) }, ""},
		{"list without rows in a blob", list, func(l *plan.Ledger) error { return l.Freeze(1, plan.Blob{Path: "b"}, 0, day) }, ""},
		{"empty list", list, func(l *plan.Ledger) error { return l.Verify(1, 0) }, plan.Verified},
		{"list verified unread", list, func(l *plan.Ledger) error { return l.Verify(1, 90) }, ""},
		{"file that nobody counted", file, func(l *plan.Ledger) error { return l.Freeze(1, uncounted, 0, day) }, plan.Committing},
		{"file without a name", file, func(l *plan.Ledger) error { return l.Freeze(1, plan.Blob{Rows: plan.RowsUnknown}, 0, day) }, ""},
		{"hunting table that nobody counted", "DeviceInfo", func(l *plan.Ledger) error { return l.Freeze(1, counted, 0, day) }, ""},
		{"hunting table, uncounted blob", "DeviceInfo", func(l *plan.Ledger) error { return l.Freeze(1, uncounted, 0, day) }, ""},
		{"hunting table verified uncounted", "DeviceInfo", func(l *plan.Ledger) error { return l.Verify(1, 0) }, ""},
	} {
		l := &plan.Ledger{RunID: "r", Table: plan.Table{Source: tt.source}, Next: 1}
		l.Add(plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: plan.RowsUnknown})
		err := tt.step(l)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: was allowed", tt.name)
			}
			continue
		}
		if err != nil || l.Slice(1).State != tt.want {
			t.Errorf("%s: %v, state %s, want %s", tt.name, err, l.Slice(1).State, tt.want)
		}
		if l.Account != (plan.Account{}) {
			t.Errorf("%s: has an account of rows that nobody expected: %+v", tt.name, l.Account)
		}
		if _, _, ok, _ := l.Divide(1); ok {
			t.Errorf("%s: was divided", tt.name)
		}
	}
}

func TestLedger_VerifiesAFileByWhatIsSeen(t *testing.T) {
	grace := 15 * time.Minute
	l := &plan.Ledger{RunID: "r", Table: plan.Table{Source: "api/machines/SoftwareVulnerabilitiesExport"}, Next: 1}
	l.Add(plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: plan.RowsUnknown})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.Freeze(1, plan.Blob{Path: "f", Rows: plan.RowsUnknown}, 0, day))
	for _, look := range []struct {
		after time.Duration
		rows  int64
		want  plan.Verdict
		seen  bool
	}{
		{0, 0, plan.Missing, false},
		{20 * time.Minute, 0, plan.Missing, false}, // none is never enough
		{21 * time.Minute, 40, plan.Unsettled, false},
		{30 * time.Minute, 40, plan.Unsettled, false},
		{35 * time.Minute, 70, plan.Unsettled, false}, // more came: it begins anew
		{49 * time.Minute, 70, plan.Unsettled, false},
		{50 * time.Minute, 70, plan.Unsettled, true},
	} {
		if v := l.Slice(1).Verdict(plan.Landed{Rows: look.rows}); v != look.want {
			t.Errorf("after %v: %d rows are judged %s, want %s", look.after, look.rows, v, look.want)
		}
		seen, err := l.SeenTwice(1, look.rows, day.Add(look.after), grace)
		if err != nil || seen != look.seen {
			t.Errorf("after %v: seen twice %v, %v; want %v", look.after, seen, err, look.seen)
		}
	}
	must(l.Verify(1, 70))
	s := l.Slice(1)
	if l.Rows() != 70 || s.Blob.Rows != 70 || s.Glimpse != (plan.Glimpse{}) {
		t.Errorf("verified with %d rows, blob %d, %+v", l.Rows(), s.Blob.Rows, s.Glimpse)
	}
	for rows, want := range map[int64]plan.Verdict{70: plan.Complete, 60: plan.Partial, 0: plan.Missing, 140: plan.Copies, 75: plan.Excess} {
		if v := s.Verdict(plan.Landed{Rows: rows}); v != want {
			t.Errorf("verified file with %d rows is %s, want %s", rows, v, want)
		}
	}
	must(l.Condemn(1, 60))
	no, err := l.Replace(1, day, false)
	must(err)
	if again := l.Slice(no); again.State != plan.Committing || again.Blob.Rows != plan.RowsUnknown || again.Rows != plan.RowsUnknown {
		t.Errorf("successor is %s with %d rows, blob %d: what was seen may have been too few", again.State, again.Rows, again.Blob.Rows)
	}
}
