package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/Azure/azure-kusto-go/azkustodata/query"

	"github.com/defender2adx/defender2adx/internal/prose"
)

const (
	// cellWidth is where a value is cut, in characters.
	cellWidth = 48
	// narrowest is what a terminal leaves of a column, in characters.
	narrowest = 8
	// gap is how many blanks part two columns.
	gap = 2
)

// printTable writes a head and the rows in columns. most is where any value is cut,
// and total how many columns the terminal has; 0 is no bound.
func printTable(out io.Writer, table query.Table, most, total int) error {
	var head []string
	for _, c := range table.Columns() {
		head = append(head, c.Name())
	}
	lines := [][]string{head}
	for _, row := range table.Rows() {
		var cells []string
		for _, v := range row.Values() {
			cells = append(cells, oneLine(v.String()))
		}
		lines = append(lines, cells)
	}
	widths := make([]int, len(head))
	for _, cells := range lines {
		for i, text := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
			if most > 0 {
				widths[i] = min(widths[i], most)
			}
		}
	}
	if total > 0 && !fit(widths, total) {
		return printRecords(out, lines, total)
	}
	w := tabwriter.NewWriter(out, 0, 1, gap, ' ', 0)
	for _, cells := range lines {
		for i, text := range cells {
			cells[i] = cut(text, widths[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printCount(out, len(table.Rows()))
}

func printCount(out io.Writer, rows int) error {
	_, err := fmt.Fprintf(out, "(%s)\n", prose.Counted(int64(rows), "row"))
	return err
}

// printRecords writes each row as lines of a name and its value, for tables of too
// many columns; lines begin with the head.
func printRecords(out io.Writer, lines [][]string, total int) error {
	names := 0
	for _, name := range lines[0] {
		names = max(names, utf8.RuneCountInString(name))
	}
	for _, cells := range lines[1:] {
		for i, text := range cells {
			fmt.Fprintln(out, strings.TrimRight(cut(fmt.Sprintf("%-*s  %s", names, lines[0][i], text), total), " "))
		}
		fmt.Fprintln(out)
	}
	return printCount(out, len(lines)-1)
}

// fit narrows the widest columns until a line has at most total characters; false:
// none can give any more.
func fit(widths []int, total int) bool {
	line := gap * (len(widths) - 1)
	for _, w := range widths {
		line += w
	}
	for ; line > total; line-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if len(widths) == 0 || widths[widest] <= narrowest {
			return false
		}
		widths[widest]--
	}
	return true
}

// oneLine is a value without breaks and tabs.
func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(text)
}

// cut is text of at most width characters.
func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:max(0, width-1)]) + "…"
	}
	return text
}
