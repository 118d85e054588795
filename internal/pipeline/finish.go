package pipeline

import (
	"context"
	"fmt"
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
		case torn && r.m.state.Restarts < maxRestarts:
			return true, r.abandon(ctx)
		case torn:
			status = plan.Torn
		}
	}
	// Re-read right before: what the user changed meanwhile must not be
	// overwritten by our row.
	if err := r.m.command(ctx); err != nil && fault.KindOf(err) != fault.Permanent {
		return false, err
	}
	return r.ledger.More, r.checkpoint(ctx, status)
}

// checkOrphans asks again, for a table without a state when the run began, for rows
// that nobody vouches for: they may have been on their way.
func (r *run) checkOrphans(ctx context.Context) error {
	if !r.m.state.Rebuilt || r.table.Load == plan.Snapshot {
		return nil
	}
	id, command, err := r.ports.Verifier.OrphanRun(ctx, r.table.Destination, r.ledger.RunID)
	if err != nil || id == "" {
		return err
	}
	return fault.As(fault.Permanent, fmt.Errorf(
		"%s holds rows of run %s, which nobody vouches for and which came in after run %s had begun to copy the same time: hide them with: %s",
		r.table.Destination, id, r.ledger.RunID, command))
}

// torn takes the closing call of a snapshot and compares it with the plan.
func (r *run) torn(ctx context.Context) (bool, error) {
	counts, err := r.counter.all(ctx)
	if err != nil {
		return false, fmt.Errorf("close the snapshot: %w", err)
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
	r.m.state.Restarts++
	r.m.state.OpenRun = ""
	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {
		return err
	}
	r.ledger.Status, r.ledger.Ended = "Restarted", r.ports.Clock.Now()
	return r.save(ctx)
}

// checkpoint moves the watermark. The state goes first and decides; it carries
// the configuration row and the audit row in its outbox, so that a kill after it
// neither loses nor doubles them. ADX and ledger follow.
func (r *run) checkpoint(ctx context.Context, status plan.Status) error {
	l := r.ledger
	l.Calls += r.calls.taken()
	mark := l.Window.To
	if r.table.Load == plan.Snapshot {
		mark = l.SnapshotTime
		r.m.state.Restarts = 0
	}
	r.notes()
	audit := plan.Audit{Status: status}
	if status == plan.Torn {
		audit.FailureReason = fmt.Sprintf("the table changed during each of %d attempts to copy it whole", maxRestarts+1)
	}
	r.m.state.Watermark, r.m.state.OpenRun, r.m.state.LastEnded = mark, "", r.ports.Clock.Now()
	r.m.state.ForeignSince = r.m.state.LastEnded
	r.m.state.NotBefore, r.m.state.Rebuilt, r.m.state.LastRun = time.Time{}, false, l.RunID
	if l.Rewind != nil && r.m.state.Rewind != nil && l.Rewind.Equal(*r.m.state.Rewind) {
		r.m.state.Rewind = nil // obeyed; a later command stays
	}
	if r.table.Load != plan.Snapshot && r.m.state.Nulls < 0 {
		r.m.state.Nulls = l.Nulls
	}
	if n := l.Rows(); n > 0 { // of all attempts; a guess does not stay
		r.m.state.Width = float64(l.Bytes) / float64(n)
	}
	r.m.outbox.publish(mark, l.RunID)
	r.m.outbox.addAudit(ofRun(r.m.audit(audit), l))
	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {
		return err
	}
	r.log.Info("run ended", "status", string(status), "rows", l.Rows(), "slices", l.Count(plan.Verified), "calls", l.Calls,
		"bytes", l.Bytes, "dur_ms", r.ports.Clock.Now().Sub(l.Started).Milliseconds(), "watermark", plan.Stamp(mark), "more", l.More)
	if err := r.m.outbox.flush(ctx); err != nil {
		return err
	}
	// Last: should the state be lost before our rows are in ADX, the open ledger
	// tells that the window is done.
	l.Status, l.Ended = string(status), r.ports.Clock.Now()
	return r.m.lease.SaveLedger(ctx, l)
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
