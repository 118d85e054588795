package defender

import (
	"context"
	"slices"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Offer is a table that the tenant lets us read.
type Offer struct {
	Rows    int64 // all that Defender holds now
	Columns int
}

// offeredAtOnce is how many tables are asked for in one call: counting them is the
// service's work, and a query has a limit of CPU time.
const offeredAtOnce = 16

// Offered looks which of the tables the tenant has, with their rows. A table that it
// has no licence or role for is absent. What is refused as too heavy is asked for in
// halves; a single table that is too heavy has -1 rows. Where every question is refused
// for good, as without a valid credential, that is an error.
func (c *Client) Offered(ctx context.Context, call plan.Caller, names []string) (map[string]Offer, error) {
	out := map[string]Offer{}
	todo := slices.Collect(slices.Chunk(names, offeredAtOnce))
	answered, refused := false, error(nil)
	for len(todo) > 0 {
		batch := todo[0]
		todo = todo[1:]
		found, err := counted(ctx, c, call, question{table: plan.Table{Source: batch[0]}, text: offeredQuery(batch)}, readOffers)
		switch kind := fault.KindOf(err); {
		case err == nil:
			answered = true
			for name, offer := range found {
				out[name] = offer
			}
		case kind != fault.Split && kind != fault.Unavailable && kind != fault.Permanent:
			return nil, err
		case len(batch) > 1:
			half := len(batch) / 2
			todo = append([][]string{batch[:half], batch[half:]}, todo...)
		case kind == fault.Permanent: // not offered
			refused = err
		default:
			out[batch[0]] = Offer{Rows: -1}
		}
	}
	if !answered && len(out) == 0 {
		return nil, refused // not one table, but asking at all
	}
	return out, nil
}

// offeredQuery leaves out, by a fuzzy union, the tables that do not exist.
func offeredQuery(names []string) string {
	text := "union isfuzzy=true (print Name = '', Rows = long(0), Columns = long(0))"
	for _, name := range names {
		table := kql.Name(name)
		text += ",\n    (" + table + " | summarize Rows = count() | extend Name = " + kql.String(name) +
			", Columns = toscalar(" + table + " | getschema | summarize Columns = count()))"
	}
	return text
}

func readOffers(rows []record) (map[string]Offer, error) {
	out := map[string]Offer{}
	for _, r := range rows {
		n, err := r.count("Rows")
		if err != nil {
			return nil, err
		}
		columns, err := r.count("Columns")
		if err != nil {
			return nil, err
		}
		if name := r.text("Name"); name != "" {
			out[name] = Offer{Rows: n, Columns: int(columns)}
		}
	}
	return out, nil
}
