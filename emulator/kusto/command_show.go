package kusto

import (
	"encoding/json"
	"runtime"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// show answers a .show command. Column names and types are the service's.
func (x *execution) show() (*result, error) {
	s := x.s
	if x.db == nil && !s.comes("ingestion") { // whose failures are those of every database
		db, err := x.c.standing()
		if err != nil {
			return nil, err
		}
		x.db = db
	}
	switch {
	case s.accept("version"):
		return answer("BuildVersion,BuildTime:datetime,ServiceType,ProductVersion,ServiceOffering",
			[]any{"1.0.0.0", engine.FromTime(x.c.opts.Now()), "Engine", "local", "{\"Type\":\"Local\"}"}), nil
	case s.accept("cluster"):
		return x.showCluster()
	case s.accept("schema"):
		return x.showSchemas(nil)
	case s.accept("databases"):
		return x.showDatabases()
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

// showCluster lists the one node there is.
func (x *execution) showCluster() (*result, error) {
	if next := x.s.peek(); next.Kind == engine.TokenName {
		return nil, x.unknown("show", "cluster")
	}
	return answer("NodeId,Address,Name,StartTime:datetime,IsAdmin:bool,MachineTotalMemory:long,MachineAvailableMemory:long,ProcessorCount:int,EnvironmentDescription",
		[]any{"Node0", "127.0.0.1", "local", engine.FromTime(x.c.started), true, nil, nil, int64(runtime.NumCPU()), "{}"}), nil
}

const databaseColumns = "DatabaseName,PersistentStorage,Version,IsCurrent:bool,DatabaseAccessMode,PrettyName"

// showDatabases answers .show databases [(D, E)] [details | identity | schema].
func (x *execution) showDatabases() (*result, error) {
	var only []string
	if x.s.peek().Is("(") {
		for _, name := range x.s.names() {
			db, err := x.c.database(name)
			if err != nil {
				return nil, err
			}
			only = append(only, db.name)
		}
	}
	var each func(db *database) []any
	var res *result
	switch {
	case x.s.accept("schema"):
		return x.showSchemas(only)
	case x.s.accept("details"):
		res, each = answer(databaseDetailColumns), x.databaseDetails
	case x.s.accept("identity"):
		res = answer(databaseColumns + ",CurrentUserIsUnrestrictedViewer:bool,DatabaseId:guid,InTransitionTo")
		each = func(db *database) []any { return append(x.databaseRow(db), false, db.id, "") }
	case x.s.peek().Kind == engine.TokenName:
		return nil, x.unknown("show", "databases")
	default:
		res = answer(databaseColumns + ",ReservedSlot1:bool,DatabaseId:guid,InTransitionTo,SuspensionState")
		each = func(db *database) []any { return append(x.databaseRow(db), nil, db.id, "", "") }
	}
	for _, name := range sortedKeys(x.c.databases) {
		if db := x.c.databases[name]; x.who.has(db, roles()...) && (only == nil || slices.Contains(only, name)) {
			res.rows = append(res.rows, each(db))
		}
	}
	return res, nil
}

func (x *execution) databaseRow(db *database) []any {
	return []any{db.name, "", "v1.0", db == x.db, "ReadWrite", ""}
}

const databaseDetailColumns = databaseColumns + ",CurrentUserIsUnrestrictedViewer:bool,DatabaseId:guid,AuthorizedPrincipals,RetentionPolicy,MergePolicy," +
	"CachingPolicy,ShardingPolicy,StreamingIngestionPolicy,IngestionBatchingPolicy,TotalSize:real"

func (x *execution) databaseDetails(db *database) []any {
	size := 0.0
	for _, t := range db.tables {
		for _, e := range t.extents {
			size += float64(e.size())
		}
	}
	row := append(x.databaseRow(db), false, db.id, "[]")
	for _, name := range []string{"retention", "merge", "caching", "sharding", "streamingingestion", "ingestionbatching"} {
		policy := db.policies[name]
		if policy == "" {
			policy = "null"
		}
		row = append(row, policy)
	}
	return append(row, size)
}

// showDatabase answers .show database [D] schema, cslschema, details, principals or
// policy.
func (x *execution) showDatabase() (*result, error) {
	s := x.s
	named := true
	for _, word := range []string{"schema", "cslschema", "details", "identity", "principals", "policy"} {
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
	case s.accept("cslschema"):
		return x.showCSLSchema()
	case s.accept("details"):
		if err := x.require("DatabaseDetailsShow", "details", metadataReaders()...); err != nil {
			return nil, err
		}
		return answer(databaseDetailColumns, x.databaseDetails(x.db)), nil
	case s.accept("identity"):
		if err := x.require("DatabaseIdentityShow", "identity", roles()...); err != nil {
			return nil, err
		}
		return answer(databaseColumns+",CurrentUserIsUnrestrictedViewer:bool,DatabaseId:guid,InTransitionTo", append(x.databaseRow(x.db), false, x.db.id, "")), nil
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
	if s.punct("*") {
		return x.showAllPolicies()
	}
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
		res := showPolicy(name, "["+x.db.name+"].["+t.name+"]", "Table", t.policies[name])
		if name == "encoding" {
			res.rows = append(res.rows, x.columnEncodings(t)...)
		}
		return res, nil
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

// showAllPolicies answers .show table * policy P.
func (x *execution) showAllPolicies() (*result, error) {
	if err := x.require("TableShow", "tables", metadataReaders()...); err != nil {
		return nil, err
	}
	x.s.want("policy")
	name := strings.ToLower(x.s.name())
	res := answer("PolicyName,EntityName,Policy,ChildEntities,EntityType")
	for _, table := range x.db.tableNames() {
		res.rows = append(res.rows, showPolicy(name, "["+x.db.name+"].["+table+"]", "Table", x.db.tables[table].policies[name]).rows...)
	}
	return res, nil
}

// columnEncodings are the rows for the columns whose encoding was set.
func (x *execution) columnEncodings(t *table) (rows [][]any) {
	for _, c := range t.columns {
		if c.encoding != "" {
			rows = append(rows, showPolicy("encoding", "["+x.db.name+"].["+t.name+"].["+c.Name+"]", "Column", encodingPolicy(c.encoding)).rows...)
		}
	}
	return rows
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
