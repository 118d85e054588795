// Package tenant holds the tables that the hunting emulator serves: rows read from
// files, byte for byte as they stand there, or a generated sample tenant whose
// rows are made when they are asked for.
//
// It knows nothing of HTTP, quotas or licences, and never changes a value: a row's
// text is what was read or made, and only its reading as KQL values is tolerant.
// Every table of the product's catalogue exists, empty if nothing fills it. A scan
// sees the rows as they stood when it began.
package tenant

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// Tenant is a set of tables and a clock. Its methods may be called from several
// goroutines.
type Tenant struct {
	mu     sync.RWMutex
	tables map[string]*table
	clock  clock
	lists  map[string][][]byte // by name; one that is not there yet is derived
}

// New makes a tenant whose catalogue tables are all empty, with its clock standing
// at now.
func New(now time.Time) *Tenant {
	t := &Tenant{tables: make(map[string]*table), lists: make(map[string][][]byte), clock: clock{at: now.UTC()}}
	for _, known := range schema.Catalogue() {
		t.tables[known.Name] = &table{name: known.Name, cols: catalogueColumns(known)}
	}
	return t
}

// TableNames lists all tables in order.
func (t *Tenant) TableNames() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.tables))
}

// Count is the number of a table's rows; 0 for an unknown table.
func (t *Tenant) Count(table string) int {
	segments, _ := t.snapshot(table)
	n := 0
	for _, s := range segments {
		n += s.len()
	}
	return n
}

// Rows yields the text of all rows of a table in order, look-back or not. The
// text must not be changed, and is good until the next one.
func (t *Tenant) Rows(table string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		segments, _ := t.snapshot(table)
		var buf []byte
		for _, s := range segments {
			for i := range s.len() {
				row := s.row(i, buf)
				if !s.held() {
					buf = row
				}
				if !yield(row) {
					return
				}
			}
		}
	}
}

// Columns returns a table's columns, in order.
func (t *Tenant) Columns(table string) []engine.Column {
	_, cols := t.snapshot(table)
	return cols
}

// Source gives one scan of a table, reading no more than the view asks for. The
// rows are those of the moment of the call.
func (t *Tenant) Source(table string, v View) (engine.Source, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	tb := t.tables[table]
	if tb == nil {
		return nil, false
	}
	return &source{segments: tb.segments, cols: tb.cols, view: v}, true
}

// Remove makes a table unknown, as one is for which the tenant has no licence.
func (t *Tenant) Remove(table string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tables, table)
}

func (t *Tenant) snapshot(table string) ([]segment, []engine.Column) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if tb := t.tables[table]; tb != nil {
		return tb.segments, tb.cols
	}
	return nil, nil
}

// change replaces a table under the lock. The edit must not touch what the old
// segments and columns share.
func (t *Tenant) change(name string, edit func(tb *table) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.tables[name]
	if old == nil {
		return fmt.Errorf("change table %s: it is unknown", name)
	}
	tb := *old
	if err := edit(&tb); err != nil {
		return fmt.Errorf("change table %s: %w", name, err)
	}
	t.tables[name] = &tb
	return nil
}

func catalogueColumns(known schema.Table) []engine.Column {
	cols := make([]engine.Column, len(known.Columns))
	for i, c := range known.Columns {
		typ, ok := engine.ParseType(c.Type)
		if !ok {
			typ = engine.TypeDynamic
		}
		cols[i] = engine.Column{Name: c.Name, Type: typ}
	}
	return cols
}
