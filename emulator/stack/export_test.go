package stack_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// vulnerabilities makes a tenant whose vulnerability table, and so its export, has n
// rows.
func vulnerabilities(t *testing.T, n int) *tenant.Tenant {
	t.Helper()
	const table = "DeviceTvmSoftwareVulnerabilities"
	data, err := tenant.Generate(tenant.Options{Seed: 1, Now: time.Now(), Only: []string{"DeviceInfo", table}, Lean: map[string]int{table: n}})
	if err != nil {
		t.Fatal(err)
	}
	data.Run(time.Now)
	return data
}

// shot is what a raw table holds of one run.
type shot struct {
	rows, different, slices, times int
}

func (s *site) shot(table, runID string) shot {
	s.t.Helper()
	columns, rows, err := s.Cluster.Rows(stack.Database, table)
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	seen := map[string]map[string]bool{}
	for r := range rows {
		of := map[string]string{}
		for i, c := range columns {
			of[c.Name] = fmt.Sprint(r.Values[i])
		}
		if of["RunId"] != runID {
			continue
		}
		n++
		for name, value := range of {
			if seen[name] == nil {
				seen[name] = map[string]bool{}
			}
			seen[name][value] = true
		}
	}
	return shot{n, len(seen["Records"]), len(seen["Slice"]), len(seen["SnapshotTime"])}
}

// A file export arrives in ADX through its own storage: whole, once per generation, and
// without its addresses in any log.
func TestExport_ArrivesOncePerGeneration(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const source, raw, rows = "api/machines/SoftwareVulnerabilitiesExport", "SoftwareVulnerabilitiesExportRaw", 2_000
	rest := stack.UnhurriedREST()
	rest.FileRows = 300
	s := start(t, vulnerabilities(t, rows), stack.Options{Hunting: hunting.Options{Limits: stack.Unhurried(), REST: rest}})
	s.setup("none")
	must(t, s.ConfigureSource(t.Context(), source))
	s.setup("none")
	// The quota of exports by a shorter clock: 5 calls a minute would keep the test waiting.
	quick := map[string]string{"DEFENDER_QUOTA_MINUTE": "1s", "DEFENDER_QUOTA_HOUR": "1s"}
	s.serve(quick, funchost.Options{})

	s.tick()
	first := s.successes(source, 1)[0]
	if first.RecordCount != rows {
		t.Errorf("the first run: %+v", first)
	}
	if got := s.shot(raw, first.RunID); got != (shot{rows, rows, 7, 1}) {
		t.Errorf("in ADX: %+v", got)
	}

	// Nothing new: a call, and no word of it.
	s.tick()
	s.waitLine("the export was copied before")
	if n := len(s.successes(source, 1)); n != 1 {
		t.Errorf("%d Success rows", n)
	}

	if said, code := s.says(s.commandLine(quick, "plan", source, "--output", "json")); code != 0 || !strings.Contains(said, `"generatedTime":"`) || !strings.Contains(said, "copied before") {
		t.Errorf("plan: %d\n%s", code, said)
	}

	s.Hunting.Regenerate()
	if said, code := s.says(s.commandLine(quick, "plan", "softwarevulnerabilities")); code != 0 || !strings.Contains(said, "7 files, made ") || strings.Contains(said, "copied before") {
		t.Errorf("plan of a new generation: %d\n%s", code, said)
	}
	if n := s.Cluster.Count(stack.Database, raw); n != rows {
		t.Errorf("after the plans there are %d rows", n)
	}
	s.tick()
	second := s.successes(source, 2)[1]
	if second.RecordCount != rows || second.RunID == first.RunID || s.shot(raw, second.RunID) != (shot{rows, rows, 7, 1}) {
		t.Errorf("the second run: %+v", second)
	}
	if status, body := s.http(http.MethodGet, "/api/tables/softwarevulnerabilities"); status != http.StatusOK || !strings.Contains(body, source) {
		t.Errorf("GET by the short name: %d %s", status, body)
	}
	if s.count("sig=") > 0 || s.count("tvm-export") > 0 {
		t.Error("the handler logged an address")
	}
}
