package tenant_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

func TestPatchDay_FixesAddsAndRescoresVulnerabilities(t *testing.T) {
	const table = "DeviceTvmSoftwareVulnerabilities"
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	tn, err := tenant.Generate(tenant.Options{Seed: 1, Scale: 0.01, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	state := func() map[string]string {
		severity := map[string]string{}
		for _, row := range rowsOf(tn, table) {
			var m map[string]any
			if err := json.Unmarshal([]byte(row), &m); err != nil {
				t.Fatal(err)
			}
			var key []string
			for _, name := range []string{"DeviceId", "SoftwareVendor", "SoftwareName", "SoftwareVersion", "CveId"} {
				key = append(key, m[name].(string))
			}
			severity[strings.Join(key, " ")] = m["VulnerabilitySeverityLevel"].(string)
		}
		return severity
	}
	before := state()
	if err := tn.PatchDay(); err != nil {
		t.Fatal(err)
	}
	after, got := state(), map[string]int{}
	for key, severity := range after {
		switch old, ok := before[key]; {
		case !ok:
			got["New"]++
		case old != severity:
			got["Changed"]++
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			got["Fixed"]++
		}
	}
	if diff := cmp.Diff(map[string]int{"Fixed": 35, "New": 9, "Changed": 18}, got); diff != "" {
		t.Errorf("of %d rows (-want +got):\n%s", len(before), diff)
	}
}
