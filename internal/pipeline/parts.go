package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// countParts counts the parts of a snapshot that could not be counted in one piece,
// one a call, and cuts them into slices. What was counted stands in the ledger at
// once.
func (r *run) countParts(ctx context.Context) error {
	for {
		part, ok := r.ledger.NextPart()
		if !ok {
			return nil
		}
		if r.m.budget.outOfTime() {
			return &snooze{delay: r.m.cfg.PutOff, reason: "time budget spent on counting"}
		}
		counted, refused, err := r.counter.buckets(ctx, []plan.Slice{part}, part.PartWidth())
		if err != nil {
			return fmt.Errorf("count %s: %w", part, unavailableNow(err))
		}
		if cause := refused[0]; cause != nil {
			if err := r.split(ctx, part, cause); err != nil {
				return err
			}
			continue
		}
		cells := plan.BucketCells(part, counted[0])
		cells = plan.Pack(cells, r.width.PackTarget(plan.SumRows(cells)), r.ledger.Next)
		if err := r.ledger.DivideCounted(part.No, cells); err != nil {
			return err
		}
		_, checksum := plan.Tally(counted[0])
		r.ledger.TakePartSum(part, checksum)
		if err := r.save(ctx); err != nil {
			return err
		}
	}
}

// countUncounted counts the slices that came out of a split, all in one call, and
// once more what the first answer puts below what is known of them.
func (r *run) countUncounted(ctx context.Context) error {
	parts := slices.DeleteFunc(r.planned(), func(s plan.Slice) bool { return s.Rows >= 0 })
	if len(parts) == 0 || r.table.Kind().RowsUnknown() {
		return nil
	}
	believed, err := r.countOnce(ctx, parts)
	if err != nil {
		return err
	}
	if doubt := r.ledger.Doubt(believed); len(doubt) > 0 {
		r.log.Warn("slices counted less than is known of them, counted again", "slices", doubt)
		again := slices.DeleteFunc(parts, func(s plan.Slice) bool { return !slices.Contains(doubt, s.No) })
		second, err := r.countOnce(ctx, again)
		if err != nil {
			return err
		}
		for _, s := range again {
			believed[s.No] = plan.Believe(believed[s.No], second[s.No])
		}
	}
	for no, rows := range believed {
		believed[no] = max(0, rows) // not doubted: all the parent's rows are in its other parts
	}
	if err := r.ledger.TakeCounts(believed); err != nil {
		return err
	}
	return r.save(ctx)
}

// countOnce counts slices by number; a slice that the answer does not speak of is
// negative. What the source refuses to count is divided and absent.
func (r *run) countOnce(ctx context.Context, parts []plan.Slice) (map[int]int64, error) {
	batch := r.ledger.CountBatch
	counts, refused, err := r.counter.parts(ctx, parts)
	if err != nil {
		if r.ledger.CountBatch != batch {
			err = errors.Join(err, r.save(ctx)) // the next invocation asks for less at once
		}
		return nil, fmt.Errorf("count %d slices: %w", len(parts), err)
	}
	rows := map[int]int64{}
	for i, p := range parts {
		if cause := refused[i]; cause != nil {
			// Too heavy to count is too heavy to fetch.
			if err := r.split(ctx, p, cause); err != nil {
				return nil, err
			}
			continue
		}
		rows[p.No] = counts[i]
	}
	return rows, nil
}
