package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// beginning is the watermark of a table that was never copied, in the original
// configuration. Rows dated before it exist ("0001-01-01" stands for none), so a
// watermark up to this instant means everything.
var beginning = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// open plans a new run and writes its ledger and the state that names it. It
// returns nil where there is nothing to copy yet. cells are the parts of the
// window as they were counted.
func (m *migration) open(ctx context.Context) (l *plan.Ledger, cells []plan.Slice, err error) {
	m.log = m.unstated
	if err := m.checkLateCopies(ctx); err != nil {
		return nil, nil, err
	}
	if err := m.checkOwner(ctx); err != nil {
		return nil, nil, err
	}
	table, err := m.inForce.ForRun()
	if err != nil {
		return nil, nil, err
	}
	now := m.ports.Clock.Now()
	l = &plan.Ledger{
		RunID:      plan.RunID(m.cfg.AppID, now, randomID(8)),
		Generation: m.state.Generation, Instance: m.req.Key.Instance, Table: table,
		Started: now, Next: 1, Attempts: 1, Restarts: m.state.Restarts, Rewind: m.state.Rewind,
	}
	call := m.callerFor(l.Table)
	p := &planner{
		cfg: m.cfg, clock: m.ports.Clock, state: m.state, ledger: l, width: plan.NewRowWidth(m.cfg.Limits.Capped(m.state.RowCap), m.state.Width), log: m.log,
		counter: &counter{source: m.ports.Source, call: call, table: l.Table, budget: m.budget, ledger: l, log: m.log},
		save:    func(ctx context.Context) error { return m.lease.SaveState(ctx, m.state) },

		serviceNow: m.serviceNow, exports: m.ports.Exports, offer: m.offer, list: m.list,
	}
	err = p.plan(ctx)
	l.Calls = call.taken()
	servedBy(l, m.attempt.api())
	if err != nil {
		m.wasted = l.Calls
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	if l.Table.IsExport() {
		if nothing, err := m.offersNothing(ctx, l); nothing || err != nil {
			return nil, nil, err
		}
	}
	if l.Table.Load != plan.Snapshot && l.Window.Empty() {
		if l.Window.From.After(now) {
			return nil, nil, m.fromTheFuture(ctx, l.Window.From, now)
		}
		m.log.Info("nothing has settled since the watermark", "watermark", plan.Stamp(m.state.Watermark))
		return nil, nil, nil
	}
	// Ledger before state: a run that the state names always has a ledger, and a
	// ledger that no state names promised nothing.
	if err := m.lease.SaveLedger(ctx, l); err != nil {
		return nil, nil, err
	}
	m.state.OpenRun, m.state.OpenInto = l.RunID, l.Table.Destination
	if m.cfg.Tenant != "" {
		m.state.Tenant = m.cfg.Tenant
	}
	m.state.NotBefore = time.Time{}
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return nil, nil, err
	}
	m.log.Info("planned", "run_id", l.RunID, "slices", len(l.Slices), "rows", l.PlannedRows(), "more", l.More)
	return l, p.cells, nil
}

// fromTheFuture says once a day (UTC) why a table is silent.
func (m *migration) fromTheFuture(ctx context.Context, watermark, now time.Time) error {
	if !m.state.Say("watermark in the future", now, 24*time.Hour) {
		return nil
	}
	return m.recordAudit(ctx, plan.Audit{Status: plan.Skipped, FailureReason: fmt.Sprintf(
		"the watermark %s lies in the future: nothing is copied before then; to go on from an earlier time append a configuration row with it as LastRefreshedTime",
		plan.Stamp(watermark))})
}

func (m *migration) callerFor(t plan.Table) *tableCalls {
	if t.IsExport() && m.exports != nil {
		return m.exports.of(m.req.Key.String(), false)
	}
	return m.calls.of(m.req.Key.String(), t.Load == plan.Snapshot)
}

// checkOwner refuses to run where another app writes the same raw table, and where
// a table without a state holds rows of an orphaned run: it may have ended or not,
// so to copy again could repeat its rows and to hide them could lose them. finish
// asks again. A snapshot's run repeats nothing, whatever was there before.
func (m *migration) checkOwner(ctx context.Context) error {
	destination := m.inForce.Destination
	if m.state.Rebuilt && m.inForce.Load != plan.Snapshot {
		id, command, err := m.ports.Verifier.OrphanRun(ctx, destination, "")
		if err != nil {
			return err
		}
		if id != "" {
			return fault.As(fault.Permanent, fmt.Errorf(
				"%s holds rows of run %s, which neither the state of the table, now gone, nor MigrationConfiguration knows. The next run copies what is newer than %s: if they are, hide them with: %s; if they shall stay, append a configuration row with this RunId and the LastRefreshedTime up to which they are complete",
				destination, id, stampOrNone(m.state.Watermark), command))
		}
	}
	if m.state.ForeignSince.IsZero() {
		return nil
	}
	other, err := m.ports.Verifier.Foreign(ctx, destination, m.cfg.AppID, m.state.ForeignSince)
	if err != nil || other == "" {
		return err
	}
	// Said once for each row that comes: when the other app has stopped, we go on.
	m.state.ForeignSince = m.ports.Clock.Now()
	return fault.As(fault.Permanent, fmt.Errorf(
		"%s holds rows of run %s, which another app wrote since our last run: two apps migrate into one database; stop one of them, or give each a database of its own",
		destination, other))
}

// planner fills a new ledger: it counts, and packs what it counted into slices.
type planner struct {
	cfg     Config
	clock   Clock
	state   *plan.TableState
	ledger  *plan.Ledger
	counter *counter
	width   *plan.RowWidth
	log     *slog.Logger
	save    func(context.Context) error // writes the state

	serviceNow func() time.Time // the storage's clock
	exports    Exporter
	offer      *offer // takes the export's answer

	list ListSource // nil: by hunting

	cells []plan.Slice // the window's parts as counted
}

func (p *planner) plan(ctx context.Context) error {
	if p.list != nil {
		return p.planList()
	}
	switch kind := p.ledger.Table.Kind(); kind {
	case plan.KindHunting, plan.KindQuery:
	case plan.KindFiles:
		return p.files(ctx)
	default:
		return fault.As(fault.Permanent, fmt.Errorf("%s is a source of the kind %s, which this version cannot copy", p.ledger.Table.Source, kind))
	}
	if p.ledger.Table.Load == plan.Snapshot {
		return p.snapshot(ctx)
	}
	return p.window(ctx)
}

func (p *planner) window(ctx context.Context) error {
	l := p.ledger
	from := p.from()
	if p.state.Turned != "" {
		l.Note(p.state.Turned)
	}
	l.Table.Filters = p.state.Filters(from)
	p.counter.table = l.Table
	now := p.clock.Now()
	counts, err := p.count(ctx, from, now)
	if ahead := now.Sub(counts.Now); err == nil && !counts.Now.IsZero() && ahead > clockSlack && l.Window.From.After(from) {
		// Rows that Defender still holds were left out of the window.
		p.log.Warn("our clock is ahead of Defender's, counted again by theirs", "ahead_s", ahead.Seconds())
		now, l.More = counts.Now, false
		counts, err = p.count(ctx, from, now)
	}
	if err != nil || l.Window.Empty() {
		return err
	}
	if held := l.Window.From; held.After(from) && !from.IsZero() {
		l.Note(fmt.Sprintf("Defender holds nothing before %s: rows between the watermark %s and then could not be copied", plan.Stamp(held), plan.Stamp(from)))
	}
	p.state.RetireMarks(counts.Now, p.cfg.LookBack) // of the next run's filters
	nulls, err := p.nulls(ctx, counts)
	if err != nil {
		return err
	}
	edge := l.Table.ExpiryEdge(l.SourceAt(p.clock.Now()), p.cfg.LookBack)
	if len(p.cells) == 0 {
		l.Open(nulls, edge)
		return nil
	}
	packed, err := p.pack(ctx, edge)
	if err != nil {
		return err
	}
	packed, window, more := plan.Cut(l.Window, packed, max(1, plan.MaxSlices-len(l.Slices)))
	l.Window, l.More = window, l.More || more
	l.Add(packed...)
	l.Open(plan.RowsWithin(p.cells, window)+nulls, edge)
	return nil
}

// from is the watermark that the window begins at; zero: there is none yet.
func (p *planner) from() time.Time {
	from := p.state.Watermark
	if p.state.Rewind != nil {
		from = *p.state.Rewind
		p.ledger.Note(fmt.Sprintf("the watermark was set by the user to %s (ours was %s): rows after it are copied again", stampOrNone(from), stampOrNone(p.state.Watermark)))
	}
	if !from.After(beginning) {
		from = time.Time{}
	}
	return from
}

// clockSlack is how far ahead of Defender's our clock may be without a second count: it
// is how much of the oldest rows, which expire within that time, is left out.
const clockSlack = time.Minute

// count sets the window that begins at from, or at the oldest row that Defender holds
// now, and counts it. Without a window nothing is counted.
func (p *planner) count(ctx context.Context, from, now time.Time) (plan.Counts, error) {
	l := p.ledger
	if held := plan.Ticks(now.Add(-p.cfg.LookBack)); l.Table.ArrivalTime() && from.Before(held) {
		from = held
	}
	l.Window = plan.Window{From: from, To: plan.Ticks(now.Add(-p.cfg.Settle))}
	if l.Window.Empty() {
		return plan.Counts{}, nil
	}
	return p.countWindow(ctx)
}

// expected returns what a count of the whole must reach to be believed at once: nothing
// of a quiet table, which costs one call, and one row of every other. A table is known
// for quiet where the last run had no rows and this one goes on from it.
func (p *planner) expected() int64 {
	s := p.state
	if s.LastRows > 0 || s.LastEnded.IsZero() || s.Rebuilt || s.Rewind != nil || s.Turned != "" {
		return 1
	}
	return 0
}

func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return plan.Stamp(t)
}

// nulls plans the copy of the rows without a watermark, once, with the table's
// first run that counts some, and says so when their number changes later. It returns the rows planned.
func (p *planner) nulls(ctx context.Context, counts plan.Counts) (int64, error) {
	l := p.ledger
	l.Nulls = counts.Nulls
	if err := l.Table.CheckArrival(counts.Nulls); err != nil {
		return 0, err
	}
	column := l.Table.WatermarkColumn
	if column == "" {
		column = "ingestion_time()"
	}
	switch {
	case p.state.Nulls == plan.NullsUnknown:
		return 0, nil
	case !p.state.NullsLeft():
		if counts.Nulls != p.state.Nulls {
			l.Note(fmt.Sprintf("rows without %s: %d, were %d when they were copied; set LoadType to Snapshot to keep up with them", column, counts.Nulls, p.state.Nulls))
		}
		return 0, nil
	case counts.Nulls == 0:
		return 0, nil
	case p.state.Nulls == plan.NullsNotCopied && counts.Rows() == 0 && counts.Later == 0 && !l.More:
		return 0, fault.As(fault.Permanent, fmt.Errorf(
			"%s is null in all %d rows of %s, so nothing new could ever be told from old: set LoadType to Snapshot", column, counts.Nulls, l.Table.Source))
	}
	whole := plan.Slice{Part: plan.PartNull, Hi: plan.Buckets, Rows: counts.Nulls}
	target := p.width.Target()
	cells, err := p.counter.refineGroups(ctx, []plan.Slice{whole}, []plan.Slice{whole}, target)
	if err != nil {
		return 0, err
	}
	l.Add(plan.Pack(cells, target, l.Next)...)
	l.Note(fmt.Sprintf("%d rows without %s are copied once; set LoadType to Snapshot if they change", counts.Nulls, column))
	return counts.Nulls, nil
}

// pack turns the window's cells into slices; parts too large as counted are
// counted once more by hash buckets, all in one call. While no width is known all
// is packed again soon, so only what could not be fetched at all is counted. What
// may expire while it is copied goes into slices of its own, which may shrink.
func (p *planner) pack(ctx context.Context, edge time.Time) ([]plan.Slice, error) {
	target := p.width.Target()
	var groups []plan.Slice
	if !p.width.Learning() || plan.Exceeds(p.cells, target) {
		groups = plan.Oversized(p.cells, target)
	}
	cells, err := p.counter.refineGroups(ctx, p.cells, groups, target)
	if err != nil {
		return nil, err
	}
	packTo := p.width.PackTarget(plan.SumRows(cells))
	young := 0
	for young < len(cells) && cells[young].Expiring(edge) {
		young++
	}
	old := plan.Pack(cells[:young], packTo, p.ledger.Next)
	return append(old, plan.Pack(cells[young:], packTo, p.ledger.Next+len(old))...), nil
}

func (p *planner) snapshot(ctx context.Context) error {
	l := p.ledger
	counts, err := p.counter.all(ctx, p.expected())
	if kind := fault.KindOf(err); kind == fault.Split || kind == fault.Unavailable {
		return p.snapshotInParts(ctx, err)
	}
	if err != nil {
		return err
	}
	l.SnapshotTime, l.Total, l.Newest, l.Checksum = counts.Now, counts.Rows(), counts.Newest, counts.Checksum
	if l.Total == 0 {
		return nil
	}
	cells, err := p.counter.refineRanges(ctx, plan.Whole(plan.PartAll, counts.Buckets), p.width.Target())
	if err != nil {
		return err
	}
	l.Add(plan.Pack(cells, p.width.PackTarget(plan.SumRows(cells)), l.Next)...)
	l.Open(l.Total, time.Time{})
	if export := l.Table.ExportTwin(); export != "" && len(l.Slices) > manyScans {
		l.Note(fmt.Sprintf("each of the %d slices of this snapshot scans the table once: %s carries the same data without hunting calls, under other names; see docs/config.md, File exports", len(l.Slices), export))
	}
	return nil
}

// manyScans is how many times a snapshot may scan its table before the export of the same
// data is recommended: a slice is a range of hashes, which no index finds.
const manyScans = 50
