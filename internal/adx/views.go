package adx

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// origin is a raw table and the instance that writes to it, as its key.
type origin struct {
	table, instance string
	configured      bool // by a row; else the instance is a guess
}

// view is what the typed view of one hunting table is made of.
type view struct {
	table   schema.Table // columns that have been seen since are behind those of the catalogue
	source  string       // SourceTable, where it is not the table's name
	prefix  string       // before the names of its functions
	origins []origin     // at least one
	// typed is the table that an update policy fills with the view's columns; nil: none.
	typed *typedTable
	// streamed are the columns of somebody else's table of the view's name whose rows the
	// view shows as well; nil: none.
	streamed []column
}

// Columns that a view has behind those of Defender.
const (
	extraColumn    = "_Extra"       // dynamic: what the row has beside the known columns
	instanceColumn = "Instance"     // string: the instance that copied the row
	shotColumn     = "SnapshotTime" // datetime: of snapshots alone, Defender's clock when the copy was planned
	tornColumn     = "_Torn"        // bool: of snapshots alone, the table changed while it was copied
)

// ownColumns are the columns of ours that a view adds.
func (v view) ownColumns() []schema.Column {
	own := []schema.Column{{Name: extraColumn, Type: "dynamic"}, {Name: instanceColumn, Type: "string"}}
	if v.table.Snapshot {
		own = append(own, schema.Column{Name: shotColumn, Type: "datetime"}, schema.Column{Name: tornColumn, Type: "bool"})
	}
	return own
}

// defaultView is the view of a table of the catalogue where nothing is configured.
func defaultView(t schema.Table) view {
	return view{table: t, origins: []origin{{table: t.Name + "Raw"}}}
}

// typedValue reads a member of a record as a column of a KQL type, in every form in
// which Defender's interfaces are known to write it. A value that cannot be read is
// null. Source: Graph writes a null cell as {}, bools as SByte, dynamic values as
// objects or as JSON text.
func typedValue(kind, member string) string {
	switch kind {
	case "bool":
		return fmt.Sprintf("case(tostring(%[1]s) in~ ('true', '1'), true, tostring(%[1]s) in~ ('false', '0'), false, isnull(tolong(%[1]s)), bool(null), tolong(%[1]s) != 0)", member)
	case "dynamic":
		return fmt.Sprintf("case(gettype(%[1]s) == 'string', parse_json(tostring(%[1]s)), tostring(%[1]s) == '{}', dynamic(null), %[1]s)", member)
	case "datetime", "guid", "timespan", "decimal":
		return fmt.Sprintf("to%s(tostring(%s))", kind, member)
	case "real":
		return "toreal(" + member + ")"
	case "int", "long":
		return "to" + kind + "(" + member + ")"
	}
	return "tostring(" + member + ")"
}

// project ends with the columns of the view: those of the table, then _Extra. kept are
// columns of the raw table that stay as they are.
func (v view) project(kept ...string) string {
	t := v.table
	var b strings.Builder
	b.WriteString("    | project ")
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = "'" + strings.Join(v.spellings(c.Name), "', '") + "'"
		fmt.Fprintf(&b, "%s = %s,\n        ", identifier(c.Name), typedValue(c.Type, v.member(c.Name)))
	}
	fmt.Fprintf(&b, "%s = bag_remove_keys(Records, dynamic([%s]))", extraColumn, strings.Join(names, ", "))
	for _, name := range kept {
		b.WriteString(", " + name)
	}
	return b.String()
}

// sourceTable is what configuration and audit log call the source.
func (v view) sourceTable() string { return cmp.Or(v.source, v.table.Name) }

// name is the name of a function of the view.
func (v view) name(suffix string) string { return v.prefix + v.table.Name + suffix }

// commands returns the commands that make the view's functions, in order.
func (v view) commands() []string {
	if !v.table.Snapshot {
		return []string{functionCommand("Tables", "Rows of "+v.table.Name, v.name(""), "", v.events())}
	}
	return []string{
		functionCommand("Tables", "Rows of the newest whole snapshot of "+v.table.Name, v.name(""), "", v.newest()),
		functionCommand("Snapshots", "State of "+v.table.Name+" as of an instant: the newest whole snapshot until then, each thing once", v.name("AsOf"), "at: datetime", v.asOf()),
		functionCommand("Snapshots", "Latest state of "+v.table.Name+", each thing once", v.name("Latest"), "", "    "+v.name("AsOf")+"(now())"),
		functionCommand("Snapshots", "What is New, Fixed or Changed in "+v.table.Name+" between the states of two instants", v.name("Changes"), "since: datetime, until: datetime", v.changes()),
	}
}

// functionCommand writes the command that makes a stored function.
func functionCommand(folder, doc, name, parameters, body string) string {
	return fmt.Sprintf(".create-or-alter function with (folder = 'Defender2ADX/%s', docstring = '%s') %s(%s) {\n%s\n}", folder, doc, name, parameters, body)
}

// rows is where the view's rows come from, with the column Instance and what more adds.
func (v view) rows(more ...string) string {
	parts := make([]string, len(v.origins))
	for i, o := range v.origins {
		parts[i] = fmt.Sprintf("%sVisible() | extend %s = %s", o.table, instanceColumn, kql.String(o.instance)) + strings.Join(more, "")
	}
	if len(parts) == 1 {
		return "    " + parts[0]
	}
	return "    union (" + strings.Join(parts, "),\n        (") + ")"
}

// events are the rows of a table of events, from wherever they are.
func (v view) events() string {
	own := v.rows() + "\n" + v.project(instanceColumn)
	if v.typed != nil {
		own = v.readsTyped() + "\n    | project-away RunId, Slice, " + shotColumn
	}
	if v.streamed != nil {
		own = v.unite(own)
	}
	return own
}

// newest is the table as Defender shows it: the rows of the newest whole snapshot, as
// many as there are, and what came in by a watermark since. Where none was ever made,
// all rows: the table is copied by a watermark. Of a list or an export, each thing once.
func (v view) newest() string {
	if _, listed := schema.SourceNamed(v.source); listed { // a thing may stand in two files, or in two versions
		return v.stateAt("now()")
	}
	if v.typed != nil {
		return fmt.Sprintf("    let Shown = MigrationSnapshot('%s', now());\n", v.sourceTable()) + v.readsTyped() + " | extend CameIn = ingestion_time()" +
			shownNow + "    | extend " + tornColumn + " = RunId in (Shown | where Torn | project RunId)" +
			"\n    | project " + strings.Join(v.columnNames(), ", ")
	}
	return fmt.Sprintf("    let Shown = MigrationSnapshot('%s', now());\n", v.sourceTable()) + v.rows(" | extend CameIn = ingestion_time()") + shownNow +
		v.project(instanceColumn, shotColumn, tornColumn+" = RunId in (Shown | where Torn | project RunId)")
}

// shownNow keeps the rows of the snapshots Shown, and what came in since.
const shownNow = "\n    | lookup kind=leftouter (Shown | project Instance, ShownAt = SnapshotTime) on Instance" +
	"\n    | where RunId in (Shown | project RunId) or isnull(SnapshotTime) and (isnull(ShownAt) or CameIn > ShownAt)\n"

// columnNames are the columns that the view shows.
func (v view) columnNames() []string {
	var names []string
	for _, c := range append(slices.Clone(v.table.Columns), v.ownColumns()...) {
		names = append(names, identifier(c.Name))
	}
	return names
}

// asOf keeps one row of each thing: a device that moved between groups while it was
// copied stands twice. The same row is kept each time.
func (v view) asOf() string { return v.stateAt("at") }

// stateAt is the state at an instant, an expression.
func (v view) stateAt(at string) string {
	last := "tostring(Records)"
	if t := v.table.TimeColumn; t != "" {
		last = "strcat(tostring(" + v.value(t) + "), ' ', " + last + ")"
	}
	return fmt.Sprintf("    let Shown = MigrationSnapshot('%s', %s);\n", v.sourceTable(), at) + v.rows() + "\n" +
		"    | where RunId in (Shown | project RunId)\n" +
		"    | extend Thing = " + v.thing() + ", Last = " + last + "\n" +
		"    | summarize arg_max(Last, *) by Thing\n" +
		v.project(instanceColumn, shotColumn, tornColumn+" = RunId in (Shown | where Torn | project RunId)")
}

// value is the expression of a column before the rows are projected.
func (v view) value(name string) string {
	c, _ := v.table.Column(name)
	return typedValue(c.Type, v.member(c.Name))
}

// identifier is a column's name as KQL reads it: its keywords begin with a small letter.
func identifier(name string) string {
	if r := name[0]; r >= 'a' && r <= 'z' {
		return kql.Name(name)
	}
	return name
}

// spellings are how the members of a record may write a column. The APIs of lists and
// exports write them in camel case, and in places, as their documents do, in Pascal
// case. Source: Defender for Endpoint API, export assessment methods.
func (v view) spellings(name string) []string {
	if _, listed := schema.SourceNamed(v.source); !listed {
		return []string{name}
	}
	return slices.Compact([]string{name, strings.ToUpper(name[:1]) + name[1:]})
}

// member is the member of a record that holds a column.
func (v view) member(name string) string {
	parts := v.spellings(name)
	for i, spelled := range parts {
		if quoted := identifier(spelled); quoted != spelled {
			parts[i] = "Records" + quoted
		} else {
			parts[i] = "Records." + spelled
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "coalesce(" + strings.Join(parts, ", ") + ")"
}

// thing identifies what a row tells of, before the rows are projected: the natural
// key, and where there is none the whole row.
func (v view) thing() string {
	parts := []string{instanceColumn}
	for _, name := range v.stateKey() {
		parts = append(parts, "tostring("+v.value(name)+")")
	}
	return "tostring(pack_array(" + strings.Join(parts, ", ") + "))"
}

func (v view) stateKey() []string {
	if key := v.table.StateKey(); len(key) > 0 {
		return key
	}
	return columnsOfTable(v.table)
}

// changes compares two states by their things. Timestamp says when a row was looked
// at and is no change.
func (v view) changes() string {
	key := v.stateKey()
	parts := []string{instanceColumn}
	for _, name := range key {
		parts = append(parts, "tostring("+identifier(name)+")")
	}
	thing := "Thing = tostring(pack_array(" + strings.Join(parts, ", ") + "))"
	var compared, columns []string
	for _, c := range append(slices.Clone(v.table.Columns), v.ownColumns()...) {
		now, before := identifier(c.Name), identifier(c.Name+"1")
		columns = append(columns, fmt.Sprintf("%[1]s = iff(Change == 'Fixed', %[2]s, %[1]s)", now, before))
		if ours := c.Name == instanceColumn || c.Name == shotColumn || c.Name == tornColumn; ours || c.Name == "Timestamp" || slices.Contains(key, c.Name) {
			continue
		}
		compared = append(compared, fmt.Sprintf("iff(tostring(%s) == tostring(%s), '', '%s')", now, before, c.Name))
	}
	return "    let Old = " + v.name("AsOf") + "(since) | extend " + thing + ";\n" +
		"    let New = " + v.name("AsOf") + "(until) | extend " + thing + ";\n" +
		"    New\n    | join kind=fullouter (Old) on Thing\n" +
		"    | extend Change = case(isempty(Thing1), 'New', isempty(Thing), 'Fixed', 'Changed')\n" +
		"    | extend ChangedColumns = iff(Change == 'Changed', set_difference(pack_array(" + strings.Join(compared, ",\n        ") + "), dynamic([''])), dynamic([]))\n" +
		"    | where Change != 'Changed' or array_length(ChangedColumns) > 0\n" +
		"    | project " + strings.Join(columns, ",\n        ") + ",\n        Change, ChangedColumns"
}

func columnsOfTable(t schema.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}
