package stack_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// The configuration of the original script works as given: Full on arrival time,
// on Timestamp, and on the business dates LastUpdatedOn and InstallationTime,
// rows without a date included. A date in the future waits for its day.
func TestOriginalConfiguration_WorksAsGiven(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	data, err := tenant.Generate(tenant.Options{Seed: 5, Scale: 0.05, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	data.Run(time.Now)
	s := start(t, data, stack.Options{})
	s.setup("original")
	s.serve(nil, funchost.Options{})
	s.tick()
	tables, err := s.Configured()
	if err != nil || len(tables) != 9 {
		t.Fatalf("%d tables are configured, %v; want the original nine", len(tables), err)
	}
	for _, c := range tables {
		s.successes(c.Source, 1)
		future := 0
		if c.Source == "DeviceTvmBrowserExtensions" {
			for text := range data.Rows(c.Source) {
				var row struct{ InstallationTime *time.Time }
				if err := json.Unmarshal(text, &row); err != nil {
					t.Fatal(err)
				}
				if row.InstallationTime != nil && row.InstallationTime.After(data.Now()) {
					future++
				}
			}
			if future == 0 {
				t.Fatal("the sample has no future date: this test would prove nothing")
			}
		}
		r, err := s.Compare(c)
		if err != nil || r.Missing != future || r.Repeated != 0 || r.Source == 0 {
			t.Errorf("%s: %+v, %v; want %d missing, those dated in the future", c.Source, r, err, future)
		}
	}
}
