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

// The demo's last line is one for machines, with every key, and a terminal folds it
// between them.
func TestOutcome_LineFoldsBetweenItsKeys(t *testing.T) {
	o := Outcome{Tables: 63, SourceRows: 12_337_190, ADXRows: 12_337_190, Calls: 1460, Instances: 3, Took: 1300 * time.Second}
	const want = "demo: tables=63 source_rows=12337190 adx_rows=12337190 missing=0 repeated=0 calls=1460 seconds=1300 instances=3"
	if o.Line() != want {
		t.Errorf("%q, want %q", o.Line(), want)
	}
	for _, width := range []int{80, 60} {
		folded := prose.Folded(o.Line(), width, "  ")
		for _, line := range strings.Split(folded, "\n") {
			if len(line) > width {
				t.Errorf("%q has more than %d characters", line, width)
			}
		}
		if strings.Join(strings.Fields(folded), " ") != want {
			t.Errorf("folded to %d it says %q", width, folded)
		}
	}
}
