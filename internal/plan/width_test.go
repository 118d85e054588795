package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Each case is a story of words: T try the slices that wait, rows:bytes received, !rows
// refused, L learn (alone while learning), and what is known after it: width, whether learning goes on,
// "again" where slices of the rows given are packed again.
func TestRowWidth_LearnsFromAnswersAndRefusals(t *testing.T) {
	for _, tc := range []struct {
		name    string
		width   float64
		story   string
		planned string // rows of the slices that wait
		want    string
	}{
		{"known, nothing new", 1000, "40000:40000000 L", "40000 40000", "1000"},
		{"known, and wider rows are no news before the run ends", 1000, "10000:30000000 L", "40000", "1000"},
		{"learned as assumed", 0, "10000:15000000 L", "13333 13333", "1500 again"}, // first packed for half the bytes
		{"learned as assumed, one left", 0, "10000:15000000 L", "13333", "1500"},
		{"learned twice as narrow", 0, "10000:7500000 L", "13333 13333", "750 again"},
		{"learned at the width packed for", 0, "10000:30000000 L", "13333 13333", "3000"},
		{"a tenth wider stays", 0, "10000:33000000 L", "13333 13333", "3300"},
		{"more than a ninth wider is packed again", 0, "10000:34000000 L", "13333 13333", "3400 again"},
		{"wider, but all slices fit", 0, "10000:34000000 L", "100 100", "3400"},
		{"nothing received", 0, "L", "13333 13333", "0 learning"},
		{"refused while learning", 0, "!13333 L", "13333 13333", "4688 learning again"},
		{"refused while learning, then received", 0, "!13333 L 6000:30000000 L", "8532 8532", "5000"},
		{"refused as larger than the assumed width shows", 0, "!50000 L", "13333 13333", "1875 learning again"},
		{"one refusal may be odd", 1000, "!40000 L", "40000", "1000"},
		{"two refusals", 1000, "!40000 !40000 L", "40000", "1562 again"},
		{"two refusals, the rest is small", 1000, "!40000 !40000 L", "100 100", "1562"},
		{"three refusals at once count as two", 1000, "!40000 !40000 !10 L", "40000", "1562 again"},
		{"once in an attempt", 1000, "!40000 !40000 L !25000 !25000 !25000 L", "25602", "1562"},
		{"refused by known wide rows", 5000, "!12000 !12000 L", "12000", "6250 again"},
		{"tried, as wide as known", 1000, "T 40000:44000000 L", "40000 40000 40000 40000", "1000"},
		{"tried, and narrower is for the run's end", 1000, "T 40000:10000000 L", "40000 40000 40000 40000", "1000"},
		{"tried, and near the cap", 1000, "T 40000:49000000 L", "40000 40000 40000 40000", "1225 again"},
		{"tried and refused", 1000, "T !40000 L", "40000 40000 40000 40000", "1562 learning again"},
		{"tried and refused, then received", 1000, "T !40000 L 25600:35840000 L", "40000 40000 40000 40000", "1400 again"},
		{"tried, no answer yet", 1000, "T L", "40000 40000 40000 40000", "1000 learning"},
		{"few slices are not tried", 1000, "T", "40000 40000 40000", "1000"},
		{"slices that are filled by rows are not tried", 300, "T", "95000 95000 95000 95000", "300"},
		{"nothing known is learned, not tried", 0, "T", "13333 13333 13333 13333", "0 learning"},
		{"refused without a count", 1000, "!-1 !0 !40000 L", "40000", "1000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := plan.NewRowWidth(plan.Limits{Rows: 95_000, Bytes: 40_000_000}, tc.width)
			again := false
			for word := range strings.FieldsSeq(tc.story) {
				var rows, bytes int64
				switch {
				case word == "T":
					w.Try(slicesOf(t, tc.planned))
				case word == "L":
					again = w.Learn(w.Learning()) && w.Repack(slicesOf(t, tc.planned))
				case word[0] == '!':
					scan(t, word, "!%d", &rows)
					w.Refuse(rows)
				default:
					scan(t, word, "%d:%d", &rows, &bytes)
					w.Observe(rows, bytes)
				}
			}
			got := fmt.Sprintf("%.0f", w.Width())
			if w.Learning() {
				got += " learning"
			}
			if again {
				got += " again"
			}
			if got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestRowWidth_StopsWhereRowsAreTakenToBeWider(t *testing.T) {
	limits := plan.Limits{Rows: 95_000, Bytes: 40_000_000}
	known, unknown := plan.NewRowWidth(limits, 1000), plan.NewRowWidth(limits, 0)
	var got []bool
	for range 3 {
		got = append(got, known.Refuse(40_000))
	}
	if fmt.Sprint(got) != "[false true false]" {
		t.Errorf("three refusals stop %v", got)
	}
	if !unknown.Refuse(10) {
		t.Error("a refusal while learning does not stop")
	}
	if known.PackTarget(1e9) != 40_000 || unknown.PackTarget(1e9) != 13_333 || unknown.PackTarget(20_000) != 26_666 {
		t.Errorf("targets %d, %d, %d", known.PackTarget(1e9), unknown.PackTarget(1e9), unknown.PackTarget(20_000))
	}
}

func scan(t *testing.T, text, format string, into ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(text, format, into...); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func slicesOf(t *testing.T, rows string) (out []plan.Slice) {
	for word := range strings.FieldsSeq(rows) {
		var s plan.Slice
		scan(t, word, "%d", &s.Rows)
		out = append(out, s)
	}
	return out
}
