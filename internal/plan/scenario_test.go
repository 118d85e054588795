package plan_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// An afternoon hour is written as such, and read back as the same instant.
func TestScenario_S1_HoursOfTheAfternoon(t *testing.T) {
	for hour := range 24 {
		at := time.Date(2026, 3, 4, hour, 5, 6, 0, time.UTC)
		text := plan.Stamp(at)
		if want := at.Format(time.RFC3339)[:19] + ".0000000Z"; text != want {
			t.Errorf("Stamp of %v = %s, want %s", at, text, want)
		}
		if back, err := plan.ParseStamp(text); err != nil || !back.Equal(at) {
			t.Errorf("%s was read as %v, %v", text, back, err)
		}
	}
	if got := plan.Stamp(time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)); got != "2026-03-04T15:00:00.0000000Z" {
		t.Errorf("15:00 UTC is written as %s", got)
	}
}
