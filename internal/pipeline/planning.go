package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// beginning is the watermark of a table that was never copied, in the original
// configuration. Rows dated before it exist ("0001-01-01" stands for none), so a
// watermark up to this instant means everything.
var beginning = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// plan opens a new run: it counts, packs, and writes ledger and state. It
// returns nil where there is nothing to copy yet.
func (a *attempt) plan(ctx context.Context) (*plan.Ledger, error) {
	if err := a.checkLateCopies(ctx); err != nil {
		return nil, err
	}
	if err := a.checkOwner(ctx); err != nil {
		return nil, err
	}
	l := &plan.Ledger{
		Format: plan.LedgerFormat, RunID: plan.RunID(a.cfg.AppID, a.Clock.Now(), randomID(8)),
		Generation: a.state.Generation, Instance: a.req.Key.Instance, Table: a.table, API: a.Source.API(),
		Started: a.Clock.Now(), Next: 1, Attempts: 1, Restarts: a.state.Restarts, Rewind: a.state.Rewind,
	}
	var err error
	if a.table.Load == plan.Snapshot {
		err = a.planSnapshot(ctx, l)
	} else {
		err = a.planWindow(ctx, l)
	}
	if err != nil {
		a.unplanned = l.Calls
		return nil, fmt.Errorf("plan %s: %w", a.req.Key, err)
	}
	if a.table.Load != plan.Snapshot && l.Window.Empty() {
		a.log.Info("nothing has settled since the watermark", "watermark", plan.Stamp(a.state.Watermark))
		return nil, nil
	}
	// Ledger before state: a run that the state names always has a ledger, and a
	// ledger that no state names promised nothing.
	if err := a.held.SaveLedger(ctx, l); err != nil {
		return nil, err
	}
	a.state.OpenRun = l.RunID
	a.state.NotBefore = time.Time{}
	if err := a.held.SaveState(ctx, a.state); err != nil {
		return nil, err
	}
	a.log.Info("planned", "run_id", l.RunID, "slices", len(l.Slices), "rows", rowsPlanned(l), "more", l.More)
	return l, nil
}

func rowsPlanned(l *plan.Ledger) (n int64) {
	for i := range l.Slices {
		n += max(0, l.Slices[i].Rows)
	}
	return n
}

// checkOwner refuses to run where another app writes the same raw table, and where a
// table without a state holds rows that nobody vouches for: their run may have
// ended or not, so to copy again could repeat them and to hide them could lose
// them. finish asks again. A snapshot's run repeats nothing, whatever was there
// before.
func (a *attempt) checkOwner(ctx context.Context) error {
	if a.state.Rebuilt && a.table.Load != plan.Snapshot {
		id, command, err := a.Sink.OrphanRun(ctx, a.table.Destination, "")
		if err != nil {
			return err
		}
		if id != "" {
			return fault.As(fault.Permanent, fmt.Errorf(
				"%s holds rows of run %s, which neither the state of the table, now gone, nor MigrationConfiguration knows. The next run copies what is newer than %s: if they are, hide them with: %s; if they shall stay, append a configuration row with this RunId and the LastRefreshedTime up to which they are complete",
				a.table.Destination, id, stampOrNone(a.state.Watermark), command))
		}
	}
	if a.state.Settled.IsZero() {
		return nil
	}
	other, err := a.Sink.Foreign(ctx, a.table.Destination, a.cfg.AppID, a.state.Settled)
	if err != nil || other == "" {
		return err
	}
	// Said once for each row that comes: when the other app has stopped, we go on.
	a.state.Settled = a.Clock.Now()
	return fault.As(fault.Permanent, fmt.Errorf(
		"%s holds rows of run %s, which another app wrote since our last run: two apps migrate into one database; stop one of them, or give each a database of its own",
		a.table.Destination, other))
}

// call takes a call from the tenant's quota and makes it. A snapshot's calls go
// first: it must be whole before its source changes, while events can wait. A
// wait that the service asks for holds every other caller too. Unavailable is
// tried twice more after a pause; what remains is for the caller.
func (a *attempt) call(ctx context.Context, calls *int, f func(context.Context) error) error {
	for try := 0; ; try++ {
		if err := a.Source.Ready(ctx); err != nil {
			return err
		}
		if err := a.Quota.Take(ctx, a.req.Key.String(), a.table.Load == plan.Snapshot); err != nil {
			return err
		}
		*calls++
		err := f(ctx)
		switch {
		case err == nil:
			return nil
		case fault.KindOf(err) == fault.Wait:
			until, _ := fault.Until(err)
			if holdErr := a.Quota.PauseUntil(ctx, until); holdErr != nil {
				return errors.Join(err, holdErr)
			}
			wait := until.Sub(a.Clock.Now())
			if wait > a.cfg.Nearby || try >= 3 {
				return err
			}
			if sleepErr := a.Clock.Sleep(ctx, wait); sleepErr != nil {
				return sleepErr
			}
		case fault.KindOf(err) == fault.Unavailable && try < 2:
			// Half to one and a half pauses: tables that failed together come back apart.
			pause := a.cfg.Pause/2 + time.Duration(float64(a.cfg.Pause)*jitter())
			if sleepErr := a.Clock.Sleep(ctx, pause); sleepErr != nil {
				return errors.Join(err, sleepErr)
			}
		default:
			return err
		}
	}
}

func (a *attempt) limits() plan.Limits {
	l := a.cfg.Limits
	l.Width = a.state.Width
	return l
}

func (a *attempt) planWindow(ctx context.Context, l *plan.Ledger) error {
	from := a.state.Watermark
	if a.state.Rewind != nil {
		from = *a.state.Rewind
		l.Note(fmt.Sprintf("the watermark was set by the user to %s (ours was %s): rows after it are copied again", stampOrNone(from), stampOrNone(a.state.Watermark)))
	}
	if !from.After(beginning) {
		from = time.Time{}
	}
	now := a.Clock.Now()
	if held := plan.Ticks(now.Add(-a.cfg.LookBack)); a.table.ArrivalTime() && from.Before(held) {
		if !from.IsZero() {
			l.Note(fmt.Sprintf("Defender holds nothing before %s: rows between the watermark %s and then could not be copied", plan.Stamp(held), plan.Stamp(from)))
		}
		from = held
	}
	w := plan.Window{From: from, To: plan.Ticks(now.Add(-a.cfg.Settle))}
	if w.Empty() {
		l.Window = w
		return nil
	}
	counts, cells, w, err := a.countWindow(ctx, l, w)
	if err != nil {
		return err
	}
	l.Window = w
	if w.Empty() {
		return nil
	}
	if err := a.planNulls(ctx, l, counts); err != nil {
		return err
	}
	if len(cells) == 0 {
		return nil
	}
	a.counted = cells
	packed, err := a.pack(ctx, l, cells)
	if err != nil {
		return err
	}
	packed, window, more := plan.Cut(w, packed, max(1, plan.MaxSlices-len(l.Slices)))
	l.Window, l.More = window, l.More || more
	l.Add(packed...)
	return nil
}

func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return plan.Stamp(t)
}

// countWindow asks the planning query. Where the source finds it too heavy the
// window is halved, newest part first left for later runs, down to an hour. A
// source that is only unavailable may be overtaxed or down: two halvings tell.
func (a *attempt) countWindow(ctx context.Context, l *plan.Ledger, w plan.Window) (plan.Counts, []plan.Slice, plan.Window, error) {
	for outages := 0; ; {
		var counts plan.Counts
		bin := w.Bin()
		err := a.call(ctx, &l.Calls, func(ctx context.Context) (err error) {
			counts, err = a.Source.Count(ctx, plan.CountQuery{Table: a.table, Window: w, Settle: a.cfg.Settle, Bin: bin})
			return err
		})
		kind := fault.KindOf(err)
		if kind == fault.Unavailable {
			outages++
		}
		if kind == fault.Split || kind == fault.Unavailable {
			half := w.Halve(a.Clock.Now().Add(-a.cfg.LookBack))
			if half.To.Sub(half.From) < time.Hour || outages > 2 {
				return counts, nil, w, fault.As(fault.Retry, err)
			}
			l.More, w = true, half
			continue
		}
		if err != nil {
			return counts, nil, w, err
		}
		if counts.To.Before(w.To) {
			w.To = counts.To
		}
		return counts, plan.Cells(w, counts.Bins, bin), w, nil
	}
}

// planNulls copies the rows without a watermark once, with the table's first
// run, and says so when their number changes later.
func (a *attempt) planNulls(ctx context.Context, l *plan.Ledger, counts plan.Counts) error {
	l.Nulls = counts.Nulls
	column := a.table.WatermarkColumn
	if column == "" {
		column = "ingestion_time()"
	}
	switch {
	case a.state.Nulls == plan.NullsUnknown:
		return nil
	case a.state.Nulls >= 0:
		if counts.Nulls != a.state.Nulls {
			l.Note(fmt.Sprintf("rows without %s: %d, were %d when they were copied; set LoadType to Snapshot to keep up with them", column, counts.Nulls, a.state.Nulls))
		}
		return nil
	case counts.Nulls == 0:
		return nil
	case counts.Rows() == 0 && counts.Later == 0 && !l.More:
		return fault.As(fault.Permanent, fmt.Errorf(
			"%s is null in all %d rows of %s, so nothing new could ever be told from old: set LoadType to Snapshot", column, counts.Nulls, a.req.Key.Source))
	}
	whole := plan.Slice{Part: plan.PartNull, Hi: plan.Buckets, Rows: counts.Nulls}
	cells, err := a.refineGroups(ctx, l, []plan.Slice{whole}, []plan.Slice{whole})
	if err != nil {
		return err
	}
	l.Add(plan.Pack(cells, a.limits().Target(), l.Next)...)
	l.Note(fmt.Sprintf("%d rows without %s are copied once; set LoadType to Snapshot if they change", counts.Nulls, column))
	return nil
}

// pack turns counted cells into slices; parts too large as counted are counted
// once more by hash buckets, all in one call. While no width is known all is
// packed again soon, so only what could not be fetched at all is counted.
func (a *attempt) pack(ctx context.Context, l *plan.Ledger, cells []plan.Slice) ([]plan.Slice, error) {
	target := a.limits().Target()
	var groups []plan.Slice
	if a.state.Width > 0 || plan.Exceeds(cells, target) {
		groups = plan.Oversized(cells, target)
	}
	cells, err := a.refineGroups(ctx, l, cells, groups)
	if err != nil {
		return nil, err
	}
	return plan.Pack(cells, a.packTarget(cells), l.Next), nil
}

// packTarget is the target that counted cells are packed under.
func (a *attempt) packTarget(cells []plan.Slice) int64 {
	if a.state.Width > 0 {
		return a.limits().Target()
	}
	rows := int64(0)
	for _, c := range cells {
		rows += c.Rows
	}
	return a.limits().Unlearned(rows)
}

// refineGroups refines the groups among cells by bucket counts; groups that fit
// the target stay as they are.
func (a *attempt) refineGroups(ctx context.Context, l *plan.Ledger, cells, groups []plan.Slice) ([]plan.Slice, error) {
	target := a.limits().Target()
	var large []plan.Slice
	for _, g := range groups {
		if g.Rows > target {
			large = append(large, g)
		}
	}
	if len(large) == 0 {
		return cells, nil
	}
	counted, err := a.countFinely(ctx, l, large, target)
	if err != nil {
		return nil, err
	}
	return plan.Refine(cells, large, counted), nil
}

// countFinely counts parts that hold more than the target by buckets. What is too
// heavy to count so is divided blindly; each part is counted before it is fetched.
func (a *attempt) countFinely(ctx context.Context, l *plan.Ledger, large []plan.Slice, target int64) ([][]plan.BucketCount, error) {
	counted, refused, err := a.tally(ctx, l.Attempts, &l.Calls, a.table, large, plan.CountWidth(large, target))
	if fault.KindOf(err) == fault.Unavailable {
		counted, refused, err = make([][]plan.BucketCount, len(large)), all(large, err), nil
	}
	if err != nil {
		return nil, err
	}
	for i := range refused {
		a.log.Warn("bucket counts refused, dividing evenly", "error", refused[i].Error())
		counted[i] = plan.Evenly(large[i], target)
	}
	return counted, nil
}

// countParts is how many parts are counted in one call at most: each is a branch
// of one query, and a query's text has an end.
const countParts = 40

// all says of every part that the source would not count it.
func all(parts []plan.Slice, cause error) map[int]error {
	refused := make(map[int]error, len(parts))
	for i := range parts {
		refused[i] = cause
	}
	return refused
}

// tally counts parts by buckets, in as few calls as the source lets it: what it
// refuses as too much is asked for in halves. refused holds, by place, the parts
// that it would not count even alone. Unavailable ends it: a source that is down
// is not asked again for less; one that is overtaxed meets smaller batches with
// each attempt of the run.
func (a *attempt) tally(ctx context.Context, attempts int, calls *int, t plan.Table, parts []plan.Slice, width int) (counted [][]plan.BucketCount, refused map[int]error, err error) {
	counted, refused = make([][]plan.BucketCount, len(parts)), map[int]error{}
	todo := [][2]int{}
	batch := max(1, countParts>>max(0, attempts-3))
	for lo := 0; lo < len(parts); lo += batch {
		todo = append(todo, [2]int{lo, min(lo+batch, len(parts))})
	}
	for len(todo) > 0 {
		lo, hi := todo[0][0], todo[0][1]
		todo = todo[1:]
		err := a.call(ctx, calls, func(ctx context.Context) error {
			answer, err := a.Source.CountBuckets(ctx, t, parts[lo:hi], width)
			copy(counted[lo:hi], answer)
			return err
		})
		kind := fault.KindOf(err)
		switch {
		case err == nil:
		case kind != fault.Split:
			return nil, nil, err
		case hi-lo == 1:
			refused[lo] = err
		case a.outOfTime():
			return nil, nil, fault.As(fault.Retry, err)
		default:
			mid := lo + (hi-lo)/2
			todo = append(todo, [2]int{lo, mid}, [2]int{mid, hi})
		}
	}
	return counted, refused, nil
}

func (a *attempt) planSnapshot(ctx context.Context, l *plan.Ledger) error {
	var counts plan.Counts
	err := a.call(ctx, &l.Calls, func(ctx context.Context) (err error) {
		counts, err = a.Source.Count(ctx, plan.CountQuery{Table: a.table})
		return err
	})
	if kind := fault.KindOf(err); kind == fault.Split || kind == fault.Unavailable {
		return fault.As(fault.Retry, err)
	}
	if err != nil {
		return err
	}
	l.SnapshotTime, l.Total, l.Newest = counts.Now, counts.Rows(), counts.Newest
	if l.Total == 0 {
		return nil
	}
	cells, err := a.finer(ctx, l, plan.Whole(plan.PartAll, counts.Buckets))
	if err != nil {
		return err
	}
	l.Add(plan.Pack(cells, a.packTarget(cells), l.Next)...)
	return nil
}

// finer counts again, by smaller ranges of buckets, the cells of a snapshot that
// hold more than a slice should.
func (a *attempt) finer(ctx context.Context, l *plan.Ledger, cells []plan.Slice) ([]plan.Slice, error) {
	target := a.limits().Target()
	var large []plan.Slice
	for _, c := range cells {
		if c.Rows > target && c.Hi-c.Lo > 1 {
			large = append(large, c)
		}
	}
	if len(large) == 0 {
		return cells, nil
	}
	counted, err := a.countFinely(ctx, l, large, target)
	if err != nil {
		return nil, err
	}
	var out []plan.Slice
	at := 0
	for _, c := range cells {
		if at == len(large) || c.Lo != large[at].Lo {
			out = append(out, c)
			continue
		}
		out = append(out, plan.BucketCells(c, counted[at])...)
		at++
	}
	return out, nil
}
