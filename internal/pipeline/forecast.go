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

// sampleRows is about how many rows are fetched to learn how wide a table's rows
// are: enough for a mean within a few percent, and one call.
const sampleRows = 2000

// Forecast is what the next run of a table will do, as far as counting tells. Where
// a first copy takes a chain of runs it is all of them.
type Forecast struct {
	Table   plan.Table  // as configured
	OpenRun string      // the run that would be gone on with; "": a new one
	Window  plan.Window // of the next run; zero for a snapshot, and where there is none
	Rows    int64       // to be copied
	Slices  int         // that hold them
	Runs    int         // 0: there is nothing to copy
	Calls   int         // hunting calls of those runs, their counts included
	Asked   int         // hunting calls that the forecast itself has made
	Width   float64     // bytes a row, of uncompressed JSON; 0: no row was there to tell
	Target  int64       // rows that a slice holds at most
	PerDay  int64       // rows that the last day brought, as far as it has settled; of a snapshot all rows
	Export  plan.Export // of a file export: what is offered now; its rows are not known
	Notes   []string    // what the run's audit row would say
}

// Forecast plans the table's next run as Migrate does, by the same counts, and
// writes nothing. Where the width of its rows is not known it fetches a sample and
// drops it. A table that is switched off is planned all the same. The error's kinds
// are those of Migrate; of kind Wait where the source is not to be asked now.
func (p *Pipeline) Forecast(ctx context.Context, states Reader, key plan.Key) (Forecast, error) {
	state, err := states.Read(ctx, key)
	if err != nil {
		return Forecast{}, err
	}
	on := &Pipeline{cfg: p.cfg, ports: dry(p.ports), calls: p.calls, exports: p.exports, lists: p.lists, log: p.log}
	req := Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Forced}}
	m := newMigration(on, req, &dryLease{stored: states, key: key, state: state}, p.log)
	f, err := m.forecast(ctx)
	var off *snooze
	if errors.As(err, &off) {
		err = fault.WaitUntil(p.ports.Clock.Now().Add(off.delay), errors.New(off.reason))
	}
	if err != nil {
		return f, fmt.Errorf("plan %s: %w", key, err)
	}
	return f, nil
}

func (m *migration) forecast(ctx context.Context) (Forecast, error) {
	ledger, err := m.takeUp(ctx)
	if err != nil {
		return Forecast{}, err
	}
	if err := m.command(ctx); err != nil {
		return Forecast{}, err
	}
	if err := m.checkTenant(); err != nil {
		return Forecast{}, err
	}
	if m.state.OpenRun == "" {
		ledger = nil
	}
	f := Forecast{Table: m.inForce}
	if f.Table.IsExport() {
		return m.forecastExport(ctx, f, ledger)
	}
	var cells []plan.Slice
	if ledger != nil {
		f.OpenRun = ledger.RunID
	} else {
		if ledger, cells, err = m.open(ctx); err != nil {
			return f, err
		}
		if ledger == nil {
			f.Width = m.state.Width
			if m.list != nil {
				return f, nil
			}
			f.PerDay, f.Asked, err = m.lastDay(ctx, m.inForce)
			return f, err
		}
	}
	r := newRun(m, ledger, cells)
	before := 0
	if f.OpenRun != "" {
		before = ledger.Calls
	}
	f.Window, f.Notes = ledger.Window, ledger.Notes
	if m.list != nil {
		return r.forecastList(ctx, f)
	}
	left := func() int64 { return plan.SumRows(cells) - plan.RowsWithin(cells, ledger.Window) } // to further runs
	f.Rows = ledger.PlannedRows() + left()

	aside, fetched, err := r.rehearse(ctx)
	f.Calls = ledger.Calls + r.calls.taken() - before
	f.Asked = f.Calls + aside
	if err != nil {
		return f, err
	}
	if f.PerDay = ledger.Total; ledger.Table.Load != plan.Snapshot {
		var asked int
		f.PerDay, asked, err = m.lastDay(ctx, ledger.Table)
		if f.Asked += asked; err != nil {
			return f, err
		}
	}
	for _, s := range r.planned() {
		if s.Rows != 0 {
			fetched++
		}
	}
	f.Width, f.Target = r.width.Width(), r.width.Target()
	f.Slices, f.Runs = fetched, 1
	f.Calls += fetched + r.closing()
	// What packing has left to later runs, by the width that was learned.
	if rows := left(); rows > 0 {
		slices := int((rows + f.Target - 1) / f.Target)
		runs := (slices + plan.MaxSlices - 1) / plan.MaxSlices
		f.Slices, f.Runs, f.Calls = f.Slices+slices, f.Runs+runs, f.Calls+slices+runs
	}
	return f, nil
}

// forecastExport is forecast for a file export: its slices are files, of which nobody
// knows the rows. open is the run that would be gone on with; nil: a new one.
func (m *migration) forecastExport(ctx context.Context, f Forecast, open *plan.Ledger) (Forecast, error) {
	if open != nil {
		f.OpenRun = open.RunID
		call := m.callerFor(f.Table)
		export, err := m.ports.Exports.Export(ctx, call, f.Table)
		if f.Asked = call.taken(); err != nil {
			return f, err
		}
		m.offer.take(export, m.ports.Clock.Now())
	} else {
		ledger, _, err := m.open(ctx)
		if f.Asked = 1; err != nil {
			return f, err
		}
		open = ledger
	}
	f.Export = m.offer.Export
	if open != nil {
		f.Runs, f.Calls, f.Notes = 1, 1, open.Notes
		f.Slices = open.Count(plan.Planned) + open.Unconfirmed()
	}
	return f, nil
}

// forecastList fills in what a run of a list takes. It was read once, and may have
// grown by a page until then.
func (r *run) forecastList(ctx context.Context, f Forecast) (Forecast, error) {
	answer, err := r.rehearseList(ctx)
	f.Asked = answer.Pages
	if err != nil {
		return f, err
	}
	f.Rows, f.Slices, f.Runs, f.Calls = answer.Rows, 1, 1, r.table.ListReads()*(answer.Pages+1)
	f.Target = max(1, answer.Rows)
	if answer.Rows > 0 {
		f.Width = float64(answer.Bytes) / float64(answer.Rows)
	}
	f.PerDay = answer.Rows
	if r.table.Load != plan.Snapshot {
		f.PerDay = int64(answer.Shown.Since(r.ports.Clock.Now().Add(-24*time.Hour), nil).Len())
	}
	if r.table.ListReads() > 1 {
		f.Notes = append(f.Notes, "calls of a list are at most so many: it is read page by page, twice")
	}
	return f, nil
}

// rehearseList reads a list once, as a forecast may, and drops what it shows.
func (r *run) rehearseList(ctx context.Context) (plan.ListAnswer, error) {
	planned := r.planned()
	if len(planned) == 0 {
		return plan.ListAnswer{}, nil
	}
	q, err := r.listQuery(ctx, planned[0])
	if err != nil {
		return plan.ListAnswer{}, err
	}
	q.Reads = 1
	return r.m.list.Read(ctx, r.calls, q, discard)
}

func discard(_ context.Context, produce func(io.Writer) error) error { return produce(io.Discard) }

// rehearse takes the first steps of a run, to the point where it knows the width of
// the rows and has packed its slices by it; a sample stands for the slice that the
// run fetches alone. sampled are the calls for that, fetched is 1 where the slice is
// no longer among the planned ones.
func (r *run) rehearse(ctx context.Context) (sampled, fetched int, err error) {
	if err := r.countParts(ctx); err != nil {
		return 0, 0, err
	}
	if err := r.countUncounted(ctx); err != nil {
		return 0, 0, err
	}
	if !r.width.Learning() {
		return 0, 0, nil
	}
	for _, s := range r.planned() {
		if s.Rows <= 0 {
			continue
		}
		call := r.m.callerFor(r.table)
		received, err := r.sample(ctx, call, s)
		sampled = call.taken()
		if err != nil || received.Rows == 0 {
			return sampled, 0, err
		}
		r.width.Observe(received.Rows, received.Bytes)
		if err := r.ledger.Freeze(s.No, plan.Blob{Path: "sample", Rows: s.Rows}, 0, r.ports.Clock.Now()); err != nil {
			return sampled, 0, err
		}
		if r.width.Learn(true) {
			err = r.learned(ctx)
		}
		return sampled, 1, err
	}
	return 0, 0, nil
}

// sample fetches some rows of a slice, evenly over it, and drops them.
func (r *run) sample(ctx context.Context, call plan.Caller, s plan.Slice) (plan.Received, error) {
	if s.Rows > sampleRows {
		s.Hi = s.Lo + max(1, int(int64(s.Hi-s.Lo)*sampleRows/s.Rows))
	}
	return r.ports.Source.Fetch(ctx, call, r.table, s, func(_ context.Context, produce func(io.Writer) error) error {
		return produce(io.Discard)
	})
}

// closing returns how many calls the run makes after its last fetch.
func (r *run) closing() int {
	switch {
	case r.table.Load != plan.Snapshot:
		return 0
	case r.ledger.Parts > 0:
		return r.ledger.Parts
	default:
		return 1
	}
}

// lastDay counts the rows of the last day, by the watermark, that have settled: what a
// day of the table is, however long the window of the next run. asked are the calls.
func (m *migration) lastDay(ctx context.Context, t plan.Table) (rows int64, asked int, err error) {
	if t.Load == plan.Snapshot {
		return 0, 0, nil
	}
	if t, err = t.ForRun(); err != nil {
		return 0, 0, err
	}
	t.Filters = nil // what was copied before is of that day, too
	to := plan.Ticks(m.ports.Clock.Now().Add(-m.cfg.Settle))
	w := plan.Window{From: to.Add(-24 * time.Hour), To: to}
	call := m.callerFor(t)
	counts, err := m.ports.Source.Count(ctx, call, plan.CountQuery{Table: t, Window: w, Settle: m.cfg.Settle, Bin: w.Bin()})
	if err != nil {
		return 0, call.taken(), fmt.Errorf("count the rows of a day: %w", err)
	}
	return counts.Rows(), call.taken(), nil
}

// CopiedAfter counts the rows of a table that its watermark covers and that are
// newer than from, as far as Defender holds them still: with the watermark set back
// to from they are copied again. 0 where nothing was copied yet.
func (p *Pipeline) CopiedAfter(ctx context.Context, states Reader, key plan.Key, from time.Time) (int64, error) {
	state, err := states.Read(ctx, key)
	if err != nil || state == nil {
		return 0, err
	}
	table, err := state.Table.ForRun()
	if err != nil {
		return 0, err
	}
	if held := plan.Ticks(p.ports.Clock.Now().Add(-p.cfg.LookBack)); table.ArrivalTime() && from.Before(held) {
		from = held
	}
	w := plan.Window{From: from, To: state.Watermark}
	if w.Empty() {
		return 0, nil
	}
	if by := p.way(key.Source); by.list != nil {
		answer, err := by.list.Read(ctx, by.calls.of(key.String(), true), plan.ListQuery{Table: table, From: from, Reads: 1}, discard)
		if err != nil {
			return 0, fmt.Errorf("read what stands in ADX of %s: %w", key, err)
		}
		return answer.Rows, nil
	}
	counts, err := p.ports.Source.Count(ctx, p.calls.of(key.String(), true), plan.CountQuery{Table: table, Window: w, Bin: w.Bin()})
	if err != nil {
		return 0, fmt.Errorf("count what stands in ADX of %s: %w", key, err)
	}
	return counts.Rows(), nil
}

// Caller returns the calls of a person who asks hunting beside runs, under a name of
// its own among the tables that take turns: the one way to them from outside, which
// lets nobody choose that they are not urgent.
func (p *Pipeline) Caller(name string) plan.Caller { return p.calls.of(name, true) }
