package defender_test

import (
	"context"
	"io"

	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// once is a Caller that makes each call once.
type once struct{}

func (once) Do(ctx context.Context, try func(context.Context) error) error { return try(ctx) }

// fetchInto writes the slice's rows to w.
func fetchInto(ctx context.Context, c *defender.Client, t plan.Table, s plan.Slice, w io.Writer) (plan.Received, error) {
	return c.Fetch(ctx, once{}, t, s, func(_ context.Context, produce func(io.Writer) error) error { return produce(w) })
}
