package kusto

import (
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// drop answers .drop. Only .drop extents evaluates a query, so it takes the lock
// by itself.
func (x *execution) drop() (*result, error) {
	if x.s.accept("extents") {
		return x.dropExtents()
	}
	return x.locked(x.dropEntity)
}

func (x *execution) dropEntity() (*result, error) {
	s := x.s
	switch kind := s.word(); kind {
	case "table":
		name := s.name()
		if s.accept("ingestion") {
			return x.dropMapping(name)
		}
		return x.dropTables([]string{name})
	case "tables":
		return x.dropTables(s.names())
	case "function":
		name := s.name()
		ifExists := s.accept("ifexists")
		if err := s.finish(); err != nil {
			return nil, err
		}
		if err := x.require("FunctionDrop", name); err != nil {
			return nil, err
		}
		if x.db.functions[name] == nil && !ifExists {
			return nil, entityNotFound("Function", name)
		}
		delete(x.db.functions, name)
		return x.showFunctions("")
	case "materialized-view":
		name := s.name()
		ifExists := s.accept("ifexists")
		if err := s.finish(); err != nil {
			return nil, err
		}
		if err := x.require("MaterializedViewDrop", name); err != nil {
			return nil, err
		}
		if x.db.views[name] == nil && !ifExists {
			return nil, entityNotFound("MaterializedView", name)
		}
		delete(x.db.views, name)
		return x.showViews("")
	case "database":
		return x.alterRole("drop")
	default:
		return nil, x.unknown("drop", kind)
	}
}

func (x *execution) dropTables(names []string) (*result, error) {
	ifExists := x.s.accept("ifexists")
	if err := x.s.finish(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := x.table("TableDrop", name); err != nil && !(ifExists && refusal(err).Code == "BadRequest_EntityNotFound") {
			return nil, err
		}
		for _, v := range x.db.views {
			if v.source == name {
				return nil, badRequest("BadRequest_TableHasMaterializedView", "Table '%s' is the source of materialized view '%s'; drop the view first.", name, v.name)
			}
		}
	}
	for _, name := range names {
		delete(x.db.tables, name)
	}
	return x.showTables()
}

func (x *execution) dropMapping(tableName string) (*result, error) {
	s := x.s
	kind := s.word()
	s.want("mapping")
	name := s.name()
	if err := s.finish(); err != nil {
		return nil, err
	}
	t, err := x.table("TableMappingDrop", tableName, Ingestor)
	if err != nil {
		return nil, err
	}
	key := mappingKey(kind, name)
	if _, ok := t.mappings[key]; !ok {
		return nil, entityNotFound("MappingPersistent", name)
	}
	delete(t.mappings, key)
	return answer("Name,Kind,Mapping", []any{name, kind, ""}), nil
}

// dropExtents answers .drop extents (ids) from T, from T, and <| .show … extents.
func (x *execution) dropExtents() (*result, error) {
	s := x.s
	if s.peek().Is("<|") {
		return x.dropShownExtents(s.data())
	}
	var ids []string
	some := s.peek().Is("(")
	if some {
		ids = s.names()
	}
	s.want("from")
	name := s.name()
	if err := s.finish(); err != nil {
		return nil, err
	}
	return x.locked(func() (*result, error) {
		return x.removeExtents(name, func(e *extent) bool { return !some || slices.Contains(ids, e.id) })
	})
}

// dropShownExtents drops what a .show table T extents command lists.
func (x *execution) dropShownExtents(command string) (*result, error) {
	listed, err := x.c.execute(x.ctx, x.who, x.db.name, command)
	if err != nil {
		return nil, err
	}
	id := slices.IndexFunc(listed.columns, func(c engine.Column) bool { return c.Name == "ExtentId" })
	of := slices.IndexFunc(listed.columns, func(c engine.Column) bool { return c.Name == "TableName" })
	if id < 0 || of < 0 {
		return nil, badRequest("BadRequest_ExtentsQuery", "The command must show columns ExtentId and TableName.")
	}
	byTable := make(map[string]map[string]bool)
	for _, row := range listed.rows {
		name, _ := row[of].(string)
		extentID, _ := row[id].(string)
		if byTable[name] == nil {
			byTable[name] = make(map[string]bool)
		}
		byTable[name][extentID] = true
	}
	return x.locked(func() (*result, error) {
		all := answer(droppedColumns)
		for _, name := range sortedKeys(byTable) {
			res, err := x.removeExtents(name, func(e *extent) bool { return byTable[name][e.id] })
			if err != nil {
				return nil, err
			}
			all.rows = append(all.rows, res.rows...)
		}
		return all, nil
	})
}

const droppedColumns = "ExtentId:guid,TableName,CreatedOn:datetime"

func (x *execution) removeExtents(tableName string, gone func(*extent) bool) (*result, error) {
	t, err := x.table("ExtentsDrop", tableName)
	if err != nil {
		return nil, err
	}
	res := answer(droppedColumns)
	var left []*extent
	for _, e := range t.extents {
		if gone(e) {
			res.rows = append(res.rows, []any{e.id, t.name, engine.FromTime(e.created)})
		} else {
			left = append(left, e)
		}
	}
	t.extents = left
	return res, nil
}

// clear answers .clear table T data.
func (x *execution) clear() (*result, error) {
	x.s.want("table")
	name := x.s.name()
	x.s.want("data")
	if err := x.s.finish(); err != nil {
		return nil, err
	}
	res, err := x.removeExtents(name, func(*extent) bool { return true })
	if err == nil {
		x.db.tables[name].hidden = nil
	}
	return res, err
}

// roleOf reads the plural that role commands use.
func roleOf(word string) (Role, bool) {
	for _, role := range roles() {
		if strings.EqualFold(word, string(role)+"s") {
			return role, true
		}
	}
	return "", false
}

// alterRole answers .add, .drop and .set database D <role> ('principal', …) ['note'].
func (x *execution) alterRole(verb string) (*result, error) {
	s := x.s
	name := s.name()
	word := s.word()
	role, ok := roleOf(word)
	if !ok {
		return nil, x.unknown(verb, "database", word)
	}
	var principals []string
	if !(verb == "set" && s.accept("none")) {
		principals = s.names()
	}
	s.accept("skip")
	note := ""
	if s.isName() {
		note = s.literal()
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	db, err := x.c.database(name)
	if err != nil {
		return nil, err
	}
	x.db = db
	if err := x.require("DatabaseRoleAlter", db.name); err != nil {
		return nil, err
	}
	for _, p := range principals {
		if kind, id, _ := strings.Cut(p, "="); id == "" || !slices.Contains([]string{"aadapp", "aaduser", "aadgroup", "msauser"}, strings.ToLower(kind)) {
			return nil, badRequest("BadRequest_PrincipalNotValid", "Principal '%s' is not in the form 'aadapp=<id>;<tenant>'.", p)
		}
	}
	if verb == "set" {
		db.roles[role] = nil
	}
	for _, p := range principals {
		if verb == "drop" {
			delete(db.roles[role], principalKey(p))
		} else {
			db.grant(role, grant{principal: p, note: note})
		}
	}
	return x.showPrincipals()
}
