package pipeline

import (
	"context"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// countWindow asks the planning query for as long a window as could be counted
// before, and sets the window's end and cells by its answer. Refused as too heavy,
// half is asked for, and that is remembered at once. Not answered at all, the oldest
// hour is asked for: if that is not answered either the source is down; else it is the
// window of this run, and the next may be four times as long. What is left out stays
// for later runs.
func (p *planner) countWindow(ctx context.Context) (plan.Counts, error) {
	whole := p.ledger.Window
	held := p.clock.Now().Add(-p.cfg.LookBack)
	w := whole
	if p.state.Reach > 0 {
		w = whole.First(held, p.state.Reach)
	}
	for overtaxed := false; ; {
		counts, err := p.counter.window(ctx, w, p.cfg.Settle, w.Bin(), p.expected())
		span := w.Span(held)
		switch kind := fault.KindOf(err); {
		case kind == fault.Split && p.state.Overtaxed(span):
			overtaxed = true
			if saveErr := p.save(ctx); saveErr != nil {
				return counts, saveErr
			}
			if p.counter.budget.outOfTime() {
				return counts, &snooze{delay: p.cfg.PutOff, reason: "time budget spent on counts that were refused"}
			}
			w = whole.First(held, p.state.Reach)
			continue
		case kind == fault.Unavailable && span > plan.ShortestReach:
			p.log.Warn("the window was not counted, its oldest hour is asked for", "hours", span.Hours(), "error", err.Error())
			w = whole.First(held, plan.ShortestReach)
			counts, err = p.counter.window(ctx, w, p.cfg.Settle, w.Bin(), -1)
			if err == nil {
				p.state.Reach = plan.ShortestReach
			}
		}
		if kind := fault.KindOf(err); kind == fault.Split || kind == fault.Unavailable {
			err = fault.As(fault.Retry, err)
		}
		if err != nil {
			return counts, err
		}
		if !overtaxed {
			p.state.Reached(p.cfg.LookBack)
		}
		p.ledger.More = p.ledger.More || w.To.Before(whole.To)
		bin := w.Bin()
		if counts.To.Before(w.To) {
			w.To = counts.To
		}
		p.ledger.SourceNow = counts.Now
		p.ledger.Window, p.cells = w, plan.Cells(w, counts.Bins, bin)
		return counts, nil
	}
}

// snapshotInParts plans a snapshot that cannot be counted in one piece: even parts,
// each to be counted by itself before it is fetched. One is counted here: if the
// source does not answer that either it is down, and cause is the failure.
func (p *planner) snapshotInParts(ctx context.Context, cause error) error {
	l := p.ledger
	began := p.serviceNow() // no answer has Defender's clock
	parts := plan.EvenParts(l.Next)
	if _, _, err := p.counter.buckets(ctx, parts[:1], plan.Buckets); err != nil {
		if fault.KindOf(err) == fault.Unavailable {
			err = fault.As(fault.Retry, cause)
		}
		return err
	}
	p.log.Warn("the snapshot was not counted in one piece, divided evenly", "parts", len(parts), "error", cause.Error())
	l.SnapshotTime, l.CountBatch = began, 1
	l.DivideParts()
	return nil
}
