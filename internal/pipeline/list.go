package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// planList plans a run of a list: one slice, which is read from its first page to its
// last. Nothing is asked beforehand.
func (p *planner) planList() error {
	l, now := p.ledger, p.clock.Now()
	s := plan.Slice{No: l.Next, Part: plan.PartAll, Hi: plan.Buckets, Rows: plan.RowsUnknown}
	l.Known = p.state.Shown
	if l.Table.Load == plan.Snapshot {
		l.SnapshotTime = plan.Ticks(now)
		l.Add(s)
		return nil
	}
	from := p.from()
	if p.state.Rewind != nil {
		l.Known = "" // what comes after the watermark is wanted once more
	}
	if from.IsZero() {
		// The column was left for a snapshot that never ran: it goes on from where it was.
		for _, m := range p.state.Marks.Older {
			if m.Column == l.Table.WatermarkColumn && p.state.Rewind == nil {
				from = m.Through
			}
		}
	}
	if !from.IsZero() && l.Known == "" && p.state.Rebuilt && len(p.state.Published) > 0 && p.state.Rewind == nil {
		return fault.As(fault.Permanent, errors.New("the state of the table is gone, and with it what of the list was copied lately: "+rewindRemedy(from)))
	}
	if l.Floor = p.state.Floor; l.Known == "" {
		l.Floor = from
	}
	l.Window = plan.Window{From: from, To: plan.Ticks(now.Add(-p.cfg.Settle))}
	if l.Window.Empty() {
		return nil
	}
	begin := l.Table.ListBegin(from, now, l.Known != "")
	if begin.Before(l.Floor) {
		begin = l.Floor
	}
	if begin.After(from) && !from.IsZero() {
		l.Note(fmt.Sprintf("the list holds nothing before %s: what changed between the watermark %s and then could not be copied", plan.Stamp(begin), plan.Stamp(from)))
	}
	s.Part, s.Window = plan.PartWindow, plan.Window{From: begin, To: l.Window.To}
	l.Add(s)
	return nil
}

func rewindRemedy(mark time.Time) string {
	return fmt.Sprintf("append a configuration row with another LastRefreshedTime than %s, from which on everything is copied again, twice where it stands in ADX already; or set LoadType to Snapshot", plan.Stamp(mark))
}

// copyList reads a list into one blob, freezes it and sends it. What the list has shown
// by then is written down before the ledger says that the blob is the slice's: the two
// belong together, and an earlier record, left by a killed process, is never read.
func (r *run) copyList(ctx context.Context, s plan.Slice) error {
	began := r.ports.Clock.Now()
	q, err := r.listQuery(ctx, s)
	if err != nil {
		return err
	}
	if err := r.wholeFirst(ctx, s.Window.From); err != nil {
		return err
	}
	if err := r.ports.Stager.Ready(ctx); err != nil {
		return err
	}
	var blob plan.Blob
	stage := func(ctx context.Context, produce func(io.Writer) error) (err error) {
		blob, err = r.ports.Stager.Stage(ctx, r.blobName(s), produce)
		return err
	}
	answer, err := r.m.list.Read(ctx, r.calls.while(r.open), q, stage)
	if err != nil {
		return r.unread(ctx, s, answer, began, err)
	}
	before := r.ledger.Shown
	shown, err := r.remember(ctx, q, answer)
	if err != nil {
		return err
	}
	// Frozen and promised before it is sent, as any slice.
	err = r.step(ctx, func(l *plan.Ledger) error {
		l.Shown = shown
		l.Bytes += answer.Bytes
		l.ListRead(answer.Now, r.m.cfg.Settle)
		servedBy(l, r.m.attempt.api())
		if answer.Rows == 0 {
			return l.Verify(s.No, 0)
		}
		blob.Rows, blob.Bytes = answer.Rows, answer.Bytes
		return l.Freeze(s.No, blob, answer.Cut, r.ports.Clock.Now())
	})
	if err != nil {
		return err
	}
	if before != "" && before != shown && before != r.ledger.Known {
		r.forget(ctx, before)
	}
	if answer.Rows == 0 {
		return nil
	}
	if err := r.send(ctx, s.No); err != nil {
		return err
	}
	if err := r.checkDestination(ctx); err != nil {
		return err
	}
	r.log.Info("list sent", "slice", s.No, "rows", answer.Rows, "bytes", answer.Bytes, "pages", answer.Pages, "dur_ms", r.ports.Clock.Now().Sub(began).Milliseconds())
	return nil
}

func (r *run) listQuery(ctx context.Context, s plan.Slice) (q plan.ListQuery, err error) {
	part := r.ledger.ListPart(s)
	q = plan.ListQuery{Table: r.table, Reads: r.table.ListReads(), From: part.From, To: part.To}
	if r.table.Load != plan.Snapshot {
		q.Known, err = r.known(ctx)
	}
	return q, err
}

// known reads what the list had shown before the run. A window without it would copy
// the overlap twice; a snapshot copies everything in any case.
func (r *run) known(ctx context.Context) (*plan.Versions, error) {
	if r.ledger.Known == "" {
		return nil, nil // nothing is known
	}
	known, err := r.m.lease.Versions(ctx, r.ledger.Known)
	if err == nil && known == nil && r.table.Load != plan.Snapshot {
		err = r.recordGone()
	}
	return known, err
}

func (r *run) recordGone() error {
	return fault.As(fault.Permanent, errors.New("the record of what of the list was copied lately is gone: "+rewindRemedy(r.ledger.Window.From)))
}

// remember writes down what a later read can show again, with what the run's other
// parts have shown, and returns its name. Where nothing new was shown the record of
// before holds it all.
func (r *run) remember(ctx context.Context, q plan.ListQuery, answer plan.ListAnswer) (string, error) {
	l := r.ledger
	if !r.table.KeepsVersions() {
		return "", nil
	}
	known, err := r.known(ctx)
	if err != nil {
		return "", err
	}
	if answer.Rows == 0 && known != nil && l.Shown == "" {
		return l.Known, nil
	}
	mark := l.Window.To
	if r.table.Load == plan.Snapshot {
		mark = l.SnapshotTime
	}
	if now := answer.Now; !now.IsZero() && now.Before(mark) {
		mark = now
	}
	// After a snapshot the window begins a settle time before it.
	begin := r.table.ListMemory(mark.Add(-2 * r.m.cfg.Settle))
	var held *plan.Versions
	if l.Shown != "" {
		shown, err := r.m.lease.Versions(ctx, l.Shown)
		if err == nil && shown == nil {
			err = r.recordGone()
		}
		if err != nil {
			return "", err
		}
		// A part that is read again is copied as it shows itself now.
		held, known = shown, shown.Outside(q.From, q.To).Since(begin, known)
	}
	all := answer.Shown.Since(begin, known)
	if held != nil && answer.Rows == 0 && all.Same(held) {
		return l.Shown, nil
	}
	name := fmt.Sprintf("%s-%d-%s", l.RunID, r.m.state.Generation, randomID(8))
	if err := r.m.lease.SaveVersions(ctx, name, all); err != nil {
		return "", fmt.Errorf("write down what the list has shown: %w", err)
	}
	return name, nil
}

// forget drops a record that another has replaced.
func (r *run) forget(ctx context.Context, record string) {
	if err := r.m.lease.DropVersions(ctx, record); err != nil {
		r.log.Warn("drop what the list had shown before", "error", err.Error()) // it is swept some day
	}
}
