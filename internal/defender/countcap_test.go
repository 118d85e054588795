package defender_test

import (
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// As many counts as the service gives rows at most may be only some of them: a
// plan from those would leave rows out in silence.
func TestClient_CountsThatAreCutAreNotPlannedWith(t *testing.T) {
	const clock = `{"Kind":"clock","Rows":0,"Now":"2026-03-02T10:00:00Z","To":"2026-03-02T09:00:00Z"}`
	counts := `{"schema":[],"results":[` + clock + strings.Repeat(`,{"Kind":"window","Rows":1,"Bin":"2026-03-02T08:00:00Z"}`, plan.MaxRows-1) + `]}`
	c, s, _ := start(t, nil, status(200, counts))
	got, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: table, Window: slice.Window, Bin: time.Hour})
	if fault.KindOf(err) != fault.Split || s.count() != 1 {
		t.Errorf("Count of %d rows: %d in bins, %v (%v), want split", plan.MaxRows, got.Rows(), err, fault.KindOf(err))
	}

	tallies := `{"schema":[],"results":[{"Part":0,"Bucket":0,"Rows":1}` + strings.Repeat(`,{"Part":0,"Bucket":1,"Rows":1}`, plan.MaxRows-1) + `]}`
	c, s, _ = start(t, nil, status(200, tallies))
	parts, err := c.CountBuckets(t.Context(), once{}, table, []plan.Slice{{Part: plan.PartAll, Hi: plan.Buckets}}, 512)
	if fault.KindOf(err) != fault.Split || s.count() != 1 {
		t.Errorf("CountBuckets of %d rows: %d parts, %v (%v), want split", plan.MaxRows, len(parts), err, fault.KindOf(err))
	}
}
