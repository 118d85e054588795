package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// Change says how a column differs from what was last known of its table.
type Change string

const (
	ColumnNew     Change = "New"
	ColumnGone    Change = "Gone"
	ColumnRetyped Change = "Retyped"
)

// Drift is one column that is not as it was.
type Drift struct {
	Column  string `json:"Column"`
	Change  Change `json:"Change"`
	OldType string `json:"OldType,omitempty"` // KQL type; "" of a new column
	NewType string `json:"NewType,omitempty"` // KQL type; "" of one that is gone
}

// String says it for a person.
func (d Drift) String() string {
	switch d.Change {
	case ColumnNew:
		return d.Column + " is new (" + d.NewType + ")"
	case ColumnGone:
		return d.Column + " is gone (it was " + d.OldType + ")"
	}
	return fmt.Sprintf("%s is %s and was %s", d.Column, d.NewType, d.OldType)
}

// SchemaChange is what MigrationSchemaLog learns from one answer, a row a column.
type SchemaChange struct {
	SourceTable string    `json:"SourceTable"`
	Instance    string    `json:"Instance"`
	Timestamp   time.Time `json:"Timestamp"` // when it was seen, by our clock
	RunID       string    `json:"RunID"`
	Columns     []Drift   `json:"Columns"`
}

// DriftText names the columns that changed, and what a person may do about it.
func DriftText(drifts []Drift) string {
	texts := make([]string, len(drifts))
	for i, d := range drifts {
		texts[i] = d.String()
	}
	return "Defender's columns have changed: " + strings.Join(texts, ", ") + "; nothing is lost, `handler setup` brings the views up to date"
}

// Drifted compares the columns of an answer, KQL types by name, with those last known
// of the table, and remembers them. Where none are known yet they are compared with the
// catalogue, of which a tenant may lack columns; a table that is not in it has no
// drift then. No columns are an answer that did not name them.
func (s *TableState) Drifted(seen map[string]string) []Drift {
	if len(seen) == 0 || maps.Equal(s.Schema, seen) {
		return nil
	}
	known, first := s.Schema, len(s.Schema) == 0
	s.Schema = maps.Clone(seen)
	if first {
		catalogued, ok := schema.Lookup(s.Source)
		if !ok {
			return nil
		}
		known = map[string]string{}
		for _, c := range catalogued.Columns {
			known[c.Name] = c.Type
		}
	}
	var drifts []Drift
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		switch was, ok := known[name]; {
		case !ok:
			drifts = append(drifts, Drift{Column: name, Change: ColumnNew, NewType: seen[name]})
		case was != seen[name]:
			drifts = append(drifts, Drift{Column: name, Change: ColumnRetyped, OldType: was, NewType: seen[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, there := seen[name]; !there && !first {
			drifts = append(drifts, Drift{Column: name, Change: ColumnGone, OldType: known[name]})
		}
	}
	return drifts
}
