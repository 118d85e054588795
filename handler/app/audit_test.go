package app

import (
	"errors"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// What every tick finds again is one audit row a day and cause; what a person asked for
// is answered each time.
func TestAuditor_SaysTheSameOnceADay(t *testing.T) {
	paper, now := &desk{}, time.Date(2026, 11, 27, 23, 0, 0, 0, time.UTC)
	a := auditor{appID: "app001", control: paper, now: func() time.Time { return now }, api: func(string) string { return "" }}
	wake := func(trigger, source, cause string) string {
		t.Helper()
		if err := a.Refuse(t.Context(), plan.WakeUp{Key: plan.Key{Instance: "west", Source: source}, Trigger: trigger}, errors.New(cause)); err != nil {
			t.Fatal(err)
		}
		return paper.written[len(paper.written)-1].Tag
	}
	reject := func(destination, cause string) string {
		t.Helper()
		if err := a.Reject(t.Context(), plan.Candidate{Row: plan.Row{Instance: "west", SourceTable: "DeviceInfo", DestinationTable: destination}}, errors.New(cause)); err != nil {
			t.Fatal(err)
		}
		return paper.written[len(paper.written)-1].Tag
	}
	first, row := wake(plan.Scheduled, "DeviceInfo", "no tenant"), reject("D", "no tenant")
	if wake(plan.Scheduled, "DeviceInfo", "no tenant") != first || reject("D", "no tenant") != row {
		t.Error("the same is said twice on one day")
	}
	for what, tag := range map[string]string{
		"another cause": wake(plan.Scheduled, "DeviceInfo", "no client"), "another table": wake(plan.Scheduled, "DeviceEvents", "no tenant"),
		"another destination": reject("E", "no tenant"), "a row, not a wake-up": row,
		"a person's": wake(plan.Manual, "DeviceInfo", "no tenant"),
	} {
		if tag == first {
			t.Errorf("%s passes for said", what)
		}
	}
	if once, again := wake(plan.Manual, "DeviceInfo", "no tenant"), wake(plan.Manual, "DeviceInfo", "no tenant"); once == again {
		t.Error("a person is answered once a day")
	}
	now = now.Add(2 * time.Hour)
	if wake(plan.Scheduled, "DeviceInfo", "no tenant") == first || reject("D", "no tenant") == row {
		t.Error("nothing is said on the next day")
	}
}
