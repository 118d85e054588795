package kusto

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// keepsNothing reports whether the table's retention is zero: what comes in is
// never queryable. A longer retention keeps everything here.
func (t *table) keepsNothing() bool {
	var p struct{ SoftDeletePeriod *string }
	if json.Unmarshal([]byte(t.policies["retention"]), &p) != nil || p.SoftDeletePeriod == nil {
		return false
	}
	period, ok := engine.ParseTimespan(*p.SoftDeletePeriod)
	return ok && period == 0
}

// restricted reports whether only unrestricted viewers may query the table, which
// nobody is here, admins included.
func (t *table) restricted() bool { return enabled(t.policies["restricted_view_access"]) }

// rowFilter is the query that stands in for the table where row-level security is
// on, for admins too; empty where it is off.
func (t *table) rowFilter() string {
	var p struct{ Query string }
	if !enabled(t.policies["row_level_security"]) || json.Unmarshal([]byte(t.policies["row_level_security"]), &p) != nil {
		return ""
	}
	return p.Query
}

func enabled(policy string) bool {
	var p struct{ IsEnabled bool }
	return json.Unmarshal([]byte(policy), &p) == nil && p.IsEnabled
}

// filtered is a table under row-level security: its query over the plain table.
type filtered struct {
	plain *catalog
	query string
	table snapshot
	now   time.Time
}

// Columns gives the table's columns: the filter must not change them.
func (f filtered) Columns() []engine.Column { return f.table.Columns() }

// Scan yields what the filter lets pass; a filter that fails lets nothing pass.
func (f filtered) Scan() iter.Seq[engine.Record] {
	return func(yield func(engine.Record) bool) {
		out, err := engine.Run(context.Background(), engine.Query{Text: f.query, Catalog: f.plain, Now: f.now})
		if err != nil {
			return
		}
		for _, record := range out.Rows {
			if !yield(record) {
				return
			}
		}
	}
}

// updatePolicy is one entry of a target table's update policy.
type updatePolicy struct {
	IsEnabled, IsTransactional bool
	Source, Query              string
}

// update runs the update policies whose source is the table over what has just come
// in. What is not transactional fails in silence, as at the service, where only the
// list of failures tells. The caller holds the cluster's lock.
func (c *Cluster) update(db *database, t *table, e *extent) error {
	if e == nil {
		return nil
	}
	for _, name := range db.tableNames() {
		var policies []updatePolicy
		target := db.tables[name]
		if json.Unmarshal([]byte(target.policies["update"]), &policies) != nil {
			continue
		}
		for _, p := range policies {
			if !p.IsEnabled || p.Source != t.name {
				continue
			}
			cat := db.catalogOf()
			cat.tables[t.name] = snapshot{columns: t.columns, extents: []*extent{e}}
			out, err := engine.Run(context.Background(), engine.Query{Text: p.Query, Catalog: cat, Now: c.opts.Now()})
			if err == nil {
				err = fits(target, out.Columns)
			}
			switch {
			case err == nil:
				rows := newBuilder(target.columns)
				for _, record := range out.Rows {
					rows.add(record.Values)
				}
				c.commit(target, rows.blocks(), nil, e.created, 0)
			case p.IsTransactional:
				t.extents = slices.DeleteFunc(slices.Clone(t.extents), func(other *extent) bool { return other == e })
				return permanent("UpdatePolicy_UnknownError", "The update policy of table '"+name+"' failed.")
			}
		}
	}
	return nil
}
