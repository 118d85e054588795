package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// errTorn ends the copy of a snapshot that is known to be torn.
var errTorn = errors.New("the table has changed since the snapshot was planned")

// torn takes the closing call of a snapshot and compares it with the plan. It
// returns what has changed; "" if nothing has.
func (r *run) torn(ctx context.Context) (change string, err error) {
	l := r.ledger
	if l.Parts > 0 {
		return r.tornInParts(ctx)
	}
	counts, err := r.counter.all(ctx, l.Total)
	if kind := fault.KindOf(err); kind == fault.Split || kind == fault.Unavailable {
		err = fault.As(fault.Retry, err)
	}
	if err != nil {
		return "", fmt.Errorf("close the snapshot: %w", err)
	}
	switch {
	case counts.Rows() != l.Total:
		change = fmt.Sprintf("%d rows at the plan, %d at the end", l.Total, counts.Rows())
	case l.Rows() != l.Total:
		change = fmt.Sprintf("%d rows at the plan, %d copied", l.Total, l.Rows())
	case !counts.Newest.Equal(l.Newest):
		change = "a row arrived"
	case l.Checksum != "" && counts.Checksum != "" && l.Checksum != counts.Checksum:
		change = "a row was replaced by another"
	default:
		return "", nil
	}
	r.log.Warn("snapshot changed while it was copied", "change", change)
	return change, nil
}

// tornInParts is torn for a snapshot that could not be counted in one piece: its parts
// are counted again and compared with what was copied of each, and the checksums of
// their keys with those of the plan.
func (r *run) tornInParts(ctx context.Context) (change string, err error) {
	parts := plan.EvenParts(1)
	for len(r.ledger.PartsNow) < len(parts) {
		if r.m.budget.outOfTime() {
			return "", &snooze{delay: r.m.cfg.PutOff, reason: "time budget spent on the closing count"}
		}
		ranges, err := r.counter.piecewise(ctx, parts[len(r.ledger.PartsNow)])
		if err != nil {
			return "", fmt.Errorf("close the snapshot: %w", err)
		}
		rows, checksum := plan.Tally(ranges)
		r.ledger.PartsNow, r.ledger.PartSumsNow = append(r.ledger.PartsNow, rows), append(r.ledger.PartSumsNow, checksum)
		if err := r.save(ctx); err != nil {
			return "", err
		}
	}
	replaced, _ := r.ledger.Replaced()
	switch {
	case !r.ledger.SameParts(parts, r.ledger.PartsNow):
		change = "a part holds another number of rows than was copied of it"
	case replaced:
		change = "a row of a part was replaced by another"
	default:
		return "", nil
	}
	r.log.Warn("snapshot changed while it was copied", "change", change)
	return change, nil
}

// sight says, of a snapshot that was judged without times of arrival, which changes
// its closing count sees; "" of others.
func (r *run) sight() string {
	l := r.ledger
	judged, keys := "rows have no time of arrival", l.Checksum != ""
	if l.Parts > 0 {
		judged = "the snapshot was counted in parts"
		_, keys = l.Replaced()
	}
	switch key := r.table.Key(); {
	case r.table.Load != plan.Snapshot || r.table.Kind().RowsUnknown() || l.Rows() == 0 || !l.Newest.IsZero():
		return ""
	case !keys:
		return judged + ": a change while it was copied shows only in the number of rows"
	case len(key) == 0:
		return judged + ": any change of a row while it was copied shows"
	default:
		return judged + ": a change while it was copied shows in the number of rows and in their keys (" + strings.Join(key, ", ") + "), not in other columns"
	}
}

// abandon ends a snapshot's run without a Success: its rows show in no latest
// view. The next one begins after a pause.
func (r *run) abandon(ctx context.Context) error {
	if r.table.IsExport() && r.m.state.Restarts >= maxRestarts {
		return r.giveUp(ctx)
	}
	r.m.state.Restarts++
	r.m.state.OpenRun = ""
	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {
		return err
	}
	r.ledger.Status, r.ledger.Ended = "Restarted", r.ports.Clock.Now()
	if err := r.save(ctx); err != nil {
		return err
	}
	pause := restartPause
	for range r.m.state.Restarts - 1 {
		pause *= 3
	}
	return &snooze{delay: pause, reason: "the table changed while it was copied, to be begun again"}
}
