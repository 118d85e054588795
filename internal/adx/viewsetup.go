package adx

import (
	"context"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// ourFolder begins the folder of every stored function that setup makes.
const ourFolder = "Defender2ADX"

// views makes the functions of functions.kql and the typed views of the catalogue.
// A stored function wins over a table of its name, so none is made where a table,
// a materialized view or somebody else's function has the name.
func (s *setup) views(ctx context.Context, configured []plan.Row, o Options) error {
	if err := s.runScript(ctx, s.client.functionsScript()); err != nil || s.refused {
		return err
	}
	seen, err := s.client.seenColumns(ctx)
	if err != nil {
		s.add(failedStep("columns that Defender has shown since", err))
	}
	views := viewsOf(configured, seen, o)
	for i := range views {
		views[i].origins = slices.DeleteFunc(views[i].origins, func(from origin) bool { return s.failed["table "+from.table] })
	}
	s.typedTables(views, o.Typed)
	s.streamedTables(views, o.Streamed)
	for i := range views {
		v := &views[i]
		if len(v.origins) == 0 {
			continue // its table could not be made, which has been said
		}
		if v.typed != nil {
			reads, err := s.makeTyped(ctx, *v)
			if err != nil || s.refused {
				return err
			}
			if !reads {
				v.typed = nil
			}
		}
		var commands []string
		for _, text := range v.commands() {
			step, stands := s.taken(text, v.streamed != nil)
			if stands {
				s.add(step)
				break // the others read the first
			}
			commands = append(commands, text)
		}
		if err := s.runScript(ctx, commands); err != nil || s.refused {
			return err
		}
	}
	return s.runScript(ctx, storageCommandsIn(s.client, views))
}

// storageCommandsIn are those of a client's database.
func storageCommandsIn(c *Client, views []view) []string {
	commands := storageCommands(views)
	for i, text := range commands {
		commands[i] = c.inControl(text)
	}
	return commands
}

// taken reports whether the name of the function is somebody else's. One that unites a
// table of its name hides none of its rows.
func (s *setup) taken(text string, unites bool) (Step, bool) {
	h, err := readHead(text)
	if err != nil {
		return failedStep("views", err), true
	}
	step := Step{Name: "view " + h.object, Outcome: Note,
		Remedy: "`handler setup --view-prefix Hunting` makes the views under names that begin so, or rename what has the name; " +
			"`--union-streamed` makes a view of the rows of a table of the Streaming API and our own"}
	own, function := s.before.Functions[h.object]
	_, table := s.before.Tables[h.object]
	_, materialized := s.before.MaterializedViews[h.object]
	switch {
	case unites && table:
		return Step{}, false
	case table || s.made[h.object]:
		step.Detail = "not made: a table of that name stands, and a function would hide it"
	case materialized:
		step.Detail = "not made: a materialized view of that name stands"
	case function && !strings.HasPrefix(own.Folder, ourFolder):
		step.Detail = "not made: a function of that name stands, and it is not of folder " + ourFolder
	default:
		return Step{}, false
	}
	return step, true
}

// functionsScript is functions.kql; in a database that holds raw tables alone, the
// functions read the control tables where they are.
func (c *Client) functionsScript() []string {
	script := scriptOf("functions.kql")
	for i, text := range script {
		script[i] = c.inControl(text)
	}
	return script
}

// inControl names the control tables that a function reads where they are.
func (c *Client) inControl(text string) string {
	for _, table := range []string{auditTable, configurationTable} {
		text = strings.ReplaceAll(text, table+"\n", c.controlTable(table)+"\n")
	}
	return text
}

// viewsOf are the views of the catalogue over the raw tables of a configuration: those
// of the sources' own names and every one that a row of the source writes to, with the
// columns that were seen since the catalogue was made.
func viewsOf(configured []plan.Row, seen []seenColumn, o Options) []view {
	var out []view
	for _, t := range schema.Catalogue() {
		v := defaultView(t)
		v.learn(seen)
		v.prefix = o.ViewPrefix
		if len(o.Prefixes) > 0 {
			v.origins = nil
		}
		for _, prefix := range o.Prefixes {
			v.origins = append(v.origins, origin{table: prefix + t.Name + "Raw"})
		}
		for _, row := range configured {
			if row.SourceTable == t.Name {
				v.configure(row, o)
			}
		}
		out = append(out, v)
	}
	return slices.Concat(out, sourceViews(configured, o))
}

// sourceViews are those of lists, file exports and saved queries, of which only the
// configured ones have raw tables.
func sourceViews(configured []plan.Row, o Options) (out []view) {
	for _, s := range slices.Concat(schema.Sources(), schema.SavedQueries()) {
		v := view{table: s.Table(), source: s.Name, prefix: o.ViewPrefix}
		if s.Kind == schema.Query {
			v.table.Snapshot = false // unless a row says so
		}
		for _, row := range configured {
			if row.SourceTable == s.Name {
				v.configure(row, o)
			}
		}
		if len(v.origins) > 0 {
			out = append(out, v)
		}
	}
	return out
}

// configure takes up a row of the view's source.
func (v *view) configure(row plan.Row, o Options) {
	from := origin{table: row.DestinationTable, instance: strings.ToLower(strings.TrimSpace(row.Instance)), configured: true}
	if o.Destination != nil {
		from.table = o.Destination(row)
	}
	if plan.CheckName("", from.table) != nil {
		return // faulty, or of another database
	}
	if load, err := plan.ParseLoadType(row.LoadType); err == nil && load == plan.Snapshot {
		v.table.Snapshot = true
	}
	switch i := slices.IndexFunc(v.origins, func(o origin) bool { return o.table == from.table }); {
	case i < 0:
		v.origins = append(v.origins, from)
	case !v.origins[i].configured:
		v.origins[i] = from
	}
}
