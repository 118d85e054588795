package stack

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/internal/prose"
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
				if want := prose.Counted(e.Rows, "row"); !strings.Contains(line, want) {
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
