package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// wholeFirst sees to it that changes have a whole to go on from. A list of changes
// reaches back some days only: where the run begins later than the watermark asks for, as
// a first one does, what came before is in the file export of the same data, which is
// woken at once. It is newer than begin, so that both together are complete in whatever
// order they arrive.
func (r *run) wholeFirst(ctx context.Context, begin time.Time) error {
	export := r.table.Whole()
	if export == "" || begin.IsZero() || !begin.After(r.ledger.Window.From) {
		return nil
	}
	key := plan.Key{Instance: r.m.req.Key.Instance, Source: export}
	rows, err := r.ports.ControlTables.Rows(ctx, key, time.Time{})
	if err != nil {
		return fmt.Errorf("look for %s: %w", export, err)
	}
	n := len(rows)
	switch {
	case n == 0 || !rows[n-1].IsActive:
		r.ledger.Note(fmt.Sprintf("these are the changes since %s; what was found before is in %s, which is not copied: append a row for it, or switch it on", plan.Stamp(begin), export))
	case rows[n-1].LastRefreshedTime.Before(begin):
		note := fmt.Sprintf("these are the changes since %s; %s is woken, as what they go on from", plan.Stamp(begin), export)
		if slices.Contains(r.ledger.Notes, note) {
			return nil // once a run, however often the list must be asked for
		}
		if err := r.ports.Waker.Wake(ctx, plan.WakeUp{Key: key, Trigger: plan.Scheduled}, 0); err != nil {
			return fmt.Errorf("wake %s: %w", export, err)
		}
		r.log.Info("the whole is asked for, since its changes do not reach back far enough", "export", export, "changes_since", plan.Stamp(begin))
		r.ledger.Note(note)
		return r.save(ctx)
	default:
		r.ledger.Note(fmt.Sprintf("these are the changes since %s; they go on from %s of %s", plan.Stamp(begin), export, plan.Stamp(rows[n-1].LastRefreshedTime)))
	}
	return nil
}
