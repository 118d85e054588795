package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// configuration is MigrationConfiguration as the instances read it: names of
// instances in lower case, raw tables with their prefix, and what is wrong with a row
// besides its own columns.
type configuration struct {
	stored interface {
		Latest(ctx context.Context) ([]plan.Row, error)
	}
	states interface {
		Read(ctx context.Context, key plan.Key) (*plan.TableState, error)
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
	c.refuseShared(ctx, out)
	return out, nil
}

// rawTable is where a raw table is.
type rawTable struct{ database, table string }

func rawTableOf(row plan.Candidate) rawTable {
	return rawTable{strings.ToLower(row.Elsewhere), row.DestinationTable}
}

// What an instance is to a raw table that its row names, the more the later.
const (
	stranger  = iota // it copies nothing there
	newcomer         // its row is switched on
	beginner         // its first run there is open
	publisher        // a run of it has published rows there
)

// refuseShared finds fault with a row that is switched on and would mix the rows of two
// instances in one raw table, where no view could tell them apart.
func (c *configuration) refuseShared(ctx context.Context, rows []plan.Candidate) {
	owners := c.owners(ctx, rows)
	for n := range rows {
		if row := &rows[n]; row.IsActive && row.Problem == nil {
			row.Problem = shared(*row, owners)
		}
	}
}

// errUntold marks the rows of a raw table whose owner cannot be told just now. They
// wait, and keep no other table from its turn.
var errUntold = errors.New("whose table it is cannot be told")

// shared is what is wrong with a row whose raw table is another instance's.
func shared(row plan.Candidate, owners map[rawTable]owner) error {
	o, owned := owners[rawTableOf(row)]
	switch {
	case !owned || o.err == nil && o.instance == row.Instance:
		return nil
	case o.err != nil:
		return fmt.Errorf("DestinationTable %s is named by several instances, and %w: %w", row.DestinationTable, errUntold, o.err)
	}
	return fmt.Errorf("DestinationTable %s is that of instance %s already, and no view could tell their rows apart: set DEFENDER_%s_TABLE_PREFIX or _DATABASE, or choose another DestinationTable",
		row.DestinationTable, plan.ShownInstance(o.instance), strings.ToUpper(plan.ShownInstance(row.Instance)))
}

// errUnread says that nothing could be read, which is no verdict on a row.
var errUnread = errors.New("read configuration")

// owner is whose a raw table is, or why that cannot be told.
type owner struct {
	instance string
	err      error
}

// owners finds whose each raw table is: whoever has published rows there keeps it, also
// while its row is switched off or its settings are faulty; else whose first run is
// open; else who is named first.
func (c *configuration) owners(ctx context.Context, rows []plan.Candidate) map[rawTable]owner {
	claims := map[rawTable][]plan.Candidate{} // in the order of the settings
	for _, i := range c.instances.order {
		for _, row := range rows {
			if row.Instance == i.Key() {
				claims[rawTableOf(row)] = append(claims[rawTableOf(row)], row)
			}
		}
	}
	owners := map[rawTable]owner{}
	for at, claimants := range claims {
		if slices.ContainsFunc(claimants, func(r plan.Candidate) bool { return r.Instance != claimants[0].Instance }) {
			if o := c.ownerOf(ctx, claimants); o != (owner{}) {
				owners[at] = o
			}
		}
	}
	return owners
}

// ownerOf finds whose of the claimants their raw table is; none where nobody copies.
func (c *configuration) ownerOf(ctx context.Context, claimants []plan.Candidate) (of owner) {
	most := stranger
	for _, row := range claimants {
		is, err := c.standing(ctx, row)
		if err != nil {
			return owner{err: err}
		}
		if is > most {
			most, of.instance = is, row.Instance
		}
	}
	return of
}

// standing tells what the row's instance is to the raw table. A user's row says nothing
// of runs, the table's state does.
func (c *configuration) standing(ctx context.Context, row plan.Candidate) (int, error) {
	if row.RunID != "" {
		return publisher, nil
	}
	state, err := c.states.Read(ctx, row.Key())
	switch {
	case err != nil:
		return stranger, err
	case state != nil && state.Table.Destination == row.DestinationTable && !state.LastEnded.IsZero():
		return publisher, nil
	case state != nil && state.Table.Destination == row.DestinationTable && state.OpenRun != "":
		return beginner, nil
	case row.IsActive && row.Problem == nil:
		return newcomer, nil
	}
	return stranger, nil
}

// Check returns what is wrong with the newest row of a table, switched on or not; nil
// where it has none. Only several instances can be in one another's way.
func (c *configuration) Check(ctx context.Context, key plan.Key) error {
	if len(c.instances.order) < 2 {
		return nil
	}
	rows, err := c.Latest(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	owners := c.owners(ctx, rows)
	for _, row := range rows {
		if row.Key() != key {
			continue
		}
		err := cmp.Or(row.Problem, shared(row, owners))
		switch {
		case errors.Is(err, errUntold):
			return fault.As(fault.Retry, fmt.Errorf("migrate %s: %w", key, err))
		case err != nil:
			return fault.As(fault.Permanent, fmt.Errorf("migrate %s: %w", key, err))
		}
	}
	return nil
}
