package tenant

import (
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// shape gathers what rows show of columns that nobody has declared.
type shape struct {
	order []string
	seen  map[string]evidence
}

// evidence is the set of what values of a column are.
type evidence uint8

const (
	sawBool evidence = 1 << iota
	sawWhole
	sawReal
	sawStamp
	sawEmpty
	sawText
	sawNested
)

// observe takes one row in. Columns that known names are left out.
func (s *shape) observe(row []byte, known map[string]bool) {
	for key, text := range Members(row) {
		if known[string(key)] {
			continue
		}
		e, ok := s.seen[string(key)]
		if !ok {
			if s.seen == nil {
				s.seen = make(map[string]evidence)
			}
			s.order = append(s.order, string(key))
		}
		s.seen[string(key)] = e | evidenceOf(text)
	}
}

func evidenceOf(text []byte) evidence {
	switch text[0] {
	case 'n':
		return 0
	case 't', 'f':
		return sawBool
	case '{', '[':
		return sawNested
	case '"':
		switch s := unquote(text); {
		case s == "":
			return sawEmpty
		case stamp(s):
			return sawStamp
		}
		return sawText
	}
	if strings.ContainsAny(string(text), ".eE") {
		return sawReal
	}
	return sawWhole
}

// stamp reports whether a text can only be meant as a point in time.
func stamp(s string) bool {
	if len(s) < len("1/2/2006") || s[0] < '0' || s[0] > '9' || !strings.ContainsAny(s, "-/") || !strings.Contains(s, ":") {
		return false
	}
	_, ok := engine.ParseDatetime(s)
	return ok
}

// columns gives the columns in order of appearance. A column whose values differ
// in kind is dynamic, save that whole numbers are also real ones.
func (s *shape) columns() []engine.Column {
	cols := make([]engine.Column, len(s.order))
	for i, name := range s.order {
		cols[i] = engine.Column{Name: name, Type: s.seen[name].typ()}
	}
	return cols
}

func (e evidence) typ() engine.Type {
	switch e {
	case sawBool:
		return engine.TypeBool
	case sawWhole:
		return engine.TypeLong
	case sawReal, sawReal | sawWhole:
		return engine.TypeReal
	case sawStamp, sawStamp | sawEmpty:
		return engine.TypeDatetime
	}
	if e&^(sawText|sawStamp|sawEmpty) == 0 {
		return engine.TypeString // also when all values are null
	}
	return engine.TypeDynamic
}

// widened gives a table's columns with those that new rows add.
func widened(cols []engine.Column, rows [][]byte) []engine.Column {
	known := make(map[string]bool, len(cols))
	for _, c := range cols {
		known[c.Name] = true
	}
	var s shape
	for _, row := range rows {
		s.observe(row, known)
	}
	if len(s.order) == 0 {
		return cols
	}
	return append(cols[:len(cols):len(cols)], s.columns()...)
}

// timeColumn names the column that says when a row's event was; "" if none does.
func timeColumn(table string, cols []engine.Column) string {
	if known, ok := schema.Lookup(table); ok {
		return known.TimeColumn
	}
	for _, name := range []string{"TimeGenerated", "Timestamp"} {
		for _, c := range cols {
			if c.Name == name && c.Type == engine.TypeDatetime {
				return name
			}
		}
	}
	return ""
}
