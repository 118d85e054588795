package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/internal/prose"
	"github.com/defender2adx/defender2adx/internal/savedquery"
)

// queryCommand asks Defender or the database.
type queryCommand struct {
	instanceFlag
	ADX    bool   `name:"adx" help:"Ask the database instead of Defender."`
	Output string `enum:"text,json,csv" default:"text" placeholder:"text|json|csv" help:"text: a table, long values cut; json: one object a line; csv. Default: text."`
	KQL    string `arg:"" name:"kql" help:"The query."`
}

func (queryCommand) Help() string {
	return `A query to Defender takes one call of the tenant's quota, like any of the service's.
With --adx the database of the instance is asked, without --instance that of the
control tables.

Example:

  handler query --adx 'DeviceInfoRawVisible() | count'`
}

func (c queryCommand) Run(p *process) error {
	if !c.ADX {
		c.KQL = strings.ReplaceAll(c.KQL, "\r\n", "\n")
		if err := savedquery.CheckLines(c.KQL); err != nil {
			return usageError{fmt.Errorf("the query: %w", err)}
		}
	}
	g, err := p.open(c.Instance, false, false)
	if err != nil {
		return err
	}
	defer g.close()
	var a answer
	if c.ADX {
		found, err := g.AskADX(p.ctx, c.Instance, c.KQL)
		if err != nil {
			return err
		}
		a = answer{found.Columns, found.Rows}
	} else {
		found, err := g.AskDefender(p.ctx, c.Instance, c.KQL)
		if err != nil {
			return err
		}
		if a, err = readAnswer(found.Columns, found.Rows); err != nil {
			return err
		}
		if found.Cut {
			p.say("handler: the answer has as many rows as Defender gives at most: there may be more")
		}
	}
	return a.print(p.stdout, c.Output)
}

// answer is a result: columns in order, cells as JSON; an absent cell is nil.
type answer struct {
	columns []string
	rows    [][]json.RawMessage
}

// readAnswer reads rows that are JSON objects, a line each. Members that the schema
// does not name come after those that it does.
func readAnswer(columns []string, lines []byte) (answer, error) {
	a := answer{columns: columns}
	place := map[string]int{}
	for i, name := range columns {
		place[name] = i
	}
	for line := range bytes.Lines(lines) {
		var row map[string]json.RawMessage
		if err := json.Unmarshal(line, &row); err != nil {
			return a, fmt.Errorf("row %d of the answer is not readable", len(a.rows)+1)
		}
		cells := make([]json.RawMessage, len(a.columns))
		for name, value := range row {
			i, known := place[name]
			if !known {
				i = len(a.columns)
				place[name] = i
				a.columns, cells = append(a.columns, name), append(cells, nil)
			}
			cells[i] = value
		}
		a.rows = append(a.rows, cells)
	}
	return a, nil
}

func (a answer) print(out io.Writer, form string) error {
	switch form {
	case "json":
		return a.printJSON(out)
	case "csv":
		w := csv.NewWriter(out)
		if err := w.Write(a.columns); err != nil {
			return err
		}
		for _, row := range a.rows {
			cells := make([]string, len(a.columns))
			for i, cell := range row {
				cells[i] = plainText(cell)
			}
			if err := w.Write(cells); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	default:
		return a.printTable(out)
	}
}

// printJSON writes the members in the order of the columns.
func (a answer) printJSON(out io.Writer) error {
	var b bytes.Buffer
	for _, row := range a.rows {
		b.Reset()
		b.WriteByte('{')
		for i, cell := range row {
			if cell == nil {
				continue
			}
			name, err := json.Marshal(a.columns[i])
			if err != nil {
				return err
			}
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			b.Write(name)
			b.WriteByte(':')
			if err := json.Compact(&b, cell); err != nil {
				return err
			}
		}
		b.WriteString("}\n")
		if _, err := out.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// narrowest is the least that a value of many columns is cut to.
const narrowest = 12

func (a answer) printTable(out io.Writer) error {
	width := max(narrowest, (columns+2)/max(1, len(a.columns))-2)
	if len(a.columns) == 1 {
		width = columns
	}
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	line := func(cells []string) {
		for i := range cells {
			cells[i] = oneLine(cells[i], width)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	line(append([]string(nil), a.columns...))
	for _, row := range a.rows {
		cells := make([]string, len(a.columns))
		for i, cell := range row {
			cells[i] = plainText(cell)
		}
		line(cells)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, prose.Counted(int64(len(a.rows)), "row"))
	return err
}

// plainText is a cell without the quotes of a JSON string; nothing for null.
func plainText(cell json.RawMessage) string {
	var text string
	switch {
	case len(cell) == 0 || string(cell) == "null":
		return ""
	case cell[0] == '"' && json.Unmarshal(cell, &text) == nil:
		return text
	}
	return string(cell)
}

// oneLine is text without line ends and control characters, cut after width.
func oneLine(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > width {
		return shortened(text, width)
	}
	return text
}
