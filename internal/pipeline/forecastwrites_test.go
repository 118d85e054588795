package pipeline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// What an attempt would say in the audit log before it has planned anything stays
// unsaid, too: that the watermark lies in the future.
func TestForecast_SaysNothingInTheAuditLog(t *testing.T) {
	w := newWorld(83)
	w.fill(50, 10)
	w.config[0].LastRefreshedTime = w.now.AddDate(1, 0, 0)
	before := w.written()
	if f := w.forecast(t); f.Runs != 0 || f.Rows != 0 {
		t.Errorf("forecast %+v", f)
	}
	if diff := cmp.Diff(before, w.written()); diff != "" {
		t.Errorf("the forecast wrote: %s", diff)
	}
	if err := w.wake(plan.Manual); err != nil || w.last().Status != plan.Skipped {
		t.Fatalf("an attempt says nothing either, so that this proves nothing: %v%s", err, w.story())
	}
}
