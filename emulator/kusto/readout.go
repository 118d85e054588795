package kusto

import (
	"iter"
	"slices"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// Tables lists the tables of a database, sorted; none of a database that does not
// exist.
func (c *Cluster) Tables(databaseName string) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	db, err := c.database(databaseName)
	if err != nil {
		return nil
	}
	return db.tableNames()
}

// Rows gives a table's columns and its rows as they are at this moment, in the order
// in which they came. Dynamic values are engine.RawJSON, or nil for null. A record is
// valid until the next one.
func (c *Cluster) Rows(databaseName, tableName string) ([]engine.Column, iter.Seq[engine.Record], error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	db, err := c.database(databaseName)
	if err != nil {
		return nil, nil, err
	}
	t, err := db.table(tableName)
	if err != nil {
		return nil, nil, err
	}
	now := snapshot{columns: t.columns, extents: t.extents}
	return now.Columns(), now.Scan(), nil
}

// Count is the number of queryable rows of a table; 0 if there is no such table.
func (c *Cluster) Count(databaseName, tableName string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	db, err := c.database(databaseName)
	if err != nil || db.tables[tableName] == nil {
		return 0
	}
	n := 0
	for _, e := range db.tables[tableName].extents {
		n += e.rows()
	}
	return n
}

// Failures lists the ingestions into a database that failed, oldest first.
func (c *Cluster) Failures(databaseName string) []Failure {
	c.mu.RLock()
	defer c.mu.RUnlock()
	db, err := c.database(databaseName)
	if err != nil {
		return nil
	}
	return slices.Clone(db.failures)
}
