package adx

import (
	"maps"
	"slices"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// Command is one command by which Setup fills a database.
type Command struct {
	Text    string
	Columns []schema.Column // of a typed view: what it returns; else nil
}

// Deployment returns the commands that Setup runs on an empty database, in order, as
// they are for a configuration. With Streamed there is a table of the Streaming API
// for each table of events, with all columns but the first, and one more. It is what Setup does, for whoever checks it without
// a cluster.
func Deployment(configured []plan.Row, o Options) []Command {
	var out []Command
	add := func(texts ...string) {
		for _, text := range texts {
			out = append(out, Command{Text: text})
		}
	}
	c := &Client{}
	tables, functions := c.controlScripts()
	add(tables...)
	add(functions...)
	add(scriptOf("tables.kql")...)
	views := viewsOf(configured, nil, o)
	for _, v := range views {
		more := v.origins
		if v.source == "" {
			more = more[1:] // the first is of tables.kql
		}
		for _, from := range more {
			add(SplitScript(rawTableScript(from.table))...)
		}
	}
	wanted := wantedRetention(configured, nil)
	for _, table := range slices.Sorted(maps.Keys(wanted)) {
		add(retentionCommand(table, wanted[table]))
	}
	add(scriptOf("functions.kql")...)
	for i := range views {
		v := &views[i]
		if slices.Contains(o.Typed, v.table.Name) {
			v.typed = &typedTable{}
			add(v.typedCommands(nil)...)
		}
		if o.Streamed && !v.table.Snapshot && v.source == "" {
			for _, c := range v.table.Columns[1:] {
				v.streamed = append(v.streamed, column{c.Name, c.Type})
			}
			v.streamed = append(v.streamed, column{"TenantId", "string"})
			add(mergeCommand(v.table.Name, v.streamed))
		}
		for i, text := range v.commands() {
			add(text)
			if i == 0 {
				out[len(out)-1].Columns = append(slices.Clone(v.table.Columns), v.ownColumns()...)
			}
		}
	}
	add(storageCommands(views)...)
	return out
}
