package kusto

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// catalog is a database at one moment, as the evaluator sees it.
type catalog struct {
	names     []string
	tables    map[string]engine.Source
	functions map[string]*engine.Function

	// mayRead is false for callers who cannot read; denied notes that a query
	// wanted to. Such a query must not answer.
	mayRead bool
	denied  bool

	member func(principal string) bool // whether the caller belongs to it; nil: to nobody

	restricted []string // tables that nobody may query

	others map[string]*catalog // databases of the cluster that the caller may read, by name in lower case
}

// catalogOf takes the snapshot, as somebody sees it who may read and belongs to nobody. The caller
// holds the lock.
func (db *database) catalogOf() *catalog {
	return db.catalogAt(true, time.Time{}, nil)
}

// catalogAt is catalogOf with the extents that were queryable by until, by the
// machine's clock; zero is all of them. member tells to whom the caller belongs.
func (db *database) catalogAt(mayRead bool, until time.Time, member func(string) bool) *catalog {
	cat := &catalog{
		names:     db.tableNames(),
		tables:    make(map[string]engine.Source, len(db.tables)),
		functions: make(map[string]*engine.Function, len(db.functions)+len(db.views)),
		mayRead:   mayRead,
		member:    member,
	}
	for name, t := range db.tables {
		extents := t.extents
		if !until.IsZero() {
			extents = slices.DeleteFunc(slices.Clone(extents), func(e *extent) bool { return e.shown.After(until) })
		}
		if t.keepsNothing() {
			extents = nil
		}
		cat.tables[name] = snapshot{columns: t.columns, extents: extents}
		if t.restricted() {
			cat.restricted = append(cat.restricted, name)
		}
	}
	for name, t := range db.tables {
		if query := t.rowFilter(); query != "" {
			plain := *cat
			plain.tables = maps.Clone(cat.tables)
			cat.tables[name] = filtered{plain: &plain, query: query, table: cat.tables[name].(snapshot), now: time.Now()}
		}
	}
	for name, f := range db.functions {
		stored := f.Function
		cat.functions[name] = &stored
	}
	for name, v := range db.views {
		cat.functions[name] = &engine.Function{Name: name, Parameters: "()", Body: "{ " + v.query + "\n}"}
	}
	return cat
}

// Table finds a table by its exact name.
func (c *catalog) Table(name string) (engine.Source, bool) {
	s, ok := c.tables[name]
	if ok && (!c.mayRead || slices.Contains(c.restricted, name)) {
		c.denied = true
		return nil, false
	}
	return s, ok
}

// nameOthers lets the catalog of a database find the others that the caller may read.
// The caller holds the lock.
func (c *Cluster) nameOthers(cat *catalog, db *database, who caller, until time.Time) {
	cat.others = map[string]*catalog{}
	for name, other := range c.databases {
		if other == db {
			cat.others[strings.ToLower(name)] = cat
		} else if who.mayRead(other) {
			cat.others[strings.ToLower(name)] = other.catalogAt(true, until, c.memberOf(who))
		}
	}
}

// Database finds another database, or this one; one that the caller may not read is
// not there.
func (c *catalog) Database(name string) (engine.Catalog, bool) {
	other, ok := c.others[strings.ToLower(name)]
	return other, ok
}

// Member reports whether the caller is the principal or belongs to it.
func (c *catalog) Member(principal string) bool { return c.member != nil && c.member(principal) }

// TableNames lists the tables, sorted.
func (c *catalog) TableNames() []string { return c.names }

// Function finds a stored function or a materialized view by its exact name.
func (c *catalog) Function(name string) (*engine.Function, bool) {
	f, ok := c.functions[name]
	if ok && !c.mayRead {
		c.denied = true
		return nil, false
	}
	return f, ok
}

// readableUntil is up to which moment a query sees what became queryable; zero: all
// of it. Source: ADX documentation, "Query consistency" and "Query results cache".
func (c *Cluster) readableUntil(x *exchange) time.Time {
	if c.opts.StaleReads <= 0 {
		return time.Time{}
	}
	if x.options.strong && x.options.cached >= 0 && x.options.cached <= time.Second {
		return time.Time{}
	}
	return time.Now().Add(-c.opts.StaleReads)
}

// checkRestricted refuses a query that reads a table with restricted view access.
func (c *catalog) checkRestricted(x *exchange, db *database, q engine.Query) error {
	if len(c.restricted) == 0 {
		return nil
	}
	_, _, _ = engine.Stream(x.r.Context(), q) // compiles; its errors show again when it runs
	if !c.denied {
		return nil
	}
	e := unreadable(x.who, db)
	e.Text = "Access denied: the query reads a table with restricted view access, which takes the role UnrestrictedViewer."
	return e
}
