package stack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

var update = flag.Bool("update", false, "write the output of commands into docs/cli.md")

// commandLine prepares the site's handler with arguments, as a person types them: with
// the settings in a file and nothing in the environment.
func (s *site) commandLine(changes map[string]string, args ...string) *exec.Cmd {
	s.t.Helper()
	settings := map[string]string{"DEFENDER_CALLS_PER_MINUTE": "100000", "MIGRATION_SETTLE": "0s", "MIGRATION_LEASE": "15s", "MIGRATION_INGEST_POLL": "100ms"}
	for name, value := range changes {
		settings[name] = value
	}
	path := filepath.Join(s.t.TempDir(), "stack.env")
	remove, err := s.PostSettings(path, settings)
	must(s.t, err)
	s.t.Cleanup(func() { must(s.t, remove()) })
	cmd := exec.CommandContext(s.t.Context(), s.app.Handler(), append([]string{"--env-file", path}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	return cmd
}

// says runs a command and returns what it printed, and its exit code.
func (s *site) says(cmd *exec.Cmd) (string, int) {
	s.t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// words divides a line as a shell does that knows single quotes alone.
func words(line string) (out []string) {
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2])
	}
	return out
}

// What differs from one day to the next: instants, RunIds, seconds and sizes, and the
// blanks before them.
var passing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d[.\d]*Z)?`), "INSTANT"},
	{regexp.MustCompile(`\b\d\d-\d\d \d\d:\d\d\b`), "INSTANT"},
	{regexp.MustCompile(`\b[a-z0-9]{6}\d{14}[a-z0-9]{8}\b`), "RUN"},
	{regexp.MustCompile(`\d+(\.\d)? [kMG]?B\b`), "SIZE"},
	{regexp.MustCompile(`\d+\.\d\b( s\b)?`), "SECONDS"},
	{regexp.MustCompile(` +`), " "},
}

func lasting(text string) string {
	for _, p := range passing {
		text = p.what.ReplaceAllString(text, p.as)
	}
	return text
}

// The walk through a day in docs/cli.md is what a person sees: each block is a command
// and its output, here run anew, one after the other.
func TestCommandLine_IsAsItsDocumentShows(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const doc = "../../docs/cli.md"
	s := configured(t, "DeviceEvents", events(t, "DeviceEvents", 5000), stack.Options{})
	text, err := os.ReadFile(doc)
	must(t, err)
	block := regexp.MustCompile("(?ms)^```console\n\\$ handler ([^\n]+)\n(.*?)^```$")
	blocks := 0
	seen := map[string]bool{}
	whole := block.ReplaceAllStringFunc(string(text), func(found string) string {
		blocks++
		m := block.FindStringSubmatch(found)
		args := words(m[1])
		seen[args[0]] = true
		got, code := s.says(s.commandLine(map[string]string{"MIGRATION_APP_ID": "sample"}, args...))
		if code != 0 {
			t.Errorf("handler %s: exit code %d\n%s", m[1], code, got)
		}
		for line := range strings.Lines(got) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 || strings.Contains(line, "\x1b") {
				t.Errorf("handler %s: %d columns, or a colour: %q", m[1], n, line)
			}
		}
		if diff := cmp.Diff(lasting(m[2]), lasting(got)); diff != "" && !*update {
			t.Errorf("handler %s, -document +output: %s", m[1], diff)
		}
		return "```console\n$ handler " + m[1] + "\n" + got + "```"
	})
	for _, command := range []string{"plan", "migrate", "tables", "off", "on", "rewind", "runs", "query", "export"} {
		if !seen[command] {
			t.Errorf("the walk shows no handler %s (%d blocks)", command, blocks)
		}
	}
	if *update {
		must(t, os.WriteFile(doc, []byte(whole), 0o644))
	}

	// The rewound run copied all rows once more: each stands twice.
	out, code := s.says(s.commandLine(nil, "query", "--adx", "--output", "json", "DeviceEventsRaw | summarize Rows = count() | extend Twice = Rows == 10000"))
	var row struct{ Twice bool }
	if err := json.Unmarshal([]byte(out), &row); err != nil || code != 0 || !row.Twice {
		t.Errorf("after the rewind: %s", out)
	}
	s.speaksJSON()
	s.refusals()
	s.besideABrokenInstance()
	s.appliesAFile()
	s.copiesWhatItMay()
}

// lined ends each text as a line of its own.
func lined(texts []string) []string {
	lines := make([]string, len(texts))
	for i, text := range texts {
		lines[i] = text + "\n"
	}
	return lines
}

// speaksJSON: with --output json every command prints an object a line and nothing else.
func (s *site) speaksJSON() {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "tables.yaml")
	must(s.t, os.WriteFile(path, []byte("tables: [{source: DeviceEvents, frequency: 12h}]\n"), 0o600))
	lines := []struct{ line, member string }{ // a line of the output has the member
		{"version", "version"},
		{"setup", "outcome"},
		{"signin", "rights"},
		{"import ../../handler/testdata/msticpyconfig.yaml", "setting"},
		{"tables", "source"},
		{"plan DeviceEvents", "calls"},
		{"migrate DeviceEvents", "status"},
		{"off DeviceEvents", "changes"},
		{"on DeviceEvents", "changes"},
		{"rewind DeviceEvents --dry-run", "changes"},
		{"apply '" + path + "' --dry-run", "changes"},
		{"export", "source"},
		{"runs DeviceEvents", "runId"},
		{"query 'DeviceEvents | take 3 | project n = 1'", "n"},
	}
	help, _ := s.says(s.commandLine(nil, "--help"))
	_, listed, _ := strings.Cut(help, "Commands:")
	listed, _, _ = strings.Cut(listed, "Run \"")
	commands := 0
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+)\b`).FindAllStringSubmatch(listed, -1) {
		if m[1] == "serve" || m[1] == "completion" {
			continue // whose output is none for a program
		}
		commands++
		if !slices.ContainsFunc(lines, func(l struct{ line, member string }) bool { return words(l.line)[0] == m[1] }) {
			s.t.Errorf("handler %s is not asked for JSON", m[1])
		}
	}
	if commands != len(lines) {
		s.t.Errorf("%d commands are asked for JSON, the help lists %d:\n%s", len(lines), commands, help)
	}
	// The values of a flag come in no order of their own; shells sort them.
	for line, follows := range map[string][]string{"handler mig": {"migrate"}, "handler query --output ": {"csv", "json", "text"}, "handler completion --sh": {"--shell"}} {
		cmd := s.commandLine(nil)
		cmd.Env = append(cmd.Env, "COMP_LINE="+line)
		if out, _ := s.says(cmd); !slices.Equal(slices.Sorted(strings.Lines(out)), lined(follows)) {
			s.t.Errorf("after %q may follow %q, want %q", line, out, follows)
		}
	}
	for _, l := range lines {
		changes := map[string]string{"MIGRATION_APP_ID": "sample"}
		if l.line == "setup" { // by whoever may make tables
			changes["ADX_CLIENT_ID"] = stack.AdminID
		}
		cmd := s.commandLine(changes, append(words(l.line), "--output", "json")...)
		cmd.Env = append(cmd.Env, "MDE_CLIENT=11111111-2222-3333-4444-555555555504", "MDE_KEY_PASSWORD=confidential")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if err != nil || errs.Len() > 0 {
			s.t.Errorf("handler %s --output json: %v\n%s\n%s", l.line, err, out.String(), errs.String())
		}
		has := false
		for text := range strings.Lines(out.String()) {
			var object map[string]any
			if err := json.Unmarshal([]byte(text), &object); err != nil {
				s.t.Errorf("handler %s --output json printed %q: %v", l.line, text, err)
			}
			_, here := object[l.member]
			has = has || here
		}
		if !has {
			s.t.Errorf("handler %s --output json: no line has %q:\n%s", l.line, l.member, out.String())
		}
	}
}

// besideABrokenInstance: an instance with faulty settings holds up no command of another,
// and a command of its own says which setting, with the exit code of settings.
func (s *site) besideABrokenInstance() {
	s.t.Helper()
	for broken, changes := range map[string]map[string]string{
		"no tenant":      {"DEFENDER_WEST_TENANT_ID": "no-tenant"},
		"no database":    {"DEFENDER_WEST_DATABASE": "a/b"},
		"no certificate": {"DEFENDER_WEST_TENANT_ID": "11111111-2222-3333-4444-555555555599", "DEFENDER_WEST_CREDENTIAL": "certificate", "DEFENDER_WEST_CLIENT_CERTIFICATE": "/nowhere.pem"},
	} {
		changes["MIGRATION_APP_ID"], changes["DEFENDER_INSTANCES"] = "sample", "West"
		for args, says := range map[string]string{
			"query --instance default 'DeviceEvents | count'": "5000",
			"query --adx 'DeviceEventsRaw | take 1 | count'":  "1 row",
			"plan DeviceEvents":    "DeviceEvents",
			"migrate DeviceEvents": "DeviceEvents",
		} {
			if out, code := s.says(s.commandLine(changes, words(args)...)); code != 0 || !strings.Contains(out, says) {
				s.t.Errorf("%s: handler %s: exit code %d, want 0 and %q:\n%s", broken, args, code, says, out)
			}
		}
		if broken == "no database" {
			changes["ADX_CLIENT_ID"] = stack.AdminID
			if out, code := s.says(s.commandLine(changes, "setup")); code != 3 || !strings.Contains(out, "setup of "+stack.Database+": 0 done") || !strings.Contains(out, "DEFENDER_WEST_DATABASE: want") {
				s.t.Errorf("%s: handler setup: exit code %d\n%s", broken, code, out)
			}
			delete(changes, "ADX_CLIENT_ID")
		}
		for _, args := range []string{"query --instance west 'DeviceEvents | take 1'", "tables --instance west", "signin --instance west"} {
			if broken == "no database" && !strings.HasPrefix(args, "query") {
				continue
			}
			code, says := 3, "DEFENDER_WEST_"
			if broken == "no certificate" { // which shows when it is used
				code, says = 1, "/nowhere.pem: no such file"
			}
			if out, got := s.says(s.commandLine(changes, words(args)...)); got != code || !strings.Contains(out, says) {
				s.t.Errorf("%s: handler %s: exit code %d, want %d and %q:\n%s", broken, args, got, code, says, out)
			}
		}
	}
}

// refusals are commands that must not do what they are asked.
func (s *site) refusals() {
	s.t.Helper()
	for _, tt := range []struct {
		changes map[string]string
		args    string
		code    int
		says    string
	}{
		{map[string]string{"MIGRATION_CONTAINER": "another"}, "migrate DeviceEvents", 3, "knows no app id"},
		{map[string]string{"MIGRATION_CONTAINER": "another", "MIGRATION_APP_ID": "stage1"}, "migrate DeviceEvents", 1, "which app sample wrote"},
		{map[string]string{"MIGRATION_CONTAINER": "another", "MIGRATION_APP_ID": "stage1"}, "plan DeviceEvents", 1, "which app sample wrote"},
		{nil, "off DeviceNowhere", 1, "no table"},
		{nil, "off DeviceEvents --instance west", 2, "want one of default"},
		{nil, "rewind DeviceEvents yesterday", 2, "want an instant"},
		{nil, "rewind DeviceEvents 2999-01-01", 1, "is not before that"},
		{nil, "query 'DeviceNowhere'", 1, "DeviceNowhere"},
		{map[string]string{"ADX_CLUSTER_URL": "nowhere"}, "tables", 3, "ADX_CLUSTER_URL"},
	} {
		if out, code := s.says(s.commandLine(tt.changes, words(tt.args)...)); code != tt.code || !strings.Contains(strings.Join(strings.Fields(out), " "), tt.says) {
			s.t.Errorf("handler %s %v: exit code %d, want %d and %q:\n%s", tt.args, tt.changes, code, tt.code, tt.says, out)
		}
	}
}

// appliesAFile: what export wrote changes nothing, and a pattern with a skip list means
// the catalogue.
func (s *site) appliesAFile() {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "tables.yaml")
	text, _ := s.says(s.commandLine(nil, "export"))
	must(s.t, os.WriteFile(path, []byte(text), 0o600))
	if out, code := s.says(s.commandLine(nil, "apply", path)); code != 0 || out != "nothing to append\n" {
		s.t.Errorf("what was exported: exit code %d, %q", code, out)
	}
	must(s.t, os.WriteFile(path, []byte("skip: ['*KB']\ntables:\n  - source: DeviceTvmSoftware*\n    frequency: 12h\n  - source: DeviceEvents\n    active: false\n"), 0o600))
	if out, code := s.says(s.commandLine(nil, "apply", path)); code != 0 || strings.Contains(out, "KB:") || !strings.Contains(out, "DeviceTvmSoftwareInventory: new") || !strings.Contains(out, "4 rows appended") {
		s.t.Errorf("a pattern: exit code %d\n%s", code, out)
	}
	out, code := s.says(s.commandLine(nil, "tables", "--configured", "--output", "json"))
	if code != 0 || strings.Count(out, "\n") != 4 || !strings.Contains(out, `"frequency":"12h"`) || !strings.Contains(out, `"active":false`) {
		s.t.Errorf("after it: exit code %d\n%s", code, out)
	}
}

// copiesWhatItMay: of several tables one that must not be copied holds up no other.
func (s *site) copiesWhatItMay() {
	s.t.Helper()
	changes := map[string]string{"MIGRATION_APP_ID": "sample", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": "no-tenant"}
	for _, args := range []string{"on DeviceEvents --instance default --yes", "on EmailEventsRaw --instance west --yes"} {
		if out, code := s.says(s.commandLine(changes, words(args)...)); code != 0 || !strings.Contains(out, "1 row appended") {
			s.t.Errorf("handler %s: exit code %d\n%s", args, code, out)
		}
	}
	for _, command := range []string{"plan", "migrate"} {
		out, code := s.says(s.commandLine(changes, command, "D*Events", "E*Events", "--output", "json"))
		if sound, broken, _ := strings.Cut(out, "\n"); code != 3 || strings.Contains(sound, "problem") == strings.Contains(broken, "problem") || !strings.Contains(out, "DEFENDER_WEST_TENANT_ID") {
			s.t.Errorf("handler %s: exit code %d\n%s", command, code, out)
		}
	}
}

// small slices, so that a kill falls between them.
var small = map[string]string{"MIGRATION_ROW_TARGET": "600", "MIGRATION_INGEST_GRACE": "5s"}

// A migrate that is killed in the middle is gone on with by the service.
func TestCommandLine_KilledIsGoneOnWithByTheService(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table, rows = "DeviceNetworkEvents", 12_000
	s := configured(t, table, events(t, table, rows), stack.Options{IngestLatency: 300 * time.Millisecond})
	changes := map[string]string{"MIGRATION_APP_ID": "sample"}
	for name, value := range small {
		changes[name] = value
	}
	cmd := s.commandLine(changes, "migrate", table)
	must(t, cmd.Start())
	s.afterFetches(5, func() { must(t, cmd.Process.Kill()) })
	if err := cmd.Wait(); err == nil {
		t.Fatal("the command ended before it was killed")
	}
	s.serve(changes, funchost.Options{})
	s.tick()
	s.oneRun(table, rows)
}

// And the other way round.
func TestCommandLine_GoesOnWithARunOfTheService(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table, rows = "DeviceNetworkEvents", 12_000
	s := configured(t, table, events(t, table, rows), stack.Options{IngestLatency: 300 * time.Millisecond})
	s.serve(small, funchost.Options{})
	s.tick()
	s.afterFetches(5, func() { must(t, s.host.KillHandler(syscall.SIGKILL)) })
	must(t, s.host.Stop(t.Context()))
	if n := s.count("run ended"); n > 0 {
		t.Fatal("the run ended before its handler was killed")
	}
	// The id is the one that the service has written into its container.
	if out, code := s.says(s.commandLine(small, "migrate", table)); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	s.oneRun(table, rows)
}

// afterFetches acts once Defender has answered so many fetches.
func (s *site) afterFetches(n int, act func()) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.fetches() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d fetches, want %d\n%s", s.fetches(), n, s.console())
		}
	}
	act()
}

// oneRun holds the outcome: every row once, by one run.
func (s *site) oneRun(table string, rows int64) {
	s.t.Helper()
	ended := s.successes(table, 1)
	s.equal()
	if int64(ended[0].RecordCount) != rows {
		s.t.Errorf("the audit row counts %d rows, want %d", ended[0].RecordCount, rows)
	}
}
