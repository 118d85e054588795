package kusto

import (
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
}

// catalogOf takes the snapshot. The caller holds the lock.
func (db *database) catalogOf(mayRead bool) *catalog {
	cat := &catalog{
		names:     db.tableNames(),
		tables:    make(map[string]engine.Source, len(db.tables)),
		functions: make(map[string]*engine.Function, len(db.functions)+len(db.views)),
		mayRead:   mayRead,
	}
	for name, t := range db.tables {
		cat.tables[name] = snapshot{columns: t.columns, extents: t.extents}
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
	if ok && !c.mayRead {
		c.denied = true
		return nil, false
	}
	return s, ok
}

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
