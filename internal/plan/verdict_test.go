package plan_test

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestVerdict_JudgesSentAgainstLanded(t *testing.T) {
	const c, v = plan.Committing, plan.Verified
	for _, tc := range []struct {
		name        string
		state       plan.SliceState
		sent        int64
		rows, nulls int64
		reported    int64
		voids       int
		want        plan.Verdict
	}{
		{"all arrived", c, 100, 100, 0, 0, 0, plan.Complete},
		{"nothing yet", c, 100, 0, 0, 0, 0, plan.Missing},
		{"one of them", c, 100, 1, 0, 0, 0, plan.Partial},
		{"all but one", c, 100, 99, 0, 0, 0, plan.Partial},
		{"some null", c, 100, 100, 3, 0, 0, plan.Nulls},
		{"some null and few", c, 100, 99, 3, 0, 0, plan.Partial},
		{"null copies", c, 100, 200, 6, 0, 0, plan.Nulls},
		{"twice", c, 100, 200, 0, 0, 0, plan.Copies},
		{"thrice, hidden once", c, 100, 300, 0, 0, 1, plan.Copies},
		{"twice, hidden twice", c, 100, 200, 0, 0, 2, plan.Excess},
		{"one and a half", c, 100, 150, 0, 0, 0, plan.Excess},
		{"one too many", c, 100, 101, 0, 0, 0, plan.Excess},
		{"one row, twice", c, 1, 2, 0, 0, 0, plan.Copies},
		{"verified and there", v, 100, 100, 0, 0, 0, plan.Complete},
		{"verified with nulls", v, 100, 100, 3, 0, 0, plan.Complete},
		{"verified and gone", v, 100, 0, 0, 0, 0, plan.Missing},
		{"verified and short", v, 100, 99, 0, 0, 0, plan.Partial},
		{"verified, then twice", v, 100, 200, 0, 0, 0, plan.Copies},
		{"verified, twice, reported", v, 100, 200, 0, 200, 0, plan.Complete},
		{"verified, thrice, twice reported", v, 100, 300, 0, 200, 0, plan.Excess},
		{"verified without rows", v, 0, 0, 0, 0, 0, plan.Complete},
		{"planned", plan.Planned, 0, 7, 0, 0, 0, plan.Unjudged},
		{"being hidden", plan.Voiding, 100, 100, 0, 0, 0, plan.Unjudged},
		{"hidden", plan.Void, 100, 200, 0, 0, 0, plan.Unjudged},
		{"retired", plan.Retired, 0, 0, 0, 0, 0, plan.Unjudged},
	} {
		s := plan.LedgerSlice{State: tc.state, Blob: plan.Blob{Rows: tc.sent}, Surplus: tc.reported, Voids: tc.voids}
		landed := plan.Landed{Rows: tc.rows, Nulls: tc.nulls}
		if got := s.Verdict(landed); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
