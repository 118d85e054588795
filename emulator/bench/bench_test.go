package bench

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// keys are what a line of each measurement carries.
var keys = map[string][]string{
	"rowpath":   {"mb_s", "of_floor", "times_plain"},
	"memory":    {"peak_rss_mib"},
	"calls":     {"calls", "ideal", "of_ideal"},
	"quota":     {"processes", "used", "provoked_429"},
	"growth":    {"rows", "seconds", "calls", "peak_rss_mib"},
	"coldstart": {"ready_ms", "first_row_ms"},
	"endtoend":  {"rows_s", "handler_share"},
}

var (
	lineText  = regexp.MustCompile(`^bench: name=(\w+) case=\S+ (.+)$`)
	valueText = regexp.MustCompile(`^(\w+)=(\d+(?:\.\d+)?)$`)
)

// TestShort_EveryMeasurementWorks says nothing about the figures.
func TestShort_EveryMeasurementWorks(t *testing.T) {
	app, err := stack.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range All() {
		t.Run(m.Name, func(t *testing.T) {
			var out, progress bytes.Buffer
			b := &Bench{App: app, Out: &out, Log: slog.New(slog.NewTextHandler(&progress, nil)), Short: true}
			err := m.Run(t.Context(), b)
			if errors.Is(err, azurite.ErrNotInstalled) {
				azuritetest.SkipNotInstalled(t, err)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, progress.String())
			}
			lines := slices.Collect(strings.Lines(out.String()))
			if len(lines) == 0 {
				t.Fatal("no figure")
			}
			for _, line := range lines {
				parts := lineText.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
				if parts == nil || parts[1] != m.Name {
					t.Fatalf("%q", line)
				}
				var got []string
				for _, pair := range strings.Fields(parts[2]) {
					value := valueText.FindStringSubmatch(pair)
					if value == nil {
						t.Fatalf("%q in %q", pair, line)
					}
					got = append(got, value[1])
				}
				if diff := cmp.Diff(keys[m.Name], got); diff != "" {
					t.Errorf("keys of %s (-want +got):\n%s", m.Name, diff)
				}
			}
		})
	}
}
