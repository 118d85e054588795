package host

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
)

// hostLevel is how the Functions host rates a line of the handler.
func hostLevel(line string, stderr bool) string {
	switch {
	case !stderr:
		return "Information"
	case strings.Contains(strings.ToLower(line), "warn"):
		return "Warning"
	}
	return "Error"
}

func TestNewLogger_TheHostSeesTheLevel(t *testing.T) {
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want string // "" writes nothing
	}{
		{"debug, not asked for", func(l *slog.Logger) { l.Debug("looked") }, ""},
		{"information", func(l *slog.Logger) { l.Info("a warning is no concern", "error", "none") }, "Information"},
		{"warning", func(l *slog.Logger) { l.Warn("put off") }, "Warning"},
		{"error", func(l *slog.Logger) { l.Error("migrate") }, "Error"},
		{"error that speaks of a warning", func(l *slog.Logger) { l.Error("Warned twice", "warnings", 2, "WARN", "forewarned") }, "Error"},
		{"with attributes and a group", func(l *slog.Logger) { l.With("function", "migrate").WithGroup("g").Error("x", "n", 1) }, "Error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			tt.log(NewLogger(&stdout, &stderr, slog.LevelInfo))
			lines := stdout.String() + stderr.String()
			if tt.want == "" {
				if lines != "" {
					t.Errorf("wrote %q, want nothing", lines)
				}
				return
			}
			if strings.Count(lines, "\n") != 1 {
				t.Fatalf("want one line, got %q", lines)
			}
			if got := hostLevel(lines, stderr.Len() > 0); got != tt.want {
				t.Errorf("the host takes %s for %s, want %s", lines, got, tt.want)
			}
			if !json.Valid([]byte(lines)) {
				t.Errorf("no JSON: %s", lines)
			}
		})
	}
}

// host.json leaves the host's own filter in force, which a default of ours would replace
// (12,476 records of the storage client in eight minutes were seen), and no trace or
// exception of ours is sampled away.
func TestHostJSON_KeepsTheHostsFilterAndOurTraces(t *testing.T) {
	text, err := os.ReadFile("../../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Logging struct {
			LogLevel            map[string]string
			ApplicationInsights struct {
				SamplingSettings struct{ ExcludedTypes string }
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for category := range file.Logging.LogLevel {
		if strings.EqualFold(category, "default") {
			t.Errorf("logLevel has a %s", category)
		}
	}
	if level := file.Logging.LogLevel["Host.Function.Console"]; level != "Information" {
		t.Errorf("our lines are shown from level %q on, want Information", level)
	}
	sampled := file.Logging.ApplicationInsights.SamplingSettings.ExcludedTypes
	for _, kept := range []string{"Trace", "Exception"} {
		if !slices.Contains(strings.Split(sampled, ";"), kept) {
			t.Errorf("sampling leaves out %q, want %s among them", sampled, kept)
		}
	}
}

// Escaping must be gone for whoever reads the line.
func TestNewLogger_AnErrorReadsAsWritten(t *testing.T) {
	var stderr bytes.Buffer
	NewLogger(nil, &stderr, slog.LevelInfo).Error("Warn WARN warn")
	var line struct{ Level, Msg string }
	if err := json.Unmarshal(stderr.Bytes(), &line); err != nil || line.Msg != "Warn WARN warn" || line.Level != "ERROR" {
		t.Errorf("%s reads as %+v, %v", &stderr, line, err)
	}
}
