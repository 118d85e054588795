package stack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// configureList configures a list, and makes its raw table.
func (s *site) configureList(source, destination, column, load string) {
	s.t.Helper()
	s.command(".set-or-append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = '" + source + "', DestinationTable = '" + destination +
		"', WatermarkColumn = '" + column + "', LastRefreshedTime = datetime(1900-01-01), LastRefreshedTimeInString = '1900-01-01T00:00:00.0000000Z', LoadType = '" + load + "'," +
		" IsActive = true, Instance = '', Frequency = '', RunId = '', Generation = long(0))")
}

// shownVersions are the versions of things that pages of lists have shown.
type shownVersions struct {
	mu    sync.Mutex
	lists map[string]map[string]int // how often, by list and version
}

// versionOf is a row's id and the member that changes with each version of it.
func versionOf(t *testing.T, row []byte) string {
	var members struct {
		ID                       string
		LastSeen, LastUpdateTime string
		LastUpdateDateTime       string
		EventTimestamp, Status   string // of changes, which are told apart by it, too
	}
	if err := json.Unmarshal(row, &members); err != nil || members.ID == "" {
		t.Errorf("row %.200s: %v", row, err)
	}
	if members.EventTimestamp != "" {
		return members.ID + " " + members.EventTimestamp + " " + members.Status
	}
	return members.ID + " " + members.LastSeen + members.LastUpdateTime + members.LastUpdateDateTime
}

func (v *shownVersions) take(t *testing.T) func(string, [][]byte) {
	v.lists = map[string]map[string]int{}
	return func(list string, rows [][]byte) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.lists[list] == nil {
			v.lists[list] = map[string]int{}
		}
		for _, row := range rows {
			v.lists[list][versionOf(t, row)]++
		}
	}
}

// inADX counts the versions in a raw table.
func (s *site) inADX(table string) map[string]int {
	s.t.Helper()
	columns, rows, err := s.Cluster.Rows(stack.Database, table)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]int{}
	for r := range rows {
		for i, c := range columns {
			if c.Name == "Records" {
				out[versionOf(s.t, []byte(fmt.Sprintf("%s", r.Values[i])))]++
			}
		}
	}
	return out
}

// Lists that shift while they are read arrive with every version that they have shown,
// each once, over several runs: of either API, with and without links from page to page.
func TestList_EveryVersionShownArrivesOnce(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	data, err := tenant.Generate(tenant.Options{Seed: 1, Now: time.Now(), Only: []string{"DeviceInfo", "AlertInfo", "AlertEvidence", "DeviceTvmSoftwareVulnerabilities"}, Scale: 0.2,
		Lean: map[string]int{"DeviceTvmSoftwareVulnerabilities": 3_000}})
	if err != nil {
		t.Fatal(err)
	}
	data.Run(time.Now)
	var machines []string
	for i := range 10_050 { // more than a page holds
		machines = append(machines, fmt.Sprintf(`{"id":"m%05d","computerDnsName":"host%d","lastSeen":"%s"}`, i, i, time.Now().UTC().Add(-time.Duration(i)*time.Minute).Format("2006-01-02T15:04:05.0000000Z")))
	}
	if err := data.SetList(tenant.Machines, machines...); err != nil {
		t.Fatal(err)
	}
	var shown shownVersions
	rest := stack.UnhurriedREST()
	rest.Shown, rest.Shift, rest.Twins, rest.Touch = shown.take(t), true, true, true
	s := start(t, data, stack.Options{Hunting: hunting.Options{Limits: stack.Unhurried(), REST: rest}})
	s.setup("none")
	lists := map[string]struct{ raw, short string }{
		"api/machines": {"MachinesRaw", tenant.Machines}, "api/alerts": {"AlertsRaw", tenant.Alerts}, "security/incidents": {"SecurityIncidentsRaw", tenant.Incidents},
		"security/alerts_v2": {"SecurityAlertsRaw", tenant.AlertsV2},
		"api/machines/SoftwareVulnerabilityChangesByMachine": {"SoftwareVulnerabilityChangesRaw", tenant.Changes},
	}
	s.configureList("api/machines", "MachinesRaw", "lastSeen", "Incr")
	s.configureList("api/alerts", "AlertsRaw", "lastUpdateTime", "Full")
	s.configureList("api/machines/SoftwareVulnerabilityChangesByMachine", "SoftwareVulnerabilityChangesRaw", "eventTimestamp", "Incr")
	s.configureList("security/alerts_v2", "SecurityAlertsRaw", "lastUpdateDateTime", "Incr")
	s.configureList("security/incidents", "SecurityIncidentsRaw", "lastUpdateDateTime", "Incr")
	s.setup("none")
	s.serve(map[string]string{"DEFENDER_QUOTA_MINUTE": "1s", "DEFENDER_QUOTA_HOUR": "1s"}, funchost.Options{})

	for round := 1; round <= 2; round++ {
		s.tick()
		for source := range lists {
			s.successes(source, round)
		}
	}
	for source, list := range lists {
		there := s.inADX(list.raw)
		if len(shown.lists[list.short]) < 5 {
			t.Errorf("%s: only %d versions were shown", source, len(shown.lists[list.short]))
		}
		for version := range shown.lists[list.short] {
			if there[version] != 1 {
				t.Errorf("%s: a version that was shown is there %d times: %s", source, there[version], version)
			}
		}
		if len(there) != len(shown.lists[list.short]) {
			t.Errorf("%s: %d versions in ADX, %d were shown", source, len(there), len(shown.lists[list.short]))
		}
	}
	if n := len(shown.lists[tenant.Machines]); n <= len(machines) {
		t.Errorf("%d versions of %d machines: none changed while it was read", n, len(machines))
	}
	// A plan reads once, and says how many calls a run takes at most.
	var plans []struct {
		Table                     string
		Rows, Slices, Calls, Runs int64
	}
	out, code := s.says(s.commandLine(nil, "plan", "machines", "IncidentS", "--output", "json"))
	if err := json.Unmarshal([]byte("["+strings.ReplaceAll(strings.TrimSpace(out), "}\n{", "},{")+"]"), &plans); err != nil || code != 0 || len(plans) != 2 {
		t.Fatalf("plan: exit %d, %v\n%s", code, err, out)
	}
	if p := plans[0]; p.Table != "api/machines" || p.Slices != 1 || p.Calls < 4 || p.Calls > 8 {
		t.Errorf("plan of the machines: %+v", p)
	}
	if status, body := s.http(http.MethodGet, "/api/tables/machines"); status != http.StatusOK || !strings.Contains(body, "api/machines") {
		t.Errorf("GET by the short name: %d %s", status, body)
	}
}

// What keeps a list from being read is said with its remedy.
func TestList_FailuresNameTheirRemedy(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	s := start(t, events(t, "DeviceEvents", 10), stack.Options{Hunting: hunting.Options{Limits: stack.Unhurried(), REST: stack.UnhurriedREST()}})
	s.setup("none")
	if err := s.Identity.SetRoles(stack.ClientID, identity.AudienceDefender, "AdvancedQuery.Read.All"); err != nil {
		t.Fatal(err)
	}
	s.configureList("api/machines", "MachinesRaw", "lastSeen", "Incr")
	s.configureList("api/users", "UsersRaw", "None", "Snapshot")
	s.configureList("api/alerts", "AlertsRaw", "None", "Incr")
	s.setup("none")
	s.serve(nil, funchost.Options{})
	s.tick()
	s.failure("app role Machine.Read.All is missing", "WindowsDefenderATP")
	s.failure("api/users", "is no source that is known")
	s.failure("WatermarkColumn: api/alerts wants lastUpdateTime, got None")
}
