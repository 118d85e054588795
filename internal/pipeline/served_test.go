package pipeline

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestServedBy_NamesEachAPIOnce(t *testing.T) {
	l := &plan.Ledger{}
	for _, step := range []struct{ api, want string }{{"mde", "mde"}, {"mde", "mde"}, {"graph", "mde, graph"}, {"graph", "mde, graph"}, {"mde", "mde, graph"}} {
		if servedBy(l, step.api); l.API != step.want {
			t.Errorf("after %s: %q, want %q", step.api, l.API, step.want)
		}
	}
}
