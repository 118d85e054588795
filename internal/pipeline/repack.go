package pipeline

import (
	"cmp"
	"context"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// learned stores the row width and, where slices packed by another one are far off,
// packs the rest of the run again.
func (r *run) learned(ctx context.Context) error {
	r.m.state.Width = r.width.Width()
	r.m.state.RowCap = cmp.Or(r.width.RowCap(), r.m.state.RowCap)
	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {
		return err
	}
	if rest := r.planned(); r.width.Repack(rest) {
		return r.repack(ctx, rest)
	}
	return nil
}

// repack retires the planned slices and plans their range anew.
func (r *run) repack(ctx context.Context, rest []plan.Slice) error {
	packed, err := r.recount(ctx, rest)
	if kind := fault.KindOf(err); kind == fault.Split || kind == fault.Unavailable {
		// Packing again only saves calls.
		r.log.Warn("not packed again", "error", err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("pack again: %w", err)
	}
	if err := r.ledger.Repack(packed); err != nil {
		return err
	}
	if r.ledger.Shorten(plan.MaxSlices) {
		r.log.Info("the window was cut short: more slices than a run may have", "window_to", plan.Stamp(r.ledger.Window.To))
	}
	r.log.Info("packed again by the learned row width", "bytes_per_row", int64(r.m.state.Width), "slices", len(packed))
	return r.save(ctx)
}

// recount counts the range of planned slices by time and buckets and packs it.
// What this attempt counted when it planned the run is not counted again.
func (r *run) recount(ctx context.Context, rest []plan.Slice) ([]plan.Slice, error) {
	target := r.width.Target()
	var windows, others []plan.Slice
	for _, s := range rest {
		if s.Part == plan.PartWindow && !s.Hashed() {
			windows = append(windows, s)
		} else {
			others = append(others, s)
		}
	}
	var cells []plan.Slice
	if len(others) > 0 {
		counted, refused, err := r.counter.conserved(ctx, others, plan.CountWidth(others, target))
		if err != nil {
			return nil, err
		}
		for i, s := range others {
			if refused[i] != nil {
				return nil, refused[i]
			}
			cells = append(cells, plan.BucketCells(s, counted[i])...)
		}
	}
	for _, w := range plan.Coalesce(windows) {
		fresh := plan.Within(r.cells, w)
		if fresh == nil {
			counts, err := r.counter.window(ctx, w, 0, w.Bin(), plan.RowsWithin(windows, w))
			if err != nil {
				return nil, err
			}
			fresh = plan.Cells(w, counts.Bins, w.Bin())
		}
		if len(fresh) == 0 {
			fresh = []plan.Slice{{Part: plan.PartWindow, Window: w, Hi: plan.Buckets}}
		}
		fresh, err := r.counter.refineGroups(ctx, fresh, plan.Oversized(fresh, target), target)
		if err != nil {
			return nil, err
		}
		cells = append(cells, fresh...)
	}
	return plan.Pack(cells, target, r.ledger.Next), nil
}
