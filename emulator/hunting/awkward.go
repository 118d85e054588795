package hunting

import (
	"bytes"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// Awkward makes results look as other tenants, other days and other revisions of
// the documentation show them. Values stay the same; the zero value is what was
// seen most: Graph writes a null that is no text as an empty object. Source: live
// captures of two consumers.
type Awkward struct {
	PlainNulls     bool // Graph: null as null
	Annotate       bool // Graph: @odata.type beside longs and arrays, and within objects
	TextDynamics   bool // a dynamic value that is an object or array as a string of JSON
	NumericBools   bool // bool as 0 and 1, as its wire name SByte says
	OmitNulls      bool // no members that are null
	PascalSchema   bool // Graph: Name and Type in the schema
	NoEmptyResults bool // Graph: results is null when there are none
	LooseTies      bool // rows that sort holds for equal come in another order at each query
}

// dresser rewrites rows for Awkward.
type dresser struct {
	Awkward
	graph bool
	types map[string]engine.Type
}

// newDresser gives nil if rows stay as they are.
func newDresser(a Awkward, api API, cols []engine.Column) *dresser {
	graph := api == Graph
	if !(a.Annotate && graph) && !a.TextDynamics && !a.NumericBools && !a.OmitNulls && (a.PlainNulls || !graph) {
		return nil
	}
	d := &dresser{Awkward: a, graph: graph, types: make(map[string]engine.Type, len(cols))}
	for _, c := range cols {
		d.types[c.Name] = c.Type
	}
	return d
}

// nullsOnly reports whether a row without a null stays as it is.
func (d *dresser) nullsOnly() bool {
	return !(d.Annotate && d.graph) && !d.TextDynamics && !d.NumericBools
}

// row appends a dressed row.
func (d *dresser) row(b, row []byte) []byte {
	if d.nullsOnly() && !bytes.Contains(row, []byte("null")) {
		return append(b, row...)
	}
	b = append(b, '{')
	empty := true
	if d.Annotate && d.graph {
		b = append(b, `"@odata.type":"#microsoft.graph.security.huntingRowResult"`...)
		empty = false
	}
	for key, value := range tenant.Members(row) {
		if d.OmitNulls && string(value) == "null" {
			continue
		}
		if !empty {
			b = append(b, ',')
		}
		empty = false
		typ := d.types[string(key)]
		if d.Annotate && d.graph {
			if typ == engine.TypeLong && value[0] != 'n' {
				b = append(annotated(b, key), `"#Int64",`...)
			}
			if value[0] == '[' && !d.TextDynamics {
				b = append(annotated(b, key), `"#Collection(String)",`...)
			}
		}
		b = append(engine.FormatJSON(b, engine.TypeString, string(key)), ':')
		switch {
		case d.emptyForNull(typ) && string(value) == "null":
			b = append(b, "{}"...)
		case typ == engine.TypeBool && d.NumericBools && value[0] == 't':
			b = append(b, '1')
		case typ == engine.TypeBool && d.NumericBools && value[0] == 'f':
			b = append(b, '0')
		case d.TextDynamics && (value[0] == '{' || value[0] == '['):
			b = engine.FormatJSON(b, engine.TypeString, string(value))
		case d.Annotate && d.graph && value[0] == '{':
			b = append(b, `{"@odata.type":"#microsoft.graph.security.dynamicColumnValue"`...)
			for range tenant.Members(value) {
				b = append(b, ',')
				break
			}
			b = append(b, value[1:]...)
		default:
			b = append(b, value...)
		}
	}
	return append(b, '}')
}

// emptyForNull reports whether a null of that type goes out as {}: not a text, and
// not a member that is no column.
func (d *dresser) emptyForNull(typ engine.Type) bool {
	return d.graph && !d.PlainNulls && typ != 0 && typ != engine.TypeString
}

func annotated(b, key []byte) []byte {
	return append(engine.FormatJSON(b, engine.TypeString, string(key)+"@odata.type"), ':')
}
