package stack_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// A database as the original script leaves it: twelve pages, newest first, a
// configuration row a page, a view that goes by the greatest watermark. What it
// copied is not copied again, and nothing newer is missing.
func TestScenario_R5_TakeoverOfTwelvePages(t *testing.T) {
	rounds.Long(t)
	const table, pages = "DeviceEvents", 12
	pageRows := 1000
	if os.Getenv("D2A_SCALE_ROWS") != "" {
		pageRows = 10_000 // as the script has them
	}
	data := events(t, table, pages*pageRows)
	s := start(t, data, stack.Options{})
	s.originalCopy(data, table, pageRows, pages)
	now := data.Now()
	fresh := fmt.Sprintf(`{"Timestamp":%q,"DeviceId":"fresh","ReportId":1}`, now.UTC().Format(time.RFC3339Nano))
	if err := data.Append(table, now, fresh); err != nil {
		t.Fatal(err)
	}

	s.setup("none")
	s.setup("none") // again, which changes nothing
	s.serve(nil, funchost.Options{})
	s.tick()
	if run := s.successes(table, 1)[0]; run.RecordCount != 1 {
		t.Errorf("the first run moved %d rows, want the one that is newer than the original's", run.RecordCount)
	}
	s.equal()
}

// The original was cut after five of twelve pages: its watermark is the newest row's, and
// what is older stays missing. Setup says so, and the audit log, and the way that they
// name fetches it.
func TestScenario_R5_TakeoverOfAnInterruptedCopy(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table, pageRows, pages, copied = "DeviceEvents", 20, 12, 5
	data := events(t, table, pages*pageRows)
	s := start(t, data, stack.Options{})
	s.originalCopy(data, table, pageRows, copied)
	said, err := s.Setup(t.Context(), s.app, "none")
	must(t, err)
	taken := s.audits(1, "takeover", func(a stack.Audit) bool { return strings.HasPrefix(a.RunID, "takeover") })[0]
	for _, text := range []string{said, taken.Note} {
		for _, want := range []string{"stay lost", "LastRefreshedTime is set back", "LoadType becomes Snapshot"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q does not say %q", text, want)
			}
		}
	}
	s.serve(nil, funchost.Options{})
	s.tick()
	s.successes(table, 1)
	compared := func() (missing, repeated int) {
		t.Helper()
		r, err := s.Compare(stack.Configured{Source: table, Destination: table + "Raw", Active: true})
		must(t, err)
		return r.Missing, r.Repeated
	}
	if missing, repeated := compared(); missing != (pages-copied)*pageRows || repeated != 0 {
		t.Errorf("%d rows missing and %d repeated, want the %d that the original lost, and none", missing, repeated, (pages-copied)*pageRows)
	}
	s.command(`.append MigrationConfiguration <| MigrationConfiguration | where RunId startswith "takeover"` +
		` | extend LastRefreshedTime = datetime(1900-01-01), LastRefreshedTimeInString = "", RunId = ""`)
	s.tick()
	s.successes(table, 2)
	if missing, repeated := compared(); missing != 0 || repeated != copied*pageRows {
		t.Errorf("set back: %d rows missing and %d repeated, want none, and the %d of the original", missing, repeated, copied*pageRows)
	}
}

// originalCopy makes the database as the original script leaves it after so many pages.
func (s *site) originalCopy(data *tenant.Tenant, table string, pageRows, pages int) {
	s.t.Helper()
	for _, text := range []string{
		".create table MigrationConfiguration (SourceTable: string, DestinationTable: string, WatermarkColumn: string, LastRefreshedTime: datetime, LastRefreshedTimeInString: string, LoadType: string, IsActive: bool)",
		".create table MigrationAuditLog (TableName: string, Timestamp: datetime, Status: string, FailureReason: string, RecordCount: int)",
		".create table DeviceEventsRaw (Records: dynamic)",
		".create materialized-view VwLatestMigrationConfiguration on table MigrationConfiguration { MigrationConfiguration | where IsActive | summarize arg_max(LastRefreshedTime, *) by SourceTable }",
		`.append MigrationConfiguration <| print "DeviceEvents", "DeviceEventsRaw", "Timestamp", datetime(1900-01-01), "1900-01-01T00:00:00.0000000Z", "Full", true`,
	} {
		s.command(text)
	}
	type record struct {
		at   time.Time
		text string
	}
	var all []record
	for row := range data.Rows(table) {
		var r struct{ Timestamp time.Time }
		if err := json.Unmarshal(row, &r); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, record{r.Timestamp, string(row)})
	}
	slices.SortStableFunc(all, func(a, b record) int { return cmp.Compare(b.at.UnixNano(), a.at.UnixNano()) })
	for page := range slices.Chunk(all[:min(len(all), pages*pageRows)], pageRows) {
		var lines strings.Builder
		for _, r := range page {
			lines.WriteString(r.text + "\n")
		}
		s.command(`.ingest inline into table DeviceEventsRaw with (format = "json", ingestionMapping = '[{"Column": "Records", "Properties": {"Path": "$"}}]') <|` + "\n" + lines.String())
		stamp := page[0].at.UTC().Format("2006-01-02T15:04:05.0000000Z")
		s.command(fmt.Sprintf(`.append MigrationConfiguration <| print "DeviceEvents", "DeviceEventsRaw", "Timestamp", datetime(%s), "%s", "Full", true`, stamp, stamp))
	}
}
