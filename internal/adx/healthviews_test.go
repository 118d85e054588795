package adx_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/adx"
)

func TestHealth_FreshnessGapsAndLatestRuns(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	run := func(source, status, from, until, reason string) {
		w.run(t, fmt.Sprintf(".append MigrationAuditLog <| MigrationAuditLog | take 0 | union (print SourceTable = '%s', Status = '%s', RunId = 'd2a', "+
			"WindowFrom = datetime(%s), WindowTo = datetime(%s), Timestamp = datetime(%[4]s) + 5m, FailureReason = '%[5]s')", source, status, from, until, reason))
	}
	run("DeviceInfo", "Success", "null", "2026-03-01", "")
	run("DeviceInfo", "Success", "2026-03-01", "2026-03-02", "")
	run("DeviceInfo", "Success", "2026-02-20", "2026-03-01 12:00", "") // set back: no gap
	run("DeviceInfo", "Success", "2026-03-04", "2026-03-05", "")
	run("DeviceInfo", "Failed", "2026-03-05", "2026-03-06", "busy")
	run("AlertInfo", "Gap", "2026-03-01", "2026-03-02", "one is missing")
	run("DeviceTvmSoftwareInventory", "Success", "2026-03-03", "2026-03-03", "")
	tests := []struct {
		query string
		want  []string
	}{
		{"MigrationFreshness() | project SourceTable, CompleteTo, Status | sort by SourceTable asc",
			[]string{"AlertInfo|2026-03-02T00:00:00Z|Gap", "DeviceInfo|2026-03-05T00:00:00Z|Success", "DeviceTvmSoftwareInventory|2026-03-03T00:00:00Z|Success"}},
		{"MigrationGaps() | project SourceTable, From, Until, Why, DefenderHoldsUntil | sort by SourceTable asc",
			[]string{"AlertInfo|2026-03-01T00:00:00Z|2026-03-02T00:00:00Z|one is missing|2026-04-01T00:00:00Z",
				"DeviceInfo|2026-03-02T00:00:00Z|2026-03-04T00:00:00Z|no run covers the window|2026-04-03T00:00:00Z"}},
		{"MigrationLatestRuns() | where SourceTable == 'DeviceInfo' | project Status, FailureReason", []string{"Failed|busy"}},
	}
	for _, tc := range tests {
		if diff := cmp.Diff(tc.want, w.ask(t, tc.query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.query, diff)
		}
	}
}

// The commands that the functions print do what they say.
func TestHealth_StorageAndForget(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	const person = `o'neil\smith`
	w.records(t, "DeviceInfoRaw", "d2a1", 1, "null", `{"DeviceName": "a"}`, `{"LoggedOnUsers": "o'neil\\smith"}`)
	w.records(t, "DeviceInfoRaw", "d2a1", 2, "null", `{"DeviceName": "void"}`)
	w.records(t, "DeviceTvmSoftwareInventoryRaw", "d2a2", 1, "2026-03-01", `{"DeviceName": "torn off"}`)
	w.records(t, "AlertEvidenceRaw", "d2a3", 1, "null", `{"AccountName": "o'neil\\smith"}`)
	w.run(t, ".append MigrationVoidSlices <| print TableName = 'DeviceInfoRaw', RunId = 'd2a1', Slice = int(2), Timestamp = now(), Hidden = true")
	got := w.ask(t, "MigrationStorage() | project TableName, Kind, Rows | sort by TableName asc, Kind asc")
	if want := []string{"AlertEvidenceRaw|Shown|1", "DeviceInfoRaw|Shown|2", "DeviceInfoRaw|Void|1", "DeviceTvmSoftwareInventoryRaw|Superseded|1"}; !slices.Equal(got, want) {
		t.Errorf("storage %q, want %q", got, want)
	}
	for _, command := range w.ask(t, "MigrationStorage() | where Kind != 'Shown' | project Frees") {
		w.run(t, command)
	}
	if got := w.ask(t, "MigrationStorage() | summarize sum(Rows) by Kind"); !slices.Equal(got, []string{"Shown|3"}) {
		t.Errorf("after the commands %q", got)
	}
	commands := w.ask(t, "MigrationForget("+literal(person)+") | project Command")
	if len(commands) != 2 || !strings.HasPrefix(commands[0], ".delete table ['") {
		t.Fatalf("commands %q", commands)
	}
	for _, command := range commands {
		w.run(t, command)
	}
	if got := w.ask(t, "MigrationStorage() | project TableName, Rows"); !slices.Equal(got, []string{"DeviceInfoRaw|1"}) {
		t.Errorf("after forgetting %q", got)
	}
	if got := w.ask(t, "MigrationForget('')"); len(got) != 0 {
		t.Errorf("forgetting nobody: %q", got)
	}
}
