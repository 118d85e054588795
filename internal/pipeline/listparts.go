package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const (
	// pagesLost is how many pages a reading may lose to whatever breaks it off; one that
	// loses more is done in parts, so that a service that breaks off again and again, or
	// asks for long waits, gets to the end of each.
	pagesLost = 20
	// partOfBudget of the time budget is what the readings of one part should take.
	partOfBudget = 4
)

// tooLateForList reports whether too little of the time budget is left for another part
// of a list, which is read to its end or not at all: half of it, at which a part of the
// right length is read twice over.
func (r *run) tooLateForList() bool {
	return r.m.list != nil && r.m.budget.endsWithin(r.m.cfg.Budget/2)
}

// nextOfList returns the oldest part that is planned, alone: they have one quota, and
// together none of them would end.
func (r *run) nextOfList() []int {
	var next plan.Slice
	for _, s := range r.planned() {
		if next.No == 0 || plan.OldestFirst(s, next) < 0 {
			next = s
		}
	}
	return []int{next.No}
}

// outrun reports whether a part of a list's snapshot cannot be read again by itself: a
// younger one was read, and what has moved to it since would be in neither. The snapshot
// is begun anew, as often as one may be; the next window of changes shows it all the same.
func (r *run) outrun(s *plan.LedgerSlice) bool {
	return r.m.list != nil && r.table.Load == plan.Snapshot && r.m.state.Restarts < maxRestarts &&
		slices.ContainsFunc(r.ledger.Slices, func(o plan.LedgerSlice) bool {
			return o.Window.From.After(s.Window.From) && o.State != plan.Planned && o.State != plan.Retired && o.State != plan.Void
		})
}

// unread deals with a reading that did not end: since began it had shown answer. Where
// it took all the time there was, or lost many pages, it goes on in parts.
func (r *run) unread(ctx context.Context, s plan.Slice, answer plan.ListAnswer, began time.Time, cause error) error {
	closed := errors.Is(cause, errClosed)
	long := closed && answer.Pages > 1 || answer.Pages > pagesLost && fault.KindOf(cause) != fault.Permanent
	if long && r.table.DividedBy() != "" {
		divided, err := r.divideList(ctx, s, answer, r.ports.Clock.Now().Sub(began))
		if err != nil {
			return errors.Join(cause, err)
		}
		if divided && closed {
			return nil
		}
	}
	switch {
	case closed && began.Sub(r.m.attempt.started) < r.m.cfg.Budget/10:
		return fault.As(fault.Permanent, fmt.Errorf("%s was not read to its end within the time budget of %v, after %d pages, and %s: raise MIGRATION_TIME_BUDGET",
			r.table.Source, r.m.cfg.Budget, answer.Pages, r.undivided()))
	case closed:
		return nil // the next invocation has more time
	}
	return fmt.Errorf("read the list: %w", unavailableNow(cause))
}

// undivided says why a list cannot be read in smaller parts.
func (r *run) undivided() string {
	if column := r.table.DividedBy(); column != "" {
		return "its rows cannot be told apart by " + column
	}
	return "it can only be read as a whole"
}

// divideList divides a part of a list that took so long, by what it has shown.
func (r *run) divideList(ctx context.Context, s plan.Slice, answer plan.ListAnswer, took time.Duration) (divided bool, err error) {
	l := r.ledger
	part := l.ListPart(s)
	if part.To.IsZero() { // the youngest
		part.To = cmp.Or(s.Window.To, l.SnapshotTime)
		if newest := answer.Shown.Newest(); newest.After(part.To) {
			part.To = newest.Add(time.Second)
		}
	}
	share := 0.5
	if took > 0 {
		share = min(share, float64(r.m.cfg.Budget)/partOfBudget/float64(r.table.ListReads())/float64(took))
	}
	cuts := answer.Shown.Cuts(part, share)
	err = r.step(ctx, func(l *plan.Ledger) (err error) {
		if divided, err = l.DivideList(s.No, cuts); divided && part.From.IsZero() {
			l.Note(fmt.Sprintf("the list is read in parts by %[1]s: rows without %[1]s are not copied", r.table.DividedBy()))
		}
		return err
	})
	if divided && err == nil {
		r.log.Info("list divided", "slice", s.No, "pages", answer.Pages, "shown", answer.Shown.Len(), "parts", l.Count(plan.Planned), "dur_ms", took.Milliseconds())
	}
	return divided, err
}
