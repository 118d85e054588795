package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/schema"
)

func TestTableState_DriftedComparesWithWhatWasLastKnown(t *testing.T) {
	catalogued := map[string]string{}
	known, _ := schema.Lookup("AlertInfo")
	for _, c := range known.Columns {
		catalogued[c.Name] = c.Type
	}
	with := func(base map[string]string, name, kind string) map[string]string {
		out := map[string]string{name: kind}
		for n, k := range base {
			if _, set := out[n]; !set {
				out[n] = k
			}
		}
		if kind == "" {
			delete(out, name)
		}
		return out
	}
	small := map[string]string{"A": "string", "B": "long"}
	tests := []struct {
		name, source string
		last, seen   map[string]string
		want         []Drift
	}{
		{"first answer, as catalogued", "AlertInfo", nil, catalogued, nil},
		{"first answer with a column nobody knows", "AlertInfo", nil, with(catalogued, "X", "long"), []Drift{{Column: "X", Change: ColumnNew, NewType: "long"}}},
		{"first answer of a tenant that lacks a column", "AlertInfo", nil, with(catalogued, "Title", ""), nil},
		{"first answer with another type", "AlertInfo", nil, with(catalogued, "Title", "dynamic"), []Drift{{Column: "Title", Change: ColumnRetyped, OldType: "string", NewType: "dynamic"}}},
		{"first answer of a table that is not catalogued", "Unheard", nil, small, nil},
		{"the same again", "Unheard", small, with(small, "A", "string"), nil},
		{"new, gone and retyped", "Unheard", small, map[string]string{"A": "dynamic", "C": "bool"}, []Drift{
			{Column: "A", Change: ColumnRetyped, OldType: "string", NewType: "dynamic"}, {Column: "C", Change: ColumnNew, NewType: "bool"}, {Column: "B", Change: ColumnGone, OldType: "long"}}},
		{"gone although catalogued", "AlertInfo", catalogued, with(catalogued, "Title", ""), []Drift{{Column: "Title", Change: ColumnGone, OldType: "string"}}},
		{"an answer without columns says nothing", "Unheard", small, nil, nil},
	}
	for _, tc := range tests {
		s := TableState{Source: tc.source, Schema: tc.last}
		if diff := cmp.Diff(tc.want, s.Drifted(tc.seen)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if again := s.Drifted(tc.seen); again != nil {
			t.Errorf("%s: said again: %v", tc.name, again)
		}
	}
}

// A program that knows no schema rows would not get past one.
func TestStoredFormat_SchemaRowsWaitForAProgramThatKnowsThem(t *testing.T) {
	s := TableState{Outbox: []Outgoing{{Tag: "t", Schema: &SchemaChange{}}}}
	if got := s.StoredFormat(); got != StateFormat {
		t.Errorf("format %d, want %d", got, StateFormat)
	}
	s = TableState{Schema: map[string]string{"A": "string"}, Outbox: []Outgoing{{Tag: "t", Audit: &Audit{}}}}
	if got := s.StoredFormat(); got != plainFormat {
		t.Errorf("format %d of a state with a schema alone, want %d", got, plainFormat)
	}
}
