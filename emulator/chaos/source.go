package chaos

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// span is how long before the start the first rows arrived.
const span = 5 * 24 * time.Hour

// source is the tenant and, kept apart from it, what the oracle believes of it.
type source struct {
	data   *tenant.Tenant
	faults *faults

	mu      sync.Mutex
	nextID  int64
	tables  map[string]*truth
	changed time.Time // the last change

	regenerate func() // makes the exports anew
	stalled    time.Duration
}

// truth is what a table holds.
type truth struct {
	table
	marks    map[int64]time.Time // watermark by row id; zero: none
	versions []version           // of a snapshot, oldest first
	expired  map[int64]string    // rows that the service holds no longer, by id
	stirred  time.Time           // a list's last change
}

// version is the whole of a snapshot table from a moment on.
type version struct {
	from time.Time
	sum  fingerprint
}

// fingerprint stands for a set of row ids, whatever their order.
type fingerprint struct {
	rows int64
	sum  uint64
}

func (f *fingerprint) add(id int64) {
	x := uint64(id) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	f.rows++
	f.sum += x ^ x>>32
}

func newSource(s script, f *faults) (*source, error) {
	out := &source{data: tenant.New(time.Now()), faults: f, tables: map[string]*truth{}, regenerate: func() {}}
	out.data.Stand(time.Now()) // making the catalogue took a while
	out.data.Run(time.Now)
	r := f.roll("source")
	for _, t := range s.tables {
		tr := &truth{table: t, marks: map[int64]time.Time{}, expired: map[int64]string{}}
		out.tables[t.source] = tr
		if err := out.fill(r, tr); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fill gives a table its first rows, in groups that share an instant.
func (s *source) fill(r *rand.Rand, t *truth) error {
	if t.kind == listed {
		return s.fillList(r, t)
	}
	left := t.rows - t.nulls
	for left > 0 {
		n := min(left, 1+r.IntN(t.largest))
		ago := 10*time.Second + time.Duration(r.Int64N(int64(span)))
		if err := s.add(r, t, n, time.Now().Add(-ago)); err != nil {
			return err
		}
		left -= n
	}
	if t.nulls > 0 {
		return s.add(r, t, t.nulls, time.Time{})
	}
	return nil
}

// add appends n rows that arrive at one instant, given with 100 ns.
func (s *source) add(r *rand.Rand, t *truth, n int, at time.Time) error {
	at = at.UTC().Truncate(100 * time.Nanosecond)
	rows := make([]string, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rows {
		s.nextID++
		rows[i] = row(r, s.nextID, at)
		t.marks[s.nextID] = at
	}
	into := t.source
	if t.kind == exported {
		into = t.beneath()
	}
	if err := s.data.Append(into, at, rows...); err != nil {
		return err
	}
	s.changed = time.Now()
	s.note(t)
	return nil
}

// arrive adds rows to a source that is being read. How long they took to show
// decides whether settle was kept: a machine that stood still proves nothing.
func (s *source) arrive(r *rand.Rand, t *truth, n int, at time.Time) error {
	err := s.add(r, t, n, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = max(s.stalled, time.Since(at))
	return err
}

// note remembers what a snapshot table holds now. The caller holds the lock.
func (s *source) note(t *truth) {
	if !t.whole() {
		return
	}
	v := version{from: time.Now()}
	for id := range t.marks {
		v.sum.add(id)
	}
	t.versions = append(t.versions, v)
}

// row is a row's text: narrow, and with what a careless reader stumbles over.
func row(r *rand.Rand, id int64, at time.Time) string {
	stamp := at.Format("2006-01-02T15:04:05.9999999Z")
	event := at.Add(-time.Duration(r.Int64N(int64(40 * 24 * time.Hour))))
	var b strings.Builder
	fmt.Fprintf(&b, `{"Timestamp":"%s","DeviceId":"d%06d","ReportId":%d`, event.Format("2006-01-02T15:04:05.999Z"), id, id)
	if !at.IsZero() {
		fmt.Fprintf(&b, `,"InstallationTime":"%s"`, stamp)
	}
	texts := []string{`"plain"`, `"Zoë \"quoted\" \\ back"`, `"\u00e9\n\t"`, `null`, `""`, `"日本語 🛡"`, `"{\"not\":\"an object\"}"`}
	fmt.Fprintf(&b, `,"DeviceName":%s,"AdditionalFields":%s}`, texts[r.IntN(len(texts))],
		[]string{`{"a":[1,2.5,{"b":null}],"big":9007199254740993}`, `null`, `"{\"text\":true}"`, `[]`}[r.IntN(4)])
	return b.String()
}

// names lists the tables in order.
func (s *source) names() []string { return slices.Sorted(maps.Keys(s.tables)) }

// live changes the source a little, between two calls. Event tables only gain
// rows; a snapshot table also loses some, with a refresh that stamps it anew.
func (s *source) live(r *rand.Rand, midRun bool) error {
	names := s.names()
	t := s.tables[names[r.IntN(len(names))]]
	switch {
	case t.kind == listed:
		return s.stir(r, t)
	case t.kind == exported:
		if midRun && !s.faults.atMost(3, "source: export changed under way") {
			return nil
		}
		return s.renew(r, t)
	}
	if t.kind == snapshot {
		if midRun && !s.faults.atMost(3, "source: snapshot changed under way") {
			return nil
		}
		return s.refresh(r, t)
	}
	switch r.IntN(6) {
	case 5:
		return s.expire(r, t)
	case 0:
		s.faults.count("source: rows at one instant")
		return s.arrive(r, t, between(r, 20, 150), s.data.Now())
	case 1:
		s.faults.count("source: late rows")
		return s.arrive(r, t, between(r, 1, 10), s.data.Now().Add(-time.Duration(r.Int64N(int64(latest)))))
	case 2:
		s.faults.count("source: order changed")
		return s.data.Reorder(t.source, r.Uint64())
	default:
		s.faults.count("source: new rows")
		return s.arrive(r, t, between(r, 1, 40), s.data.Now())
	}
}

// expire drops the oldest rows of an event table, as the service does after thirty
// days. What nobody has copied by then nobody will.
func (s *source) expire(r *rand.Rand, t *truth) error {
	if !s.faults.atMost(3, "source: rows expired") {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var stamps []time.Time
	for _, at := range t.marks {
		if !at.IsZero() {
			stamps = append(stamps, at)
		}
	}
	if len(stamps) == 0 {
		return nil
	}
	slices.SortFunc(stamps, time.Time.Compare)
	until := stamps[r.IntN(1+len(stamps)/20)]
	_, err := s.data.Delete(t.source, func(_ int, text []byte) bool {
		id, ok := idOf(text)
		at := t.marks[id]
		if !ok || at.IsZero() || at.After(until) {
			return false
		}
		t.expired[id] = string(text)
		delete(t.marks, id)
		return true
	})
	s.changed = time.Now()
	return err
}

// refresh reloads a snapshot table: some rows go, some come, all are stamped.
func (s *source) refresh(r *rand.Rand, t *truth) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	share := r.Float64() * 0.2
	gone := map[int64]bool{}
	s.faults.count("source: snapshot refreshed")
	// In three steps, each of which a query may see: each is a version.
	if _, err := s.data.Delete(t.source, func(_ int, text []byte) bool {
		id, ok := idOf(text)
		if ok && r.Float64() < share {
			gone[id] = true
		}
		return gone[id]
	}); err != nil {
		return err
	}
	for id := range gone {
		delete(t.marks, id)
	}
	s.note(t)
	var rows []string
	at := s.data.Now().Truncate(100 * time.Nanosecond)
	for range between(r, 0, 60) {
		s.nextID++
		rows = append(rows, row(r, s.nextID, at))
		t.marks[s.nextID] = at
	}
	if len(rows) > 0 {
		if err := s.data.Append(t.source, at, rows...); err != nil {
			return err
		}
		s.note(t)
	}
	s.changed = time.Now()
	return s.data.Restamp(t.source, s.data.Now(), 50*time.Millisecond)
}

// held gives the rows that a table has now.
func (s *source) held(t table) (rows [][]byte) {
	switch t.kind {
	case listed:
		return slices.Clone(s.data.List(t.list()))
	case exported:
		name := t.source[strings.LastIndexByte(t.source, '/')+1:]
		if f, ok := s.data.Freeze(name); ok {
			for row := range f.Rows(0, f.Len()) {
				rows = append(rows, bytes.Clone(row))
			}
		}
		return rows
	case arrival, business, snapshot:
	}
	for row := range s.data.Rows(t.source) {
		rows = append(rows, bytes.Clone(row))
	}
	return rows
}

// lastChange is when the source changed last.
func (s *source) lastChange() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// rows counts all rows of the schedule's tables.
func (s *source) rows() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		n += len(t.marks)
	}
	return n
}
