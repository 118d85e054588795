package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// run is the work of one attempt on one run. Its ledger is shared by the slices
// in flight and only touched under mu, which also puts ledger writes in order.
type run struct {
	*attempt
	table plan.Table // as planned; the configuration may have moved on

	mu      sync.Mutex
	ledger  *plan.Ledger
	tickets map[int]Ticket // of this process's ingestions, by slice
	rows    int64          // received by this attempt, with bytes: the width learned
	bytes   int64

	learning bool    // no width was known when the run was taken up, none received yet
	guess    float64 // the least width that refusals showed
	refused  int     // answers refused as too large or too heavy in this attempt

	stopped atomic.Bool // no further slice begins in this round of fetchAll
}

func newRun(a *attempt, l *plan.Ledger) *run {
	a.log = a.base.With("run_id", l.RunID)
	return &run{attempt: a, table: l.Table, ledger: l, tickets: map[int]Ticket{}, learning: a.state.Width == 0}
}

// refusedBytes is the service's cap on the size of one answer; a refused answer
// is taken to be at least this large. Source: Graph security API overview.
const refusedBytes = 50_000_000

// maxSends bounds how often one blob is handed to a service that keeps losing or
// refusing it within one number, and maxVoids under how many numbers.
const (
	maxSends = 6
	maxVoids = 3
)

// copyAll brings every slice of the run into ADX and sees it there.
func (r *run) copyAll(ctx context.Context) error {
	if r.ledger.Unconfirmed() > 0 {
		if err := r.poll(ctx); err != nil {
			return err
		}
	}
	for {
		if err := r.fetchAll(ctx); err != nil {
			return err
		}
		if err := r.confirmAll(ctx); err != nil {
			return err
		}
		if r.ledger.Done() {
			return nil
		}
	}
}

// fetchAll freezes and sends every planned slice, oldest first, several at a
// time. While no row width is known the first slice goes alone and the rest is
// packed again by what it teaches.
func (r *run) fetchAll(ctx context.Context) error {
	for r.ledger.Count(plan.Planned) > 0 {
		if r.outOfTime() {
			return &snooze{delay: r.cfg.PutOff, reason: "time budget spent"}
		}
		if err := r.countUnknown(ctx); err != nil {
			return err
		}
		parallel := r.cfg.Parallel
		unlearned := r.learning
		if unlearned {
			parallel = 1
		}
		// An error stops new slices; those in flight finish, since their calls are
		// spent already.
		var g errgroup.Group
		r.stopped.Store(false)
		g.SetLimit(max(1, parallel))
		for _, no := range r.plannedNumbers(unlearned) {
			g.Go(func() error {
				if r.stopped.Load() || r.outOfTime() {
					return nil
				}
				err := guarded(func() error { return r.copySlice(ctx, no) })
				if err != nil {
					r.stopped.Store(true)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			// The calls were made all the same: the audit row counts them.
			if saveErr := r.held.SaveLedger(ctx, r.ledger); saveErr != nil {
				r.log.Warn("save ledger", "error", saveErr.Error())
			}
			return err
		}
		if unlearned || r.guess > r.state.Width {
			if err := r.learn(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// guarded turns a panic into an error: one slice must not end the process and with
// it the work on every other table.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.As(fault.Permanent, fmt.Errorf("internal error: %T\n%s", p, debug.Stack()))
		}
	}()
	return f()
}

// plannedNumbers returns the planned slices, or the first alone.
func (r *run) plannedNumbers(first bool) (numbers []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.ledger.Slices {
		s := &r.ledger.Slices[i]
		if s.State == plan.Planned && s.Rows >= 0 {
			numbers = append(numbers, s.No)
			if first {
				break
			}
		}
	}
	return numbers
}

// countUnknown counts the slices that came out of a split, all in one call.
func (r *run) countUnknown(ctx context.Context) error {
	var parts []plan.Slice
	for i := range r.ledger.Slices {
		if s := &r.ledger.Slices[i]; s.State == plan.Planned && s.Rows < 0 {
			parts = append(parts, s.Slice)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	counts, refused, err := r.count(ctx, parts)
	if err != nil {
		return fmt.Errorf("count %d slices of %s: %w", len(parts), r.req.Key, err)
	}
	for i, p := range parts {
		if cause := refused[i]; cause != nil {
			// Too heavy to count is too heavy to fetch.
			if err := r.split(ctx, p, cause); err != nil {
				return err
			}
			continue
		}
		r.ledger.Slice(p.No).Rows = counts[i]
	}
	return r.held.SaveLedger(ctx, r.ledger)
}

// count counts whole parts, in one call where they are few. refused holds the
// parts that the source would not count even alone.
func (r *run) count(ctx context.Context, parts []plan.Slice) (counts []int64, refused map[int]error, err error) {
	calls := 0
	tallied, refused, err := r.tally(ctx, r.ledger.Attempts, &calls, r.table, parts, plan.Buckets)
	r.mu.Lock()
	r.ledger.Calls += calls
	r.mu.Unlock()
	if fault.KindOf(err) == fault.Unavailable {
		err = fault.As(fault.Retry, err)
	}
	if err != nil {
		return nil, nil, err
	}
	counts = make([]int64, len(parts))
	for i, t := range tallied {
		for _, b := range t {
			counts[i] += b.Rows
		}
	}
	return counts, refused, nil
}

// errUnequal is an answer whose rows are not those counted, settled by a fresh
// count.
var errUnequal = errors.New("rows received differ from rows counted twice")

// copySlice fetches one planned slice, freezes it and sends it.
func (r *run) copySlice(ctx context.Context, no int) error {
	r.mu.Lock()
	s := *r.ledger.Slice(no)
	r.mu.Unlock()
	if s.Rows == 0 {
		return r.update(ctx, no, func(s *plan.LedgerSlice) { s.State = plan.Verified })
	}
	began := r.Clock.Now()
	blob, received, err := r.freeze(ctx, s.Slice)
	kind := fault.KindOf(err)
	if kind == fault.Unavailable {
		// The size may be the reason, or the service is down. Counting the parts
		// shows which, before any other slice spends its calls and is divided.
		r.stopped.Store(true)
	}
	if kind == fault.Split || kind == fault.Unavailable {
		return r.split(ctx, s.Slice, err)
	}
	if err != nil {
		return fmt.Errorf("fetch %s %s: %w", r.req.Key, s.Slice, err)
	}
	if received.Rows == 0 {
		// The rows expired or moved between count and fetch, and a fresh count
		// agreed: nothing to send.
		return r.update(ctx, no, func(s *plan.LedgerSlice) { s.State = plan.Verified })
	}
	// Frozen and promised before it is sent: whoever takes over sends this very
	// blob or sees it in ADX, and never fetches the slice again.
	err = r.update(ctx, no, func(s *plan.LedgerSlice) {
		s.State, s.Blob, s.Cut = plan.Committing, blob, received.Cut
		s.Sent, s.Sends = r.Clock.Now(), 1
		r.ledger.Bytes += received.Bytes
		r.rows += received.Rows
		r.bytes += received.Bytes
	})
	if err != nil {
		return err
	}
	if err := r.send(ctx, no); err != nil {
		return err
	}
	r.log.Info("slice sent", "slice", no, "rows", received.Rows, "bytes", received.Bytes, "dur_ms", r.Clock.Now().Sub(began).Milliseconds())
	return nil
}

// freeze fetches the slice into a staged blob and settles its row count. The
// blob is nobody's until the ledger names it: an earlier one, left by a killed
// process, is never read.
//
// The tables of the process share its memory: an answer is read when there is room.
func (r *run) freeze(ctx context.Context, s plan.Slice) (plan.Blob, plan.Received, error) {
	if err := r.Sink.Ready(ctx); err != nil {
		return plan.Blob{}, plan.Received{}, err
	}
	var blob plan.Blob
	var received plan.Received
	calls := 0
	err := r.call(ctx, &calls, func(ctx context.Context) error {
		name := fmt.Sprintf("%s-%06d-%d-%s.json.gz", r.ledger.RunID, s.No, r.state.Generation, randomID(8))
		room := &room{ctx: ctx, memory: r.memory}
		defer room.leave()
		var err error
		blob, err = r.Sink.Stage(ctx, name, func(w io.Writer) (err error) {
			room.w = w
			received, err = r.Source.Fetch(ctx, r.table, s, room)
			return err
		})
		return err
	})
	r.mu.Lock()
	r.ledger.Calls += calls
	r.mu.Unlock()
	if err != nil {
		return plan.Blob{}, plan.Received{}, err
	}
	blob.Rows, blob.Bytes = received.Rows, received.Bytes
	if received.Rows == s.Rows {
		return blob, received, nil
	}
	counts, refused, err := r.count(ctx, []plan.Slice{s})
	if err == nil {
		err = refused[0]
	}
	if err != nil {
		return plan.Blob{}, plan.Received{}, err
	}
	if counts[0] == received.Rows {
		r.log.Info("slice changed since it was counted", "slice", s.No, "counted", s.Rows, "rows", received.Rows)
		return blob, received, nil
	}
	if counts[0] < received.Rows && received.Rows < s.Rows && r.expiring(s) {
		r.log.Info("rows of the slice expired since they were counted", "slice", s.No, "counted", s.Rows, "rows", received.Rows, "now", counts[0])
		r.mu.Lock()
		r.ledger.Note(fmt.Sprintf("slice %d: %d rows expired at Defender between their count and their copy", s.No, s.Rows-received.Rows))
		r.mu.Unlock()
		return blob, received, nil
	}
	return plan.Blob{}, plan.Received{}, fault.As(fault.Split,
		fmt.Errorf("%d rows received, %d counted, %d counted again: %w", received.Rows, s.Rows, counts[0], errUnequal))
}

// expiring reports whether rows of the slice are about as old as what Defender
// still holds: they grow fewer between any two calls.
func (r *run) expiring(s plan.Slice) bool {
	return s.Part == plan.PartWindow && r.table.ArrivalTime() && s.Window.From.Before(r.Clock.Now().Add(time.Hour-r.cfg.LookBack))
}

// split divides a planned slice in the ledger. At the smallest slice the cause
// ends the attempt: a source that is only unavailable is tried again by the
// queue, a row that is too large for the service is not.
func (r *run) split(ctx context.Context, s plan.Slice, cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, b, ok := s.Split(r.ledger.Next)
	if !ok {
		kind := fault.Permanent
		if fault.KindOf(cause) == fault.Unavailable || errors.Is(cause, errUnequal) {
			kind = fault.Retry
		}
		return fault.As(kind, fmt.Errorf("fetch %s %s, which cannot be divided further: %w", r.req.Key, s, cause))
	}
	r.log.Warn("slice divided", "slice", s.No, "into", []int{a.No, b.No}, "rows", s.Rows, "cause", cause.Error())
	r.ledger.Slice(s.No).State = plan.Retired
	r.ledger.Add(a, b)
	if fault.KindOf(cause) == fault.Split && !errors.Is(cause, errUnequal) && s.Rows > 0 {
		// All that is known of the width: the answer was larger than the cap. One
		// slice may be odd; two, and the rows have grown. Once in an attempt: a service
		// that refuses for other reasons must not shrink slices without end.
		r.refused++
		if r.learning || r.refused == 2 {
			r.guess = max(refusedBytes, float64(s.Rows)*cmp.Or(r.state.Width, plan.DefaultWidth)) * 1.25 / float64(s.Rows)
			r.stopped.Store(true)
		}
	}
	return r.held.SaveLedger(ctx, r.ledger)
}

// learn takes the row width from what was received, or from what was refused, and
// where slices packed by another width are far off packs the rest of the run again.
func (r *run) learn(ctx context.Context) error {
	before := r.limits().Target()
	if r.state.Width == 0 {
		before = r.limits().Unlearned(math.MaxInt64)
	}
	switch {
	case r.learning && r.rows > 0:
		r.state.Width, r.learning = float64(r.bytes)/float64(r.rows), false
	case r.guess > 0:
		r.state.Width = r.guess
	default:
		return nil
	}
	r.guess = 0
	if err := r.held.SaveState(ctx, r.state); err != nil {
		return err
	}
	after := r.limits().Target()
	var largest int64
	for i := range r.ledger.Slices {
		if s := &r.ledger.Slices[i]; s.State == plan.Planned {
			largest = max(largest, s.Rows)
		}
	}
	tooLarge := after*10 < before*9 && largest > after
	tooSmall := after*9 > before*10 && r.ledger.Count(plan.Planned) > 1
	if !tooLarge && !tooSmall {
		return nil
	}
	return r.repack(ctx)
}

// repack retires the planned slices and plans their ground anew.
func (r *run) repack(ctx context.Context) error {
	var rest []plan.Slice
	for i := range r.ledger.Slices {
		if s := &r.ledger.Slices[i]; s.State == plan.Planned {
			rest = append(rest, s.Slice)
		}
	}
	packed, err := r.recount(ctx, rest)
	if kind := fault.KindOf(err); kind == fault.Split || kind == fault.Unavailable {
		// Packing again only saves calls.
		r.log.Warn("not packed again", "error", err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("pack %s again: %w", r.req.Key, err)
	}
	for _, s := range rest {
		r.ledger.Slice(s.No).State = plan.Retired
	}
	for i := range packed {
		packed[i].No = r.ledger.Next + i
	}
	r.ledger.Add(packed...)
	r.log.Info("packed again by the learned row width", "bytes_per_row", int64(r.state.Width), "slices", len(packed))
	return r.held.SaveLedger(ctx, r.ledger)
}

// recount counts the ground of planned slices by time and buckets and packs it.
// What this attempt counted when it planned the run is not counted again.
func (r *run) recount(ctx context.Context, rest []plan.Slice) ([]plan.Slice, error) {
	target := r.limits().Target()
	var windows, others []plan.Slice
	for _, s := range rest {
		if s.Part == plan.PartWindow && !s.Hashed() {
			windows = append(windows, s)
		} else {
			others = append(others, s)
		}
	}
	var cells []plan.Slice
	if len(others) > 0 {
		counted, refused, err := r.tally(ctx, r.ledger.Attempts, &r.ledger.Calls, r.table, others, plan.CountWidth(others, target))
		if err != nil {
			return nil, err
		}
		for i, s := range others {
			if refused[i] != nil {
				return nil, refused[i]
			}
			cells = append(cells, plan.BucketCells(s, counted[i])...)
		}
	}
	for _, w := range plan.Coalesce(windows) {
		fresh := plan.Within(r.counted, w)
		if fresh == nil {
			var counts plan.Counts
			if err := r.call(ctx, &r.ledger.Calls, func(ctx context.Context) (err error) {
				counts, err = r.Source.Count(ctx, plan.CountQuery{Table: r.table, Window: w, Bin: w.Bin()})
				return err
			}); err != nil {
				return nil, err
			}
			fresh = plan.Cells(w, counts.Bins, w.Bin())
		}
		fresh, err := r.refineGroups(ctx, r.ledger, fresh, plan.Oversized(fresh, target))
		if err != nil {
			return nil, err
		}
		cells = append(cells, fresh...)
	}
	return plan.Pack(cells, target, r.ledger.Next), nil
}

// send hands a slice's frozen blob to ingestion. The lease is looked at right
// before: a process that was frozen past its lease must not send.
func (r *run) send(ctx context.Context, no int) error {
	r.mu.Lock()
	s := *r.ledger.Slice(no)
	r.mu.Unlock()
	if !r.Clock.Now().Before(r.held.Deadline()) {
		return fault.As(fault.Retry, fmt.Errorf("send %s: the lease may have passed to another process", s.Slice))
	}
	ticket, err := r.Sink.Enqueue(ctx, Ingestion{
		Destination: r.table.Destination, RunID: r.ledger.RunID, Slice: no,
		SnapshotTime: r.ledger.SnapshotTime, Blob: s.Blob,
	})
	if err != nil {
		return fmt.Errorf("send %s %s: %w", r.req.Key, s.Slice, err)
	}
	r.mu.Lock()
	r.tickets[no] = ticket
	r.mu.Unlock()
	return nil
}

// update changes one slice and writes the ledger.
func (r *run) update(ctx context.Context, no int, change func(*plan.LedgerSlice)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.ledger.Slice(no))
	return r.held.SaveLedger(ctx, r.ledger)
}

// pauseFor sleeps, or puts the rest off when the budget ends first.
func (r *run) pauseFor(ctx context.Context, d time.Duration) error {
	if r.Clock.Now().Add(d).Sub(r.started) >= r.cfg.Budget {
		return &snooze{delay: r.cfg.Waiting, reason: "waiting for ADX"}
	}
	return r.Clock.Sleep(ctx, d)
}
