package adx

import (
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// savedViews are the views of the saved queries that a configuration has: who copies
// none has none of their raw tables.
func savedViews(configured []plan.Row, o Options) []view {
	var out []view
	for _, s := range schema.SavedQueries() {
		v := view{table: s.Table(), source: s.Name, prefix: o.ViewPrefix}
		v.table.Snapshot = false // unless a row says so
		for _, row := range configured {
			if row.SourceTable == s.Name {
				v.configure(row, o)
			}
		}
		if len(v.origins) > 0 {
			out = append(out, v)
		}
	}
	return out
}
