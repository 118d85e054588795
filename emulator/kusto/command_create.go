package kusto

import (
	"errors"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// create answers .create, .create-merge and .create-or-alter.
func (x *execution) create(verb string) (*result, error) {
	s := x.s
	switch kind := s.word(); {
	case kind == "table" && verb != "create-or-alter":
		name := s.newName()
		if s.accept("ingestion") {
			return x.createMapping(verb, name)
		}
		return x.createTables(verb, name)
	case kind == "table":
		name := s.name()
		s.want("ingestion")
		return x.createMapping(verb, name)
	case kind == "tables" && verb != "create-or-alter":
		return x.createTables(verb, s.newName())
	case kind == "function" && verb != "create-merge":
		return x.createFunction(verb)
	case kind == "materialized-view" && verb != "create-merge":
		return x.createView(verb)
	default:
		return nil, x.unknown(verb, kind)
	}
}

const tableColumns = "TableName,Schema,DatabaseName,Folder,DocString"

// createTables makes or widens the table called first and those listed behind it.
// Nothing changes unless everything can.
func (x *execution) createTables(verb, first string) (*result, error) {
	s := x.s
	type wanted struct {
		name    string
		columns []engine.Column
	}
	list := []wanted{{first, s.columns()}}
	for s.punct(",") {
		name := s.newName()
		list = append(list, wanted{name, s.columns()})
	}
	properties := s.properties()
	if err := s.finish(); err != nil {
		return nil, err
	}
	made := make([]*table, len(list))
	for i, w := range list {
		if err := x.require("TableCreate", w.name, User); err != nil {
			return nil, err
		}
		existing, ok := x.db.tables[w.name]
		switch {
		case !ok:
			if err := x.free(w.name); err != nil {
				return nil, err
			}
			made[i] = newTable(w.name, w.columns)
			continue
		case verb == "create":
			if properties["ifnotexists"] == "True" || properties["ifnotexists"] == "true" {
				made[i] = existing
				continue
			}
			return nil, alreadyExists("Table", w.name)
		}
		if err := x.require("TableCreateMerge", w.name); err != nil {
			return nil, err
		}
		probe := *existing
		if err := probe.merge(w.columns); err != nil {
			return nil, err
		}
		made[i] = existing
	}
	res := answer(tableColumns)
	for i, w := range list {
		t := made[i]
		x.db.tables[t.name] = t
		if verb == "create-merge" {
			_ = t.merge(w.columns) // checked above
		}
		t.folder, t.doc = describe(properties, t.folder, t.doc)
		res.rows = append(res.rows, x.tableRow(t))
	}
	return res, nil
}

func (x *execution) tableRow(t *table) []any {
	return []any{t.name, t.schema(), x.db.name, t.folder, t.doc}
}

// describe takes folder and docstring out of a command's properties.
func describe(properties map[string]string, folder, doc string) (string, string) {
	if v, ok := properties["folder"]; ok {
		folder = v
	}
	if v, ok := properties["docstring"]; ok {
		doc = v
	}
	return folder, doc
}

// free refuses a name that something else has: tables, functions and views share
// one space of names here, as queries read them by name alone.
func (x *execution) free(name string) error {
	switch {
	case x.db.tables[name] != nil:
		return alreadyExists("Table", name)
	case x.db.functions[name] != nil:
		return alreadyExists("Function", name)
	case x.db.views[name] != nil:
		return alreadyExists("MaterializedView", name)
	}
	return nil
}

func (x *execution) createMapping(verb, tableName string) (*result, error) {
	s := x.s
	kind := s.word()
	s.want("mapping")
	name, text := s.name(), s.literal()
	if err := s.finish(); err != nil {
		return nil, err
	}
	t, err := x.table("TableMappingCreate", tableName, Ingestor)
	if err != nil {
		return nil, err
	}
	m, err := parseMapping(name, kind, text)
	if err != nil {
		return nil, badRequest("BadRequest_InvalidMapping", "Mapping '%s': %v.", name, err)
	}
	key := mappingKey(m.kind, name)
	if _, known := t.mappings[key]; known && verb == "create" {
		return nil, alreadyExists("MappingPersistent", name)
	}
	m.updated = engine.FromTime(x.c.opts.Now())
	t.mappings[key] = m
	return answer("Name,Kind,Mapping,LastUpdatedOn:datetime,Database,Table",
		[]any{m.name, kind, m.text, m.updated, x.db.name, t.name}), nil
}

func (x *execution) createFunction(verb string) (*result, error) {
	s := x.s
	properties := s.properties()
	name := s.newName()
	parameters := "(" + s.bracketed("(", ")") + ")"
	body := "{" + s.bracketed("{", "}") + "}"
	if err := s.finish(); err != nil {
		return nil, err
	}
	if _, err := parametersOf(parameters); err != nil {
		return nil, err
	}
	if err := x.require("FunctionCreate", name, User); err != nil {
		return nil, err
	}
	existing := x.db.functions[name]
	switch {
	case existing == nil:
		// A table may have the name: queries then mean the function, and table() the table.
		if x.db.views[name] != nil {
			return nil, alreadyExists("MaterializedView", name)
		}
	case verb == "create" && strings.EqualFold(properties["ifnotexists"], "true"):
		return functionRow(existing), nil
	case verb == "create":
		return nil, alreadyExists("Function", name)
	default:
		if err := x.require("FunctionAlter", name); err != nil {
			return nil, err
		}
	}
	f := &function{Function: engine.Function{Name: name, Parameters: parameters, Body: body}}
	if existing != nil {
		f.folder, f.doc = existing.folder, existing.doc
	}
	f.folder, f.doc = describe(properties, f.folder, f.doc)
	if !strings.EqualFold(properties["skipvalidation"], "true") {
		if err := x.checkFunction(f); err != nil {
			return nil, err
		}
	}
	x.db.functions[name] = f
	return functionRow(f), nil
}

func functionRow(f *function) *result {
	return answer("Name,Parameters,Body,Folder,DocString", []any{f.Name, f.Parameters, f.Body, f.folder, f.doc})
}

// checkFunction compiles a call of the function with null arguments. What the
// evaluator does not know is let pass: the service may know it.
func (x *execution) checkFunction(f *function) error {
	call, ok := sampleCall(f.Name, f.Parameters)
	if !ok {
		return nil
	}
	cat := x.db.catalogOf()
	x.c.nameOthers(cat, x.db, x.who, time.Time{})
	cat.functions[f.Name] = &f.Function
	return x.compiles(call, cat)
}

func (x *execution) compiles(query string, cat *catalog) error {
	_, _, err := engine.Stream(x.ctx, engine.Query{Text: query, Catalog: cat, Now: x.c.opts.Now()})
	var syntax *engine.SyntaxError
	var semantic *engine.SemanticError
	if errors.As(err, &syntax) || errors.As(err, &semantic) {
		return err
	}
	return nil
}

// parameter is one parameter of a stored function.
type parameter struct {
	name, typ string
	def       string // of the default value; empty: none
	tabular   bool
	columns   string // of a tabular one, as written
}

// parametersOf reads "(a:long=5, T:(x:string))".
func parametersOf(text string) ([]parameter, error) {
	s := newScanner(text)
	var out []parameter
	s.wantPunct("(")
	for s.err == nil && !s.punct(")") {
		p := parameter{name: s.newName()}
		s.wantPunct(":")
		if p.tabular = s.peek().Is("("); p.tabular {
			p.columns = strings.TrimSpace(s.bracketed("(", ")"))
		} else {
			p.typ = s.value()
		}
		if s.punct("=") {
			from := s.peek().Pos
			s.punct("-")
			s.take()
			p.def = text[from:s.end]
		}
		if out = append(out, p); !s.punct(",") && !s.peek().Is(")") {
			s.fail("')' is expected, found '%s'", s.peek().Text)
		}
	}
	return out, s.err
}

// sampleCall writes a call with a one or a null for each scalar parameter and an empty table
// for each tabular one. ok is false where a parameter takes any table.
func sampleCall(name, parameters string) (call string, ok bool) {
	list, err := parametersOf(parameters)
	if err != nil {
		return "", false
	}
	var arguments []string
	for _, p := range list {
		switch {
		case p.tabular && p.columns == "*":
			return "", false
		case p.tabular:
			arguments = append(arguments, "(datatable("+p.columns+") [])")
		case p.typ == "string":
			arguments = append(arguments, "''")
		case p.typ == "long" || p.typ == "int": // may say how many rows to take
			arguments = append(arguments, p.typ+"(1)")
		default:
			arguments = append(arguments, p.typ+"(null)")
		}
	}
	return quoteName(name) + "(" + strings.Join(arguments, ", ") + ")", true
}

// createView makes a materialized view. Its query is evaluated when it is read, so
// that it is never behind and always backfilled.
func (x *execution) createView(verb string) (*result, error) {
	s := x.s
	s.accept("async")
	ifNotExists := s.accept("ifnotexists")
	properties := s.properties()
	name := s.newName()
	s.want("on")
	if !s.accept("table") {
		return nil, x.unknown(verb, "materialized-view", "on")
	}
	source := s.name()
	query := s.bracketed("{", "}")
	if err := s.finish(); err != nil {
		return nil, err
	}
	if _, err := x.table("MaterializedViewCreate", source); err != nil {
		return nil, err
	}
	v := &view{name: name, source: source, query: strings.TrimSpace(query), created: x.c.opts.Now()}
	existing := x.db.views[name]
	switch {
	case existing == nil:
		if err := x.free(name); err != nil {
			return nil, err
		}
	case verb == "create" && ifNotExists:
		return viewRow(existing), nil
	case verb == "create":
		return nil, alreadyExists("MaterializedView", name)
	default:
		v.folder, v.doc, v.created = existing.folder, existing.doc, existing.created
	}
	v.folder, v.doc = describe(properties, v.folder, v.doc)
	if !endsInSummarize(v.query) {
		return nil, badRequest("BadRequest_MaterializedViewQuery", "Materialized view '%s': the query must end with one summarize operator.", name)
	}
	if err := x.compiles(v.query, x.db.catalogOf()); err != nil {
		return nil, err
	}
	x.db.views[name] = v
	return viewRow(v), nil
}

func viewRow(v *view) *result {
	return answer("Name,SourceTable,Query,Folder,DocString", []any{v.name, v.source, v.query, v.folder, v.doc})
}

// endsInSummarize looks at the last operator outside brackets.
func endsInSummarize(query string) bool {
	s := newScanner(query)
	depth, last := 0, ""
	for s.err == nil {
		tok := s.take()
		switch {
		case tok.Kind == engine.TokenEOF:
			return last == "summarize"
		case tok.Is("("), tok.Is("["), tok.Is("{"):
			depth++
		case tok.Is(")"), tok.Is("]"), tok.Is("}"):
			depth--
		case tok.Is("|") && depth == 0:
			last = s.peek().Text
		}
	}
	return false
}
