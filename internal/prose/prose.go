// Package prose lays out sentences for people at a terminal.
package prose

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Folded breaks text at its blanks into lines of at most width characters; those after
// the first begin with indent. A word that is longer is left whole, and several blanks
// in a row stay.
func Folded(text string, width int, indent string) string {
	var b strings.Builder
	used := 0
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > width:
			b.WriteString("\n" + indent)
			used = len(indent)
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
