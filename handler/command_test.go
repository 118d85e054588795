package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func candidate(instance, source, destination string) plan.Candidate {
	return plan.Candidate{Row: plan.Row{Instance: instance, SourceTable: source, DestinationTable: destination, LoadType: "Full", IsActive: true}}
}

func TestPick_FindsWhatAPersonMeans(t *testing.T) {
	rows := []plan.Candidate{candidate("", "DeviceInfo", "InfoRaw"), candidate("", "DeviceTvmA", "A"), candidate("west", "DeviceInfo", "W"), candidate("", "DeviceTvmB", "B")}
	for _, tt := range []struct{ names, want, refused string }{
		{"devicetvma A", "DeviceTvmA", ""},
		{"devicetvm* DeviceTvmB InfoRaw", "DeviceTvmA DeviceTvmB DeviceInfo", ""},
		{"DeviceInfo", "", "--instance"},
		{"*Info", "DeviceInfo west/DeviceInfo", ""},
		{"W", "west/DeviceInfo", ""},
		{"Nowhere Elsewhere*", "", `no table "Nowhere"`},
		{"Elsewhere*", "", "fits"},
		{"[", "", "pattern"},
	} {
		found, err := pick(rows, strings.Fields(tt.names))
		var got []string
		for _, row := range found {
			got = append(got, shown(row.Key()))
		}
		if strings.Join(got, " ") != tt.want || (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%s: %v, %v; want %q, %q", tt.names, got, err, tt.want, tt.refused)
		}
	}
}

// A name that `on` cannot add is not answered by naming `on`.
func TestWithRecommended_SaysWhatToName(t *testing.T) {
	one, two := []config.Instance{{}}, []config.Instance{{}, {Name: "West", Defender: config.Defender{TablePrefix: "W_"}}}
	for _, tt := range []struct {
		instances               []config.Instance
		name, instance          string
		added, refused, without string
		code                    int
	}{
		{one, "emailevents", "", "EmailEvents", "", "", 0},
		{two, "EmailEvents", "WEST", "west/EmailEvents", "", "", 0},
		{one, "emaileventsraw", "", "EmailEvents", "", "", 0},
		{two, "EmailEventsRaw", "west", "west/EmailEvents", "", "", 0},
		{two, "W_EmailEventsRaw", "west", "west/EmailEvents", "", "", 0},
		{one, "ProcessCreationEvents", "", "DeviceProcessEvents", "", "", 0},
		{one, "machines", "", "api/machines", "", "", 0},
		{one, "MachinesRaw", "", "api/machines", "", "", 0},
		{one, "QueryHostsRaw", "", "query/Hosts", "", "", 0},
		{two, "EmailEvents", "", "", "add --instance with one of default, West", "handler on", exitUsage},
		{two, "DeviceInfo", "", "", "", "", 0},
		{one, "Email*", "", "", "", "", 0},
		{one, "NotATable", "", "", "`handler apply` adds any other", "handler on NotATable", exitFailed},
		{one, "AlertEvents", "", "", "AlertEvents became two tables", "", exitFailed},
		{one, "api/nothing", "", "", "api/nothing", "no table", exitFailed},
	} {
		g := &program{cfg: config.Config{Instances: tt.instances}}
		rows, err := g.withRecommended([]plan.Candidate{candidate("", "DeviceInfo", "InfoRaw")}, []string{tt.name}, tt.instance)
		added := ""
		for _, row := range rows[1:] {
			added += shown(row.Key())
		}
		said := fmt.Sprint(err)
		if added != tt.added || exitCode(err) != tt.code || !strings.Contains(said, tt.refused) || tt.without != "" && strings.Contains(said, tt.without) {
			t.Errorf("on %s --instance=%q: added %q, %v; want %q, %q", tt.name, tt.instance, added, err, tt.added, tt.refused)
		}
		if tt.added == "" {
			continue
		}
		// What was added is found by the source and by the raw table.
		for _, name := range []string{rows[1].SourceTable, rows[1].DestinationTable} {
			if found, err := pick(rows[1:], []string{name}); err != nil || len(found) != 1 {
				t.Errorf("on %s: %d rows by the name %s, %v", tt.name, len(found), name, err)
			}
		}
	}
	if _, err := pick(nil, []string{"NotATable"}); err == nil || strings.Contains(err.Error(), "handler on") {
		t.Errorf("a table that on does not know: %v", err)
	}
	for _, name := range []string{"MachineInfo", "DeviceInfoRaw", "alerts_v2"} {
		if _, err := pick(nil, []string{name}); err == nil || !strings.Contains(err.Error(), "`handler on "+name+"` adds it") {
			t.Errorf("a table that on knows as %s: %v", name, err)
		}
	}
}

// An export that was copied is copied again by its watermark; a snapshot has none.
func TestRewindable_ExportsAre(t *testing.T) {
	for source, want := range map[string]bool{"DeviceTvmSoftwareInventory": false, "api/vulnerabilities": false, "api/machines/SoftwareInventoryExport": true} {
		row := candidate("", source, "Raw")
		row.LoadType, row.WatermarkColumn = "Snapshot", "None"
		if _, err := rewindable(row); (err == nil) != want || err != nil && !strings.Contains(err.Error(), "there is no watermark to set back") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// A pattern goes over slashes, and over every name of a table.
func TestPick_PatternsMeanEveryNameOfATable(t *testing.T) {
	rows := []plan.Candidate{candidate("", "DeviceInfo", "InfoRaw"), candidate("", "api/machines", "MachinesRaw"),
		candidate("", "api/machines/SoftwareInventoryExport", "Inventory"), candidate("", "query/Hosts", "HostsRaw")}
	rows[0].Written = "MachineInfo"
	for pattern, want := range map[string]string{
		"*":        "DeviceInfo api/machines api/machines/SoftwareInventoryExport query/Hosts",
		"*export":  "api/machines/SoftwareInventoryExport",
		"api*":     "api/machines api/machines/SoftwareInventoryExport",
		"api?m*":   "api/machines api/machines/SoftwareInventoryExport",
		"query-*":  "query/Hosts",
		"mach*":    "DeviceInfo api/machines",
		"*sRaw":    "api/machines query/Hosts",
		"softwar*": "api/machines/SoftwareInventoryExport",
	} {
		found, err := pick(rows, []string{pattern})
		var got []string
		for _, row := range found {
			got = append(got, row.SourceTable)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", pattern, got, err, want)
		}
	}
}

func TestExitCode_TellsWhoHasToAct(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errSaid, 1},
		{errors.New("no"), 1},
		{usageError{errors.New("no")}, 2},
		{errors.Join(errors.New("x"), usageError{errors.New("no")}), 2},
		{settingsError{errors.New("no")}, 3},
		{fmt.Errorf("query: %w", app.ErrUnnamed), 2},
		{app.SettingsFault{}, 3},
		{said(errors.New("no")), 1},
		{said(nil, errors.New("no"), fmt.Errorf("plan: %w", app.SettingsFault{})), 3},
		{fmt.Errorf("%w (%w)", errSaid, context.Canceled), 130},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

// The service may have the calls of the next minute: a command says when one is free.
func TestTold_SaysWhenToTryAgain(t *testing.T) {
	at := time.Date(2026, 3, 8, 13, 4, 5, 6, time.FixedZone("", 3600))
	for want, err := range map[string]error{
		"ask: no call is free; try again at 12:04:05 UTC": fmt.Errorf("ask: %w", fault.WaitUntil(at, errors.New("no call is free"))),
		"refused": fault.As(fault.Permanent, errors.New("refused")),
	} {
		if got := told(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRun_FaultsHaveTheirExitCode(t *testing.T) {
	for _, tt := range []struct {
		args []string
		env  map[string]string
		want int
	}{
		{[]string{"plan"}, settings, exitUsage},
		{[]string{"tables", "--output", "xml"}, settings, exitUsage},
		{[]string{"off", "DeviceInfo"}, nil, exitSettings},
		{[]string{"query", "DeviceInfo\n\n| take 5"}, settings, exitUsage},
		{[]string{"off", "DeviceInfo", "--instance", "west"}, settings, exitUsage},
		{[]string{"query", "DeviceInfo", "--instance", "west"}, settings, exitUsage},
		{[]string{"setup", "--instance", "west"}, settings, exitUsage},
		{[]string{"setup", "--reader", "nobody"}, settings, exitUsage},
		{[]string{"signin", "--instance", "west"}, settings, exitUsage},
	} {
		if _, err := runWith(t, tt.env, tt.args...); exitCode(err) != tt.want {
			t.Errorf("%v: %v, exit code %d, want %d", tt.args, err, exitCode(err), tt.want)
		}
	}
}

// A person who runs a command may be the one who signs in; the Functions host has none.
func TestOpen_APersonMaySignIn(t *testing.T) {
	env := maps.Clone(settings)
	env["DEFENDER_CREDENTIAL"], env["ADX_CREDENTIAL"] = "device-code", "device-code"
	delete(env, "KEY_VAULT_URL")
	p := &process{ctx: t.Context(), getenv: func(name string) string { return env[name] }, stderr: io.Discard}
	g, err := p.open("", false, false)
	if err != nil {
		t.Fatal(err)
	}
	g.close()
	if _, err := config.Read(p.getenv); err == nil || !strings.Contains(err.Error(), "none is there when the Functions host runs the app") {
		t.Errorf("the service: %v", err)
	}
}

// The file goes over the environment, and what it holds stands in no error.
func TestEnvFile_GoesOverTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "x.env")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	environment := map[string]string{"A": "outside", "C": "outside", "D": "outside"}
	told := map[string]string{}
	p := &process{getenv: func(name string) string { return environment[name] }, setenv: func(name, value string) error { told[name] = value; return nil }}
	if err := p.readEnvFile(write("# settings\nA='x=y;AccountKey=a+b/c==;#1 $HOME'\nexport B=two\nD=\n")); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, name := range []string{"A", "B", "C", "D"} {
		got[name] = p.getenv(name)
	}
	if diff := cmp.Diff(map[string]string{"A": "x=y;AccountKey=a+b/c==;#1 $HOME", "B": "two", "C": "outside", "D": "outside"}, got); diff != "" {
		t.Error(diff)
	}
	if told["A"] != got["A"] || len(p.environ) != 3 {
		t.Errorf("libraries see %v, warnings %v", told, p.environ)
	}
	if err := p.readEnvFile(write("hush hush\n")); exitCode(err) != exitSettings || strings.Contains(err.Error(), "hush") {
		t.Errorf("a file that is none: %v", err)
	}
}

// script is a migrator that answers in turn.
type script struct {
	answers []func(pipeline.Attendant) error
	seen    []pipeline.Request
}

func (s *script) Migrate(_ context.Context, req pipeline.Request) error {
	s.seen = append(s.seen, req)
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return answer(req.Attendant)
}

// Where the service would put a table off the command sleeps, and says why; three
// failures in a row are enough, and a permanent one is at once.
func TestErrand_WaitsAndTriesAsTheQueueDoes(t *testing.T) {
	up := plan.WakeUp{Key: plan.Key{Source: "DeviceInfo"}, Trigger: plan.Manual, Again: 1}
	off := func(a pipeline.Attendant) error {
		a.PutOff(up, 90*time.Second, "fetch slice 1: take a call: no call is free")
		return nil
	}
	fails := func(pipeline.Attendant) error { return errors.New("storage is away") }
	done := func(a pipeline.Attendant) error {
		a.Progress(pipeline.Progress{RunID: "1", Planned: 5, Verified: 5, Slices: 1, Calls: 2, Status: plan.Success, More: true})
		a.Progress(pipeline.Progress{RunID: "2", Planned: 7, Verified: 7, Slices: 2, Calls: 3, Status: plan.Success})
		return nil
	}
	nothing := func(pipeline.Attendant) error { return nil }
	permanent := func(pipeline.Attendant) error { return fault.As(fault.Permanent, errors.New("no such table")) }
	type answers = []func(pipeline.Attendant) error
	for _, tt := range []struct {
		name    string
		answers answers
		took    time.Duration
		want    outcome
		printed string
	}{
		{"put off", answers{off, done}, 90 * time.Second, outcome{Status: plan.Success, Rows: 12, Slices: 3, Calls: 5}, "waits 1m30s: no call is free"},
		{"failures that pass", answers{fails, fails, off, fails, fails, done}, 180 * time.Second, outcome{Status: plan.Success, Rows: 12, Slices: 3, Calls: 5}, "storage is away"},
		{"failures that stay", answers{fails, fails, fails}, 45 * time.Second, outcome{Status: plan.Failed, Problem: "failed 3 times: storage is away"}, "waits 15s"},
		{"for good", answers{permanent}, 0, outcome{Status: plan.Failed, Problem: "no such table"}, ""},
		{"nothing", answers{nothing}, 0, outcome{Status: nothingNew}, "Nothing new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				e := newErrand(candidate("", "DeviceInfo", "DeviceInfoRaw"), &lines{out: &out})
				s := &script{answers: tt.answers}
				began := time.Now()
				e.conclude(e.follow(t.Context(), s, false, 15*time.Second))
				e.show.ended(e.row.Key(), e.outcome)
				tt.want.Table, tt.want.Seconds = "DeviceInfo", e.outcome.Seconds
				if took := time.Since(began); took != tt.took || len(s.answers) != 0 {
					t.Errorf("took %v, %d answers left, want %v and none", took, len(s.answers), tt.took)
				}
				if diff := cmp.Diff(tt.want, e.outcome); diff != "" {
					t.Error(diff)
				}
				if !strings.Contains(out.String(), tt.printed) {
					t.Errorf("printed %q, want %q in it", out.String(), tt.printed)
				}
			})
		})
	}
}

// A table is worth a warning where a day brings more than a day's calls can take.
func TestPlanned_SaysWhatAQuotaCannotTake(t *testing.T) {
	allowance := app.NewAllowance(config.Defender{CallsPerMinute: 45, FreeShare: 0.2, QuotaMinute: time.Minute, CallsPerHour: 1500, QuotaHour: time.Hour})
	tell := func(f pipeline.Forecast, runs float64) planned {
		var one planned
		one.tell(f, allowance, runs)
		return one
	}
	f := pipeline.Forecast{Rows: 950_000, Slices: 10, Runs: 1, Calls: 72, Width: 1000, Target: 40_000, PerDay: 1_000_000}
	one := tell(f, 24)
	if one.Minutes != 2 || one.AllowancePerDay != 28_800 || one.BytesPerDay != 1_000_000_000 || one.BytesPerYear != 365_000_000_000 || one.CallsPerDay != 49 || len(one.Notes) != 0 {
		t.Errorf("a table that fits: %+v", one)
	}
	f.PerDay = 28_801 * 40_000
	if one := tell(f, 24); len(one.Notes) != 1 || !strings.Contains(one.Notes[0], "exceeds your quota: stream this one") {
		t.Errorf("a table that does not: %+v", one)
	}
	f.PerDay = 28_800 * 40_000
	if one := tell(f, 24); len(one.Notes) != 0 {
		t.Errorf("a table that just fits: %+v", one)
	}
	f.Calls = 2400
	if one := tell(f, 24); one.Minutes != 120 {
		t.Errorf("%v minutes for 2400 calls of 1200 an hour", one.Minutes)
	}
	snapshot := pipeline.Forecast{Table: plan.Table{Load: plan.Snapshot}, Rows: 1000, PerDay: 1000, Width: 10, Target: 100, Runs: 1}
	if one := tell(snapshot, 4); one.BytesPerDay != 40_000 {
		t.Errorf("a snapshot four times a day: %+v", one)
	}
}

// What is appended is shown first, and a person may say no.
func TestAppend_ShowsTheRowFirst(t *testing.T) {
	before := candidate("", "DeviceInfo", "DeviceInfoRaw")
	before.LastRefreshedTime = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	off := before.Row
	off.IsActive = false
	for _, tt := range []struct {
		name   string
		change change
		answer string
		want   string
	}{
		{"no", change{before: before, after: off}, "n\n", "DeviceInfo:\n  IsActive          false, was true\nappend 1 row to MigrationConfiguration? [y/N] nothing was appended\n"},
		{"silence", change{before: before, after: off}, "", "DeviceInfo:\n  IsActive          false, was true\nappend 1 row to MigrationConfiguration? [y/N] nothing was appended\n"},
		{"nothing to do", change{before: before, after: before.Row}, "y\n", "DeviceInfo: is so already\nnothing to append\n"},
	} {
		var out bytes.Buffer
		p := &process{ctx: t.Context(), stdin: strings.NewReader(tt.answer), stdout: &out, asking: true}
		if err := p.append(nil, outputFlag{}, appendFlags{}, []change{tt.change}); err != nil || out.String() != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, out.String(), err, tt.want)
		}
	}
}

// With JSON nothing but JSON goes to standard output: what a person reads and answers is
// on standard error.
func TestAppend_AsksBesideTheJSON(t *testing.T) {
	before := candidate("", "DeviceInfo", "DeviceInfoRaw")
	off := before.Row
	off.IsActive = false
	var out, people bytes.Buffer
	p := &process{ctx: t.Context(), stdin: strings.NewReader("n\n"), stdout: &out, stderr: &people, asking: true}
	if err := p.append(nil, outputFlag{"json"}, appendFlags{}, []change{{before: before, after: off}}); err != nil {
		t.Fatal(err)
	}
	if want := `{"table":"DeviceInfo","changes":[{"column":"IsActive","before":"true","after":"false"}],"appended":false}` + "\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if want := "DeviceInfo:\n  IsActive          false, was true\nappend 1 row to MigrationConfiguration? [y/N] "; people.String() != want {
		t.Errorf("said %q, want %q", people.String(), want)
	}
}
