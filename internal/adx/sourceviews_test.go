package adx_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/adx"
)

// An export has a device that changed its group in two files, its documents have other
// letter cases than its examples, and its views show each thing once.
func TestSourceViews_OfAnExport(t *testing.T) {
	w := newWorld(t)
	w.run(t, adx.ControlScripts()...)
	const source, view = "api/machines/SoftwareInventoryExport", "SoftwareInventoryExport"
	w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = '"+source+"', DestinationTable = 'SoftwareInventoryRaw', LoadType = 'Snapshot', IsActive = true)")
	w.setUp(t, adx.Options{})
	snapshot := func(run, planned string, records ...string) {
		w.records(t, "SoftwareInventoryRaw", run, 1, planned, records...)
		w.audit(t, source, "", run, "Success", planned)
	}
	const nginx = `"softwareVendor": "f5", "softwareName": "nginx", "softwareVersion": "1"`
	snapshot("d2a1", "2026-03-01", `{"deviceId": "a", `+nginx+`, "rbacGroupName": "old"}`, `{"deviceId": "a", `+nginx+`, "rbacGroupName": "new"}`,
		`{"deviceId": "b", `+nginx+`}`)
	snapshot("d2a2", "2026-03-02", `{"DeviceId": "a", "SoftwareVendor": "f5", "SoftwareName": "nginx", "SoftwareVersion": "1", "NumberOfWeaknesses": "3", "Other": 1}`,
		`{"deviceId": "c", `+nginx+`, "numberOfWeaknesses": 2}`, `{"deviceId": "c", `+nginx+`, "numberOfWeaknesses": 2, "rbacGroupName": "moved"}`)
	for query, want := range map[string][]string{
		view + " | project deviceId, numberOfWeaknesses, tostring(_Extra) | sort by deviceId asc":                                                  {`a|3|{"Other":1}`, `c|2|{}`},
		view + "Latest() | project deviceId | sort by deviceId asc":                                                                                {"a", "c"},
		view + "AsOf(datetime(2026-03-01)) | project deviceId | sort by deviceId asc":                                                              {"a", "b"},
		view + "Changes(datetime(2026-03-01), datetime(2026-03-02)) | project deviceId, Change | where Change != 'Changed' | sort by deviceId asc": {"b|Fixed", "c|New"},
		"MigrationStorage() | project TableName, Rows":                                                                                             {"SoftwareInventoryRaw|6"},
		"MigrationForget('nginx') | project TableName, Rows":                                                                                       {"SoftwareInventoryRaw|6"},
	} {
		if diff := cmp.Diff(want, w.ask(t, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	if again := w.changed(t, adx.Options{}); len(again) != 0 {
		t.Errorf("setup again does %q", again)
	}
}

// A list that is copied by a watermark has every version.
func TestSourceViews_OfAList(t *testing.T) {
	w := newWorld(t)
	w.run(t, adx.ControlScripts()...)
	w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = 'api/machines', DestinationTable = 'MachinesRaw', WatermarkColumn = 'lastSeen', LoadType = 'Incr', IsActive = true)")
	w.setUp(t, adx.Options{})
	w.records(t, "MachinesRaw", "d2a1", 1, "null", `{"id": "a", "lastSeen": "2026-03-01T00:00:00Z", "isAadJoined": true}`, `{"id": "a", "LastSeen": "2026-03-02T00:00:00Z"}`)
	got := w.ask(t, "Machines | project ['id'], lastSeen, isAadJoined | sort by lastSeen asc")
	if want := []string{"a|2026-03-01T00:00:00Z|true", "a|2026-03-02T00:00:00Z|"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
