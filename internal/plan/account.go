package plan

import (
	"slices"
	"time"
)

// Cause says why fewer or more rows are believed than were before.
type Cause string

const (
	// Arrived: more rows than before. They are believed at once.
	Arrived Cause = "arrived"
	// Expired: fewer, and so old that Defender drops them while the run lasts.
	Expired Cause = "expired"
	// Recounted: fewer, as a second count said as well.
	Recounted Cause = "recounted"
)

// Account keeps a run's rows conserved: what the plan believed in, and why what was
// copied differs from it. Rows are counted by whoever divides them, compared here, and
// what an unequal sum does follows: counted again (MustRecount, Doubt), divided (Receive),
// read again (Close; Doubled, of which ADX tells), and a Gap at the end. The ledger's steps post to it; a run of a window ends
// balanced, with Planned and all differences together equal to the rows verified.
type Account struct {
	Planned   int64 `json:"Planned,omitzero"` // rows the plan believed in, as they were counted whole
	Arrived   int64 `json:"Arrived,omitzero"`
	Expired   int64 `json:"Expired,omitzero"`   // zero or negative, as is Recounted but for Close
	Recounted int64 `json:"Recounted,omitzero"` // beside Close's, which may be either
	Repeated  int64 `json:"Repeated,omitzero"`  // rows that stood in two parts of a Division, zero or negative
	// Edge is the instant up to which rows may expire while the run lasts, set anew
	// by each attempt from Table.ExpiryEdge; zero: nothing expires.
	Edge time.Time `json:"Edge,omitzero"`
	// Closed: the window was counted once more by slice. From then on fewer rows are
	// no longer believed but make a gap.
	Closed bool `json:"Closed,omitzero"`
}

// expiryMargin is how much younger than the look-back rows may be and expire while
// they are copied: an attempt's time budget and the service's own slack.
const expiryMargin = 2 * time.Hour

// ExpiryEdge returns the instant up to which the table's rows may expire while a run
// lasts: those nearly as old as what Defender holds. Zero for a watermark that is no
// arrival or event time, which says nothing about age.
func (t Table) ExpiryEdge(now time.Time, lookBack time.Duration) time.Time {
	if !t.ArrivalTime() || t.Load == Snapshot {
		return time.Time{}
	}
	return Ticks(now.Add(expiryMargin - lookBack))
}

// Believe returns the count to be believed of two of the same rows: the larger. A
// wrong answer lacks rows and never invents them, and there is no third count.
func Believe(first, second int64) int64 { return max(first, second) }

// BelieveBins merges two answers of one window: of each bin the larger count.
func BelieveBins(first, second []Bin) []Bin {
	return believe(first, second, func(b Bin) time.Time { return b.Start }, func(a, b Bin) int { return a.Start.Compare(b.Start) },
		func(a, b Bin) Bin { a.Rows = Believe(a.Rows, b.Rows); return a })
}

// BelieveBuckets merges two answers of one part, counted by equal ranges: of each
// range the larger count.
func BelieveBuckets(first, second []BucketCount) []BucketCount {
	return believe(first, second, func(b BucketCount) int { return b.Lo }, func(a, b BucketCount) int { return a.Lo - b.Lo },
		func(a, b BucketCount) BucketCount {
			if Believe(a.Rows, b.Rows) != a.Rows {
				return b
			}
			return a
		})
}

func believe[T any, K comparable](first, second []T, key func(T) K, order func(a, b T) int, larger func(a, b T) T) []T {
	out := slices.Clone(first)
	at := make(map[K]int, len(first))
	for i, b := range first {
		at[key(b)] = i
	}
	for _, b := range second {
		if i, ok := at[key(b)]; ok {
			out[i] = larger(out[i], b)
			continue
		}
		out = append(out, b)
	}
	slices.SortFunc(out, order)
	return out
}

// MustRecount reports whether a count must be taken once more: it is less than its
// parent, the count of the same rows or of more that is believed already, or zero
// where nothing else is known of them, parent then being negative. It serves a bin
// and the sum of its buckets, a window or snapshot and its recount, a slice and the
// sum of its parts.
func MustRecount(parent, rows int64) bool {
	if parent < 0 {
		return rows <= 0
	}
	return rows < parent
}

// Suspicious returns, by place, the parts whose counts must be taken once more. parent
// is the count of all of them together, negative where none is known; a part without
// a line in the answer is negative. All are where rows are missing, and where rows
// have arrived the parts that would be passed over as empty.
func Suspicious(parent int64, parts []int64) (again []int) {
	sum := int64(0)
	for _, n := range parts {
		sum += max(0, n)
	}
	for i, n := range parts {
		if sum < parent || sum != parent && n <= 0 {
			again = append(again, i)
		}
	}
	return again
}

// Receipt says what becomes of an answer whose rows may not be those counted.
type Receipt string

const (
	// Accept: the rows are frozen as they are.
	Accept Receipt = "accept"
	// Recount: a fresh count of the slice must settle it.
	Recount Receipt = "recount"
	// DivideAtEdge: rows may have expired or may have been cut off. The slice is
	// divided at the edge, since only its younger part can tell.
	DivideAtEdge Receipt = "divide at edge"
	// Divide: two counts and the answer all differ; the parts are tried.
	Divide Receipt = "divide"
)

// Receive judges an answer of so many rows for a slice. recount is a fresh count of
// the slice, negative before there is one; edge is the account's.
func Receive(s Slice, received, recount int64, edge time.Time) Receipt {
	switch {
	case received == s.Rows:
		return Accept
	case recount < 0:
		return Recount
	case recount == received:
		return Accept
	case received > s.Rows || recount > received || s.Part != PartWindow || !s.Window.From.Before(edge):
		return Divide
	case s.Window.To.After(edge):
		return DivideAtEdge
	default:
		return Accept // rows grow fewer between any two calls
	}
}

// Expiring reports whether all rows of the slice may expire while the run lasts.
func (s Slice) Expiring(edge time.Time) bool {
	return s.Part == PartWindow && !s.Window.To.After(edge)
}

// post explains a difference. Once the window was closed, fewer rows stay
// unexplained unless they expired.
func (a *Account) post(rows int64, expiring bool) {
	switch {
	case rows > 0:
		a.Arrived += rows
	case expiring:
		a.Expired += rows
	case !a.Closed:
		a.Recounted += rows
	}
}

// Gap returns the rows that are missing from those verified, negative where there
// are more. 0: the account is balanced.
func (a Account) Gap(verified int64) int64 {
	return a.Planned + a.Arrived + a.Expired + a.Recounted + a.Repeated - verified
}

// Open begins the account of a run whose slices are planned. planned is what the
// window's cells held as they were first counted, the parent of all that the run will
// count, and the null rows, or a snapshot's rows; edge is Table.ExpiryEdge. What the slices'
// own counts, believed by now, make of it is the first difference; where some are
// not counted yet it is left to the end of the run.
func (l *Ledger) Open(planned int64, edge time.Time) {
	l.Account = Account{Planned: planned, Edge: edge}
	if rows, known := l.expected(); known {
		l.Account.post(rows-planned, false)
	}
}

// expected returns the rows that the slices which live hold or will hold, and
// whether that is known of all.
func (l *Ledger) expected() (rows int64, known bool) {
	known = true
	parents := map[int]bool{}
	for i := range l.Slices {
		s := &l.Slices[i]
		switch {
		case s.State == Retired || s.State == Void:
		case s.Rows >= 0:
			rows += s.Rows
		case l.Slice(s.Parent) == nil:
			known = false
		case !parents[s.Parent]:
			parents[s.Parent] = true
			rows += l.remainder(s.Parent)
		}
	}
	return rows, known
}

// remainder returns the rows that a parent's uncounted parts hold together by its
// count: negative where the parent is not known, or more arrived in the parts counted.
func (l *Ledger) remainder(parent int) int64 {
	p := l.Slice(parent)
	if p == nil {
		return -1
	}
	rows := p.Rows
	for i := range l.Slices {
		if s := &l.Slices[i]; s.Parent == parent && s.Rows >= 0 {
			rows -= s.Rows
		}
	}
	return rows
}

// families returns the numbers of uncounted slices by parent, 0 for those without.
func (l *Ledger) families() map[int][]int {
	out := map[int][]int{}
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Planned && s.Rows < 0 {
			parent := s.Parent
			if l.Slice(parent) == nil {
				parent = 0
			}
			out[parent] = append(out[parent], s.No)
		}
	}
	return out
}

// Doubt returns the slices whose first counts must be taken once more, in the order
// of their numbers. counts are of slices that came without one; a slice that the
// answer has no line of is negative, one that was not counted, as it was refused, is
// absent.
func (l *Ledger) Doubt(counts map[int]int64) (again []int) {
	for parent, numbers := range l.families() {
		var counted []int
		var rows []int64
		for _, no := range numbers {
			if n, ok := counts[no]; ok {
				counted, rows = append(counted, no), append(rows, n)
			}
		}
		total := int64(-1)
		if len(counted) == len(numbers) {
			total = l.remainder(parent)
		}
		for _, i := range Suspicious(total, rows) {
			again = append(again, counted[i])
		}
	}
	slices.Sort(again)
	return again
}

// TakeCounts records counts that are believed, of slices that came without one, and
// posts what they differ from their parents.
func (l *Ledger) TakeCounts(counts map[int]int64) error {
	for no, rows := range counts {
		if s := l.Slice(no); s == nil || s.State != Planned || s.Rows >= 0 || rows < 0 {
			return illegal("count slice %d as %d", no, rows)
		}
	}
	for parent, numbers := range l.families() {
		sum, expiring, complete := int64(0), true, parent != 0
		for _, no := range numbers {
			rows, ok := counts[no]
			complete = complete && ok
			expiring = expiring && l.Slice(no).Expiring(l.Account.Edge)
			sum += rows
		}
		if complete {
			l.Account.post(sum-l.remainder(parent), expiring)
		}
	}
	for no, rows := range counts {
		l.Slice(no).Rows = rows
	}
	l.prune()
	return nil
}

// settle makes rows the slice's count, and posts the difference. The parents of a
// slice whose siblings are not counted yet move with it: what is left for those stays
// the same.
// Rows that nobody counted beforehand have no account: there is nothing they differ from.
func (l *Ledger) settle(s *LedgerSlice, rows int64) {
	if l.rowsUnknown() {
		s.Rows = rows
		return
	}
	diff := rows - s.Rows
	l.Account.post(diff, s.Expiring(l.Account.Edge))
	s.Rows = rows
	for p := l.Slice(s.Parent); p != nil && diff != 0; p = l.Slice(p.Parent) {
		p.Rows += diff
	}
}

// Close takes in a last count of the run by division, under the number of each, where
// the account was not balanced or its rows are said to be gone: a division the answer
// has no line of is absent. The larger of each count and what was verified is
// believed. It returns the divisions of which the source holds more: they are
// condemned, to be hidden and read again, once. What is then still missing is the
// run's Gap.
func (l *Ledger) Close(counts map[int]int64) (again []Division, err error) {
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Verified {
			s.Rows = s.Landed
		}
	}
	for _, d := range l.Divisions() {
		copied := d.Rows
		if d.Slice.Rows = Believe(copied, counts[d.No]); d.Rows == copied {
			continue
		}
		if err := l.Reread(d, d.Rows); err != nil {
			return nil, err
		}
		again = append(again, d)
	}
	rows, _ := l.expected()
	l.Account.Recounted -= l.Account.Gap(rows)
	l.Account.Closed = true
	return again, nil
}
