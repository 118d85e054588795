package plan

import (
	"slices"
	"time"
)

const (
	// ShortestReach is the shortest window that a count is made for: what cannot be
	// counted over an hour is an outage, or beyond us.
	ShortestReach = time.Hour
	// reachGrowth is how much longer the next window may be after one was counted.
	reachGrowth = 4
	// evenParts is into how many ranges of buckets a snapshot is divided that cannot be
	// counted in one piece; each is divided further where that is not enough.
	evenParts = 16
	// partRanges is how many ranges of a part are counted in one call, so that it can be
	// cut into slices.
	partRanges = 256
)

// Span returns how long the window is as far as rows are likely: from held where it
// has no beginning, or begins before held, since nearly all rows lie after that
// instant.
func (w Window) Span(held time.Time) time.Duration { return w.To.Sub(w.base(held)) }

// First returns the window's oldest part of at most length d, measured as by Span.
func (w Window) First(held time.Time, d time.Duration) Window {
	if to := Ticks(w.base(held).Add(d)); to.Before(w.To) {
		w.To = to
	}
	return w
}

func (w Window) base(held time.Time) time.Time {
	if w.From.Before(held) && held.Add(ShortestReach).Before(w.To) {
		return held
	}
	return w.From
}

// Overtaxed takes in that a count over a window of that length was refused as too
// heavy: half of it is the reach, but not less than an hour. It reports whether a
// shorter window is left to be asked for.
func (s *TableState) Overtaxed(span time.Duration) bool {
	if span <= ShortestReach {
		return false
	}
	s.Reach = max(span/2, ShortestReach)
	return true
}

// Reached takes in that a window was counted: while a reach is set the next may be
// four times as long, until that is all that Defender holds.
func (s *TableState) Reached(lookBack time.Duration) {
	if s.Reach *= reachGrowth; s.Reach >= lookBack {
		s.Reach = 0
	}
}

// EvenParts returns every row of a table as parts that were not counted, numbered
// from next.
func EvenParts(next int) []Slice {
	out := make([]Slice, evenParts)
	for i := range out {
		out[i] = Slice{No: next + i, Part: PartAll, Lo: i * Buckets / evenParts, Hi: (i + 1) * Buckets / evenParts, Rows: -1}
	}
	return out
}

// PartWidth returns how many buckets are counted together so that the part can be cut
// into slices.
func (s Slice) PartWidth() int { return max(1, (s.Hi-s.Lo)/partRanges) }

// NextPart returns a part of a snapshot that is not counted yet; false where there is
// none, or the snapshot was counted in one piece.
func (l *Ledger) NextPart() (Slice, bool) {
	for i := range l.Slices {
		if s := &l.Slices[i]; l.Parts > 0 && s.State == Planned && s.Rows < 0 && l.Slice(s.Parent) == nil {
			return s.Slice, true
		}
	}
	return Slice{}, false
}

// DivideParts plans a snapshot in even parts, none of which is counted yet.
func (l *Ledger) DivideParts() {
	parts := EvenParts(l.Next)
	l.Parts, l.PartSums = len(parts), slices.Repeat([]string{"0"}, len(parts))
	l.Add(parts...)
}

// TakePartSum adds the checksum of rows that were counted, of a part or of a piece of
// one, to that of their part.
func (l *Ledger) TakePartSum(counted Slice, checksum string) {
	if i := counted.Lo * evenParts / Buckets; i < len(l.PartSums) {
		l.PartSums[i] = addChecksums(l.PartSums[i], checksum)
	}
}

// Replaced compares the checksums of the parts' keys at the closing calls with those at
// the plan. told is false where one of them is not known, and none of the others differs.
func (l *Ledger) Replaced() (replaced, told bool) {
	if len(l.PartSums) == 0 || len(l.PartSums) != len(l.PartSumsNow) {
		return false, false
	}
	told = true
	for i, before := range l.PartSums {
		switch now := l.PartSumsNow[i]; {
		case before == "" || now == "":
			told = false
		case before != now:
			return true, true
		}
	}
	return false, told
}

// SameParts reports whether the verified slices of a snapshot hold as many rows as
// were counted of each of its parts, which are in the order of their buckets. Where
// a slice reaches over the border of two parts these are compared together.
func (l *Ledger) SameParts(parts []Slice, counts []int64) bool {
	copied := map[int]int64{} // rows by first bucket
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Verified {
			copied[s.Lo] += s.Rows
		}
	}
	// A border of parts counts only where no slice lies across it.
	across := func(at int) bool {
		for i := range l.Slices {
			if s := &l.Slices[i]; s.State == Verified && s.Lo < at && at < s.Hi {
				return true
			}
		}
		return false
	}
	var want int64
	from := 0
	for i, p := range parts {
		want += counts[i]
		if across(p.Hi) {
			continue
		}
		var got int64
		for lo, rows := range copied {
			if lo >= from && lo < p.Hi {
				got += rows
			}
		}
		if got != want {
			return false
		}
		want, from = 0, p.Hi
	}
	return want == 0
}
