package engine

import (
	"fmt"
	"strings"
)

// autoName is the name of an unnamed column, "" if the engine would number it.
func autoName(n node) string {
	switch x := n.(type) {
	case *nameRef:
		return x.name
	case *named:
		return autoName(x.x)
	case *pathRef:
		if base := autoName(x.x); base != "" {
			return base + "_" + x.name
		}
	case *indexRef:
		base := autoName(x.x)
		if l, ok := x.i.(*literal); ok && base != "" {
			return base + "_" + strings.ReplaceAll(FormatText(l.typ, l.val), ".", "_")
		}
		return base
	case *call:
		return callName(x)
	}
	return ""
}

// callName names the column of a function call: conversions, bin and the like
// keep their argument's name, some functions put theirs in front.
func callName(x *call) string {
	arg := ""
	if len(x.args) > 0 {
		arg = autoName(x.args[0])
	}
	switch x.name {
	case "ingestion_time":
		return "$IngestionTime"
	case "bin", "floor", "bin_at", "tostring", "tolong", "toint", "todouble", "toreal", "tobool", "todatetime",
		"totimespan", "todecimal", "toguid", "todynamic", "parse_json", "startofday", "startofweek", "startofmonth",
		"startofyear", "endofday", "endofweek", "endofmonth", "endofyear", "toupper", "tolower", "trim", "asin":
		return arg
	case "strlen", "array_length", "isnull", "isempty", "isnotnull", "isnotempty", "hash", "strcat_array":
		if arg != "" {
			return x.name + "_" + arg
		}
	}
	return ""
}

// namer hands out the columns' names and keeps them apart.
type namer struct {
	taken map[string]bool
	next  int
}

func (m *namer) used(name string) { m.taken[name] = true }

// unique appends 1, 2, … to a name that is taken.
func (m *namer) unique(name string) string {
	out := name
	for i := 1; m.taken[out]; i++ {
		out = fmt.Sprintf("%s%d", name, i)
	}
	m.taken[out] = true
	return out
}

// numbered gives Column1, Column2, …
func (m *namer) numbered() string {
	for {
		m.next++
		name := fmt.Sprintf("Column%d", m.next)
		if !m.taken[name] {
			m.taken[name] = true
			return name
		}
	}
}

func newNamer(cols []Column) *namer {
	m := &namer{taken: map[string]bool{}}
	for _, c := range cols {
		m.taken[c.Name] = true
	}
	return m
}
