package defender

import (
	"bytes"
	"context"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// Found is the answer to a person's query.
type Found struct {
	Columns []string // in the schema's order; nil where the answer carried none
	Rows    []byte   // newline-delimited JSON, as Defender sent each row
	Count   int64
	Cut     bool // there may be more: the answer has the service's maximum of rows
}

// Hunt runs a person's query as it stands, in one call.
func (c *Client) Hunt(ctx context.Context, call plan.Caller, text string) (Found, error) {
	var out Found
	err := c.do(ctx, call, func(ctx context.Context) error {
		var rows bytes.Buffer
		res, err := c.ask(ctx, question{table: plan.Table{Source: "query"}, text: text}, &rows, rowpath.Options{Plain: true, MaxRows: plan.MaxRows})
		if err != nil {
			return err
		}
		out = Found{Rows: rows.Bytes(), Count: res.Rows, Cut: res.Capped}
		for _, column := range res.Columns {
			out.Columns = append(out.Columns, column.Name)
		}
		return nil
	})
	return out, err
}

// Hunt runs a person's query.
func (a *Auto) Hunt(ctx context.Context, call plan.Caller, text string) (Found, error) {
	client, err := a.choose(ctx)
	if err != nil {
		return Found{}, err
	}
	out, err := client.Hunt(ctx, call, text)
	return out, a.served(err)
}

// Offered looks which of the tables the tenant has.
func (a *Auto) Offered(ctx context.Context, call plan.Caller, names []string) (map[string]Offer, error) {
	client, err := a.choose(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.Offered(ctx, call, names)
	return out, a.served(err)
}
