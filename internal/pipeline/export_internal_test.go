package pipeline

import (
	"context"
	"testing"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// told is a Verifier of which only the statuses are asked.
type told struct {
	Verifier
	of map[string]plan.IngestState
}

func (t told) IngestStatus(_ context.Context, id string) (plan.IngestStatus, error) {
	return plan.IngestStatus{State: t.of[id]}, nil
}

// A success of the last send is believed at once when every send has been reported: one
// whose id a program of before did not keep has not.
func TestReport_IsSettledByEverySend(t *testing.T) {
	const well, part = plan.IngestSucceeded, plan.IngestPartial
	for _, tc := range []struct {
		name    string
		sends   int
		earlier []string
		of      map[string]plan.IngestState
		state   plan.IngestState
		settled bool
	}{
		{"sent once", 1, nil, map[string]plan.IngestState{"last": well}, well, true},
		{"both reported", 2, []string{"first"}, map[string]plan.IngestState{"last": well, "first": well}, well, true},
		{"the first never reported", 2, []string{"first"}, map[string]plan.IngestState{"last": well}, well, false},
		{"the first in part", 2, []string{"first"}, map[string]plan.IngestState{"last": well, "first": part}, part, false},
		{"the first in part, the last not reported", 2, []string{"first"}, map[string]plan.IngestState{"first": part}, part, false},
		{"the first id is not known", 2, nil, map[string]plan.IngestState{"last": well}, well, false},
	} {
		r := &run{m: &migration{ports: Ports{Verifier: told{of: tc.of}}}}
		r.ports = r.m.ports
		got, err := r.report(t.Context(), &plan.LedgerSlice{SourceID: "last", Sends: tc.sends, Earlier: tc.earlier}, 0)
		if err != nil || got.State != tc.state || got.settled != tc.settled {
			t.Errorf("%s: %q, settled %v, %v; want %q, %v", tc.name, got.State, got.settled, err, tc.state, tc.settled)
		}
	}
}
