package adx_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// The README's commands work as they stand: each appends one row that is a user's
// command and changes nothing else, of no other instance either.
func TestReadme_CommandsWork(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```kusto\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of KQL, want off, on, rewind and the newest snapshot", len(blocks))
	}
	w := newWorld(t)
	w.setUp(t, adx.Options{Load: adx.LoadRecommended})
	w.run(t, `.append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = 'DeviceInfo', DestinationTable = 'DeviceInfoRaw', WatermarkColumn = 'None', LoadType = 'Incr', IsActive = true, Frequency = 'PT6H', LastRefreshedTime = now(), LastRefreshedTimeInString = 'x', RunId = 'app00120261101000000aaaaaaaa', Generation = long(4))`)
	w.run(t, `.append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = 'DeviceInfo', DestinationTable = 'W_DeviceInfoRaw', WatermarkColumn = 'None', LoadType = 'Incr', IsActive = true, Instance = 'West')`)
	app := w.client(t, "app")
	newest := func() plan.Table {
		t.Helper()
		rows, err := app.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.SourceTable == "DeviceInfo" && r.Instance == "" {
				table, err := r.Table()
				if err != nil {
					t.Fatal(err)
				}
				return table
			}
		}
		t.Fatal("no row of DeviceInfo")
		return plan.Table{}
	}
	published := newest()
	state := plan.TableState{Source: "DeviceInfo", Table: published, Command: published.Ingested}
	state.Publish(published)
	for i, step := range []struct {
		name   string
		active bool
		ago    time.Duration
	}{{"off", false, 0}, {"on", true, 0}, {"rewind", true, 7 * 24 * time.Hour}} {
		before := w.cluster.Count("db1", "MigrationConfiguration")
		w.run(t, blocks[i])
		got, want := newest(), published
		want.Active = step.active
		if n := w.cluster.Count("db1", "MigrationConfiguration") - before; n != 1 || !got.Same(want) || got.RunID != "" || got.Generation != 0 {
			t.Errorf("%s: %d rows, newest %+v", step.name, n, got)
		}
		if moved := published.LastRefreshed.Sub(got.LastRefreshed); (moved - step.ago).Abs() > time.Hour {
			t.Errorf("%s: the watermark went back by %v, want %v", step.name, moved, step.ago)
		}
		if changes := state.Waiting(got); len(changes) == 0 {
			t.Errorf("%s: the row is taken for no command", step.name)
		}
		state.Table, state.Command = got, got.Ingested
	}

	w.records(t, "DeviceTvmSoftwareVulnerabilitiesRaw", "d2a1", 1, "2026-11-01", `{"DeviceId": "a", "SoftwareName": "s"}`, `{"DeviceId": "b", "SoftwareName": "s"}`)
	w.audit(t, "DeviceTvmSoftwareVulnerabilities", "", "d2a1", "Success", time.Now().Add(-40*24*time.Hour).UTC().Format(time.RFC3339))
	w.audit(t, "DeviceTvmSoftwareVulnerabilities", "", "d2a2", "Success", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	if got := w.ask(t, blocks[3]); !slices.Equal(got, []string{"s|2"}) {
		t.Errorf("fixed in the last month: %q", got)
	}
}

// Operators' pages name no stored function that `handler setup` does not make.
func TestDocs_NameNoFunctionThatIsNotMade(t *testing.T) {
	w := newWorld(t)
	made := map[string]bool{}
	for _, step := range w.setUp(t, adx.Options{}) {
		if name, ok := strings.CutPrefix(step.Name, "function "); ok {
			made[name] = true
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%v, %v", pages, err)
	}
	call, view := regexp.MustCompile(`\b(Vw\w+|[A-Z]\w*)\(\)`), regexp.MustCompile(`(?i)\b(hidden by|every|by) (the )?views?\b|\bviews (show|leave|hide)`)
	for _, page := range append(pages, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			if after := []string{"Visible", "Latest"}; !made[m[1]] && !slices.Contains(after, m[1]) { // after the name of a table
				t.Errorf("%s names %s, which nobody makes", page, m[0])
			}
		}
		if found := view.FindString(string(text)); found != "" {
			t.Errorf("%s speaks of views that do not exist: %q", page, found)
		}
	}
}
