// Package schema is the catalogue of Defender's hunting tables: their columns,
// the column of their event time and what identifies a row. Beside it stands that of the
// other sources, lists and file exports (see Source), and how they are named where a
// slash may not stand.
//
// It is what was known when the program was built. Tenants differ and columns
// come without notice, so it serves to set things up and to divide tables into
// parts; no row is ever refused or changed for not fitting it.
package schema

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Table is one hunting table.
type Table struct {
	Name       string // as Defender spells it; KQL tells letter case apart
	Category   string // Device, TVM, Email, Identity, ...
	TimeColumn string // when the row's event happened; "" for a table of present states without one
	Columns    []Column
	// Key lists the columns that together identify a row as far as Microsoft
	// states it, or as the table's meaning has it. Empty: only the whole row
	// does. Source: hunting schema reference, which makes ReportId unique only
	// with the device and the time.
	Key []string
	// Snapshot tells that the table says what is, not what happened: rows disappear,
	// so it is copied whole, and readers want its newest whole copy.
	Snapshot bool
}

// StateKey lists the columns that identify a thing of a table of present states from
// one snapshot to the next: the key without the time of the row.
func (t Table) StateKey() []string {
	return slices.DeleteFunc(slices.Clone(t.Key), func(name string) bool { return name == t.TimeColumn })
}

// Column is one column of a table.
type Column struct {
	Name string
	Type string // KQL type: bool, datetime, dynamic, guid, int, long, real, string
}

// Column returns the column of that exact name.
func (t Table) Column(name string) (Column, bool) {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return t.Columns[i], true
}

// catalogueJSON holds an object a table; columns and keys are lists in text, so
// that a table is one line. Source: live schema captures of August 2026 where
// there were any, else the hunting schema reference of August to October 2026.
//
//go:embed catalogue.json
var catalogueJSON []byte

var tables = sync.OnceValue(func() []Table {
	all, err := parse(catalogueJSON)
	if err != nil {
		panic(err) // it is part of the program
	}
	return all
})

// Catalogue returns all tables by name. The caller owns the slice but not what
// its tables share.
func Catalogue() []Table { return slices.Clone(tables()) }

// Lookup returns the table of that exact name.
func Lookup(table string) (Table, bool) {
	i, ok := slices.BinarySearchFunc(tables(), table, func(t Table, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return Table{}, false
	}
	return tables()[i], true
}

func parse(text []byte) ([]Table, error) {
	var entries []struct {
		Name, Category, Time, Key, Columns string
		Snapshot                           bool
	}
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("read table catalogue: %w", err)
	}
	all := make([]Table, len(entries))
	for i, e := range entries {
		all[i] = Table{Name: e.Name, Category: e.Category, TimeColumn: e.Time, Key: strings.Fields(e.Key), Snapshot: e.Snapshot}
		var err error
		if all[i].Columns, err = parseColumns(e.Columns); err != nil {
			return nil, fmt.Errorf("read table catalogue: %s: %w", e.Name, err)
		}
	}
	slices.SortFunc(all, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// parseColumns reads columns as the catalogues list them: name and type, by commas.
func parseColumns(text string) (columns []Column, err error) {
	for pair := range strings.SplitSeq(text, ", ") {
		name, kind, ok := strings.Cut(pair, " ")
		if !ok {
			return nil, fmt.Errorf("column %q has no type", pair)
		}
		columns = append(columns, Column{Name: name, Type: kind})
	}
	return columns, nil
}
