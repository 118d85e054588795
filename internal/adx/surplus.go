package adx

import (
	"context"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/kql"
)

// arrival is the rows of a slice that came into ADX at one moment.
type arrival struct {
	At   time.Time `kusto:"IngestedAt"` // zero when null
	Rows int64     `kusto:"Rows"`
}

// Surplus returns the command that removes the rows of a slice beyond rowsSent,
// for a database admin to run: of a slice taken in more than once, the first copy
// stays. Copies are told apart by when they came in. Where that does not divide
// them, the text is a query that shows them, and nothing is deleted by running it.
func (c *Client) Surplus(ctx context.Context, destination, runID string, slice int, rowsSent int64) (string, error) {
	where := fmt.Sprintf("%s | where RunId == %s and Slice == %d", kql.Name(destination), kql.String(runID), slice)
	found, err := rows[arrival](ctx, c, where+" | summarize Rows = count() by IngestedAt = ingestion_time() | sort by IngestedAt asc nulls first")
	if err != nil {
		return "", err
	}
	last, ok := firstCopy(found, rowsSent)
	if !ok {
		return where + " | extend IngestedAt = ingestion_time()", nil
	}
	// A deletion may use `where` and little else. Source: Kusto soft delete,
	// restrictions on the predicate.
	return ".delete table " + kql.Name(destination) + " records <| " + where + " and ingestion_time() > " + kql.Datetime(last), nil
}

// firstCopy returns when the last row of the first copy came in: the arrivals up
// to then, oldest first, are exactly n rows, and there are later ones.
func firstCopy(found []arrival, n int64) (last time.Time, ok bool) {
	for i, f := range found {
		if n -= f.Rows; n <= 0 || f.At.IsZero() {
			return f.At, n == 0 && !f.At.IsZero() && i+1 < len(found)
		}
	}
	return time.Time{}, false
}
