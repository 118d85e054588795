package infra_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/kql"
)

// Every text that an alert looks for is one that the handler logs at that level.
func TestAlerts_LookForWhatIsLogged(t *testing.T) {
	var source strings.Builder
	for _, folder := range []string{"../handler", "../functions", "../internal"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	alerts := read(t, "modules/alerts.bicep")
	texts := 0
	for _, m := range regexp.MustCompile(`Line\.msg (?:in \(([^)]*)\)|== ("[^"]*"))`).FindAllStringSubmatch(alerts, -1) {
		for _, q := range regexp.MustCompile(`"[^"]*"`).FindAllString(m[1]+m[2], -1) {
			texts++
			if !regexp.MustCompile(`\.(Info|Warn|Error)\(` + regexp.QuoteMeta(q)).MatchString(source.String()) {
				t.Errorf("modules/alerts.bicep looks for %s, which nothing logs: follow the text in the code", q)
			}
		}
	}
	if texts != 3 {
		t.Errorf("%d texts were looked at, want 3: this test reads another form of query than the template has", texts)
	}
}

// noTables is a workspace without tables.
type noTables struct{}

func (noTables) Table(string) (engine.Source, bool)       { return nil, false }
func (noTables) TableNames() []string                     { return nil }
func (noTables) Function(string) (*engine.Function, bool) { return nil, false }

// alertQueries returns the queries of the template, by name, with its variables put in.
func alertQueries(t *testing.T) map[string]string {
	t.Helper()
	template := read(t, "modules/alerts.bicep")
	lines := regexp.MustCompile(`(?m)^var lines = '(.*)'$`).FindStringSubmatch(template)
	if lines == nil {
		t.Fatal("modules/alerts.bicep has no `var lines`")
	}
	queries := map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)name: '([a-z-]+)'\n.*?query: '(.*?)'\n`).FindAllStringSubmatch(template, -1) {
		queries[m[1]] = strings.NewReplacer("${lines}", lines[1], "${heartbeatHours}", "3").Replace(m[2])
	}
	return queries
}

// Each alert sounds for what the handler's own logger writes, and for nothing else; in a
// workspace without any line the missing tick alone does.
func TestAlerts_SoundWhenTheyShould(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	line := func(log func(*slog.Logger)) string {
		var b bytes.Buffer
		log(host.NewLogger(&b, &b, slog.LevelInfo))
		return strings.TrimSpace(b.String())
	}
	tick := line(func(l *slog.Logger) { l.Info("scheduled", "wakeups", 3) })
	for _, tt := range []struct {
		name  string
		lines map[string]time.Duration // a line's age
		want  map[string]int
	}{
		{"nothing logged yet", nil, map[string]int{"given-up": 0, "errors": 0, "heartbeat": 1}},
		{"all is well", map[string]time.Duration{tick: time.Hour, "Host started (12ms)": time.Hour}, map[string]int{"given-up": 0, "errors": 0, "heartbeat": 0}},
		{"the timer stands still", map[string]time.Duration{tick: 4 * time.Hour}, map[string]int{"given-up": 0, "errors": 0, "heartbeat": 1}},
		{"a wake-up given up", map[string]time.Duration{tick: time.Hour, line(func(l *slog.Logger) { l.Error("wake-up was given up by the queue", "table", "T") }): time.Minute},
			map[string]int{"given-up": 1, "errors": 1, "heartbeat": 0}},
		{"a newer version stays away", map[string]time.Duration{tick: time.Hour, line(func(l *slog.Logger) { l.Error("waits for a newer version that does not come", "error", "a warning") }): time.Minute},
			map[string]int{"given-up": 0, "errors": 1, "heartbeat": 0}},
		{"a warning", map[string]time.Duration{tick: time.Hour, line(func(l *slog.Logger) { l.Warn("slice sent again") }): time.Minute}, map[string]int{"given-up": 0, "errors": 0, "heartbeat": 0}},
	} {
		var rows []string
		for text, age := range tt.lines {
			rows = append(rows, kql.Datetime(now.Add(-age))+", "+kql.String(text))
		}
		table := ""
		if len(rows) > 0 {
			table = "let AppTraces = datatable(TimeGenerated: datetime, Message: string) [" + strings.Join(rows, ", ") + "];\n"
		}
		got := map[string]int{}
		for name, query := range alertQueries(t) {
			answer, err := engine.Run(t.Context(), engine.Query{Text: table + query, Catalog: noTables{}, Now: now})
			if err != nil {
				t.Fatalf("%s: %s: %v", tt.name, name, err)
			}
			if len(answer.Rows) != 1 || len(answer.Columns) != 1 || answer.Columns[0].Name != "Value" {
				t.Fatalf("%s: %s answers %+v, want one row with Value", tt.name, name, answer)
			}
			if got[name], err = strconv.Atoi(engine.FormatText(answer.Columns[0].Type, answer.Rows[0].Values[0])); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
