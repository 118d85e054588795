package kusto

import (
	"encoding/json"
	"slices"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// orderedColumn is a column in the JSON of a schema.
type orderedColumn struct{ Name, Type, CslType string }

func orderedColumns(columns []column) []orderedColumn {
	out := make([]orderedColumn, len(columns))
	for i, c := range columns {
		out[i] = orderedColumn{c.Name, systemType(c.Type), c.Type.String()}
	}
	return out
}

// systemType is the .NET name of a type.
func systemType(t engine.Type) string {
	if t == engine.TypeDecimal {
		return "System.Data.SqlTypes.SqlDecimal"
	}
	return "System." + t.WireName()
}

// inputParameter is a function's parameter in the JSON of a schema: a scalar has a
// type, a table has columns.
type inputParameter struct {
	Name            string
	Type            string          `json:",omitempty"`
	CslType         string          `json:",omitempty"`
	CslDefaultValue string          `json:",omitempty"`
	Columns         []orderedColumn `json:",omitempty"`
}

// inputParameters gives an empty list for parameters that cannot be read: whoever
// stored the function skipped their check.
func inputParameters(text string) []inputParameter {
	out := []inputParameter{}
	list, err := parametersOf(text)
	if err != nil {
		return out
	}
	for _, p := range list {
		in := inputParameter{Name: p.name, CslDefaultValue: p.def}
		switch t, ok := engine.ParseType(p.typ); {
		case ok:
			in.Type, in.CslType = systemType(t), t.String()
		case p.tabular && p.columns != "*":
			for _, c := range newScanner("(" + p.columns + ")").columns() {
				in.Columns = append(in.Columns, orderedColumn{c.Name, systemType(c.Type), c.Type.String()})
			}
		}
		out = append(out, in)
	}
	return out
}

// A schema's entities. Lists and texts that are empty are written all the same:
// Microsoft's query editor reads each of them.
type (
	tableSchema struct {
		Name, Folder, DocString string
		OrderedColumns          []orderedColumn
	}
	functionSchema struct {
		Name            string
		InputParameters []inputParameter
		Body            string
		Folder          string
		DocString       string
		FunctionKind    string
		OutputColumns   []orderedColumn // empty as at the service, which does not evaluate functions here
	}
	databaseSchema struct {
		Name               string
		Tables             map[string]tableSchema
		ExternalTables     map[string]tableSchema
		MaterializedViews  map[string]tableSchema
		EntityGroups       map[string][]string
		Functions          map[string]functionSchema
		MajorVersion       int
		MinorVersion       int
		DatabaseAccessMode string
	}
)

func (x *execution) schemaOf(db *database) databaseSchema {
	s := databaseSchema{
		Name: db.name, Tables: map[string]tableSchema{}, ExternalTables: map[string]tableSchema{}, MaterializedViews: map[string]tableSchema{},
		EntityGroups: map[string][]string{}, Functions: map[string]functionSchema{}, MajorVersion: 1, DatabaseAccessMode: "ReadWrite",
	}
	for name, t := range db.tables {
		s.Tables[name] = tableSchema{name, t.folder, t.doc, orderedColumns(t.columns)}
	}
	for name, v := range db.views {
		s.MaterializedViews[name] = tableSchema{name, v.folder, v.doc, x.outputColumns(db, name)}
	}
	for name, f := range db.functions {
		s.Functions[name] = functionSchema{name, inputParameters(f.Parameters), f.Body, f.folder, f.doc, "Unknown", []orderedColumn{}}
	}
	return s
}

// outputColumns are the columns that a view gives; none if it cannot be evaluated.
func (x *execution) outputColumns(db *database, name string) []orderedColumn {
	columns, _, err := engine.Stream(x.ctx, engine.Query{Text: quoteName(name), Catalog: db.catalogOf(), Now: x.c.opts.Now()})
	if err != nil {
		return []orderedColumn{}
	}
	var out []column
	for _, c := range columns {
		out = append(out, column{Column: c})
	}
	return orderedColumns(out)
}

const schemaColumns = "DatabaseName,TableName,ColumnName,ColumnType,IsDefaultTable:bool,IsDefaultColumn:bool,PrettyName,Version,Folder,DocString"

func schemaRows(db *database) [][]any {
	rows := [][]any{{db.name, "", "", "", false, false, "", "v1.0", "", ""}}
	for _, name := range db.tableNames() {
		t := db.tables[name]
		rows = append(rows, []any{db.name, name, "", "", false, false, "", "", t.folder, t.doc})
		for _, c := range orderedColumns(t.columns) {
			rows = append(rows, []any{db.name, name, c.Name, c.Type, false, false, "", "", "", ""})
		}
	}
	return rows
}

// showSchema lists one database's tables, views and functions, as rows or as one
// JSON document.
func (x *execution) showSchema(asJSON bool) (*result, error) {
	if err := x.require("DatabaseSchemaShow", "schema", metadataReaders()...); err != nil {
		return nil, err
	}
	return x.schemas([]*database{x.db}, "DatabaseSchema", asJSON)
}

// showSchemas does so for the databases named, or all that the caller may look at.
func (x *execution) showSchemas(only []string) (*result, error) {
	asJSON := x.s.accept("as", "json")
	column := "DatabaseSchema"
	if only == nil {
		column = "ClusterSchema"
	}
	var list []*database
	for _, name := range sortedKeys(x.c.databases) {
		if db := x.c.databases[name]; x.who.has(db, metadataReaders()...) && (only == nil || slices.Contains(only, name)) {
			list = append(list, db)
		}
	}
	return x.schemas(list, column, asJSON)
}

func (x *execution) schemas(list []*database, column string, asJSON bool) (*result, error) {
	if !asJSON {
		res := answer(schemaColumns)
		for _, db := range list {
			res.rows = append(res.rows, schemaRows(db)...)
		}
		return res, nil
	}
	databases := make(map[string]databaseSchema, len(list))
	for _, db := range list {
		databases[db.name] = x.schemaOf(db)
	}
	text, err := json.Marshal(map[string]any{"Plugins": []any{}, "Databases": databases})
	if err != nil {
		return nil, err
	}
	return answer(column, []any{string(text)}), nil
}

// showCSLSchema lists tables with their columns as commands write them.
func (x *execution) showCSLSchema() (*result, error) {
	if err := x.require("DatabaseSchemaShow", "schema", metadataReaders()...); err != nil {
		return nil, err
	}
	res := answer("TableName,Schema,DatabaseName,Folder,DocString")
	for _, name := range x.db.tableNames() {
		t := x.db.tables[name]
		res.rows = append(res.rows, []any{t.name, t.schema(), x.db.name, t.folder, t.doc})
	}
	return res, nil
}
