package adx_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/adx"
)

// statements returns the KQL of a page, one statement each: lines that begin with a bar
// belong to the one before; indentation and comments are left out.
func statements(t *testing.T, page string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```kusto\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(m[1]) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "//")
			switch {
			case line == "":
			case strings.HasPrefix(line, "|") && len(out) > 0:
				out[len(out)-1] += "\n" + line
			default:
				out = append(out, line)
			}
		}
	}
	return out
}

// The commands of docs/migrate-from-scripts.md work in a database of the scripts that was
// taken over; what removes the scripts' rows leaves ours.
func TestMigratePage_CommandsWork(t *testing.T) {
	w := newWorld(t)
	// As the script leaves a database: its tables, one configuration row a page, rows without a run.
	w.run(t,
		".create table MigrationConfiguration (SourceTable: string, DestinationTable: string, WatermarkColumn: string, LastRefreshedTime: datetime, LastRefreshedTimeInString: string, LoadType: string, IsActive: bool)",
		".create table MigrationAuditLog (TableName: string, Timestamp: datetime, Status: string, FailureReason: string, RecordCount: int)",
		".create table DeviceEventsRaw (Records: dynamic)",
		".create materialized-view VwLatestMigrationConfiguration on table MigrationConfiguration { MigrationConfiguration | where IsActive | summarize arg_max(LastRefreshedTime, *) by SourceTable }",
		".set-or-append MigrationConfiguration <| datatable(SourceTable: string, DestinationTable: string, WatermarkColumn: string, LastRefreshedTime: datetime, LastRefreshedTimeInString: string, LoadType: string, IsActive: bool) "+
			"['DeviceEvents', 'DeviceEventsRaw', 'Timestamp', datetime(2026-11-20), '', 'Full', true, 'DeviceEvents', 'DeviceEventsRaw', 'Timestamp', datetime(2026-11-19), '', 'Full', true]",
		".set-or-append DeviceEventsRaw <| print Records = dynamic({\"Timestamp\": \"2026-11-19T00:00:00Z\"})",
	)
	w.setUp(t, adx.Options{})
	w.records(t, "DeviceEventsRaw", "d2a1", 1, "2026-11-21", `{"Timestamp": "2026-11-19T00:00:00Z"}`)

	answers := map[string][]string{}
	for _, text := range statements(t, "../../docs/migrate-from-scripts.md") {
		switch {
		case strings.HasPrefix(text, "DeviceEvents "): // for the portal
		case strings.HasPrefix(text, "."):
			w.run(t, text)
		default:
			answers[text] = w.ask(t, text)
		}
	}
	found := func(begins string) (out []string) {
		for text, answer := range answers {
			if strings.HasPrefix(text, begins) {
				out = answer
			}
		}
		return out
	}
	if got := found("VwLatest"); len(got) != 1 || !strings.Contains(got[0], "DeviceEvents|2026-11-20") {
		t.Errorf("taken over: %q", got)
	}
	if got := found("MigrationAuditLog"); len(got) != 1 || !strings.Contains(got[0], "stay lost") {
		t.Errorf("the takeover in the audit log: %q", got)
	}
	if got := found("DeviceEventsRaw | where isempty(RunId)"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("rows of the script: %q", got)
	}
	for deadline := time.Now().Add(10 * time.Second); w.count(t, "DeviceEventsRaw") != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d rows are left, want ours", w.count(t, "DeviceEventsRaw"))
		}
	}
	if got := w.ask(t, "DeviceEventsRaw | project RunId"); !slices.Equal(got, []string{"d2a1"}) {
		t.Errorf("left: %q", got)
	}
}
