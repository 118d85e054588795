package pipeline_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// world is everything around a pipeline in memory and in virtual time: a source
// that lives, ADX with asynchronous ingestion, configuration and audit tables,
// blobs with leases, and the queue. One mutex guards it all.
type world struct {
	mu    sync.Mutex
	now   time.Time
	skew  time.Duration // of the processes' clock; storage, source and ADX go by now
	tick  time.Duration // that passes at each look at a clock
	rng   *rand.Rand
	chaos float64 // probability of a fault at each call
	kills float64 // probability that a call kills its process
	cfg   pipeline.Config
	tried map[string]int // calls by name, also those that failed
	ill   []*mishap

	rows      []record
	cap       int                     // rows per answer
	cut       bool                    // cut silently at the cap instead of refusing
	refuseAll bool                    // every fetch is too large
	poison    func(record) error      // a row that spoils every answer it is in
	answers   func([]record) []record // what becomes of an answer's rows
	branches  int                     // parts that one count may have; 0: any number
	perMinute int                     // calls that the tenant allows; 0: any number
	taken     []time.Time             // calls
	line      map[string]time.Time    // tables that wait for a call, and when they were told to ask
	paused    time.Time               // nobody calls before
	heavy     func(plan.CountQuery) error
	timeless  bool // ingestion_time() is null for all rows
	sumless   bool // counts of parts come without checksums
	ids       int  // of rows used so far
	calls     int

	staged   map[string][]byte
	pending  []arriving
	extents  []extent
	delay    time.Duration // of ingestion
	sent     []plan.Ingestion
	fate     func(plan.Ingestion) fate // nil: every ingestion ends well
	probes   map[string]time.Time
	statuses map[string]plan.IngestStatus // of ingestions, by source id
	huge     map[int]int                  // rows that ADX makes null until they are cut so often
	trouble  map[string][]string          // by destination: what keeps it from showing rows
	missing  string                       // a destination that there is not; "": none
	voids    map[string]bool

	config   []plan.Row
	audits   []plan.Audit
	columns  map[string]string // that answers name; nil: none
	changes  []plan.SchemaChange
	unlogged bool // there is no table for changes of columns
	tags     map[string]bool
	falseOK  int // Success rows that were not true when they were written
	messages []message
	poisoned int // messages that failed too often
	states   map[plan.Key]*blob
	ledgers  map[string]*blob
	list     *listing          // nil: there are hunting tables alone
	versions map[string][]byte // what lists have shown
	staging  string            // name of the blob that is being written

	delivered time.Time // when the last message was

	faults map[string]int

	exports exports
}

// record is one source row.
type record struct {
	id     int
	source string    // "": DeviceInfo
	at     time.Time // what the watermark column holds; zero: null
	bucket int
	event  time.Time // what the column Timestamp holds; zero: as at
}

// hash is the hash of the row's key, which its bucket is cut from: of rows in one
// bucket each has its own.
func (r record) hash() uint64 {
	return uint64(r.bucket)<<32 | uint64(uint32(r.id))*2654435761%(1<<32)
}

// holds returns what a column of the row holds.
func (r record) holds(column string) time.Time {
	if column == "Timestamp" && !r.event.IsZero() {
		return r.event
	}
	return r.at
}

// passes reports whether the row passes the table's filters.
func (r record) passes(t plan.Table) bool {
	for _, f := range t.Filters {
		at := r.holds(f.Column)
		if !at.After(f.After) && !(f.OrNull && at.IsZero()) && !(!f.OrArrivedPast.IsZero() && r.at.After(f.OrArrivedPast)) {
			return false
		}
	}
	return true
}

type arriving struct {
	at   time.Time
	in   plan.Ingestion
	id   string
	tag  string
	fate fate
}

type extent struct {
	tag, runID  string
	slice       int
	ids         []int
	destination string
	nulls       int
	at          time.Time
	snapshot    time.Time
}

type message struct {
	visible  time.Time
	req      pipeline.Request
	dequeues int
}

type blob struct {
	body   []byte
	etag   int
	lease  int
	leased time.Time // until
	holder *process
}

const lease = time.Minute

var key = plan.Key{Source: "DeviceInfo"}

func newWorld(seed uint64) *world {
	return &world{
		now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), rng: rand.New(rand.NewPCG(seed, 7)), cap: 20, delay: 5 * time.Second, cfg: settings(),
		staged: map[string][]byte{}, probes: map[string]time.Time{}, statuses: map[string]plan.IngestStatus{}, huge: map[int]int{}, voids: map[string]bool{}, tags: map[string]bool{},
		line: map[string]time.Time{}, states: map[plan.Key]*blob{}, ledgers: map[string]*blob{}, faults: map[string]int{}, tried: map[string]int{},
		config: []plan.Row{{SourceTable: key.Source, DestinationTable: "DeviceInfoRaw", WatermarkColumn: "None", LoadType: "Full", IsActive: true,
			LastRefreshedTime: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), Ingested: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}},
	}
}

// fill adds n rows spread over the hours before now, with ties.
func (w *world) fill(n int, hours float64) {
	for range n {
		ago := time.Duration(w.rng.Float64() * hours * float64(time.Hour))
		at := w.now.Add(-ago).Truncate(time.Duration(1+w.rng.IntN(3)) * time.Minute)
		w.add(at)
	}
}

// add adds one row.
func (w *world) add(at time.Time) *record {
	if n := len(w.rows); n > 0 {
		w.ids = max(w.ids, w.rows[n-1].id+1)
	}
	w.rows = append(w.rows, record{id: w.ids, at: at, bucket: w.rng.IntN(plan.Buckets)})
	w.ids++
	return &w.rows[len(w.rows)-1]
}

// process is one handler process: its view of the world, which ends when it is
// killed.
type process struct {
	*world
	dead bool
}

func (p *process) ports() pipeline.Ports {
	return pipeline.Ports{Source: p, Quota: p, Exports: exporter{p}, ExportQuota: exportQuota{p}, Lists: []pipeline.Lists{{Source: lister{p}, Quota: listQuota{p}}},
		Stager: p, Ingester: p, Verifier: p, ControlTables: p, Store: p, Waker: p, Clock: p}
}

var (
	errDead      = errors.New("the process is dead")
	errNet       = errors.New("connection reset")
	errForbidden = errors.New("403 forbidden")
)

// effect runs f as one call to the outside. It may be lost before it happens,
// lose its reply afterwards, or kill the process on either side.
func (p *process) effect(name string, f func() error) error {
	if err := p.strike(name, false); err != nil {
		return err
	}
	err := p.chance(name, f)
	if struck := p.strike(name, true); struck != nil {
		return struck
	}
	return err
}

func (p *process) chance(name string, f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errDead
	}
	p.now = p.now.Add(time.Duration(p.rng.IntN(200)) * time.Millisecond)
	p.land()
	roll := p.rng.Float64()
	switch {
	case roll < p.kills:
		p.faults["kill before "+name]++
		p.dead = true
		return errDead
	case roll < p.kills+p.chaos/2:
		p.faults["lost "+name]++
		return fault.As(fault.Retry, fmt.Errorf("%s: %w", name, errNet))
	}
	err := f()
	roll = p.rng.Float64()
	switch {
	case roll < p.kills:
		p.faults["kill after "+name]++
		p.dead = true
		return errDead
	case err == nil && roll < p.kills+p.chaos/2:
		p.faults["reply lost "+name]++
		return fault.As(fault.Retry, fmt.Errorf("%s: %w", name, errNet))
	}
	return err
}

func (p *process) Now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(p.tick)
	return p.now.Add(p.skew)
}

func (p *process) Sleep(_ context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errDead
	}
	p.now = p.now.Add(d)
	return nil
}

// Source.

func (w *world) match(t plan.Table, s plan.Slice, r record) bool {
	if s.Hashed() && (r.bucket < s.Lo || r.bucket >= s.Hi) || r.table() != t.Source || !r.passes(t) {
		return false
	}
	at := r.holds(t.WatermarkColumn)
	switch s.Part {
	case plan.PartNull:
		return at.IsZero()
	case plan.PartWindow:
		return !at.IsZero() && at.After(s.Window.From) && !at.After(s.Window.To)
	}
	return true
}

func (p *process) API() string { return "graph" }

// call makes a call to the source.
func (p *process) call(ctx context.Context, call plan.Caller, name string, f func() error) error {
	return call.Do(ctx, func(context.Context) error { return p.chances(name, f) })
}

// chances is an effect at the source, with its own ways to fail.
func (p *process) chances(name string, f func() error) error {
	return p.effect(name, func() error {
		if p.rng.Float64() < p.chaos {
			p.faults["source refuses"]++
			switch p.rng.IntN(4) {
			case 0:
				return fault.WaitUntil(p.now.Add(time.Duration(p.rng.IntN(120))*time.Second), errors.New("429"))
			case 1:
				return fault.As(fault.Split, errors.New("too large"))
			default:
				return fault.As(fault.Unavailable, errors.New("502"))
			}
		}
		return f()
	})
}

func (p *process) Count(ctx context.Context, call plan.Caller, q plan.CountQuery) (c plan.Counts, err error) {
	err = p.call(ctx, call, "count", func() error {
		if p.heavy != nil {
			if err := p.heavy(q); err != nil {
				return err
			}
		}
		if err := textless(q.Table); err != nil {
			return err
		}
		c = plan.Counts{Now: p.now, To: q.Window.To}
		if settled := plan.Ticks(p.now.Add(-q.Settle)); settled.Before(c.To) {
			c.To = settled
		}
		bins, buckets := map[int64]int64{}, map[int]int64{}
		keys := uint64(0)
		for _, r := range p.rows {
			if r.table() != q.Table.Source || !r.passes(q.Table) {
				continue
			}
			at := r.holds(q.Table.WatermarkColumn)
			buckets[r.bucket/256]++
			keys += r.hash()
			if r.at.After(c.Newest) && !p.timeless {
				c.Newest = r.at
			}
			switch {
			case at.IsZero():
				c.Nulls++
			case at.After(c.To):
				c.Later++
			case at.After(q.Window.From):
				if q.Bin > 0 {
					bins[at.Add(-plan.Tick).Truncate(q.Bin).UnixNano()]++
				}
			}
		}
		if q.Table.Load == plan.Snapshot {
			for b, n := range buckets {
				c.Buckets = append(c.Buckets, plan.BucketCount{Lo: b * 256, Hi: (b + 1) * 256, Rows: n})
			}
			slices.SortFunc(c.Buckets, func(a, b plan.BucketCount) int { return a.Lo - b.Lo })
			c.Checksum = fmt.Sprint(keys)
			return nil
		}
		for at, n := range bins {
			c.Bins = append(c.Bins, plan.Bin{Start: time.Unix(0, at).UTC(), Rows: n})
		}
		slices.SortFunc(c.Bins, func(a, b plan.Bin) int { return a.Start.Compare(b.Start) })
		return nil
	})
	return c, err
}

func (p *process) CountBuckets(ctx context.Context, call plan.Caller, t plan.Table, parts []plan.Slice, width int) (out [][]plan.BucketCount, err error) {
	err = p.call(ctx, call, "tally", func() error {
		if p.branches > 0 && len(parts) > p.branches {
			return fault.As(fault.Split, fmt.Errorf("%d branches are too many", len(parts)))
		}
		out = make([][]plan.BucketCount, len(parts))
		for i, part := range parts {
			counts, keys := map[int]int64{}, map[int]uint64{}
			for _, r := range p.rows {
				if p.match(t, part, r) {
					counts[r.bucket/width]++
					keys[r.bucket/width] += r.hash()
				}
			}
			if width == plan.Buckets {
				out[i] = []plan.BucketCount{} // counted whole, every part has a line
			}
			for b, n := range counts {
				c := plan.BucketCount{Lo: b * width, Hi: (b + 1) * width, Rows: n}
				if t.Load == plan.Snapshot && !p.sumless {
					c.Checksum = fmt.Sprint(int64(keys[b]))
				}
				out[i] = append(out[i], c)
			}
			slices.SortFunc(out[i], func(a, b plan.BucketCount) int { return a.Lo - b.Lo })
		}
		return nil
	})
	return out, err
}

func (p *process) Fetch(ctx context.Context, call plan.Caller, t plan.Table, s plan.Slice, stage pipeline.Stage) (got plan.Received, err error) {
	err = call.Do(ctx, func(ctx context.Context) error {
		return stage(ctx, func(w io.Writer) error {
			got, err = p.answer(t, s, w)
			return err
		})
	})
	return got, err
}

// textless refuses a saved query of which only the name is sent, as the service does.
func textless(t plan.Table) error {
	if t.Kind() == plan.KindQuery && t.Query.Result == "" {
		return fault.As(fault.Permanent, fmt.Errorf("failed to resolve table '%s'", t.Source))
	}
	return nil
}

// answer writes the rows of one hunting answer.
func (p *process) answer(t plan.Table, s plan.Slice, w io.Writer) (got plan.Received, err error) {
	err = p.chances("fetch", func() error {
		if err := textless(t); err != nil {
			return err
		}
		var rows []record
		for _, r := range p.rows {
			if p.match(t, s, r) {
				rows = append(rows, r)
			}
		}
		if p.answers != nil {
			rows = p.answers(rows)
		}
		for _, r := range rows {
			if p.poison == nil {
				break
			}
			if err := p.poison(r); err != nil {
				return err
			}
		}
		if len(rows) >= p.cap && !p.cut || p.refuseAll {
			return fault.As(fault.Split, fmt.Errorf("%d rows are too many", len(rows)))
		}
		rows = rows[:min(len(rows), p.cap-1)]
		p.rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		for _, r := range rows {
			n, err := fmt.Fprintf(w, "%d\n", r.id)
			if err != nil {
				return err
			}
			got.Rows++
			got.Bytes += int64(n)
		}
		got.Columns = maps.Clone(p.columns)
		return nil
	})
	return got, err
}

// Quota.

// placeKept is how long a call is kept for a table that was told to ask for it.
const placeKept = time.Minute

func (p *process) Take(_ context.Context, table string, urgent bool) error {
	return p.effect("take", func() error {
		free := p.free(0)
		if place, waits := p.line[table]; !urgent && p.perMinute > 0 {
			ahead := 0 // of this table, which take calls before it
			for other, at := range p.line {
				if other != table && at.Add(placeKept).After(p.now) && (!waits || at.Before(place)) {
					ahead++
				}
			}
			free = p.free(ahead)
		}
		if free.After(p.now) {
			if p.perMinute > 0 && !urgent {
				p.line[table] = free
			}
			return fault.WaitUntil(free.Add(p.skew), errors.New("no call is free"))
		}
		delete(p.line, table)
		p.taken = append(p.taken, p.now)
		return nil
	})
}

// free is when a call is free behind so many that others take first, each a little
// after the one before.
func (w *world) free(ahead int) time.Time {
	free := w.paused
	if n := len(w.taken); w.perMinute > 0 && n >= w.perMinute {
		if at := w.taken[min(n-1, n-w.perMinute+ahead)].Add(time.Minute); at.After(free) {
			free = at
		}
	}
	if ahead > 0 && free.After(w.now) {
		free = free.Add(time.Duration(ahead) * time.Millisecond)
	}
	return free
}

func (p *process) PauseUntil(_ context.Context, until time.Time) error {
	return p.effect("hold", func() error {
		if until = until.Add(-p.skew); until.After(p.paused) {
			p.paused = until
		}
		return nil
	})
}

// Sink.

func (p *process) Stage(_ context.Context, name string, produce func(io.Writer) error) (plan.Blob, error) {
	var body bytes.Buffer
	p.mu.Lock()
	p.staging = name
	p.mu.Unlock()
	if err := produce(&body); err != nil {
		return plan.Blob{}, err
	}
	return plan.Blob{Path: name}, p.effect("stage", func() error {
		if _, taken := p.staged[name]; taken {
			return errors.New("blob exists")
		}
		p.staged[name] = body.Bytes()
		return nil
	})
}

func (p *process) BlobState(_ context.Context, b plan.Blob) (state plan.BlobState, err error) {
	err = p.effect("staged", func() error {
		state = plan.BlobGone
		if _, ok := p.staged[b.Path]; ok {
			state = plan.BlobThere
		}
		return nil
	})
	return state, err
}

// Recut copies a blob; rows in which ADX found too much are cut.
func (p *process) Recut(_ context.Context, b plan.Blob, name string, _ int64) (copied plan.Blob, rows int64, err error) {
	err = p.effect("recut", func() error {
		body, there := p.staged[b.Path]
		if _, taken := p.staged[name]; taken || !there {
			return fmt.Errorf("blob exists: %v, copy exists: %v", there, taken)
		}
		for _, id := range p.idsOf(b.Path) {
			if p.huge[id] > 0 {
				p.huge[id]--
				rows++
			}
		}
		p.staged[name] = body
		return nil
	})
	b.Path = name
	return b, rows, err
}

func (p *process) RowLimit(context.Context, string) (limit int64, err error) {
	return 1 << 20, p.effect("row limit", func() error { return nil })
}

func (p *process) Trouble(_ context.Context, destination string) (texts []string, err error) {
	err = p.effect("trouble", func() error {
		texts = p.trouble[destination]
		if p.missing != "" && p.missing == destination {
			texts = append(slices.Clone(texts), "table "+destination+" does not exist")
		}
		return nil
	})
	return texts, err
}

func (p *process) IngestStatus(_ context.Context, id string) (s plan.IngestStatus, err error) {
	err = p.effect("status", func() error {
		if id == "" {
			return fault.As(fault.Permanent, errors.New("want the id of an ingestion"))
		}
		if !p.exports.silent {
			s = p.statuses[id]
		}
		return nil
	})
	return s, err
}

// sendable refuses what the adapter refuses before it is queued.
func sendable(in plan.Ingestion) error {
	if strings.Trim(in.RunID, lettersAndDigits) != "" || in.RunID == "" {
		return errors.New("want a RunId of letters and digits")
	}
	if !in.URL.IsZero() && !strings.HasPrefix(in.URL.Reveal(), "https://") {
		return errors.New("want the https address of a file")
	}
	return plan.CheckName("destination table", in.Destination)
}

const lettersAndDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (p *process) Enqueue(_ context.Context, in plan.Ingestion) (id string, err error) {
	tag := plan.IngestTag(in.RunID, in.Slice)
	err = p.effect("enqueue", func() error {
		if err := sendable(in); err != nil {
			return fault.Mark(fault.As(fault.Permanent, err), fault.ErrNotQueued)
		}
		id = cmp.Or(in.SourceID, fmt.Sprint(tag, "-", len(p.sent)))
		if p.chaos > 0 && p.rng.Float64() < p.chaos {
			p.faults["ingestion lost"]++
			return nil
		}
		at := p.now.Add(p.delay)
		if p.chaos > 0 && p.rng.Float64() < p.chaos {
			p.faults["ingestion late"]++
			at = at.Add(time.Duration(p.rng.IntN(120)) * time.Minute)
		}
		p.sent = append(p.sent, in)
		end := well
		if p.fate != nil {
			end = p.fate(in)
		}
		if p.missing != "" && in.Destination == p.missing {
			end = refused
		}
		switch end {
		case lost:
			return nil
		case refused:
			p.statuses[id] = plan.IngestStatus{State: plan.IngestFailed, Permanent: true, Reason: "BadRequest: mapping does not fit"}
			return nil
		case unseen:
			p.statuses[id] = plan.IngestStatus{State: plan.IngestSucceeded}
			return nil
		}
		p.pending = append(p.pending, arriving{at: at, in: in, id: id, tag: tag, fate: end})
		return nil
	})
	return id, err
}

// land takes in what is due, in any order. The tag makes a second one a no-op.
func (w *world) land() {
	var rest []arriving
	for _, a := range w.pending {
		if a.at.After(w.now) {
			rest = append(rest, a)
			continue
		}
		if w.tags["ingest "+a.tag] {
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestSucceeded}
			continue
		}
		ids, there, refused := w.held(a.in)
		if refused {
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestFailed, Permanent: true, Reason: "Download_Forbidden: 403"}
			continue
		}
		if !there {
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestFailed, Permanent: true, Reason: "Download_SourceNotFound: 404"}
			continue
		}
		if len(ids) == 0 {
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestEmpty, Reason: "BadRequest_EmptyBlob"}
			continue
		}
		if a.fate == faltering {
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestFailed, Reason: "Download_UnknownError: 503"}
			a.at, a.fate = w.now.Add(retriedAfter), well
			rest = append(rest, a)
			continue
		}
		w.tags["ingest "+a.tag] = true
		w.statuses[a.id] = plan.IngestStatus{State: plan.IngestSucceeded}
		e := extent{tag: a.tag, runID: a.in.RunID, slice: a.in.Slice, destination: a.in.Destination, at: w.now, snapshot: a.in.SnapshotTime}
		e.ids = ids
		for _, id := range e.ids {
			if w.huge[id] > 0 {
				e.nulls++
			}
		}
		if a.fate == partial {
			e.ids = e.ids[:len(e.ids)/2]
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestPartial}
		}
		if a.fate == twin {
			w.extents = append(w.extents, e)
		}
		// What comes in in part is only to be told by its status where nobody has counted.
		if w.chaos > 0 && w.rng.Float64() < w.chaos/2 && len(e.ids) > 1 && !w.exports.silent {
			w.faults["partial ingestion"]++
			e.ids = e.ids[:len(e.ids)/2]
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestPartial}
		}
		w.extents = append(w.extents, e)
	}
	w.pending = rest
}

// idsOf reads the rows of a staged blob.
func (w *world) idsOf(path string) (ids []int) {
	for line := range strings.Lines(string(w.staged[path])) {
		id, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			panic(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func (p *process) Landed(_ context.Context, destination string, runIDs []string, since time.Time) (plan.LandedRuns, error) {
	out := plan.LandedRuns{}
	err := p.effect("landed", func() error {
		if p.missing != "" && destination == p.missing {
			return fault.As(fault.Permanent, fmt.Errorf("failed to resolve table '%s'", destination))
		}
		for _, e := range p.extents {
			// As the adapter, it allows a day for a clock that is wrong.
			if slices.Contains(runIDs, e.runID) && e.destination == destination && e.at.After(since.Add(-24*time.Hour)) {
				if out[e.runID] == nil {
					out[e.runID] = map[int]plan.Landed{}
				}
				l := out[e.runID][e.slice]
				l.Rows += int64(len(e.ids))
				l.Nulls += int64(e.nulls)
				out[e.runID][e.slice] = l
			}
		}
		return nil
	})
	return out, err
}

// Overlap knows each row by its id.
func (p *process) Overlap(_ context.Context, destination, runID string, parts []plan.Slice, _ time.Time) (shared plan.Overlap, err error) {
	err = p.effect("overlap", func() error {
		type held struct{ lo, hi, rows int }
		by := map[int]held{}
		for _, e := range p.extents {
			for _, s := range parts {
				if e.runID != runID || e.destination != destination || e.slice != s.No {
					continue
				}
				for _, id := range e.ids {
					h, known := by[id]
					if !known {
						h.hi = plan.Buckets
					}
					by[id] = held{max(h.lo, s.Lo), min(h.hi, s.Hi), h.rows + 1}
				}
			}
		}
		for _, h := range by {
			if h.lo >= h.hi {
				shared.Rows += int64(h.rows)
				shared.Different++
			}
		}
		return nil
	})
	return shared, err
}

func (p *process) Foreign(_ context.Context, destination, appID string, since time.Time) (id string, err error) {
	err = p.effect("foreign", func() error {
		for _, e := range p.extents {
			if e.destination == destination && e.at.After(since) && e.runID != "" && !strings.HasPrefix(e.runID, appID) {
				id = e.runID
			}
		}
		return nil
	})
	return id, err
}

// Ready is asked for a token before each call, and for the addresses of the staging storage.
func (p *process) Ready(context.Context) error { return p.strike("ready", false) }

func (p *process) OrphanRun(_ context.Context, destination, own string) (id, command string, err error) {
	err = p.effect("unknown", func() error {
		if len(p.sharers(destination)) > 1 {
			return nil
		}
		for _, e := range p.extents {
			known := e.destination != destination || e.runID == "" || e.runID == own || p.voids[fmt.Sprint(e.runID, -1)]
			for _, r := range p.config {
				known = known || r.RunID == e.runID
			}
			if !known {
				id, command = e.runID, ".set-or-append ..."
			}
		}
		return nil
	})
	return id, command, err
}

// sharers returns the sources whose newest row names the destination.
func (w *world) sharers(destination string) map[plan.Key]bool {
	out := map[plan.Key]bool{}
	for _, r := range w.config {
		k := plan.Key{Instance: r.Instance, Source: r.SourceTable}
		delete(out, k)
		if r.DestinationTable == destination && r.IsActive {
			out[k] = true
		}
	}
	return out
}

func (p *process) Void(_ context.Context, _, runID string, slice int) error {
	return p.effect("void", func() error { p.voids[fmt.Sprint(runID, slice)] = true; return nil })
}

func (p *process) Surplus(_ context.Context, destination, runID string, slice int, _ int64) (string, error) {
	return fmt.Sprintf(".delete table %s records of slice %d of %s", destination, slice, runID), nil
}

func (p *process) Probe(_ context.Context, id string) error {
	return p.effect("probe", func() error { p.probes[id] = p.now.Add(p.delay); return nil })
}

func (p *process) Probed(_ context.Context, id string) (ok bool, err error) {
	err = p.effect("probed", func() error { at, sent := p.probes[id]; ok = sent && !at.After(p.now); return nil })
	return ok, err
}

// ControlTables.

func (p *process) Rows(_ context.Context, k plan.Key, since time.Time) (out []plan.Row, err error) {
	err = p.effect("rows", func() error {
		var all []plan.Row
		for _, r := range p.config {
			if r.SourceTable == k.Source && r.Instance == k.Instance {
				all = append(all, r)
			}
		}
		for i, r := range all {
			if i == len(all)-1 || r.Ingested.After(since) {
				out = append(out, r)
			}
		}
		return nil
	})
	return out, err
}

func (p *process) Deliver(_ context.Context, o plan.Outgoing) error {
	return p.effect("deliver", func() error {
		rows := 0
		for _, there := range []bool{o.Config != nil, o.Audit != nil, o.Schema != nil} {
			if there {
				rows++
			}
		}
		if rows != 1 {
			return fault.As(fault.Permanent, errors.New("want a configuration row or an audit row"))
		}
		if o.Schema != nil && p.unlogged {
			return fault.As(fault.Permanent, errors.New("no such table"))
		}
		if p.tags[o.Tag] {
			return nil
		}
		p.tags[o.Tag] = true
		if o.Schema != nil {
			p.changes = append(p.changes, *o.Schema)
			return nil
		}
		if o.Config != nil {
			row := *o.Config
			row.Ingested = p.now
			p.config = append(p.config, row)
			return nil
		}
		p.audits = append(p.audits, *o.Audit)
		if o.Audit.Status == plan.Success && !p.truthful(*o.Audit) {
			p.falseOK++
		}
		return nil
	})
}

// truthful reports whether every row of a Success row's window is in ADX.
func (w *world) truthful(a plan.Audit) bool {
	if a.SourceTable == exportKey.Source {
		return w.exportTruthful(a)
	}
	arrived := w.arrived(a.SourceTable)
	for _, r := range w.rows {
		if r.table() == a.SourceTable && !r.at.IsZero() && r.at.After(a.WindowFrom) && !r.at.After(a.WindowTo) && arrived[r.id] == 0 {
			return false
		}
	}
	return true
}

// arrived counts how often each row id shows, void slices left out.
func (w *world) arrived(string) map[int]int {
	out := map[int]int{}
	for _, e := range w.extents {
		if w.voids[fmt.Sprint(e.runID, e.slice)] || w.voids[fmt.Sprint(e.runID, -1)] {
			continue
		}
		for _, id := range e.ids {
			out[id]++
		}
	}
	return out
}

// Store.

type held struct {
	p    *process
	key  plan.Key
	b    *blob
	id   int
	body []byte // the state as last read or saved
	etag int
	seen map[string]int
	ctx  context.Context
	end  context.CancelCauseFunc
}

func (p *process) Acquire(ctx context.Context, k plan.Key) (pipeline.TableLease, error) {
	var h *held
	err := p.effect("acquire", func() error {
		b := p.states[k]
		if b == nil {
			b = &blob{}
			p.states[k] = b
		}
		if p.now.Before(b.leased) {
			return fault.WaitUntil(p.now.Add(lease), errors.New("held"))
		}
		if err := p.readable(b, plan.StateFormat); err != nil {
			return err
		}
		b.lease++
		b.leased = p.now.Add(1000 * time.Hour) // renewed until the process dies
		b.holder = p
		h = &held{p: p, key: k, b: b, id: b.lease, body: b.body, etag: b.etag, seen: map[string]int{}}
		return nil
	})
	if h != nil {
		h.ctx, h.end = context.WithCancelCause(context.WithoutCancel(ctx))
	}
	if err != nil {
		if h != nil {
			// The reply was lost: nobody renews the lease, and it ends.
			p.mu.Lock()
			h.b.leased = p.now.Add(lease)
			p.mu.Unlock()
		}
		return nil, err
	}
	return h, nil
}

// readable refuses a document of a newer program.
func (w *world) readable(b *blob, known int) error {
	if len(b.body) == 0 {
		return nil
	}
	var head struct{ Format int }
	if err := json.Unmarshal(b.body, &head); err != nil {
		return err
	}
	if head.Format > known {
		return fault.Newer(w.now.Add(w.skew), head.Format, known, "")
	}
	return nil
}

func (h *held) State() *plan.TableState {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if len(h.body) == 0 {
		return nil
	}
	var s plan.TableState
	if err := json.Unmarshal(h.body, &s); err != nil {
		panic(err)
	}
	return &s
}

// over is the error of a write after the lease was released or lost.
func (h *held) over() error {
	if h.ctx.Err() == nil {
		return nil
	}
	return fault.As(fault.Retry, context.Cause(h.ctx))
}

func (h *held) SaveState(_ context.Context, s *plan.TableState) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return h.p.effect("save state", func() error {
		b := h.b
		if err := h.over(); err != nil {
			return err
		}
		if b.lease != h.id || b.etag != h.etag && !bytes.Equal(b.body, body) {
			h.end(errors.New("fenced"))
			return fault.As(fault.Retry, errors.New("fenced"))
		}
		b.body, b.etag = body, b.etag+1
		h.body, h.etag = body, b.etag
		return nil
	})
}

func (h *held) Ledger(_ context.Context, runID string) (l *plan.Ledger, err error) {
	err = h.p.effect("read ledger", func() error {
		b := h.p.ledgers[runID]
		if b == nil {
			return nil
		}
		if err := h.p.readable(b, plan.LedgerFormat); err != nil {
			return err
		}
		h.seen[runID] = b.etag
		l = &plan.Ledger{}
		return json.Unmarshal(b.body, l)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (h *held) SaveLedger(_ context.Context, l *plan.Ledger) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return h.p.effect("save ledger", func() error {
		if err := h.over(); err != nil {
			return err
		}
		b := h.p.ledgers[l.RunID]
		if b == nil {
			b = &blob{}
			h.p.ledgers[l.RunID] = b
		}
		if b.etag != h.seen[l.RunID] && !bytes.Equal(b.body, body) {
			return fault.As(fault.Retry, errors.New("ledger fenced"))
		}
		b.body, b.etag = body, b.etag+1
		h.seen[l.RunID] = b.etag
		return nil
	})
}

func (h *held) OpenLedger(context.Context) (l *plan.Ledger, err error) {
	err = h.p.effect("list ledgers", func() error {
		var ids []string
		for id := range h.p.ledgers {
			ids = append(ids, id)
		}
		sort.Strings(ids)
		for _, id := range ids {
			var candidate plan.Ledger
			if err := json.Unmarshal(h.p.ledgers[id].body, &candidate); err != nil {
				return err
			}
			if candidate.Ended.IsZero() && candidate.Table.Source == h.key.Source && candidate.Instance == h.key.Instance {
				l = &candidate
				h.seen[id] = h.p.ledgers[id].etag
			}
		}
		return nil
	})
	return l, err
}

// Deadline of a lease that another took over lies in the past.
func (h *held) Deadline() time.Time {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if h.b.lease != h.id || h.ctx.Err() != nil {
		return time.Time{}
	}
	return h.p.now.Add(h.p.skew + lease)
}

func (h *held) ServiceNow() time.Time {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	return h.p.now
}

func (h *held) Context() context.Context { return h.ctx }

func (h *held) Release(context.Context) error {
	h.end(errors.New("released"))
	h.p.mu.Lock()
	if h.b.lease == h.id && !h.p.dead {
		h.b.leased = h.p.now.Add(lease) // renewed no more
	}
	h.p.mu.Unlock()
	return h.p.effect("release", func() error {
		if h.b.lease == h.id {
			h.b.leased = time.Time{}
		}
		return nil
	})
}

// Waker.

func (p *process) Wake(_ context.Context, up plan.WakeUp, delay time.Duration) error {
	return p.effect("wake", func() error {
		p.messages = append(p.messages, message{visible: p.now.Add(delay), req: pipeline.Request{WakeUp: up, Inserted: p.now}})
		return nil
	})
}
