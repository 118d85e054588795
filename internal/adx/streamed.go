package adx

import (
	"fmt"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// streamedRows are the rows of the table of the hunting table's name, with the columns
// of the view: values of another type are converted, other columns are in _Extra.
func (v view) streamedRows(have []column) string {
	kind := map[string]string{}
	for _, c := range have {
		kind[c.Name] = c.Type
	}
	var columns, others []string
	for _, c := range v.table.Columns {
		value := typedNull(c.Type)
		switch name := identifier(c.Name); {
		case kind[c.Name] == c.Type:
			value = name
		case kind[c.Name] != "":
			value = typedValue(c.Type, "pack_array("+name+")[0]")
		}
		columns = append(columns, identifier(c.Name)+" = "+value)
	}
	for _, c := range have {
		if _, known := v.table.Column(c.Name); !known && plan.CheckName("", c.Name) == nil {
			others = append(others, "'"+c.Name+"', "+kql.Name(c.Name))
		}
	}
	bag := "dynamic({})"
	if len(others) > 0 {
		bag = "bag_pack(" + strings.Join(others, ", ") + ")"
	}
	columns = append(columns, extraColumn+" = "+bag, instanceColumn+" = ''")
	return "table(" + kql.String(v.table.Name) + ")\n    | project " + strings.Join(columns, ",\n        ")
}

// unite adds the rows of a table of the view's name, such as the Streaming API fills,
// to the view's own: those of an event that the view does not have itself.
func (v view) unite(own string) string {
	key := v.table.Key
	if len(key) == 0 {
		key = columnsOfTable(v.table)
	}
	parts := make([]string, len(key))
	for i, name := range key {
		parts[i] = "tostring(" + identifier(name) + ")"
	}
	event := "tostring(pack_array(" + strings.Join(parts, ", ") + "))"
	lets, rows := "", own
	if i := strings.LastIndex(own, ";\n"); i >= 0 {
		lets, rows = own[:i+2], own[i+2:]
	}
	return lets + fmt.Sprintf("    let Own = %s;\n    let Streamed = %s\n    | extend Event = %s;\n    Own\n    | union (Streamed | join kind=leftanti (Own | project Event = %s) on Event | project-away Event)",
		strings.TrimSpace(rows), v.streamedRows(v.streamed), event, event)
}

// streamedTables finds which views unite a table of their hunting table's name: where
// that is asked for, or an earlier setup did so.
func (s *setup) streamedTables(views []view, asked bool) {
	for i := range views {
		v := &views[i]
		stands, known := s.before.Tables[v.table.Name]
		if !known || v.table.Snapshot || v.source != "" { // the Streaming API sends events of hunting tables alone
			continue
		}
		have, made := s.before.Functions[v.name("")]
		made = made && strings.HasPrefix(have.Folder, ourFolder) && strings.Contains(have.Body, "table("+kql.String(v.table.Name)+")")
		if asked || made {
			v.streamed = stands.OrderedColumns
		}
	}
}
