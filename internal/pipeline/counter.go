package pipeline

import (
	"context"
	"log/slog"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// countParts is how many parts are counted in one call at most: each is a branch
// of one query, and a query's text has an end.
const countParts = 40

// counter counts one table's rows at the source, in as few calls as the source
// lets it.
type counter struct {
	source Source
	call   plan.Caller
	table  plan.Table
	budget budget
	ledger *plan.Ledger // remembers how many parts at a time did not overtax the source
	log    *slog.Logger
}

// window counts a window by time bins, its end moved back to settle before the
// service's now where that is earlier. parent is the count of the same rows, or of
// fewer, that is believed already, negative where none is known: an answer with less
// is asked for once more, and of each bin the larger count is believed.
func (c *counter) window(ctx context.Context, w plan.Window, settle, bin time.Duration, parent int64) (plan.Counts, error) {
	query := plan.CountQuery{Table: c.table, Window: w, Settle: settle, Bin: bin}
	counts, err := c.source.Count(ctx, c.call, query)
	if err != nil || !plan.MustRecount(parent, counts.Rows()) {
		return counts, err
	}
	c.log.Warn("a window counted less than is known of it, counted again", "rows", counts.Rows(), "known", parent)
	again, err := c.source.Count(ctx, c.call, query)
	if err != nil {
		return counts, err
	}
	again.Bins = plan.BelieveBins(counts.Bins, again.Bins)
	again.Nulls, again.Later = plan.Believe(counts.Nulls, again.Nulls), plan.Believe(counts.Later, again.Later)
	if counts.To.Before(again.To) {
		again.To = counts.To // what arrived between the two was not counted twice
	}
	return again, nil
}

// all counts every row of the table by ranges of buckets, and once more where the
// answer has less than the parent.
func (c *counter) all(ctx context.Context, parent int64) (plan.Counts, error) {
	query := plan.CountQuery{Table: c.table}
	counts, err := c.source.Count(ctx, c.call, query)
	if err == nil && plan.MustRecount(parent, counts.Rows()) {
		c.log.Warn("a table counted less than is known of it, counted again", "rows", counts.Rows(), "known", parent)
		first := counts.Buckets
		if counts, err = c.source.Count(ctx, c.call, query); err == nil {
			counts.Buckets = plan.BelieveBuckets(first, counts.Buckets)
		}
	}
	return counts, err
}

// piecewise counts a part, in halves where the source refuses it whole; together the
// ranges of the answer are the part.
func (c *counter) piecewise(ctx context.Context, part plan.Slice) ([]plan.BucketCount, error) {
	counted, refused, err := c.buckets(ctx, []plan.Slice{part}, plan.Buckets)
	if err != nil {
		return nil, unavailableNow(err)
	}
	if refused[0] == nil {
		return counted[0], nil
	}
	a, b, ok := part.Split(0)
	if !ok || c.budget.outOfTime() {
		return nil, fault.As(fault.Retry, refused[0])
	}
	ranges, err := c.piecewise(ctx, a)
	if err != nil {
		return nil, err
	}
	more, err := c.piecewise(ctx, b)
	return append(ranges, more...), err
}

// parts counts whole parts, in one call where they are few. A part that the answer
// does not speak of is -1. refused holds, by place, the parts that the source would
// not count even alone.
func (c *counter) parts(ctx context.Context, parts []plan.Slice) (counts []int64, refused map[int]error, err error) {
	counted, refused, err := c.buckets(ctx, parts, plan.Buckets)
	if err != nil {
		return nil, nil, unavailableNow(err)
	}
	counts = make([]int64, len(parts))
	for i, ranges := range counted {
		if ranges == nil {
			counts[i] = -1
		}
		for _, b := range ranges {
			counts[i] += b.Rows
		}
	}
	return counts, refused, nil
}

// again counts a part of which something is known: at least so many rows were there.
// Less, or nothing, is counted once more, and the larger is believed.
func (c *counter) again(ctx context.Context, part plan.Slice, least int64) (rows int64, err error) {
	for range 2 {
		counts, refused, err := c.parts(ctx, []plan.Slice{part})
		if err == nil {
			err = refused[0]
		}
		if err != nil {
			return 0, err
		}
		if rows = plan.Believe(rows, counts[0]); !plan.MustRecount(max(least, 1), rows) {
			break
		}
	}
	return rows, nil
}

// buckets counts parts by ranges of width buckets; what the source refuses as too
// much is asked for in halves, and the run asks for no more at a time from then on.
// Unavailable ends it: a source that is down is not asked again for less.
func (c *counter) buckets(ctx context.Context, parts []plan.Slice, width int) (counted [][]plan.BucketCount, refused map[int]error, err error) {
	counted, refused = make([][]plan.BucketCount, len(parts)), map[int]error{}
	batch := countParts
	if c.ledger.CountBatch > 0 {
		batch = min(batch, c.ledger.CountBatch)
	}
	todo := [][2]int{}
	for lo := 0; lo < len(parts); lo += batch {
		todo = append(todo, [2]int{lo, min(lo+batch, len(parts))})
	}
	answered, overtaxed := 0, 0 // the largest batch answered, the smallest refused
	defer func() {
		if overtaxed > 1 {
			c.ledger.CountBatch = max(1, answered, overtaxed/2)
		}
	}()
	for len(todo) > 0 {
		lo, hi := todo[0][0], todo[0][1]
		todo = todo[1:]
		answer, err := c.source.CountBuckets(ctx, c.call, c.table, parts[lo:hi], width)
		switch kind := fault.KindOf(err); {
		case err == nil:
			copy(counted[lo:hi], answer)
			answered = max(answered, hi-lo)
		case kind != fault.Split:
			return nil, nil, err
		case hi-lo == 1:
			refused[lo] = err
		default:
			if overtaxed == 0 || hi-lo < overtaxed {
				overtaxed = hi - lo
			}
			if c.budget.outOfTime() {
				return nil, nil, fault.As(fault.Retry, err)
			}
			mid := lo + (hi-lo)/2
			todo = append(todo, [2]int{lo, mid}, [2]int{mid, hi})
		}
	}
	return counted, refused, nil
}

// refineGroups counts the groups among cells that hold more than the target by
// buckets; the others stay as they are.
func (c *counter) refineGroups(ctx context.Context, cells, groups []plan.Slice, target int64) ([]plan.Slice, error) {
	var large []plan.Slice
	for _, g := range groups {
		if g.Rows > target {
			large = append(large, g)
		}
	}
	if len(large) == 0 {
		return cells, nil
	}
	counted, err := c.finely(ctx, large, target)
	if err != nil {
		return nil, err
	}
	return plan.Refine(cells, large, counted), nil
}

// refineRanges counts again, by smaller ranges of buckets, the cells of a snapshot
// that hold more than the target.
func (c *counter) refineRanges(ctx context.Context, cells []plan.Slice, target int64) ([]plan.Slice, error) {
	var large []plan.Slice
	for _, cell := range cells {
		if cell.Rows > target && cell.Hi-cell.Lo > 1 {
			large = append(large, cell)
		}
	}
	if len(large) == 0 {
		return cells, nil
	}
	counted, err := c.finely(ctx, large, target)
	if err != nil {
		return nil, err
	}
	var out []plan.Slice
	at := 0
	for _, cell := range cells {
		if at == len(large) || cell.Lo != large[at].Lo {
			out = append(out, cell)
			continue
		}
		out = append(out, plan.BucketCells(cell, counted[at])...)
		at++
	}
	return out, nil
}

// finely counts parts that hold more than the target by buckets. What is too
// heavy to count so is divided blindly; each part is counted before it is fetched.
func (c *counter) finely(ctx context.Context, large []plan.Slice, target int64) ([][]plan.BucketCount, error) {
	counted, refused, err := c.conserved(ctx, large, plan.CountWidth(large, target))
	if fault.KindOf(err) == fault.Unavailable {
		c.log.Warn("bucket counts failed, dividing evenly", "error", err.Error())
		counted, err = make([][]plan.BucketCount, len(large)), nil
		for i := range large {
			counted[i] = plan.Evenly(large[i], target)
		}
	}
	if err != nil {
		return nil, err
	}
	for i, cause := range refused {
		c.log.Warn("bucket counts refused, dividing evenly", "error", cause.Error())
		counted[i] = plan.Evenly(large[i], target)
	}
	return counted, nil
}

// conserved counts parts by buckets, and those once more whose ranges hold less than
// the part did as a whole.
func (c *counter) conserved(ctx context.Context, parts []plan.Slice, width int) (counted [][]plan.BucketCount, refused map[int]error, err error) {
	counted, refused, err = c.buckets(ctx, parts, width)
	if err != nil {
		return nil, nil, err
	}
	var places []int
	var less []plan.Slice
	for i, p := range parts {
		rows := int64(0)
		for _, b := range counted[i] {
			rows += b.Rows
		}
		if refused[i] == nil && p.Rows >= 0 && plan.MustRecount(p.Rows, rows) {
			places, less = append(places, i), append(less, p)
		}
	}
	if len(less) == 0 {
		return counted, refused, nil
	}
	c.log.Warn("parts counted less than is known of them, counted again", "parts", len(less))
	again, alsoRefused, err := c.buckets(ctx, less, width)
	if err != nil {
		return nil, nil, err
	}
	for i, place := range places {
		if alsoRefused[i] == nil {
			counted[place] = plan.BelieveBuckets(counted[place], again[i])
		}
	}
	return counted, refused, nil
}
