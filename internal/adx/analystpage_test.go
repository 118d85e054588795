package adx_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

var worked = regexp.MustCompile("(?s)```kusto\n([^`]*)```\n\n```text\n([^`]*)```")

// The answers in docs/analyst.md are those of the sample tenant.
func TestAnalystPage_ShowsWhatTheSampleTenantAnswers(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "analyst.md"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	data, err := tenant.Generate(tenant.Options{Seed: 1, Scale: 0.01, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	views := deploy(t, data, now)
	examples := worked.FindAllStringSubmatch(string(page), -1)
	if len(examples) < 4 {
		t.Fatalf("%d worked examples, want 4", len(examples))
	}
	for _, m := range examples {
		answer, err := engine.Run(t.Context(), engine.Query{Text: m[1], Catalog: views, Now: now})
		if err != nil {
			t.Errorf("%s: %v", m[1], err)
			continue
		}
		names := make([]string, len(answer.Columns))
		for i, c := range answer.Columns {
			names[i] = c.Name
		}
		lines := []string{strings.Join(names, " | ")}
		for _, row := range answer.Rows {
			cells := make([]string, len(row.Values))
			for i, value := range row.Values {
				cells[i] = engine.FormatText(answer.Columns[i].Type, value)
			}
			lines = append(lines, strings.Join(cells, " | "))
		}
		if diff := cmp.Diff(strings.TrimSpace(m[2]), strings.Join(lines, "\n")); diff != "" {
			t.Errorf("%s (-page +tenant):\n%s", m[1], diff)
		}
	}
}
