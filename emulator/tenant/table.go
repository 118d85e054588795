package tenant

import (
	"iter"
	"sort"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// table is a name, columns and rows. What its slices hold is never changed, only
// replaced or appended to.
type table struct {
	name     string
	cols     []engine.Column
	segments []segment
}

// segment is a run of rows.
type segment interface {
	len() int
	// row gives the text of row i: its own, or made in buf.
	row(i int, buf []byte) []byte
	// held reports whether row gives text that stays.
	held() bool
	// ingested gives the ingestion time of row i; false: it is null.
	ingested(i int) (engine.Datetime, bool)
	// ordered reports that ingestion times are not null and never decrease.
	ordered() bool
}

// View says what one scan needs. The zero View needs everything.
type View struct {
	// After and UpTo bound the ingestion time: After < t <= UpTo; 0 is no bound.
	// Rows without ingestion time are within any bounds.
	After, UpTo engine.Datetime
	// Columns are the columns whose values are read, the others are null; nil
	// reads all of them.
	Columns []string
	// Bare leaves the rows' text out.
	Bare bool
}

// source is one scan.
type source struct {
	segments []segment
	cols     []engine.Column
	view     View
}

// Columns implements engine.Source.
func (s *source) Columns() []engine.Column { return s.cols }

// Scan implements engine.Source.
func (s *source) Scan() iter.Seq[engine.Record] {
	return func(yield func(engine.Record) bool) {
		rd := newReader(s.cols, s.view.Columns)
		var at engine.Datetime
		rec := engine.Record{Values: make([]any, len(s.cols))}
		copy(rec.Values, rd.blank)
		textless := s.view.Bare && rd.needed == 0
		var buf []byte
		for _, g := range s.segments {
			first, end := s.bounds(g)
			held := g.held()
			for i := first; i < end; i++ {
				var dated bool
				if at, dated = g.ingested(i); !dated {
					rec.Ingested = nil
				} else if rec.Ingested = &at; s.view.After != 0 && at <= s.view.After || s.view.UpTo != 0 && at > s.view.UpTo {
					continue
				}
				if !textless {
					row := g.row(i, buf)
					if !held {
						buf = row
					}
					rd.read(row, rec.Values, held)
					if !s.view.Bare {
						rec.Raw = row
					}
				}
				if !yield(rec) {
					return
				}
			}
		}
	}
}

// bounds finds the rows of a segment that can lie within the view.
func (s *source) bounds(g segment) (first, end int) {
	first, end = 0, g.len()
	if !g.ordered() {
		return first, end
	}
	beyond := func(limit engine.Datetime) int {
		return sort.Search(g.len(), func(i int) bool {
			at, _ := g.ingested(i)
			return at > limit
		})
	}
	if s.view.After != 0 {
		first = beyond(s.view.After)
	}
	if s.view.UpTo != 0 {
		end = beyond(s.view.UpTo)
	}
	return first, end
}

// kept is a segment of rows in memory.
type kept struct {
	texts  [][]byte
	times  []engine.Datetime // undated: null
	sorted bool
}

const undated engine.Datetime = -1

func newKept(texts [][]byte, times []engine.Datetime) *kept {
	k := &kept{texts: texts, times: times, sorted: true}
	for i, at := range times {
		if at == undated || i > 0 && at < times[i-1] {
			k.sorted = false
			break
		}
	}
	return k
}

func (k *kept) len() int                   { return len(k.texts) }
func (k *kept) row(i int, _ []byte) []byte { return k.texts[i] }
func (k *kept) held() bool                 { return true }
func (k *kept) ordered() bool              { return k.sorted }

func (k *kept) ingested(i int) (engine.Datetime, bool) { return k.times[i], k.times[i] != undated }

// made is a segment of rows that are computed from their number.
type made struct {
	n       int
	arrival arrival
	null    bool                                               // ingestion times are null
	write   func(buf []byte, i int, at engine.Datetime) []byte // appends the row; at is when it arrived first
	first   arrival
}

func (m *made) len() int      { return m.n }
func (m *made) held() bool    { return false }
func (m *made) ordered() bool { return !m.null }

func (m *made) row(i int, buf []byte) []byte { return m.write(buf[:0], i, m.first.at(i)) }

func (m *made) ingested(i int) (engine.Datetime, bool) { return m.arrival.at(i), !m.null }
