package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/internal/prose"
)

// columns is how wide lines are.
const columns = 80

// outputFlag chooses between text for people and JSON for programs.
type outputFlag struct {
	Output string `enum:"text,json" default:"text" placeholder:"text|json" help:"text, or json: one object a line. Default: text."`
}

func (o outputFlag) json() bool { return o.Output == "json" }

// printJSON writes one value a line.
func printJSON[T any](out io.Writer, values ...T) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

// grid is a table of text. The first column is on the left, and a cell of it that
// leaves no room for the others has a line of its own; the others are on the right.
type grid struct {
	head []string
	rows [][]string
	// below are lines under a row, folded and indented.
	below map[int][]string
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// note puts a line under the last row.
func (g *grid) note(text string) {
	if g.below == nil {
		g.below = map[int][]string{}
	}
	n := len(g.rows) - 1
	g.below[n] = append(g.below[n], text)
}

func (g *grid) print(out io.Writer) {
	widths := make([]int, len(g.head))
	for _, row := range append([][]string{g.head}, g.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rest := 0
	for _, w := range widths[1:] {
		rest += w + 2
	}
	first := min(widths[0], columns-rest)
	line := func(row []string) {
		var b strings.Builder
		name := row[0]
		if utf8.RuneCountInString(name) > first {
			b.WriteString(name + "\n")
			name = ""
		}
		fmt.Fprintf(&b, "%-*s", first, name)
		for i, cell := range row[1:] {
			fmt.Fprintf(&b, "  %*s", widths[i+1], cell)
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
	line(g.head)
	for n, row := range g.rows {
		line(row)
		for _, text := range g.below[n] {
			fmt.Fprintln(out, folded("  "+text, "    "))
		}
	}
}

// folded breaks text at blanks into lines of at most columns characters; those after
// the first begin with indent, the first with the text's own.
func folded(text, indent string) string {
	lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
	return prose.Folded(lead+strings.Join(strings.Fields(text), " "), columns, indent)
}

// size is a number of bytes for people, in powers of a thousand.
func size(bytes float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	n := 0
	for bytes >= 999.5 && n < len(units)-1 {
		bytes, n = bytes/1000, n+1
	}
	if bytes < 9.95 && n > 0 {
		return fmt.Sprintf("%.1f %s", bytes, units[n])
	}
	return fmt.Sprintf("%.0f %s", bytes, units[n])
}

// minute is an instant to the minute, in UTC; "-" for none.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// instant is t for JSON; nil, which is left out, for none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
