package stack_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/savedquery"
)

// A saved query is copied like a table, switched on with what its file recommends: one
// as snapshots, one by a column. Rows that are equal arrive as many times as they are.
func TestSavedQueries_ArriveLikeTables(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	data, err := tenant.Generate(tenant.Options{Seed: 1, Scale: 0.1, Now: time.Now(),
		Only: []string{"DeviceLogonEvents", "DeviceTvmSoftwareVulnerabilities", "DeviceTvmSoftwareVulnerabilitiesKB"}})
	must(t, err)
	data.Run(time.Now)
	s := start(t, data, stack.Options{})
	s.setup("none")
	for _, name := range []string{"query/ExploitableSoftware", "queryhostlogonsraw"} {
		if out, code := s.says(s.commandLine(nil, "on", "--yes", name)); code != 0 || !strings.Contains(out, "1 row appended") {
			t.Fatalf("handler on %s: exit code %d\n%s", name, code, out)
		}
	}
	s.setup("none") // makes their raw tables and views
	s.serve(nil, funchost.Options{})
	s.tick()
	s.successes("query/ExploitableSoftware", 1)
	s.successes("query/HostLogons", 1)
	s.holds("ExploitableSoftware", "QueryExploitableSoftwareRaw | project Records")
	s.holds("HostLogons", "QueryHostLogonsRaw | project Records")

	// What is new comes with the next run: two equal rows, and a thing that is gone.
	row := fmt.Sprintf(`{"Timestamp":%q,"DeviceId":"d","ActionType":"LogonSuccess","LogonType":"Interactive","AccountName":"a","AccountDomain":"x","ReportId":1}`,
		data.Now().UTC().Format(time.RFC3339Nano))
	must(t, data.Append("DeviceLogonEvents", data.Now(), row, row))
	gone, err := data.Delete("DeviceTvmSoftwareVulnerabilities", func(i int, _ []byte) bool { return i%2 == 0 })
	if err != nil || gone == 0 {
		t.Fatalf("%d rows deleted, %v", gone, err)
	}
	s.tick()
	s.successes("query/ExploitableSoftware", 2)
	if second := s.successes("query/HostLogons", 2)[1]; second.RecordCount != 2 {
		t.Errorf("the second run moved %d rows, want the two equal ones", second.RecordCount)
	}
	s.holds("HostLogons", "QueryHostLogonsRaw | project Records")
	s.holds("ExploitableSoftware", "QueryExploitableSoftware() | project Records = bag_remove_keys(pack_all(), dynamic(['_Extra', 'Instance', 'SnapshotTime', '_Torn']))")
	s.besideTheProgram()
	s.namesAllSources()
}

// namesAllSources: `handler tables` shows what can be copied, and asks the tenant for the
// hunting tables alone.
func (s *site) namesAllSources() {
	s.t.Helper()
	out, code := s.says(s.commandLine(nil, "tables", "--output", "json"))
	got := map[string]string{}
	for line := range strings.Lines(out) {
		var row struct {
			Source, Kind string
			Configured   bool
			Offered      *bool
		}
		must(s.t, json.Unmarshal([]byte(line), &row))
		got[row.Source] = fmt.Sprint(row.Kind, " ", row.Configured, " ", row.Offered != nil)
	}
	for source, want := range map[string]string{
		"query/HostLogons": "query true false", "query/Users": "query false false", "api/machines": "list false false",
		"api/machines/SoftwareVulnerabilitiesExport": "files false false", "DeviceLogonEvents": "hunting false true",
	} {
		if got[source] != want {
			s.t.Errorf("handler tables: exit code %d, %s is %q (kind, configured, asked for), want %q", code, source, got[source], want)
		}
	}
}

// holds compares the rows of a saved query with those that a query finds in ADX, each in
// the member Records, as many times as they are there.
func (s *site) holds(name, inADX string) {
	s.t.Helper()
	q, _, err := savedquery.Named(savedquery.Prefix + name)
	must(s.t, err)
	read := func(nested bool, args ...string) (out []string) {
		text, code := s.says(s.commandLine(nil, append([]string{"query", "--output", "json"}, args...)...))
		if code != 0 {
			s.t.Fatalf("handler query %q: exit code %d\n%s", args, code, text)
		}
		for line := range strings.Lines(text) {
			var row map[string]any
			must(s.t, json.Unmarshal([]byte(line), &row))
			if nested {
				row, _ = row["Records"].(map[string]any)
			}
			for column, value := range row {
				if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(value)); err == nil {
					row[column] = at.UTC().Format(time.RFC3339Nano)
				}
			}
			same, err := json.Marshal(row)
			must(s.t, err)
			out = append(out, string(same))
		}
		slices.Sort(out)
		return out
	}
	want, got := read(false, q.Lets+q.Result), read(true, "--adx", inADX)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		s.t.Errorf("%s: %d rows at Defender, %d in ADX (-Defender +ADX):\n%.2000s\n%s", name, len(want), len(got), diff, s.console())
	}
}

// besideTheProgram: what lies in the folder queries there is known beside what is built
// in, and what is wrong with a file is said where somebody names it.
func (s *site) besideTheProgram() {
	t := s.t
	t.Helper()
	root := t.TempDir()
	program := filepath.Join(root, "handler")
	must(t, os.Link(s.app.Handler(), program))
	must(t, os.Mkdir(filepath.Join(root, "queries"), 0o755))
	for name, text := range map[string]string{"mine": "// Load: Incr Timestamp\nDeviceInfo", "Broken": "DeviceInfo\n\n| take 1", "Evil": "let a = 1;\n.drop table DeviceInfoRaw"} {
		must(t, os.WriteFile(filepath.Join(root, "queries", name+".kql"), []byte(text), 0o600))
	}
	for name, want := range map[string]string{
		"query/mine": "DestinationTable QueryMineRaw WatermarkColumn Timestamp", "query-hosts": "DestinationTable QueryHostsRaw WatermarkColumn None",
		"query/Broken": "saved query Broken: line 2 is empty", "query/Evil": "saved query Evil: line 2: a control command is refused", "query/None": "no saved query \"None\" is shipped",
	} {
		cmd := s.commandLine(nil, "on", "--dry-run", name)
		cmd.Path = program
		if out, _ := s.says(cmd); !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("handler on %s: want %q in\n%s", name, want, out)
		}
	}
}
