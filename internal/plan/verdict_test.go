package plan_test

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestVerdict_JudgesSentAgainstLanded(t *testing.T) {
	const c, v = plan.Committing, plan.Verified
	for _, tc := range []struct {
		name          string
		state         plan.SliceState
		sent          int64
		rows, nulls   int64
		reported      int64
		voids         int
		want          plan.Verdict
		wantMultiples int64
	}{
		{"all arrived", c, 100, 100, 0, 0, 0, plan.Complete, 1},
		{"nothing yet", c, 100, 0, 0, 0, 0, plan.Missing, 0},
		{"one of them", c, 100, 1, 0, 0, 0, plan.Partial, 0},
		{"all but one", c, 100, 99, 0, 0, 0, plan.Partial, 0},
		{"some null", c, 100, 100, 3, 0, 0, plan.Nulls, 1},
		{"some null and few", c, 100, 99, 3, 0, 0, plan.Partial, 0},
		{"null copies", c, 100, 200, 6, 0, 0, plan.Nulls, 2},
		{"twice", c, 100, 200, 0, 0, 0, plan.Copies, 2},
		{"thrice, hidden once", c, 100, 300, 0, 0, 1, plan.Copies, 3},
		{"twice, hidden twice", c, 100, 200, 0, 0, 2, plan.Excess, 2},
		{"one and a half", c, 100, 150, 0, 0, 0, plan.Excess, 0},
		{"one too many", c, 100, 101, 0, 0, 0, plan.Excess, 0},
		{"one row, twice", c, 1, 2, 0, 0, 0, plan.Copies, 2},
		{"verified and there", v, 100, 100, 0, 0, 0, plan.Complete, 1},
		{"verified with nulls", v, 100, 100, 3, 0, 0, plan.Complete, 1},
		{"verified and gone", v, 100, 0, 0, 0, 0, plan.Missing, 0},
		{"verified and short", v, 100, 99, 0, 0, 0, plan.Partial, 0},
		{"verified, then twice", v, 100, 200, 0, 0, 0, plan.Copies, 2},
		{"verified, twice, reported", v, 100, 200, 0, 200, 0, plan.Complete, 2},
		{"verified, thrice, twice reported", v, 100, 300, 0, 200, 0, plan.Excess, 3},
		{"verified without rows", v, 0, 0, 0, 0, 0, plan.Complete, 0},
		{"planned", plan.Planned, 0, 7, 0, 0, 0, plan.Unjudged, 0},
		{"being hidden", plan.Voiding, 100, 100, 0, 0, 0, plan.Unjudged, 1},
		{"hidden", plan.Void, 100, 200, 0, 0, 0, plan.Unjudged, 2},
		{"retired", plan.Retired, 0, 0, 0, 0, 0, plan.Unjudged, 0},
	} {
		s := plan.LedgerSlice{State: tc.state, Blob: plan.Blob{Rows: tc.sent}, Surplus: tc.reported, Voids: tc.voids}
		landed := plan.Landed{Rows: tc.rows, Nulls: tc.nulls}
		if got := s.Verdict(landed); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if got := s.Times(landed); got != tc.wantMultiples && (tc.rows >= tc.sent && tc.sent > 0) {
			t.Errorf("%s: there %d times, want %d", tc.name, got, tc.wantMultiples)
		}
	}
}
