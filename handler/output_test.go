package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGrid_FitsEightyColumns(t *testing.T) {
	g := &grid{head: []string{"TABLE", "ROWS", "SLICES", "CALLS", "MINUTES", "A DAY", "A YEAR"}}
	g.add("DeviceTvmSecureConfigurationAssessmentKB", "123456789012", "123456", "123456", "12345.6", "123 GB", "123 TB")
	g.note(strings.Repeat("word ", 40))
	g.add("DeviceInfo", "1", "1", "2", "0.1", "1 B", "2 B")
	var out bytes.Buffer
	g.print(&out)
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > columns || strings.HasSuffix(line, " ") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	// A name without room stands alone, its figures under those of the others.
	if lines[1] != "DeviceTvmSecureConfigurationAssessmentKB" || strings.Index(lines[0], "CALLS")+5 != strings.Index(lines[2], "123456  12345.6")+6 {
		t.Errorf("got\n%s", out.String())
	}
}

func TestFolded_BreaksAtBlanks(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"short", "  a b", "  a b"},
		{"at the edge", strings.Repeat("x", 78) + " y z", strings.Repeat("x", 78) + " y\n> z"},
		{"a word that is longer is whole", "a " + strings.Repeat("x", 90) + " b", "a\n> " + strings.Repeat("x", 90) + "\n> b"},
	} {
		if got := folded(tt.text, "> "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSize_HasAtLeastTwoFigures(t *testing.T) {
	for bytes, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9951: "10 kB", 999_499: "999 kB", 999_600: "1.0 MB", 4.4e10: "44 GB", 1e18: "1000 PB"} {
		if got := size(bytes); got != want {
			t.Errorf("%v: %s, want %s", bytes, got, want)
		}
	}
}
