package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Exporter lists the files of exports. ADX fetches them itself: none of their rows
// passes through this process.
type Exporter interface {
	// Export asks for the newest export of a table. One call; the errors are those of
	// a Source.
	Export(ctx context.Context, call plan.Caller, t plan.Table) (plan.Export, error)
	// Ready gets the token for it.
	Ready(ctx context.Context) error
	// API names the interface, for the audit row.
	API() string
}

const (
	// addressLife is how long the addresses of files are used: half of the shortest
	// time for which they are documented to be signed, since ADX may let a file wait.
	addressLife = 30 * time.Minute
	// fileBatch is how many files are promised by one write of the ledger at least, and
	// fileBatches about how many writes promise all: the ledger is written whole, so that a
	// write for so many files of a large export would cost more with each of them.
	fileBatch   = 50
	fileBatches = 8
	// emptyAfter is after how many times the grace a file that ADX says it has taken in,
	// and shows no row of, counts as empty: rows may show long after the report, and a
	// file without any is as a rule refused as empty.
	emptyAfter = 4
	// emptySaid is how often an export without files is spoken of.
	emptySaid = 24 * time.Hour
)

// offer is an export as this attempt was told of it last. It is safe for concurrent
// use: many files wait for one answer.
type offer struct {
	mu    sync.Mutex
	asked time.Time // by our clock; zero: never
	plan.Export
	stale time.Time // what was told until then is not believed any more
}

func (o *offer) take(export plan.Export, now time.Time) { o.Export, o.asked = export, now }

// files plans an export: a slice for each file.
func (p *planner) files(ctx context.Context) error {
	if p.exports == nil {
		return fault.As(fault.Permanent, errors.New("this instance has no access to file exports"))
	}
	export, err := p.exports.Export(ctx, p.counter.call, p.ledger.Table)
	if err != nil {
		return unavailableNow(err)
	}
	p.offer.take(export, p.clock.Now())
	p.ledger.SnapshotTime = export.Generated
	p.ledger.AddFiles(export.Files)
	return nil
}

// unavailableNow makes an error of a source that does not answer one for the queue.
func unavailableNow(err error) error {
	if fault.KindOf(err) == fault.Unavailable {
		return fault.As(fault.Retry, err)
	}
	return err
}

// offersNothing reports whether the export that was planned needs no run: it was copied
// before, as the watermark tells, or it holds no file.
func (m *migration) offersNothing(ctx context.Context, l *plan.Ledger) (bool, error) {
	now, mark := m.ports.Clock.Now(), m.state.Watermark
	if m.state.Rewind != nil {
		mark = *m.state.Rewind
	}
	generated := l.SnapshotTime
	switch {
	case mark.After(now):
		return true, m.fromTheFuture(ctx, mark, now)
	case len(l.Slices) > 0 && generated.After(mark):
		return false, nil
	case len(l.Slices) > 0:
		m.log.Info("the export was copied before", "generated", plan.Stamp(generated))
	default:
		m.log.Warn("the export holds no file", "generated", plan.Stamp(generated))
	}
	m.state.LookedAt(l.Started, m.lease.ServiceNow())
	if len(l.Slices) == 0 && m.state.Say("an export without files", now, emptySaid) {
		// Not a Success: the latest view would show an empty table and nobody would know why.
		return true, m.recordAudit(ctx, plan.Audit{Status: plan.Skipped, FailureReason: fmt.Sprintf(
			"the export of %s holds no file: nothing was copied, and the last snapshot stays the one shown; does the tenant have the licence, and devices that report?", plan.Stamp(generated))})
	}
	if m.state.Last.Status == plan.Failed {
		m.state.Ended(m.audit(plan.Audit{Status: plan.Success}))
	}
	return true, m.lease.SaveState(ctx, m.state)
}

// sendFiles promises every planned file and hands its address to ADX. What was promised
// and not sent, as by a kill, is sent after the grace time.
func (r *run) sendFiles(ctx context.Context) error {
	for {
		batch := r.planned()
		if len(batch) == 0 {
			return nil
		}
		if r.m.budget.outOfTime() {
			return &snooze{delay: r.m.cfg.PutOff, reason: "time budget spent"}
		}
		batch = batch[:min(len(batch), max(fileBatch, len(r.ledger.Slices)/fileBatches))]
		// Addresses first: a file that cannot be had is not promised.
		for _, s := range batch {
			if _, err := r.address(ctx, r.ledger.Slice(s.No).Blob.Path); err != nil {
				return err
			}
		}
		err := r.step(ctx, func(l *plan.Ledger) error {
			servedBy(l, r.m.attempt.api())
			now := r.ports.Clock.Now() // of all: in what order they are sent nobody knows
			for _, s := range batch {
				if err := l.Freeze(s.No, l.Slice(s.No).Blob, 0, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		var g errgroup.Group
		g.SetLimit(max(1, r.m.cfg.CallsInFlight))
		var refused []int // written down together: all may be
		for _, s := range batch {
			g.Go(func() error {
				err := guarded(func() error { return r.enqueue(ctx, s.No) })
				if errors.Is(err, fault.ErrNotQueued) {
					r.mu.Lock()
					refused = append(refused, s.No)
					r.mu.Unlock()
				}
				return err
			})
		}
		err = g.Wait()
		if len(refused) > 0 {
			err = errors.Join(err, r.unsent(ctx, refused...))
		}
		if err != nil {
			return err
		}
		if err := r.checkDestination(ctx); err != nil {
			return err
		}
		r.log.Info("files sent", "files", len(batch), "left", r.ledger.Count(plan.Planned))
	}
}

// address returns the signed address of a file of the run's generation, and asks for it
// where none is known that is young enough. A file that is offered no more, or a newer
// generation, is errTorn: what is in ADX of this one can never be made whole.
func (r *run) address(ctx context.Context, name string) (secret.String, error) {
	o := r.m.offer
	o.mu.Lock()
	defer o.mu.Unlock()
	now := r.ports.Clock.Now()
	if o.asked.IsZero() || now.Sub(o.asked) > addressLife || !o.asked.After(o.stale) {
		export, err := r.ports.Exports.Export(ctx, r.calls, r.table)
		if err != nil {
			return secret.String{}, fmt.Errorf("ask for the files of %s: %w", plan.Stamp(r.ledger.SnapshotTime), unavailableNow(err))
		}
		o.take(export, r.ports.Clock.Now())
	}
	if !o.Generated.Equal(r.ledger.SnapshotTime) {
		return secret.String{}, fmt.Errorf("the export of %s is offered now: %w", plan.Stamp(o.Generated), errTorn)
	}
	for _, f := range o.Files {
		if f.Name == name {
			return f.URL, nil
		}
	}
	return secret.String{}, fmt.Errorf("a file of the export of %s is offered no more: %w", plan.Stamp(o.Generated), errTorn)
}

// distrust has the addresses asked for again that were told before an instant: one of
// them did not work.
func (o *offer) distrust(before time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before.After(o.stale) {
		o.stale = before
	}
}

// blobState looks for what a slice would be sent as. A file can always be asked for
// again: whether it is there its address tells.
func (r *run) blobState(ctx context.Context, b plan.Blob) (plan.BlobState, error) {
	if r.table.IsExport() {
		return plan.BlobThere, nil
	}
	return r.ports.Stager.BlobState(ctx, b)
}

// reports reads what ADX has reported of the files whose rows are not believed yet: of
// those that it shows rows of, and of those that are late. succeeded says that one of
// them is in, so that what it shows is worth another look.
func (r *run) reports(ctx context.Context, landed map[int]plan.Landed) (reports map[int]fileReport, succeeded bool, err error) {
	reports = map[int]fileReport{}
	now := r.ports.Clock.Now()
	for i := range r.ledger.Slices {
		s := &r.ledger.Slices[i]
		waited := now.Sub(s.Sent)
		if s.State != plan.Committing || s.Sends == 0 {
			continue
		}
		if landed[s.No].Rows > 0 {
			waited = max(waited, statusAfter*r.m.cfg.Poll) // the count is no authority here
		}
		status, err := r.report(ctx, s, waited)
		if err != nil {
			return nil, false, err
		}
		reports[s.No] = status
		succeeded = succeeded || status.State == plan.IngestSucceeded
	}
	return reports, succeeded, nil
}

// fileReport is what ADX has reported of a file.
type fileReport struct {
	plan.IngestStatus
	settled bool // what became of every send of the file is known
}

// report reads what was reported of a file that may have been sent more than once under
// one number: whichever came first is in, the others were skipped, and a success says
// only that nothing more comes of that one. One that came in in part speaks for all.
func (r *run) report(ctx context.Context, s *plan.LedgerSlice, waited time.Duration) (fileReport, error) {
	status, err := r.status(ctx, s.SourceID, s.No, waited)
	if err != nil {
		return fileReport{}, err
	}
	settled := len(s.Earlier) >= s.Sends-1 // or the ids of some are known no more
	for _, id := range s.Earlier {
		earlier, err := r.status(ctx, id, s.No, waited)
		if err != nil || earlier.State == plan.IngestPartial {
			return fileReport{IngestStatus: earlier}, err
		}
		settled = settled && (earlier.State == plan.IngestSucceeded || earlier.State == plan.IngestFailed && earlier.Permanent)
	}
	return fileReport{status, settled}, nil
}

// reconcileFile is reconcile for a file, of which nobody knows how many rows it has.
// landed was looked at after report.
func (r *run) reconcileFile(ctx context.Context, no int, landed plan.Landed, report fileReport) (changed bool, err error) {
	s := r.ledger.Slice(no)
	waited := r.ports.Clock.Now().Sub(s.Sent)
	switch {
	case s.State == plan.Voiding:
		return true, r.void(ctx, no)
	case s.Sends == 0:
		return true, r.resend(ctx, no, "it was never queued")
	case report.State == plan.IngestEmpty:
		return true, r.verifyEmpty(s)
	case report.State == plan.IngestPartial, report.State == plan.IngestFailed && report.Permanent && landed.Rows > 0:
		return true, r.voidFile(ctx, s, landed, cmp.Or(report.Reason, string(report.State)))
	case report.State == plan.IngestFailed && report.Permanent:
		r.ledger.Note("ingestion failed and was repeated: " + report.Reason)
		return true, r.resend(ctx, no, report.Reason)
	case report.State == plan.IngestSucceeded && report.settled && landed.Rows > 0:
		return true, r.verify(s, landed)
	case landed.Rows > 0:
		before := s.Glimpse
		whole, err := r.ledger.SeenTwice(no, landed.Rows, r.ports.Clock.Now(), r.m.cfg.Grace)
		if err != nil || !whole {
			return s.Glimpse != before, err
		}
		return true, r.verify(s, landed)
	case waited < r.m.cfg.Grace:
		return false, nil
	case report.State == plan.IngestSucceeded && waited < emptyAfter*r.m.cfg.Grace:
		return false, nil
	case report.State == plan.IngestSucceeded:
		if err := r.trouble(ctx); err != nil {
			return false, fmt.Errorf("%s of %s was taken in and cannot be seen: %w", s.Slice, r.table.Destination, err)
		}
		return true, r.verifyEmpty(s)
	}
	overtaken, changed, err := r.overtaken(ctx, s)
	if err != nil || !overtaken {
		return changed, err
	}
	return true, r.resend(ctx, no, "not in ADX although something sent later is")
}

// verifyEmpty settles a file that ADX found nothing in.
func (r *run) verifyEmpty(s *plan.LedgerSlice) error {
	r.ledger.Note(fmt.Sprintf("slice %d: the file holds no row", s.No))
	return r.verify(s, plan.Landed{})
}

// voidFile hides a file that ADX took in in part and sends it under a new number.
func (r *run) voidFile(ctx context.Context, s *plan.LedgerSlice, landed plan.Landed, why string) error {
	what := fmt.Sprintf("slice %d: ADX took in a part of a file (%s)", s.No, why)
	if err := r.mayVoid(ctx, s, what+", again and again: see .show ingestion failures"); err != nil {
		return err
	}
	r.log.Warn("slice void", "slice", s.No, "rows", landed.Rows, "why", why)
	r.ledger.Note(what + "; hidden and sent again under a new number")
	r.m.offer.distrust(s.Sent)
	return r.hide(ctx, s.No, landed.Rows)
}

// giveUp ends an export that was made anew during each of the attempts to copy it. No
// view shows its files, since some are missing: the audit row names no run.
func (r *run) giveUp(ctx context.Context) error {
	l, m := r.ledger, r.m
	row := m.audit(plan.Audit{Status: plan.Torn, RecordCount: l.Rows(), FailureReason: fmt.Sprintf(
		"the export was made anew during each of %d attempts to copy it whole: %d of %d files of run %s are in ADX and are not shown; the next run begins with the newest export",
		maxRestarts+1, l.Count(plan.Verified), l.Count(plan.Verified)+l.Count(plan.Planned)+l.Unconfirmed(), l.RunID)})
	row.Calls = l.Calls + r.calls.taken()
	m.state.Restarts, m.state.OpenRun = 0, ""
	m.outbox.addAudit(row)
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return err
	}
	l.Status, l.Ended = string(plan.Torn), r.ports.Clock.Now()
	if err := r.save(ctx); err != nil {
		return err
	}
	return m.outbox.flush(ctx)
}
