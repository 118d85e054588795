package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// disjoint asks ADX whether a row stands in two parts of a division. Kusto promises
// hash() only within one query and parts are fetched by several: where another one came
// in between, their rows were copied twice or not at all, whatever the counts say. All
// parts are then hidden and read again. It reports whether none was found; otherwise
// the ledger says what is left to do.
func (r *run) disjoint(ctx context.Context) (bool, error) {
	found := false
	for _, d := range r.ledger.Divisions() {
		overlap, err := r.overlap(ctx, d)
		if err != nil {
			return false, err
		}
		if overlap.Rows == 0 {
			continue
		}
		what := fmt.Sprintf("%s: %d rows stand in two of its parts, for hash() was another one in between", d.Name(), overlap.Rows)
		if !found {
			if err := r.mayReread(ctx, d, what); err != nil {
				return false, err
			}
		}
		found = true
		r.log.Warn("parts of a division overlap, read again", "slices", len(d.Parts), "rows", d.Rows, "twice", overlap.Rows)
		r.ledger.Note(what + "; hidden and read again")
		if err := r.ledger.Doubled(d, overlap); err != nil {
			return false, err
		}
	}
	if !found {
		return true, nil
	}
	r.ledger.Rereads++
	return false, r.save(ctx)
}

// straddling is disjoint for a snapshot, which is begun again: a count at the plan and
// one at the end have the same hash() where only a part between them had another. It
// returns what was found; "" if nothing was.
func (r *run) straddling(ctx context.Context) (change string, err error) {
	for _, d := range r.ledger.Divisions() {
		overlap, err := r.overlap(ctx, d)
		if err != nil {
			return "", err
		}
		if overlap.Rows > 0 { // one is enough: nothing of the run stays
			r.log.Warn("parts of a snapshot overlap", "slices", len(d.Parts), "rows", d.Rows, "twice", overlap.Rows)
			return fmt.Sprintf("%d rows stand in two of its parts, for hash() was another one in between", overlap.Rows), nil
		}
	}
	return "", nil
}

// overlap asks for the rows that stand in two parts of a division; one with fewer than
// two parts that hold any has none.
func (r *run) overlap(ctx context.Context, d plan.Division) (plan.Overlap, error) {
	parts := d.Filled()
	if !d.Divided() || len(parts) < 2 {
		return plan.Overlap{}, nil
	}
	overlap, err := r.ports.Verifier.Overlap(ctx, r.table.Destination, r.ledger.RunID, parts, r.ledger.Started)
	if err != nil {
		return plan.Overlap{}, fmt.Errorf("look for rows twice in %s of run %s: %w", r.table.Destination, r.ledger.RunID, err)
	}
	return overlap, nil
}

// mayReread bounds how often a run reads divisions again, as mayVoid does for a slice:
// cause is the error once that was enough.
func (r *run) mayReread(ctx context.Context, d plan.Division, cause string) error {
	granted, err := r.ledger.MayTry(d.No, r.ledger.Rereads, plan.MaxVoids)
	if err != nil || granted {
		return err
	}
	failed := fmt.Errorf("%s: %s, again and again: the run stays open and reads them once more at each tick", r.table.Destination, cause)
	return errors.Join(fault.As(fault.Permanent, failed), r.save(ctx))
}
