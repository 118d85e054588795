package adx

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
)

// typedSuffix ends the name of the typed table of a view: columns instead of JSON, each
// of them indexed, which an update policy fills from the raw tables.
const typedSuffix = "Typed"

// originColumn of a typed table is the raw table that a row came from.
const originColumn = "RawTable"

// typedOwn are the columns that a typed table has beside those of its view.
var typedOwn = []column{{extraColumn, "dynamic"}, {"RunId", "string"}, {"Slice", "int"}, {shotColumn, "datetime"}, {originColumn, "string"}}

// typedName is the typed table of the view.
func (v view) typedName() string { return v.name(typedSuffix) }

// typedColumns are the columns of the typed table in order: those that it has, and then
// what it lacks. An update policy goes by position.
func (v view) typedColumns(have []column) []column {
	out := slices.Clone(have)
	add := func(c column) {
		if !slices.ContainsFunc(out, func(o column) bool { return o.Name == c.Name }) {
			out = append(out, c)
		}
	}
	for _, c := range v.table.Columns {
		add(column{c.Name, c.Type})
	}
	for _, c := range typedOwn {
		add(c)
	}
	return out
}

// typedQuery is the rows of a raw table as the typed table has them.
func (v view) typedQuery(raw string, have []column) string {
	var known []string
	for _, c := range v.table.Columns {
		known = append(known, v.spellings(c.Name)...)
	}
	parts := make([]string, 0, len(have))
	for _, c := range v.typedColumns(have) {
		value := typedNull(c.Type) // of a column that is gone, or a user's
		switch {
		case c.Name == extraColumn:
			value = "bag_remove_keys(Records, dynamic(['" + strings.Join(known, "', '") + "']))"
		case c.Name == originColumn:
			value = kql.String(raw)
		case slices.ContainsFunc(typedOwn, func(o column) bool { return o.Name == c.Name }):
			value = c.Name
		default:
			if _, ok := v.table.Column(c.Name); ok {
				value = typedValue(c.Type, v.member(c.Name))
			}
		}
		parts = append(parts, identifier(c.Name)+" = "+value)
	}
	return "    " + raw + "\n    | project " + strings.Join(parts, ",\n        ")
}

// typedNull is no value of a type.
func typedNull(kind string) string {
	if kind == "string" {
		return "''"
	}
	return kind + "(null)"
}

// typedCommands make the typed table and what fills it from now on: a function a raw
// table, and the policy. Transactional: rows come in to both tables, or to none.
func (v view) typedCommands(have []column) []string {
	columns := v.typedColumns(have)
	commands := []string{
		mergeCommand(v.typedName(), columns),
		visibleFunction(v.typedName(), v.raws()...),
	}
	for _, raw := range v.raws() {
		commands = append(commands, functionCommand("Typed", "The rows of "+raw+" as "+v.typedName()+" takes them", raw+typedSuffix, "", v.typedQuery(raw, have)))
	}
	return append(commands, ".alter table "+kql.Name(v.typedName())+" policy update '"+v.updatePolicy()+"'")
}

func (v view) raws() []string {
	names := make([]string, len(v.origins))
	for i, o := range v.origins {
		names[i] = o.table
	}
	return names
}

// updateEntry is one source of an update policy.
type updateEntry struct {
	IsEnabled       bool
	Source          string
	Query           string
	IsTransactional bool
}

func (v view) updateEntries() []updateEntry {
	entries := make([]updateEntry, 0, len(v.origins))
	for _, raw := range v.raws() {
		entries = append(entries, updateEntry{IsEnabled: true, Source: raw, Query: raw + typedSuffix + "()", IsTransactional: true})
	}
	return entries
}

func (v view) updatePolicy() string {
	text, err := json.Marshal(v.updateEntries())
	if err != nil {
		panic(err) // text and bools alone
	}
	return string(text)
}

// fedBy reports whether a policy has the entries of the view, as they are.
func (v view) fedBy(policy string) bool {
	var have []updateEntry
	if json.Unmarshal([]byte(policy), &have) != nil {
		return false
	}
	for _, want := range v.updateEntries() {
		if !slices.Contains(have, want) {
			return false
		}
	}
	return true
}

// readsTyped are the view's rows where it has a typed table: those that the policy has
// brought there, and of the raw tables the slices that were there before. Slices come
// in whole. Rows of the original scripts have no RunId and stay with the raw table.
func (v view) readsTyped() string {
	cases := make([]string, 0, 2*len(v.origins))
	for _, o := range v.origins {
		cases = append(cases, originColumn+" == "+kql.String(o.table), kql.String(o.instance))
	}
	columns := append(columnsOfTable(v.table), extraColumn, "RunId", "Slice", shotColumn)
	for i, name := range columns {
		columns[i] = identifier(name)
	}
	before := "RunId in (Whole | project RunId) and strcat(RunId, ' ', Slice) in (Whole | project strcat(RunId, ' ', Slice))"
	own := v
	own.typed, own.streamed = nil, nil
	return "    let Whole = " + kql.Name(v.typedName()) + "\n    | where isnotempty(RunId)\n    | distinct RunId, Slice;\n" +
		"    let Typed = " + v.typedName() + "Visible()\n    | where isnotempty(RunId)\n    | extend " + instanceColumn + " = case(" + strings.Join(cases, ", ") + ", '')\n" +
		"    | project " + strings.Join(append(columns, instanceColumn), ", ") + ";\n" +
		own.rows() + "\n    | where not(" + before + ")\n" + v.project("RunId", "Slice", shotColumn, instanceColumn) +
		"\n    | union (Typed)"
}

// typedTables finds which views have a typed table: those that are asked for, and those
// that an earlier setup gave one. It says what is no table of a view, and what has the
// name of one.
func (s *setup) typedTables(views []view, asked []string) {
	for _, name := range asked {
		i := slices.IndexFunc(views, func(v view) bool { return strings.EqualFold(v.table.Name, name) })
		if i < 0 {
			s.add(Step{Name: "typed table of " + name, Outcome: Failed, Detail: "no view has that name",
				Remedy: "name a hunting table as Defender spells it, such as DeviceProcessEvents, or the view of another source"})
			continue
		}
		if len(views[i].origins) > 0 {
			views[i].typed = &typedTable{}
		}
	}
	for i := range views {
		v := &views[i]
		stands, known := s.before.Tables[v.typedName()]
		if !known {
			continue
		}
		if ownTyped(stands) {
			if len(v.origins) > 0 {
				v.typed = &typedTable{columns: stands.OrderedColumns}
			}
		} else if v.typed != nil {
			v.typed = nil
			s.add(Step{Name: "table " + v.typedName(), Outcome: Failed, Detail: "somebody else's table of that name stands",
				Remedy: "rename it, or begin the names of the views with something else: `handler setup --view-prefix Hunting`"})
		}
	}
}

// ownTyped reports whether a table is one that setup made.
func ownTyped(t table) bool {
	return !slices.ContainsFunc(typedOwn, func(own column) bool { return !slices.Contains(t.OrderedColumns, own) })
}

// makeTyped makes the typed table of a view, or brings it up to date. It reports whether
// the view may read it.
func (s *setup) makeTyped(ctx context.Context, v view) (bool, error) {
	commands := v.typedCommands(v.typed.columns)
	policy := commands[len(commands)-1]
	if err := s.runScript(ctx, commands[:len(commands)-1]); err != nil || s.refused {
		return false, err
	}
	name := "update policy of " + v.typedName()
	if s.failed["table "+v.typedName()] {
		return false, nil
	}
	found, err := s.client.tablePolicies(ctx, "update")
	step := Step{Name: name, Outcome: Already}
	switch {
	case err != nil:
		step = failedStep(name, err)
	case !v.fedBy(found[v.typedName()]):
		step.Outcome, step.Detail = Done, "rows from now on come in to "+v.typedName()+", too; those of before stay in the raw table, and the view shows both"
		if err := s.runAll(ctx, []string{policy}); err != nil {
			step = failedStep(name, err)
		}
	}
	s.add(step)
	return step.Outcome != Failed, nil
}

// typedTable is the typed table of a view.
type typedTable struct {
	columns []column // that stand already, in order; nil: it is to be made
}
