package stack

import (
	"fmt"
	"strings"
	"unicode/utf8"
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
	figures := fmt.Sprintf(" %11s %5.1f s", Counted(e.Rows, "row"), e.Took.Seconds())
	if width >= 64 {
		figures = fmt.Sprintf(" %8s", Counted(e.Calls, "call")) + figures
	}
	if width >= 80 {
		figures = fmt.Sprintf(" %9s", Counted(e.Slices, "slice")) + figures
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

// Folded breaks text at blanks into lines of at most width characters, the second
// and later ones indented; a word that is longer is left whole.
func Folded(text string, width int) string {
	var b strings.Builder
	used := 0
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > width:
			b.WriteString("\n  ")
			used = 2
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

// Counted is a number with its noun, in the plural unless it is one.
func Counted(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprint(n, " ", noun)
}
