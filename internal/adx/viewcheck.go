package adx

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// missingViews are what the views of configured sources lack: the view itself, a raw
// table that it does not read, columns that Defender has shown since, what feeds its
// typed table. Under which prefix a view was made is not known, so that any counts.
func (c *Client) missingViews(ctx context.Context, d database, configured []plan.Row) ([]Step, error) {
	seen, err := c.seenColumns(ctx)
	if err != nil {
		return nil, err
	}
	var steps []Step
	lacks := func(name, detail string) {
		steps = append(steps, Step{Name: name, Outcome: Missing, Detail: detail, Remedy: runSetup})
	}
	var policies map[string]string // of updates; read where there is a typed table
	for _, v := range viewsOf(configured, nil, Options{}) {
		v.origins = slices.DeleteFunc(v.origins, func(o origin) bool {
			_, stands := d.Tables[o.table]
			return !o.configured || !stands // a table that is missing is told of alone
		})
		if len(v.origins) == 0 {
			continue
		}
		name := "view " + v.table.Name
		made, stands := d.viewOf(v)
		if !stands {
			if !d.occupied(v.table.Name) { // else setup says what to do
				lacks(name, "no function shows "+v.origins[0].table+" with columns and types")
			}
			continue
		}
		v.prefix = strings.TrimSuffix(made, v.table.Name)
		body := d.Functions[made].Body
		for _, raw := range v.raws() {
			if !strings.Contains(body, raw+"Visible()") {
				lacks(name, made+" does not read "+raw)
			}
		}
		var columns []string
		known := len(v.table.Columns)
		v.learn(seen)
		for _, c := range v.table.Columns[known:] {
			if !strings.Contains(body, identifier(c.Name)+" = ") {
				columns = append(columns, c.Name)
			}
		}
		if len(columns) > 0 {
			lacks(name, made+" lacks columns that Defender has added: "+strings.Join(columns, ", "))
		}
		if t, typed := d.Tables[v.typedName()]; typed && ownTyped(t) {
			if policies == nil {
				if policies, err = c.tablePolicies(ctx, "update"); err != nil {
					return nil, err
				}
			}
			if policies != nil && !v.fedBy(policies[v.typedName()]) {
				lacks("update policy of "+v.typedName(), "nothing fills it from "+strings.Join(v.raws(), ", "))
			}
		}
	}
	return steps, nil
}

// viewOf finds the function of a view, under its own name or one with a prefix.
func (d database) viewOf(v view) (name string, found bool) {
	for _, name := range append([]string{v.table.Name}, slices.Sorted(maps.Keys(d.Functions))...) {
		f, stands := d.Functions[name]
		if stands && strings.HasSuffix(name, v.table.Name) && f.Folder == ourFolder+"/Tables" {
			return name, true
		}
	}
	return "", false
}

// occupied reports whether something has the name.
func (d database) occupied(name string) bool {
	_, table := d.Tables[name]
	_, function := d.Functions[name]
	_, materialized := d.MaterializedViews[name]
	return table || function || materialized
}
