package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const (
	// maxRestarts is how often a snapshot is begun again because its table changed
	// while it was copied.
	maxRestarts = 3
	// restartPause is the pause before a snapshot is begun again, tripled each time:
	// a table that is being written rests after minutes.
	restartPause = time.Minute
)

// finish ends a run whose slices are all verified: closing check, checkpoint,
// configuration row, audit row. again says that another run should follow at
// once: the next window, or a snapshot begun anew.
func (r *run) finish(ctx context.Context) (again bool, err error) {
	for {
		well, err := r.finalCheck(ctx)
		if err == nil && well && r.table.Load != plan.Snapshot {
			well, err = r.disjoint(ctx)
		}
		if err == nil && well {
			well, err = r.balance(ctx)
		}
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
	end := plan.Audit{Status: plan.Success}
	if gap := r.gap(); gap != 0 {
		end = plan.Audit{Status: plan.Gap, FailureReason: fmt.Sprintf(
			"the source counted %d rows and %d were copied: nothing explains the difference of %d; append a configuration row with LastRefreshedTime %s to copy the window again",
			r.ledger.Rows()+gap, r.ledger.Rows(), gap, stampOrNone(r.ledger.Window.From))}
	}
	// What cannot be counted cannot be seen to change: a list was read twice instead.
	if r.table.Load == plan.Snapshot && !r.table.Kind().RowsUnknown() {
		change, err := r.straddling(ctx)
		if err == nil && change == "" {
			change, err = r.torn(ctx)
		}
		switch {
		case err != nil:
			return false, err
		case change != "" && r.m.state.Restarts < maxRestarts:
			return false, r.abandon(ctx)
		case change != "":
			end = plan.Audit{Status: plan.Torn, FailureReason: fmt.Sprintf("the table changed during each of %d attempts to copy it whole: %s", maxRestarts+1, change)}
		}
	}
	// Re-read right before: what the user changed meanwhile must not be
	// overwritten by our row.
	if err := r.m.command(ctx); err != nil && fault.KindOf(err) != fault.Permanent {
		return false, err
	}
	return r.ledger.More, r.checkpoint(ctx, end)
}

// finalCheck looks once more before the checkpoint at every slice of the run: those
// verified must still be there whole, and once. A shortfall is believed when it is seen
// twice. It reports whether all is well; otherwise the ledger says what is left to do.
func (r *run) finalCheck(ctx context.Context) (bool, error) {
	landed, err := r.landed(ctx)
	if err == nil && r.ledger.Short(landed) {
		var again map[int]plan.Landed
		if err = r.ports.Clock.Sleep(ctx, r.m.cfg.Poll); err == nil {
			again, err = r.landed(ctx)
		}
		landed = plan.Fuller(landed, again)
	}
	if err != nil {
		return false, err
	}
	well := true
	for i := range r.ledger.Slices {
		s := &r.ledger.Slices[i]
		if s.State != plan.Verified {
			continue
		}
		l := landed[s.No]
		verdict, err := r.verdict(ctx, s, l)
		if err != nil {
			return false, err
		}
		switch verdict {
		case plan.Excess:
			if err := r.surplus(ctx, s, l); err != nil {
				return false, err
			}
		case plan.Missing, plan.Partial, plan.Copies:
			what := fmt.Sprintf("slice %d: %d rows for %d in ADX when the run ended", s.No, l.Rows, s.Blob.Rows)
			if err := r.mayVoid(ctx, s, what); err != nil {
				return false, err
			}
			r.ledger.Note(what + "; sent again")
			if err := r.ledger.Condemn(s.No, l.Rows); err != nil {
				return false, err
			}
			well = false
		}
	}
	if well {
		return true, nil
	}
	return false, r.save(ctx)
}

// gap returns how many rows of a window are missing without an explanation, negative
// where there are too many. Runs that an older program planned have no account.
func (r *run) gap() int64 {
	if r.table.Load == plan.Snapshot || r.ledger.Account == (plan.Account{Edge: r.ledger.Account.Edge}) {
		return 0
	}
	return r.ledger.Account.Gap(r.ledger.Rows())
}

// balance holds what was copied against what was planned. Where they differ without
// an explanation, or rows are said to be gone from what hash() has divided, the window
// is counted once more by division, and those of which the source holds more are hidden
// and read again, once. It reports whether that is done with; otherwise the ledger says
// what is left to do.
func (r *run) balance(ctx context.Context) (bool, error) {
	if r.ledger.Account.Closed || r.gap() == 0 && (r.table.Load == plan.Snapshot || !r.ledger.Vanished()) {
		return true, nil
	}
	r.log.Warn("rows copied differ from rows planned, counted again", "gap", r.gap(), "rows", r.ledger.Rows())
	var parts []plan.Slice
	for _, d := range r.ledger.Divisions() {
		parts = append(parts, d.Slice)
	}
	counts, refused, err := r.counter.parts(ctx, parts)
	if err != nil {
		return false, fmt.Errorf("count %d slices: %w", len(parts), err)
	}
	rows := map[int]int64{}
	for i, p := range parts {
		if refused[i] == nil {
			rows[p.No] = counts[i]
		}
	}
	again, err := r.ledger.Close(rows)
	if err != nil {
		return false, err
	}
	for _, d := range again {
		copied := r.ledger.Landed(d)
		r.ledger.Note(fmt.Sprintf("%s: %d rows at the source, %d copied; hidden and read again", d.Name(), d.Rows, copied))
	}
	return len(again) == 0, r.save(ctx)
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

// checkpoint moves the watermark. The state goes first and decides; it carries
// the configuration row and the audit row in its outbox, so that a kill after it
// neither loses nor doubles them. ADX and ledger follow.
func (r *run) checkpoint(ctx context.Context, audit plan.Audit) error {
	l := r.ledger
	l.Calls += r.calls.taken()
	mark := l.Window.To
	if r.table.Load == plan.Snapshot {
		mark = l.SnapshotTime
		r.m.state.Restarts = 0
	}
	r.notes()
	r.m.ended(l, mark)
	if l.Rewind != nil && r.m.state.Rewind != nil && l.Rewind.Equal(*r.m.state.Rewind) {
		r.m.state.Rewind = nil // obeyed; a later command stays
	}
	if r.table.Load != plan.Snapshot {
		r.m.state.NullsEnded(l.Nulls)
	}
	if n := l.Rows(); n > 0 { // of all attempts; a guess does not stay
		r.m.state.Width = float64(l.Bytes) / float64(n)
	}
	snapshot := r.table.Load == plan.Snapshot
	r.m.state.RunEnded(l.SourceAt(r.ports.Clock.Now()), snapshot)
	r.m.state.Turned = ""
	r.m.state.Shown, r.m.state.Floor = l.Shown, l.Floor
	if next := r.m.state.Table; next.WatermarkColumn != l.Table.WatermarkColumn || next.Load != l.Table.Load || r.m.state.Rewind != nil {
		// The user's row came while this run was open: it is taken up now.
		r.m.state.Table = l.Table
		r.m.turn(next)
		r.m.state.Table = next
	}
	if l.Rows() > 0 || l.Rewind != nil || r.m.state.PublishDue(mark) {
		r.m.outbox.publish(mark, l.RunID)
	}
	r.m.outbox.addAudit(ofRun(r.m.audit(audit), l))
	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {
		// What is stored tells how the run stands: what could not be said there must
		// not be said beside the failure.
		if r.m.hold(r.m.lease.State()); r.m.state.OpenRun == l.RunID {
			return err
		}
	}
	r.log.Info("run ended", "status", string(audit.Status), "rows", l.Rows(), "slices", l.Count(plan.Verified), "calls", l.Calls,
		"bytes", l.Bytes, "dur_ms", r.ports.Clock.Now().Sub(l.Started).Milliseconds(), "watermark", plan.Stamp(mark), "more", l.More)
	if err := r.m.outbox.flush(ctx); err != nil {
		return err
	}
	// Last: should the state be lost before our rows are in ADX, the open ledger
	// tells that the window is done.
	l.Status, l.Ended = string(audit.Status), r.ports.Clock.Now()
	if err := r.m.lease.SaveLedger(ctx, l); err != nil {
		return &undelivered{err} // the run has ended all the same
	}
	r.m.req.show(l)
	if l.Known != "" && l.Known != l.Shown {
		r.forget(ctx, l.Known)
	}
	return nil
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
	if n := -l.Account.Expired; n > 0 {
		l.Note(fmt.Sprintf("%d rows expired at Defender between their count and their copy", n))
	}
	if n := -l.Account.Recounted; n > 0 {
		l.Note(fmt.Sprintf("%d rows were gone when they were counted again", n))
	}
	if cut > 0 {
		l.Note(fmt.Sprintf("%d rows were larger than ADX takes: their longest values were cut, marked _truncated", cut))
	}
	if r.table.Load != plan.Snapshot && r.table.WatermarkColumn != "" && r.m.list == nil {
		l.Note(fmt.Sprintf("%s is no arrival time: rows that appear later with an older value are not copied; set WatermarkColumn to None for events, LoadType to Snapshot for what changes", r.table.WatermarkColumn))
	}
	if sight := r.sight(); sight != "" {
		l.Note(sight)
	}
	if l.Restarts > 0 {
		l.Note(fmt.Sprintf("begun again %d times because the table changed while it was copied", l.Restarts))
	}
}
