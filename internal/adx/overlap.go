package adx

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Overlap counts the rows of a run that stand in parts which share no hash bucket; parts
// name the slices. It goes by the whole row: equal rows have equal keys, and so one
// bucket. Rows that were cut may be equal only since they were, and null ones are.
func (c *Client) Overlap(ctx context.Context, destination, runID string, parts []plan.Slice, since time.Time) (plan.Overlap, error) {
	type answer struct {
		Rows      *int64 `kusto:"Rows"`
		Different *int64 `kusto:"Different"`
	}
	found, err := rows[answer](ctx, c, overlapQuery(destination, runID, parts, since))
	if err != nil || len(found) == 0 || found[0].Rows == nil || found[0].Different == nil {
		return plan.Overlap{}, err // a sum of nothing may be null
	}
	return plan.Overlap{Rows: *found[0].Rows, Different: *found[0].Different}, nil
}

// overlapQuery hashes within one query, as Kusto promises. Ranges of buckets that have
// no bucket in common are those of which the highest begin is not below the lowest end.
func overlapQuery(destination, runID string, parts []plan.Slice, since time.Time) string {
	numbers, ranges := make([]string, len(parts)), make([]string, len(parts))
	for i, s := range parts {
		numbers[i] = strconv.Itoa(s.No)
		ranges[i] = numbers[i] + ", " + strconv.Itoa(s.Lo) + ", " + strconv.Itoa(s.Hi)
	}
	return kql.Name(destination) + arrivedSince(since) + " | where RunId == " + kql.String(runID) + " and Slice in (" + strings.Join(numbers, ", ") + ")" +
		" and isnotnull(Records) and isnull(Records._truncated)" +
		" | lookup kind=inner (datatable(Slice: int, Lo: int, Hi: int) [" + strings.Join(ranges, ", ") + "]) on Slice" +
		" | summarize Rows = count(), Lo = max(Lo), Hi = min(Hi) by Row = hash(tostring(Records))" +
		" | where Lo >= Hi | summarize Rows = sum(Rows), Different = count()"
}
