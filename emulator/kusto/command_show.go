package kusto

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// show answers a .show command. Column names and types are the service's.
func (x *execution) show() (*result, error) {
	s := x.s
	switch {
	case s.accept("version"):
		return answer("BuildVersion,BuildTime:datetime,ServiceType,ProductVersion,ServiceOffering",
			[]any{"1.0.0.0", engine.FromTime(x.c.opts.Now()), "Engine", "local", "{\"Type\":\"Local\"}"}), nil
	case s.accept("databases"):
		return x.showDatabases(), nil
	case s.accept("database"):
		return x.showDatabase()
	case s.accept("tables"):
		return x.showTables()
	case s.accept("table"):
		return x.showTable()
	case s.accept("column"):
		return x.showColumn()
	case s.accept("functions"):
		return x.showFunctions("")
	case s.accept("function"):
		return x.showFunctions(s.name())
	case s.accept("ingestion", "failures"):
		return x.showFailures()
	}
	switch word := s.word(); word {
	case "materialized-views":
		return x.showViews("")
	case "materialized-view":
		return x.showViews(s.name())
	default:
		return nil, x.unknown("show", word)
	}
}

// metadataReaders may see schema, policies and extents.
func metadataReaders() []Role { return []Role{User, Viewer, Monitor} }

func (x *execution) showDatabases() *result {
	res := answer("DatabaseName,PersistentStorage,Version,IsCurrent:bool,DatabaseAccessMode,PrettyName,ReservedSlot1:bool,DatabaseId:guid,InTransitionTo,SuspensionState")
	for _, name := range sortedKeys(x.c.databases) {
		if db := x.c.databases[name]; x.who.has(db, roles()...) {
			res.rows = append(res.rows, []any{name, "", "v1.0", db == x.db, "ReadWrite", "", nil, db.id, "", ""})
		}
	}
	return res
}

// showDatabase answers .show database [D] schema, principals or policy.
func (x *execution) showDatabase() (*result, error) {
	s := x.s
	named := true
	for _, word := range []string{"schema", "principals", "policy"} {
		named = named && !strings.EqualFold(s.peek().Text, word)
	}
	if named {
		db, err := x.c.database(s.name())
		if err != nil {
			return nil, err
		}
		x.db = db
	}
	switch {
	case s.accept("schema"):
		return x.showSchema(s.accept("as", "json"))
	case s.accept("principals"):
		return x.showPrincipals()
	case s.accept("policy"):
		name := strings.ToLower(s.name())
		if err := x.require("DatabasePolicyShow", name, metadataReaders()...); err != nil {
			return nil, err
		}
		return showPolicy(name, "["+x.db.name+"]", "Database", x.db.policies[name]), nil
	}
	return nil, x.unknown("show", "database")
}

func (x *execution) showPrincipals() (*result, error) {
	if err := x.require("DatabasePrincipalsShow", "principals", metadataReaders()...); err != nil {
		return nil, err
	}
	res := answer("Role,PrincipalType,PrincipalDisplayName,PrincipalObjectId,PrincipalFQN,Notes")
	for _, role := range roles() {
		members := x.db.roles[role]
		for _, key := range sortedKeys(members) {
			g := members[key]
			kind := "AAD User"
			if strings.HasPrefix(key, "aadapp=") {
				kind = "AAD Application"
			}
			_, id, _ := strings.Cut(key, "=")
			res.rows = append(res.rows, []any{"Database " + x.db.name + " " + string(role), kind, id, id, g.principal, g.note})
		}
	}
	return res, nil
}

func (x *execution) showTables() (*result, error) {
	if err := x.require("DatabaseTablesShow", "tables", metadataReaders()...); err != nil {
		return nil, err
	}
	names := x.db.tableNames()
	if x.s.peek().Is("(") {
		names = x.s.names()
	}
	details := x.s.accept("details")
	res := answer("TableName,DatabaseName,Folder,DocString")
	if details {
		res = answer(detailColumns)
	}
	for _, name := range names {
		t, ok := x.db.tables[name]
		switch {
		case !ok:
		case details:
			res.rows = append(res.rows, x.details(t))
		default:
			res.rows = append(res.rows, []any{t.name, x.db.name, t.folder, t.doc})
		}
	}
	return res, nil
}

func (x *execution) showTable() (*result, error) {
	s := x.s
	t, err := x.table("TableShow", s.name(), metadataReaders()...)
	if err != nil {
		return nil, err
	}
	switch {
	case s.accept("cslschema"):
		return answer("TableName,Schema,DatabaseName,Folder,DocString", []any{t.name, t.schema(), x.db.name, t.folder, t.doc}), nil
	case s.accept("schema", "as", "json"):
		text, err := json.Marshal(map[string]any{"Name": t.name, "OrderedColumns": orderedColumns(t.columns)})
		if err != nil {
			return nil, err
		}
		return answer("TableName,Schema,DatabaseName,Folder,DocString", []any{t.name, string(text), x.db.name, t.folder, t.doc}), nil
	case s.accept("details"):
		return answer(detailColumns, x.details(t)), nil
	case s.accept("extents"):
		return x.extents(t)
	case s.accept("policy"):
		name := strings.ToLower(s.name())
		return showPolicy(name, "["+x.db.name+"].["+t.name+"]", "Table", t.policies[name]), nil
	case s.accept("ingestion"):
		return x.mappings(t)
	}
	return nil, x.unknown("show", "table")
}

func (x *execution) mappings(t *table) (*result, error) {
	kind, only := "", ""
	if !x.s.accept("mappings") {
		if kind = x.s.word(); !x.s.accept("mappings") {
			x.s.want("mapping")
			only = x.s.name()
			if _, ok := t.mappings[mappingKey(kind, only)]; !ok && x.s.err == nil {
				return nil, entityNotFound("MappingPersistent", only)
			}
		}
	}
	res := answer("Name,Kind,Mapping,LastUpdatedOn:datetime,Database,Table")
	for _, key := range sortedKeys(t.mappings) {
		m := t.mappings[key]
		if (kind == "" || kind == m.kind) && (only == "" || only == m.name) {
			display := map[string]string{"json": "Json", "csv": "Csv"}[m.kind]
			res.rows = append(res.rows, []any{m.name, display, m.text, m.updated, x.db.name, t.name})
		}
	}
	return res, nil
}

const detailColumns = "TableName,DatabaseName,Folder,DocString,TotalExtents:long,TotalExtentSize:real,TotalOriginalSize:real,TotalRowCount:long," +
	"HotExtents:long,HotExtentSize:real,HotOriginalSize:real,HotRowCount:long,AuthorizedPrincipals,RetentionPolicy,CachingPolicy,ShardingPolicy," +
	"MergePolicy,StreamingIngestionPolicy,MinExtentsCreationTime:datetime,MaxExtentsCreationTime:datetime,RowOrderPolicy,TableId:guid"

func (x *execution) details(t *table) []any {
	rows, size := int64(0), 0.0
	var first, last any
	for _, e := range t.extents {
		rows += int64(e.rows())
		size += float64(e.size())
		at := engine.FromTime(e.created)
		if first == nil || at < first.(engine.Datetime) {
			first = at
		}
		if last == nil || at > last.(engine.Datetime) {
			last = at
		}
	}
	n := int64(len(t.extents))
	policy := func(name string) string {
		if p := t.policies[name]; p != "" {
			return p
		}
		return "null"
	}
	return []any{t.name, x.db.name, t.folder, t.doc, n, size, size, rows, n, size, size, rows, "[]", policy("retention"), policy("caching"),
		policy("sharding"), policy("merge"), "null", first, last, "null", t.id}
}

// extents answers .show table T extents [where tags has 'x' [and tags !has 'y']…].
func (x *execution) extents(t *table) (*result, error) {
	s := x.s
	res := answer("ExtentId:guid,DatabaseName,TableName,MaxCreatedOn:datetime,OriginalSize:real,ExtentSize:real,CompressedSize:real,IndexSize:real," +
		"Blocks:long,Segments:long,ExtentContainerId,RowCount:long,MinCreatedOn:datetime,Tags,Kind,DeletedRowCount:long")
	var conditions []func(tags []string) bool
	for more := s.accept("where"); more && s.err == nil; more = s.accept("and") {
		s.want("tags")
		operator := s.take().Text
		tag := s.literal()
		switch operator {
		case "has":
			conditions = append(conditions, func(tags []string) bool { return slices.Contains(tags, tag) })
		case "!has":
			conditions = append(conditions, func(tags []string) bool { return !slices.Contains(tags, tag) })
		case "contains":
			conditions = append(conditions, func(tags []string) bool { return strings.Contains(strings.Join(tags, "\r\n"), tag) })
		default:
			return nil, unknownCommand("show table extents where tags " + operator)
		}
	}
	for _, e := range t.extents {
		if slices.ContainsFunc(conditions, func(holds func([]string) bool) bool { return !holds(e.tags) }) {
			continue
		}
		size, at := float64(e.size()), engine.FromTime(e.created)
		res.rows = append(res.rows, []any{e.id, x.db.name, t.name, at, size, size, size, 0.0,
			int64(1), int64(1), x.db.id, int64(e.rows()), at, strings.Join(e.tags, "\r\n"), "StandardExtent", int64(0)})
	}
	return res, nil
}

func showPolicy(name, entity, kind, policy string) *result {
	if policy == "" {
		policy = "null"
	}
	return answer("PolicyName,EntityName,Policy,ChildEntities,EntityType",
		[]any{policyTitle(name), entity, policy, "", kind})
}

func (x *execution) showColumn() (*result, error) {
	t, i, err := x.column("ColumnPolicyShow", metadataReaders()...)
	if err != nil {
		return nil, err
	}
	x.s.want("policy", "encoding")
	policy := ""
	if e := t.columns[i].encoding; e != "" {
		policy = encodingPolicy(e)
	}
	return showPolicy("encoding", "["+x.db.name+"].["+t.name+"].["+t.columns[i].Name+"]", "Column", policy), nil
}

// column takes "T.C" and finds the column.
func (x *execution) column(operation string, roles ...Role) (*table, int, error) {
	name := x.s.name()
	x.s.wantPunct(".")
	columnName := x.s.name()
	t, err := x.table(operation, name, roles...)
	if err != nil {
		return nil, 0, err
	}
	i := t.column(columnName)
	if i < 0 {
		return nil, 0, entityNotFound("Column", columnName)
	}
	return t, i, nil
}

func (x *execution) showFunctions(only string) (*result, error) {
	if err := x.require("FunctionShow", "functions", metadataReaders()...); err != nil {
		return nil, err
	}
	res := answer("Name,Parameters,Body,Folder,DocString")
	for _, name := range sortedKeys(x.db.functions) {
		f := x.db.functions[name]
		if only == "" || only == name {
			res.rows = append(res.rows, []any{f.Name, f.Parameters, f.Body, f.folder, f.doc})
		}
	}
	if only != "" && len(res.rows) == 0 {
		return nil, entityNotFound("Function", only)
	}
	return res, nil
}

func (x *execution) showViews(only string) (*result, error) {
	if err := x.require("MaterializedViewShow", "materialized views", metadataReaders()...); err != nil {
		return nil, err
	}
	res := answer("Name,SourceTable,Query,MaterializedTo:datetime,LastRun:datetime,LastRunResult,IsHealthy:bool,IsEnabled:bool,Folder,DocString," +
		"AutoUpdateSchema:bool,EffectiveDateTime:datetime,Lookback:timespan,LookbackColumn")
	now := engine.FromTime(x.c.opts.Now())
	for _, name := range sortedKeys(x.db.views) {
		v := x.db.views[name]
		if only == "" || only == name {
			res.rows = append(res.rows, []any{v.name, v.source, v.query, now, now, "Completed", true, true, v.folder, v.doc,
				false, engine.FromTime(v.created), nil, ""})
		}
	}
	if only != "" && len(res.rows) == 0 {
		return nil, entityNotFound("MaterializedView", only)
	}
	return res, nil
}

func (x *execution) showFailures() (*result, error) {
	if x.db != nil {
		if err := x.require("IngestionFailuresShow", "ingestion failures", Monitor); err != nil {
			return nil, err
		}
	}
	res := answer("OperationId:guid,Database,Table,FailedOn:datetime,IngestionSourcePath,Details,FailureKind,RootActivityId:guid,OperationKind," +
		"OriginatesFromUpdatePolicy:bool,ErrorCode,Principal,ShouldRetry:bool,User,IngestionProperties")
	// The service lists the failures of every database that the caller monitors.
	for _, name := range sortedKeys(x.c.databases) {
		db := x.c.databases[name]
		if !x.who.has(db, Monitor) {
			continue
		}
		for _, f := range db.failures {
			res.rows = append(res.rows, []any{f.Operation, f.Database, f.Table, engine.FromTime(f.At), f.Source, f.Details, f.Status, newID(),
				"DataIngestPull", false, f.Code, f.Principal, f.Status != "Permanent", "", ""})
		}
	}
	return res, nil
}

type orderedColumn struct{ Name, Type, CslType string }

func orderedColumns(columns []column) []orderedColumn {
	out := make([]orderedColumn, len(columns))
	for i, c := range columns {
		name := "System." + c.Type.WireName()
		if c.Type == engine.TypeDecimal {
			name = "System.Data.SqlTypes.SqlDecimal"
		}
		out[i] = orderedColumn{c.Name, name, c.Type.String()}
	}
	return out
}

// showSchema lists tables, views and functions, as rows or as one JSON document.
func (x *execution) showSchema(asJSON bool) (*result, error) {
	if err := x.require("DatabaseSchemaShow", "schema", metadataReaders()...); err != nil {
		return nil, err
	}
	db := x.db
	if !asJSON {
		res := answer("DatabaseName,TableName,ColumnName,ColumnType,IsDefaultTable:bool,IsDefaultColumn:bool,PrettyName,Version,Folder,DocString")
		res.rows = append(res.rows, []any{db.name, "", "", "", false, false, "", "v1.0", "", ""})
		for _, name := range db.tableNames() {
			t := db.tables[name]
			res.rows = append(res.rows, []any{db.name, name, "", "", false, false, "", "", t.folder, t.doc})
			for _, c := range orderedColumns(t.columns) {
				res.rows = append(res.rows, []any{db.name, name, c.Name, c.Type, false, false, "", "", "", ""})
			}
		}
		return res, nil
	}
	type entity struct {
		Name           string
		Folder         string
		DocString      string
		OrderedColumns []orderedColumn `json:",omitempty"`
		Body           string          `json:",omitempty"`
		FunctionKind   string          `json:",omitempty"`
	}
	tables, views, functions := map[string]entity{}, map[string]entity{}, map[string]entity{}
	for name, t := range db.tables {
		tables[name] = entity{Name: name, Folder: t.folder, DocString: t.doc, OrderedColumns: orderedColumns(t.columns)}
	}
	for name, v := range db.views {
		views[name] = entity{Name: name, Folder: v.folder, DocString: v.doc, OrderedColumns: x.outputColumns(name)}
	}
	for name, f := range db.functions {
		functions[name] = entity{Name: name, Folder: f.folder, DocString: f.doc, Body: f.Body, FunctionKind: "Unknown"}
	}
	text, err := json.Marshal(map[string]any{"Databases": map[string]any{db.name: map[string]any{
		"Name": db.name, "Tables": tables, "ExternalTables": map[string]any{}, "MaterializedViews": views,
		"Functions": functions, "DatabaseAccessMode": "ReadWrite", "MajorVersion": 1, "MinorVersion": 0,
	}}})
	if err != nil {
		return nil, err
	}
	return answer("DatabaseSchema", []any{string(text)}), nil
}

// outputColumns are the columns that a view gives; none if it cannot be evaluated.
func (x *execution) outputColumns(name string) []orderedColumn {
	columns, _, err := engine.Stream(x.ctx, engine.Query{Text: quoteName(name), Catalog: x.db.catalogOf(true), Now: x.c.opts.Now()})
	if err != nil {
		return nil
	}
	var out []column
	for _, c := range columns {
		out = append(out, column{Column: c})
	}
	return orderedColumns(out)
}
