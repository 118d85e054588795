package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// What a source cannot be copied by is refused where it is written, and the refusal
// says what to write instead.
func TestRow_ChecksSourcesBesideHuntingTables(t *testing.T) {
	for _, tt := range []struct {
		name, source, destination, column, load string
		refusal                                 string // part of it; "" for none
	}{
		{"list by its time", "api/machines", "MachinesRaw", "lastSeen", "Incr", ""},
		{"list as a snapshot", "api/machines", "MachinesRaw", "None", "Snapshot", ""},
		{"list first whole", "api/machines", "MachinesRaw", "lastSeen", "Full", ""},
		{"snapshot that names its time", "api/machines", "MachinesRaw", "lastSeen", "Snapshot", ""},
		{"list by arrival", "api/machines", "MachinesRaw", "None", "Incr", "WatermarkColumn: api/machines wants lastSeen, got None"},
		{"list by another time", "api/machines", "MachinesRaw", "firstSeen", "Incr", "wants lastSeen, got firstSeen"},
		{"list without a time", "api/Software", "SoftwareRaw", "None", "Incr", "LoadType: api/Software is copied as Snapshot, not as Incr"},
		{"column of a list without one", "api/Software", "SoftwareRaw", "name", "Snapshot", "wants None, got name"},
		{"changes as a snapshot", "api/machines/SoftwareVulnerabilityChangesByMachine", "ChangesRaw", "None", "Snapshot", "is copied as Incr, not as Snapshot"},
		{"file export", "api/machines/SoftwareVulnerabilitiesExport", "ExportRaw", "None", "Snapshot", ""},
		{"file export in parts", "api/machines/SoftwareVulnerabilitiesExport", "ExportRaw", "None", "Full", "is copied as Snapshot, not as Full"},
		{"list of Graph", "security/alerts_v2", "SecurityAlertsRaw", "lastUpdateDateTime", "Incr", ""},
		{"saved query", "query/Hosts", "QueryHostsRaw", "None", "Snapshot", ""},
		{"saved query by a column", "query/HostLogons", "QueryHostLogonsRaw", "Timestamp", "Incr", ""},
		{"saved query by arrival, for the count to decide", "query/HostLogons", "QueryHostLogonsRaw", "None", "Incr", ""},
		{"saved query by a column that is no time", "query/HostLogons", "QueryHostLogonsRaw", "DeviceName", "Incr", "WatermarkColumn: DeviceName is no datetime column of the result; want Timestamp"},
		{"saved query by a column that it lacks", "query/Hosts", "QueryHostsRaw", "Timestamp", "Incr", "want LastSeen"},
		{"saved query that is not there", "query/SignIns", "QuerySignInsRaw", "None", "Snapshot", "no saved query \"SignIns\" is shipped with this app, which has AlertEntities, "},
		{"name of a query's view", "query/Hosts", "QueryHosts", "None", "Snapshot", "want another, such as QueryHostsRaw"},
		{"saved query first whole", "query/HostLogons", "QueryHostLogonsRaw", "Timestamp", "Full", "datetime column of its result"},
		{"saved query without a name", "query/", "QueryRaw", "None", "Snapshot", "name of a saved query"},
		{"saved query outside its folder", "query/../x", "QueryRaw", "None", "Snapshot", "name of a saved query"},
		{"another case", "api/Machines", "MachinesRaw", "lastSeen", "Incr", `SourceTable: "api/Machines" is written api/machines`},
		{"short name", "machines", "MachinesRaw", "lastSeen", "Incr", `SourceTable: "machines" is written api/machines`},
		{"unheard-of path", "api/users", "UsersRaw", "None", "Snapshot", `"api/users" is no source that is known; there are api/Software, `},
		{"name of a view", "api/machines", "Machines", "lastSeen", "Incr", "want another, such as MachinesRaw"},
		{"hunting table that nobody knows", "Unheard_Of", "Unheard_OfRaw", "None", "Full", ""},
	} {
		row := plan.Row{SourceTable: tt.source, DestinationTable: tt.destination, WatermarkColumn: tt.column, LoadType: tt.load, IsActive: true}
		_, err := row.Table()
		if tt.refusal == "" && err != nil {
			t.Errorf("%s: refused: %v", tt.name, err)
		}
		if tt.refusal != "" && (err == nil || !strings.Contains(err.Error(), tt.refusal)) {
			t.Errorf("%s: error %v, want it to say %q", tt.name, err, tt.refusal)
		}
	}
}

func TestDefaultRow_IsOneThatMayBe(t *testing.T) {
	for _, s := range slices.Concat(schema.Sources(), schema.SavedQueries()) {
		row, ok := plan.DefaultRow(s.Name)
		table, err := row.Table()
		if !ok || err != nil || table.Kind() != s.Kind {
			t.Errorf("%s: %v, kind %s, %v", s.Name, ok, table.Kind(), err)
		}
	}
	if row, _ := plan.DefaultRow("query/FailedLogons"); row.LoadType != "Incr" || row.WatermarkColumn != "HourEnd" || row.DestinationTable != "QueryFailedLogonsRaw" {
		t.Errorf("a saved query has the row %v, want the one that its file recommends", row)
	}
	if row, ok := plan.DefaultRow("DeviceInfo"); ok {
		t.Errorf("a hunting table has the row %v", row)
	}
}

func TestKey_GoesByTheShortNameAndBack(t *testing.T) {
	for source, short := range map[string]string{"api/machines": "machines", "DeviceInfo": "DeviceInfo", "query/SignIns": "query-SignIns"} {
		key := plan.Key{Instance: "i", Source: source}
		if got := key.Short(); got.Source != short || got.Full() != key {
			t.Errorf("%s: short %s, back %s", key, got, got.Full())
		}
	}
}

// A program that knows hunting tables alone must leave the rest to its successor.
func TestStoredFormat_OfAnotherSourceIsTheNewer(t *testing.T) {
	for source, want := range map[string]int{"DeviceInfo": 1, "api/machines": 2, "api/machines/SoftwareVulnerabilitiesExport": 2, "query/SignIns": 2} {
		state, ledger := plan.TableState{Source: source}, plan.Ledger{Table: plan.Table{Source: source}}
		if state.StoredFormat() != want || ledger.StoredFormat() != want {
			t.Errorf("%s: state %d, ledger %d, want %d", source, state.StoredFormat(), ledger.StoredFormat(), want)
		}
	}
}

// What a read may show again is remembered: from where it begins, and where the service
// rounds the beginning down to a period, from there.
func TestTable_ListMemoryReachesBeforeTheNextRead(t *testing.T) {
	for _, s := range schema.Sources() {
		if s.Version == "" {
			continue
		}
		table := plan.Table{Source: s.Name, WatermarkColumn: s.Version}
		begin := table.ListBegin(day, day, true)
		if s.Since != "" {
			begin = begin.Add(-6 * time.Hour)
		}
		begin = begin.Add(-time.Second) // it is asked for in whole seconds
		if memory := table.ListMemory(day); memory.After(begin) || memory.Before(begin.Add(-12*time.Hour)) {
			t.Errorf("%s: remembered from %v, the next read shows what is from %v", s.Name, memory, begin)
		}
	}
}
