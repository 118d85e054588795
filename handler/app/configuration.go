package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// configuration is MigrationConfiguration as the instances read it: names of
// instances in lower case, raw tables with their prefix, and what is wrong with a row
// besides its own columns.
type configuration struct {
	stored interface {
		Latest(ctx context.Context) ([]plan.Row, error)
	}
	instances *instances
}

// Latest returns the newest row of every source and instance.
func (c *configuration) Latest(ctx context.Context) ([]plan.Candidate, error) {
	rows, err := c.stored.Latest(ctx)
	if err != nil {
		return nil, err
	}
	var out []plan.Candidate
	newest := map[plan.Key]int{}
	for _, row := range rows {
		row.Instance = strings.ToLower(row.Instance)
		candidate := plan.Candidate{Row: row}
		i, err := c.instances.find(row.Instance)
		candidate.Problem = err
		if i != nil {
			candidate.DestinationTable = i.Defender.TablePrefix + row.DestinationTable
			if !strings.EqualFold(i.Defender.Database, c.instances.cfg.ADX.Database) {
				candidate.Elsewhere = i.Defender.Database
			}
		}
		// A view of an earlier version tells spellings of one name apart, and every one
		// a table's names of old and of today.
		if n, twice := newest[candidate.Key()]; twice {
			doubled := plan.Doubled(row, out[n].Row)
			if out[n].Written != row.Written && out[n].IsActive != row.IsActive {
				if row.IsActive {
					out[n] = candidate
				}
			} else if row.Ingested.After(out[n].Ingested) {
				out[n] = candidate
			}
			if doubled != nil {
				out[n].Problem = doubled
			}
			continue
		}
		newest[candidate.Key()] = len(out)
		out = append(out, candidate)
	}
	c.refuseShared(out)
	return out, nil
}

// refuseShared finds fault with a row that would mix the rows of two instances in one
// raw table, where no view could tell them apart: the instance that is named first
// keeps it.
func (c *configuration) refuseShared(rows []plan.Candidate) {
	type place struct{ database, table string }
	owner := map[place]string{}
	for _, i := range c.instances.order {
		for n := range rows {
			row := &rows[n]
			if row.Instance != i.Key() || !row.IsActive || row.Problem != nil {
				continue
			}
			at := place{strings.ToLower(row.Elsewhere), row.DestinationTable}
			if other, taken := owner[at]; taken && other != row.Instance {
				row.Problem = fmt.Errorf("DestinationTable %s is that of instance %s already, and no view could tell their rows apart: set DEFENDER_%s_TABLE_PREFIX or _DATABASE, or choose another DestinationTable",
					at.table, plan.ShownInstance(other), strings.ToUpper(row.Instance))
				continue
			}
			owner[at] = row.Instance
		}
	}
}
