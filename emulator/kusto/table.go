package kusto

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// table is a schema and its extents.
type table struct {
	name        string
	id          string
	folder, doc string
	columns     []column // only ever appended to
	extents     []*extent
	hidden      []*extent          // committed, but not queryable yet
	mappings    map[string]mapping // by kind and name
	policies    map[string]string  // JSON by policy name
}

func newTable(name string, columns []engine.Column) *table {
	t := &table{name: name, id: newID(), mappings: make(map[string]mapping), policies: make(map[string]string)}
	for _, c := range columns {
		t.columns = append(t.columns, column{Column: c})
	}
	return t
}

func newID() string {
	return uuid.NewString()
}

// schema gives the columns in the form "A:string,B:long".
func (t *table) schema() string {
	parts := make([]string, len(t.columns))
	for i, c := range t.columns {
		parts[i] = quoteName(c.Name) + ":" + c.Type.String()
	}
	return strings.Join(parts, ",")
}

// quoteName brackets a name that is no plain identifier.
func quoteName(name string) string {
	for i, r := range name {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return "['" + strings.ReplaceAll(name, "'", `\'`) + "']"
		}
	}
	return name
}

func (t *table) column(name string) int {
	return slices.IndexFunc(t.columns, func(c column) bool { return c.Name == name })
}

// merge adds the columns that the table lacks.
func (t *table) merge(columns []engine.Column) error {
	for _, c := range columns {
		if i := t.column(c.Name); i >= 0 && t.columns[i].Type != c.Type {
			return badRequest("General_BadRequest", "Column '%s' of table '%s' has type '%s' and can't be altered to '%s'",
				c.Name, t.name, t.columns[i].Type, c.Type)
		}
	}
	for _, c := range columns {
		if t.column(c.Name) < 0 {
			t.columns = append(slices.Clip(t.columns), column{Column: c})
		}
	}
	return nil
}

// tagged reports whether an extent of the table has one of the tags.
func (t *table) tagged(tags []string) (string, bool) {
	for _, extents := range [][]*extent{t.extents, t.hidden} {
		for _, e := range extents {
			for _, tag := range tags {
				if slices.Contains(e.tags, tag) {
					return tag, true
				}
			}
		}
	}
	return "", false
}

// stampsRows reports whether rows get an ingestion time.
func (t *table) stampsRows() bool {
	return !strings.Contains(strings.ReplaceAll(t.policies["ingestiontime"], " ", ""), `"IsEnabled":false`)
}

// commit makes blocks an extent of the table, queryable after the delay. No rows
// make no extent: the result is nil then. The caller holds the cluster's lock.
func (c *Cluster) commit(t *table, blocks []*block, tags []string, created time.Time, delay time.Duration) *extent {
	e := c.sealed(t, blocks, tags, created)
	switch {
	case e == nil:
	case delay <= 0:
		e.shown = time.Now()
		t.extents = append(slices.Clip(t.extents), e)
	default:
		t.hidden = append(slices.Clip(t.hidden), e)
		time.AfterFunc(delay, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if i := slices.Index(t.hidden, e); i >= 0 {
				t.hidden = slices.Delete(slices.Clone(t.hidden), i, i+1)
				e.shown = time.Now()
				t.extents = append(slices.Clip(t.extents), e)
			}
		})
	}
	return e
}

// sealed stamps blocks and makes them an extent that no table has yet.
func (c *Cluster) sealed(t *table, blocks []*block, tags []string, created time.Time) *extent {
	if len(blocks) == 0 {
		return nil
	}
	at := c.stamp()
	if t.stampsRows() {
		for _, b := range blocks {
			b.ingested = &at
		}
	}
	if created.IsZero() || created.Year() <= 1 {
		created = at.Time()
	}
	return &extent{id: newID(), created: created, tags: uniqueTags(tags), blocks: blocks}
}

func uniqueTags(tags []string) []string {
	var unique []string
	for _, tag := range tags {
		if !slices.Contains(unique, tag) {
			unique = append(unique, tag)
		}
	}
	return unique
}

// without gives the table's extents without the rows whose numbers, counted in
// the order of a scan, are in gone. Extents that lose no row stay as they are.
func (s snapshot) without(gone map[int]bool) []*extent {
	var extents []*extent
	number := 0
	values := make([]any, len(s.columns))
	for _, e := range s.extents {
		left := &extent{id: newID(), created: e.created, shown: e.shown, tags: e.tags} // a deletion writes a new shard
		changed := false
		for _, b := range e.blocks {
			k := newBuilder(s.columns)
			for i := range b.rows {
				if gone[number] {
					changed = true
				} else {
					b.row(i, s.columns, values)
					k.add(values)
				}
				number++
			}
			for _, block := range k.blocks() {
				block.ingested = b.ingested
				left.blocks = append(left.blocks, block)
			}
		}
		switch {
		case !changed:
			extents = append(extents, e)
		case len(left.blocks) > 0:
			extents = append(extents, left)
		}
	}
	return extents
}

// MergeExtents makes one extent of all extents of a table, with the tags of each,
// as the service does in the background. Rows keep their ingestion time.
func (c *Cluster) MergeExtents(databaseName, tableName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	db, err := c.database(databaseName)
	if err != nil {
		return err
	}
	t, err := db.table(tableName)
	if err != nil || len(t.extents) < 2 {
		return err
	}
	merged := &extent{id: newID()}
	for _, e := range t.extents {
		merged.blocks = append(merged.blocks, e.blocks...)
		merged.tags = append(merged.tags, e.tags...)
		if e.created.After(merged.created) {
			merged.created = e.created
		}
		if e.shown.After(merged.shown) {
			merged.shown = e.shown
		}
	}
	merged.tags = uniqueTags(merged.tags)
	t.extents = []*extent{merged}
	return nil
}

// snapshot is a table as one query sees it.
type snapshot struct {
	columns []column
	extents []*extent
}

func (s snapshot) Columns() []engine.Column {
	columns := make([]engine.Column, len(s.columns))
	for i, c := range s.columns {
		columns[i] = c.Column
	}
	return columns
}

// Scan yields the rows in the order in which they came. The slice of values is
// the same for every row.
func (s snapshot) Scan() iter.Seq[engine.Record] {
	return func(yield func(engine.Record) bool) {
		values := make([]any, len(s.columns))
		for _, e := range s.extents {
			for _, b := range e.blocks {
				for i := range b.rows {
					b.row(i, s.columns, values)
					if !yield(engine.Record{Values: values, Ingested: b.ingested, Tags: e.tags}) {
						return
					}
				}
			}
		}
	}
}
