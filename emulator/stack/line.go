package stack

import (
	"fmt"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/internal/prose"
)

// PlainWidth is how many columns lines for logs and pipes have.
const PlainWidth = 80

// nameWidth is what the longest names of the catalogue need.
const nameWidth = 42

// line is how a table ended, in at most width columns; a narrow terminal loses
// slices first, then calls, then the end of long names. The reason of a failure
// is whole, however long.
func (e Ended) line(table string, width int) string {
	if e.Problem != "" {
		return fmt.Sprintf("%s %s: %s", table, e.Status, e.Problem)
	}
	figures := fmt.Sprintf(" %11s %5.1f s", prose.Counted(e.Rows, "row"), e.Took.Seconds())
	if width >= 64 {
		figures = fmt.Sprintf(" %8s", prose.Counted(e.Calls, "call")) + figures
	}
	if width >= 80 {
		figures = fmt.Sprintf(" %9s", prose.Counted(e.Slices, "slice")) + figures
	}
	if e.Status != "Success" {
		figures = " " + e.Status + figures
	}
	name := min(nameWidth, max(8, width-utf8.RuneCountInString(figures)))
	return fmt.Sprintf("%-*s%s", name, shortened(table, name), figures)
}

// shortened cuts text after width characters.
func shortened(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}
