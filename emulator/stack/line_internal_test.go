package stack

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/internal/schema"
)

func TestLine_FitsTheTerminal(t *testing.T) {
	for _, known := range schema.Catalogue() {
		table := known.Name
		for _, width := range []int{200, 80, 72, 60, 40} {
			for _, e := range []Ended{
				{Status: "Success", Rows: 1, Slices: 1, Calls: 1, Took: time.Second},
				{Status: "Failed", Rows: 12_345_678, Slices: 500, Calls: 9999, Took: 999 * time.Second},
			} {
				line := e.line(table, width)
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%d columns on a terminal of %d: %s", n, width, line)
				}
				if want := Counted(e.Rows, "row"); !strings.Contains(line, want) {
					t.Errorf("%q does not say %q", line, want)
				}
			}
		}
	}
	one := Ended{Status: "Success", Rows: 1, Slices: 1, Calls: 1}.line("DeviceInfo", 80)
	for _, want := range []string{" 1 row ", " 1 slice ", " 1 call "} {
		if !strings.Contains(one, want) {
			t.Errorf("%q does not say %q", one, want)
		}
	}
}

func TestFolded_KeepsEveryWord(t *testing.T) {
	const text = "Failed: one two three four five a-word-that-is-longer-than-the-line six"
	got := Folded(text, 20)
	if strings.Join(strings.Fields(got), " ") != text {
		t.Errorf("words were lost: %q", got)
	}
	for line := range strings.Lines(got) {
		if line = strings.TrimRight(line, "\n"); len(line) > 20 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("a line of %d columns could be broken: %q", len(line), line)
		}
	}
}
