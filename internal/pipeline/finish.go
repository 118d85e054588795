package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// maxRestarts is how often a snapshot is begun again because its table changed
// while it was copied.
const maxRestarts = 3

// finish ends a run whose slices are all verified: closing check, checkpoint,
// configuration row, audit row. again says that another run should follow at
// once: the next window, or a snapshot begun anew.
func (r *run) finish(ctx context.Context) (again bool, err error) {
	for {
		well, err := r.finalCheck(ctx)
		if err != nil {
			return false, err
		}
		if well {
			break
		}
		if err := r.copyAll(ctx); err != nil {
			return false, err
		}
	}
	if err := r.checkOrphans(ctx); err != nil {
		return false, err
	}
	status := plan.Success
	if r.table.Load == plan.Snapshot && r.ledger.Total > 0 {
		torn, err := r.torn(ctx)
		switch {
		case err != nil:
			return false, err
		case torn && r.state.Restarts < maxRestarts:
			return true, r.abandon(ctx)
		case torn:
			status = plan.Torn
		}
	}
	// Re-read right before: what the user changed meanwhile must not be
	// overwritten by our row.
	if err := r.configure(ctx); err != nil && fault.KindOf(err) != fault.Permanent {
		return false, err
	}
	return r.ledger.More, r.checkpoint(ctx, status)
}

// checkOrphans asks again, for a table without a state when the run began, for rows
// that nobody vouches for: they may have been on their way.
func (r *run) checkOrphans(ctx context.Context) error {
	if !r.state.Rebuilt || r.table.Load == plan.Snapshot {
		return nil
	}
	id, command, err := r.Sink.OrphanRun(ctx, r.table.Destination, r.ledger.RunID)
	if err != nil || id == "" {
		return err
	}
	return fault.As(fault.Permanent, fmt.Errorf(
		"%s holds rows of run %s, which nobody vouches for and which came in after run %s had begun to copy the same time: hide them with: %s",
		r.table.Destination, id, r.ledger.RunID, command))
}

// torn takes the closing call of a snapshot and compares it with the plan.
func (r *run) torn(ctx context.Context) (bool, error) {
	var counts plan.Counts
	err := r.call(ctx, &r.ledger.Calls, func(ctx context.Context) (err error) {
		counts, err = r.Source.Count(ctx, plan.CountQuery{Table: r.table})
		return err
	})
	if kind := fault.KindOf(err); kind == fault.Split || kind == fault.Unavailable {
		err = fault.As(fault.Retry, err)
	}
	if err != nil {
		return false, fmt.Errorf("close snapshot of %s: %w", r.req.Key, err)
	}
	same := counts.Rows() == r.ledger.Total && counts.Newest.Equal(r.ledger.Newest) && r.ledger.Rows() == r.ledger.Total
	if !same {
		r.log.Warn("snapshot changed while it was copied", "rows_planned", r.ledger.Total, "rows_now", counts.Rows(), "rows_copied", r.ledger.Rows())
	}
	return !same, nil
}

// abandon ends a snapshot's run without a Success: its rows show in no latest
// view. The next one begins at once.
func (r *run) abandon(ctx context.Context) error {
	r.state.Restarts++
	r.state.OpenRun = ""
	if err := r.held.SaveState(ctx, r.state); err != nil {
		return err
	}
	r.ledger.Status, r.ledger.Ended = "Restarted", r.Clock.Now()
	return r.held.SaveLedger(ctx, r.ledger)
}

// checkpoint moves the watermark. The state goes first and decides; it carries
// the configuration row and the audit row in its outbox, so that a kill after it
// neither loses nor doubles them. ADX and ledger follow.
func (r *run) checkpoint(ctx context.Context, status plan.Status) error {
	l := r.ledger
	mark := l.Window.To
	if r.table.Load == plan.Snapshot {
		mark = l.SnapshotTime
		r.state.Restarts = 0
	}
	r.notes()
	audit := plan.Audit{Status: status}
	if status == plan.Torn {
		audit.FailureReason = fmt.Sprintf("the table changed during each of %d attempts to copy it whole", maxRestarts+1)
	}
	r.state.Watermark, r.state.OpenRun, r.state.Settled = mark, "", r.Clock.Now()
	r.state.NotBefore, r.state.Rebuilt, r.state.LastRun = time.Time{}, false, l.RunID
	if l.Rewind != nil && r.state.Rewind != nil && l.Rewind.Equal(*r.state.Rewind) {
		r.state.Rewind = nil // obeyed; a later command stays
	}
	if r.table.Load != plan.Snapshot && r.state.Nulls < 0 {
		r.state.Nulls = l.Nulls
	}
	if n := l.Rows(); n > 0 { // of all attempts; a guess does not stay
		r.state.Width = float64(l.Bytes) / float64(n)
	}
	user := r.state.Table
	r.state.Table.RunID = l.RunID
	r.publish(mark)
	r.state.Table = user
	r.enqueueAudit(*r.completeAudit(audit, l))
	if err := r.held.SaveState(ctx, r.state); err != nil {
		return err
	}
	r.log.Info("run ended", "status", string(status), "rows", l.Rows(), "slices", l.Count(plan.Verified), "calls", l.Calls,
		"bytes", l.Bytes, "dur_ms", r.Clock.Now().Sub(l.Started).Milliseconds(), "watermark", plan.Stamp(mark), "more", l.More)
	if err := r.flush(ctx); err != nil {
		return err
	}
	// Last: should the state be lost before our rows are in ADX, the open ledger
	// tells that the window is done.
	l.Status, l.Ended = string(status), r.Clock.Now()
	return r.held.SaveLedger(ctx, l)
}

// notes says in the audit row what its reader has to know.
func (r *run) notes() {
	l := r.ledger
	var cut int64
	for i := range l.Slices {
		if l.Slices[i].State == plan.Verified {
			cut += l.Slices[i].Cut
		}
	}
	if cut > 0 {
		l.Note(fmt.Sprintf("%d rows were larger than ADX takes: their longest values were cut, marked _truncated", cut))
	}
	if r.table.Load != plan.Snapshot && r.table.WatermarkColumn != "" {
		l.Note(fmt.Sprintf("%s is no arrival time: rows that appear later with an older value are not copied; set WatermarkColumn to None for events, LoadType to Snapshot for what changes", r.table.WatermarkColumn))
	}
	if l.Restarts > 0 {
		l.Note(fmt.Sprintf("begun again %d times because the table changed while it was copied", l.Restarts))
	}
}

// fillRun completes an audit row with what is known of a run.
func fillRun(audit *plan.Audit, l *plan.Ledger) {
	audit.TableName = l.Table.Destination
	audit.RunID, audit.API = l.RunID, l.API
	audit.WindowFrom, audit.WindowTo = l.Window.From, l.Window.To
	audit.RecordCount, audit.Slices, audit.Calls, audit.Bytes = l.Rows(), l.Count(plan.Verified), l.Calls, l.Bytes
	audit.Note = strings.Join(l.Notes, "; ")
	if audit.Status != plan.Failed {
		audit.Duration = audit.Timestamp.Sub(l.Started)
	}
}
