package kusto

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// mapping says which part of a record goes into which column.
type mapping struct {
	name, kind string // kind is json or csv
	text       string // as it was given
	entries    []mappingEntry
	updated    engine.Datetime
}

type mappingEntry struct {
	column   string
	constant *string
	path     []any // json: keys (string) and indexes (int) from the record's root
	ordinal  int   // csv
}

func mappingKey(kind, name string) string { return kind + " " + name }

// parseMapping reads a mapping's JSON, in the present form (Properties) or the
// older one (path beside column). Transformations are refused by name.
func parseMapping(name, kind, text string) (mapping, error) {
	m := mapping{name: name, kind: strings.ToLower(kind), text: text}
	if m.kind != "json" && m.kind != "csv" {
		return m, fmt.Errorf("mapping kind '%s' is not supported by the local cluster", kind)
	}
	type properties struct {
		Path       *string
		ConstValue *looseText
		Ordinal    any
		Transform  string
	}
	var entries []struct {
		Column, Name string
		Datatype     string
		Properties   properties
		properties
	}
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		return m, fmt.Errorf("mapping is not a JSON array of objects")
	}
	if len(entries) == 0 {
		return m, fmt.Errorf("mapping is empty")
	}
	for i, e := range entries {
		p := e.Properties
		if p == (properties{}) {
			p = e.properties
		}
		out := mappingEntry{column: e.Column, constant: (*string)(p.ConstValue)}
		if out.column == "" {
			out.column = e.Name
		}
		switch {
		case out.column == "":
			return m, fmt.Errorf("mapping entry %d names no column", i)
		case p.Transform != "" && p.Transform != "None":
			return m, fmt.Errorf("mapping transformation '%s' is not supported by the local cluster", p.Transform)
		case out.constant != nil:
		case m.kind == "json" && p.Path == nil:
			return m, fmt.Errorf("mapping of column '%s' has neither path nor constant", out.column)
		case m.kind == "json":
			path, err := parsePath(*p.Path)
			if err != nil {
				return m, fmt.Errorf("mapping of column '%s': %w", out.column, err)
			}
			out.path = path
		default:
			n, err := strconv.Atoi(fmt.Sprint(p.Ordinal))
			if err != nil || n < 0 {
				return m, fmt.Errorf("mapping of column '%s' has no ordinal", out.column)
			}
			out.ordinal = n
		}
		m.entries = append(m.entries, out)
	}
	return m, nil
}

// looseText is a text that may be written as a JSON string or a bare literal.
type looseText string

// UnmarshalJSON keeps the literal's own spelling.
func (t *looseText) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*t = looseText(s)
	return nil
}

// parsePath reads $, $.a, $['a'] and $.a[0].
func parsePath(text string) ([]any, error) {
	wrong := fmt.Errorf("path '%s' is not supported", text)
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, wrong
	}
	var path []any
	for rest != "" {
		if name, ok := strings.CutPrefix(rest, "."); ok && !strings.HasPrefix(name, "[") {
			end := strings.IndexAny(name, ".[")
			if end < 0 {
				end = len(name)
			}
			if end == 0 {
				return nil, wrong
			}
			path, rest = append(path, name[:end]), name[end:]
			continue
		}
		rest = strings.TrimPrefix(rest, ".")
		inner, after, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]")
		if !ok || !strings.HasPrefix(rest, "[") {
			return nil, wrong
		}
		if n, err := strconv.Atoi(inner); err == nil {
			path = append(path, n)
		} else if len(inner) > 2 && (inner[0] == '\'' || inner[0] == '"') && inner[len(inner)-1] == inner[0] {
			path = append(path, inner[1:len(inner)-1])
		} else {
			return nil, wrong
		}
		rest = after
	}
	return path, nil
}

// follow finds what path leads to; nil where it leads nowhere.
func follow(v any, path []any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			bag, ok := v.(*engine.Bag)
			if !ok {
				return nil
			}
			v, _ = bag.Get(s)
		case int:
			list, ok := v.([]any)
			if !ok || s < 0 || s >= len(list) {
				return nil
			}
			v = list[s]
		}
	}
	return v
}

// shaper turns records into rows of a table.
type shaper struct {
	columns []column
	fixed   []any // constants and nulls; the rows start from these
	from    []mappingEntry
	to      []int // column of each entry of from
	row     []any
	whole   bool // every entry takes the whole record into a dynamic column
	text    canonicalJSON
}

// newShaper fits a mapping to a table. Without a mapping JSON goes by name and CSV
// by position.
func newShaper(columns []column, m *mapping, kind string) (*shaper, error) {
	s := &shaper{columns: columns, fixed: make([]any, len(columns)), row: make([]any, len(columns))}
	for i, c := range columns {
		s.fixed[i] = c.null()
	}
	if m == nil {
		for i, c := range columns {
			s.from = append(s.from, mappingEntry{column: c.Name, path: []any{c.Name}, ordinal: i})
			s.to = append(s.to, i)
		}
		return s, nil
	}
	if m.kind != kind {
		return nil, permanent("BadRequest_InvalidMapping", fmt.Sprintf("A mapping of kind '%s' does not fit the data's format.", m.kind))
	}
	for _, e := range m.entries {
		at := -1
		for i, c := range columns {
			if c.Name == e.column {
				at = i
			}
		}
		if at < 0 {
			// The service would add the column if the entry had a type.
			return nil, permanent("BadRequest_InconsistentMapping", fmt.Sprintf("Mapping refers to column '%s', which the table does not have.", e.column))
		}
		if e.constant != nil {
			s.fixed[at] = engine.Convert(*e.constant, engine.TypeString, columns[at].Type)
			continue
		}
		s.from, s.to = append(s.from, e), append(s.to, at)
	}
	s.whole = len(s.from) > 0
	for i, e := range s.from {
		s.whole = s.whole && len(e.path) == 0 && columns[s.to[i]].Type == engine.TypeDynamic
	}
	return s, nil
}

// line shapes one line of JSON; ok is false where it is no object. The slice is
// reused by the next call.
func (s *shaper) line(text []byte) (row []any, ok bool) {
	if s.whole {
		if s.text, ok = canonical(s.text[:0], text); !ok || s.text[0] != '{' {
			return nil, false
		}
		copy(s.row, s.fixed)
		for _, i := range s.to {
			s.row[i] = s.text
		}
		return s.row, true
	}
	record, err := engine.ParseJSON(text)
	if _, ok = record.(*engine.Bag); err != nil || !ok {
		return nil, false
	}
	return s.object(record), true
}

// object shapes a JSON record. The slice is reused by the next call.
func (s *shaper) object(record any) []any {
	copy(s.row, s.fixed)
	for i, e := range s.from {
		if v := follow(record, e.path); v != nil {
			s.row[s.to[i]] = ingested(v, engine.TypeDynamic, s.columns[s.to[i]].Type)
		}
	}
	return s.row
}

// fields shapes a CSV record. The slice is reused by the next call.
func (s *shaper) fields(record []string) []any {
	copy(s.row, s.fixed)
	for i, e := range s.from {
		if e.ordinal >= len(record) {
			continue
		}
		text, c := record[e.ordinal], s.columns[s.to[i]]
		switch {
		case c.Type != engine.TypeDynamic:
			s.row[s.to[i]] = ingested(text, engine.TypeString, c.Type)
		case text != "":
			s.row[s.to[i]] = engine.RawJSON(text)
		}
	}
	return s.row
}

// ingested converts a value of the data to a column's type. What does not fit is
// null, where the conversion functions of queries would round or wrap.
// Source: ADX documentation, "Ingestion behavior of invalid data".
func ingested(v any, from, to engine.Type) any {
	if _, fraction := v.(float64); fraction && (to == engine.TypeInt || to == engine.TypeLong) {
		return nil
	}
	if n, ok := v.(int64); ok && to == engine.TypeInt && n != int64(int32(n)) {
		return nil
	}
	return engine.Convert(v, from, to)
}
