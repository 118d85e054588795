package kusto

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// appendQuery answers .set, .append, .set-or-append and .set-or-replace T <| query.
func (x *execution) appendQuery(verb string) (*result, error) {
	s := x.s
	if s.accept("async") {
		return nil, unknownCommand(verb + " async")
	}
	name := s.name()
	properties := s.properties()
	query := s.data()
	if s.err != nil {
		return nil, s.err
	}
	tags, when, err := tagsOf(properties)
	if err != nil {
		return nil, err
	}
	out, err := x.evaluate(name, query)
	if err != nil {
		return nil, err
	}
	end, err := x.c.lockToIngest()
	if err != nil {
		return nil, err
	}
	defer end()
	t, known := x.db.tables[name]
	switch {
	case !known && verb == "append":
		return nil, entityNotFound("Table", name)
	case known && verb == "set":
		return nil, alreadyExists("Table", name)
	case !known:
		if err := x.require("TableCreate", name, User); err != nil {
			return nil, err
		}
		if err := x.free(name); err != nil {
			return nil, err
		}
		t = newTable(name, out.Columns)
	case verb == "set-or-replace":
		if err := x.require("TableReplace", name); err != nil {
			return nil, err
		}
	}
	if err := fits(t, out.Columns); err != nil {
		return nil, err
	}
	x.db.tables[name] = t
	if tag, skip := t.tagged(when); skip {
		return answer(appendedColumns), x.c.refuseTag(tag)
	}
	rows := newBuilder(t.columns)
	for _, record := range out.Rows {
		rows.add(record.Values)
	}
	if verb == "set-or-replace" {
		t.extents = nil
	}
	e := x.c.commit(t, rows.blocks(), tags, creationTime(properties), 0)
	return appended(e), x.c.update(x.db, t, e)
}

// refuseTag is the answer to an append whose tag the table knows; nil where that is
// an empty success.
func (c *Cluster) refuseTag(tag string) error {
	if !c.opts.RefuseKnownTags {
		return nil
	}
	return badRequest(skippedByTag, "Ingestion was skipped: the table already has data tagged '%s'.", tag)
}

const appendedColumns = "ExtentId:guid,OriginalSize:real,ExtentSize:real,CompressedSize:real,IndexSize:real,RowCount:int"

func appended(e *extent) *result {
	res := answer(appendedColumns)
	if e != nil {
		size := float64(e.size())
		res.rows = append(res.rows, []any{e.id, size, size, size, 0.0, int64(e.rows())})
	}
	return res
}

// evaluate runs the query of an append. Who may not read may still append rows that
// come from no table.
func (x *execution) evaluate(target, query string) (*engine.Result, error) {
	x.c.mu.RLock()
	err := x.require("TableAppend", target, Ingestor)
	cat := x.db.catalogAt(x.who.mayRead(x.db), time.Time{}, x.c.memberOf(x.who))
	x.c.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	out, err := engine.Run(x.ctx, engine.Query{Text: query, Catalog: cat, Now: x.c.opts.Now()})
	if cat.denied {
		return nil, unreadable(x.who, x.db)
	}
	return out, err
}

// fits refuses a result whose columns are not those of the table, in number and in
// type by position; names do not matter.
func fits(t *table, columns []engine.Column) error {
	same := len(columns) == len(t.columns)
	for i := 0; same && i < len(columns); i++ {
		same = columns[i].Type == t.columns[i].Type
	}
	if same {
		return nil
	}
	types := func(columns []engine.Column) string {
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = c.Type.String()
		}
		return strings.Join(names, ",")
	}
	return badRequest("BadRequest_QuerySchemaDoesNotMatchTableSchema",
		"Query schema does not match table schema. QuerySchema=('%s'), TableSchema=('%s')",
		types(columns), types(snapshot{columns: t.columns}.Columns()))
}

// tagsOf reads an append's tags, and those of its ingestIfNotExists with prefix.
func tagsOf(properties map[string]string) (tags, when []string, err error) {
	for key := range properties {
		switch key {
		case "tags", "ingestifnotexists", "creationtime", "folder", "docstring", "distributed", "extend_schema", "recreate_schema", "policy_ingestiontime",
			"format", "ingestionmapping", "ingestionmappingreference", "ingestionmappingtype", "ignorefirstrecord":
		default:
			return nil, nil, badRequest("BadRequest_UnknownProperty", "Ingestion property '%s' is not known.", key)
		}
	}
	for _, key := range []string{"extend_schema", "recreate_schema", "policy_ingestiontime"} {
		if v, ok := properties[key]; ok && !strings.EqualFold(v, "false") {
			return nil, nil, badRequest("BadRequest_NotSupported", "Ingestion property '%s' is not supported by the local cluster.", key)
		}
	}
	if text := properties["tags"]; text != "" && json.Unmarshal([]byte(text), &tags) != nil {
		return nil, nil, badRequest("BadRequest_InvalidTags", "Property 'tags' is not a JSON array of strings.")
	}
	var values []string
	if text := properties["ingestifnotexists"]; text != "" && json.Unmarshal([]byte(text), &values) != nil {
		return nil, nil, badRequest("BadRequest_InvalidTags", "Property 'ingestIfNotExists' is not a JSON array of strings.")
	}
	for _, v := range values {
		when = append(when, ingestBy+v)
	}
	return tags, when, nil
}

func creationTime(properties map[string]string) time.Time {
	if at, ok := engine.ParseDatetime(properties["creationtime"]); ok {
		return at.Time()
	}
	return time.Time{}
}

// ingestInline answers .ingest inline into table T with (…) <| data.
func (x *execution) ingestInline() (*result, error) {
	s := x.s
	if !s.accept("inline") {
		return nil, x.unknown("ingest")
	}
	s.want("into", "table")
	name := s.name()
	properties := s.properties()
	data := strings.TrimLeft(s.data(), " \t\r\n")
	if s.err != nil {
		return nil, s.err
	}
	tags, when, err := tagsOf(properties)
	if err != nil {
		return nil, err
	}
	end, err := x.c.lockToIngest()
	if err != nil {
		return nil, err
	}
	defer end()
	t, err := x.table("TableIngest", name, Ingestor)
	if err != nil {
		return nil, err
	}
	const columns = "ExtentId:guid,ItemLoaded,Duration:timespan,HasErrors:bool,OperationId:guid"
	if tag, skip := t.tagged(when); skip {
		return answer(columns), x.c.refuseTag(tag)
	}
	rows, err := inlineRows(t, properties, data)
	if err != nil {
		return nil, err
	}
	res := answer(columns)
	if e := x.c.commit(t, rows.blocks(), tags, creationTime(properties), 0); e != nil {
		res.rows = append(res.rows, []any{e.id, "inproc:" + newID(), engine.Timespan(0), false, newID()})
	}
	return res, nil
}

func inlineRows(t *table, properties map[string]string, data string) (*builder, error) {
	format := strings.ToLower(properties["format"])
	if format == "" {
		format = "csv"
	}
	kind := mappingKind(format)
	var using *mapping
	if text := properties["ingestionmapping"]; text != "" {
		m, err := parseMapping("", kind, text)
		if err != nil {
			return nil, badRequest("BadRequest_InvalidMapping", "%v.", err)
		}
		using = &m
	} else if reference := properties["ingestionmappingreference"]; reference != "" {
		m, ok := t.mappings[mappingKey(kind, reference)]
		if !ok {
			return nil, badRequest("BadRequest_MappingReferenceWasNotFound", "Mapping reference '%s' was not found.", reference)
		}
		using = &m
	}
	shape, err := newShaper(t.columns, using, kind)
	rows := newBuilder(t.columns)
	if err == nil {
		err = readRecords(strings.NewReader(data), format, strings.EqualFold(properties["ignorefirstrecord"], "true"), shape, rows.add)
	}
	var failure *Failed
	if errors.As(err, &failure) {
		return nil, badRequest(failure.Code, "%s", failure.Details)
	}
	return rows, err
}

// delete answers .delete table T records <| query, and the deletion of policies.
func (x *execution) delete() (*result, error) {
	s := x.s
	switch {
	case s.accept("column"):
		return x.locked(x.deleteEncoding)
	case !s.accept("table"):
		return nil, x.unknown("delete")
	}
	name := s.name()
	if s.accept("policy") {
		return x.locked(func() (*result, error) { return x.deletePolicy(name) })
	}
	s.want("records")
	properties := s.properties()
	query := s.data()
	if s.err != nil {
		return nil, s.err
	}
	return x.deleteRecords(name, query, strings.EqualFold(properties["whatif"], "true"))
}

// deleteRecords removes what the query returns; it must return rows of the table as
// they are. Nothing else is written meanwhile.
func (x *execution) deleteRecords(name, query string, whatIf bool) (*result, error) {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	t, err := x.table("TableDeleteRecords", name)
	if err != nil {
		return nil, err
	}
	now := snapshot{columns: t.columns, extents: t.extents}
	cat := x.db.catalogOf()
	cat.tables[name] = numbered{now}
	out, err := engine.Run(x.ctx, engine.Query{Text: query, Catalog: cat, Now: x.c.opts.Now()})
	if err != nil {
		return nil, err
	}
	gone := make(map[int]bool, len(out.Rows))
	for _, record := range out.Rows {
		if len(record.Raw) != 8 {
			return nil, badRequest("BadRequest_SoftDeletePredicate", "The predicate of a deletion must return records of table '%s' unchanged.", name)
		}
		gone[int(binary.LittleEndian.Uint64(record.Raw))] = true
	}
	if !whatIf {
		t.extents = now.without(gone)
	}
	return answer("TableName,RecordsMatchPredicate:long", []any{name, int64(len(gone))}), nil
}

// numbered is a table whose rows carry their number.
type numbered struct{ snapshot }

// Scan yields the rows with their numbers, 8 bytes each, as source text.
func (n numbered) Scan() iter.Seq[engine.Record] {
	return func(yield func(engine.Record) bool) {
		number := make([]byte, 8)
		next := uint64(0)
		for record := range n.snapshot.Scan() {
			binary.LittleEndian.PutUint64(number, next)
			record.Raw = number
			next++
			if !yield(record) {
				return
			}
		}
	}
}

func (x *execution) deletePolicy(tableName string) (*result, error) {
	policy := x.s.word()
	if err := x.s.finish(); err != nil {
		return nil, err
	}
	t, err := x.table("TablePolicyDelete", tableName)
	if err != nil {
		return nil, err
	}
	delete(t.policies, policy)
	return showPolicy(policy, "["+x.db.name+"].["+t.name+"]", "Table", ""), nil
}

func (x *execution) deleteEncoding() (*result, error) {
	t, i, err := x.column("ColumnPolicyDelete")
	if err != nil {
		return nil, err
	}
	x.s.want("policy", "encoding")
	if err := x.s.finish(); err != nil {
		return nil, err
	}
	columns := append([]column(nil), t.columns...)
	columns[i].encoding = ""
	t.columns = columns
	return showPolicy("encoding", "["+x.db.name+"].["+t.name+"].["+columns[i].Name+"]", "Column", ""), nil
}
