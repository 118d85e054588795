package plan

import (
	"cmp"
	"slices"
	"time"
)

// A list that cannot be read within one invocation is read in parts, by the instants of
// its versions: each part is a slice, a chain of pages that is frozen whole or not at
// all. A part holds what bears From or a later instant and one before To, both in whole
// seconds, as the service is asked; the youngest has no end, so that a version that is
// newer than the plan is in a part, too.

// partsEachWay is how many parts of a step's length are cut before and after what a
// broken reading has shown: lists are served newest first, oldest first, or in no order.
const partsEachWay = 32

// Cuts returns the instants, in order, at which to divide the window of a reading that
// has shown v and did not end. share is how much of what it has shown a part should
// hold. Nil: the window cannot be divided so that the parts hold less.
func (v *Versions) Cuts(w Window, share float64) (cuts []time.Time) {
	var seen []int64 // seconds
	if v != nil {
		for _, ticks := range v.shown {
			if at := timeOf(ticks); !at.Before(w.From) && !at.After(w.To) {
				seen = append(seen, at.Unix())
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	slices.Sort(seen)
	stray := len(seen) / 20 // a few instants far away say nothing of the rest
	oldest, newest := seen[stray], seen[len(seen)-1-stray]
	step := max(1, int64(float64(newest-oldest)*share))
	for i := int64(-partsEachWay); i <= partsEachWay; i++ {
		if cut := time.Unix(newest+1+i*step, 0).UTC(); cut.After(w.From) && cut.Before(w.To) {
			cuts = append(cuts, cut)
		}
	}
	return cuts
}

// Newest is the latest instant that a version bears; zero for none.
func (v *Versions) Newest() (newest time.Time) {
	if v == nil {
		return newest
	}
	for _, ticks := range v.shown {
		if at := timeOf(ticks); at.After(newest) {
			newest = at
		}
	}
	return newest
}

// Outside returns the versions that bear an instant before from, or to or a later one;
// where to is zero the reading has no end, and nothing is behind it.
func (v *Versions) Outside(from, to time.Time) *Versions {
	out := &Versions{shown: map[Version]int64{}}
	if v == nil {
		return out
	}
	for version, ticks := range v.shown {
		if at := timeOf(ticks); at.Before(from.Truncate(time.Second)) || !to.IsZero() && !at.Before(to) {
			out.shown[version] = ticks
		}
	}
	return out
}

// ListPart is the window of a list's slice as it is read; To is zero where the reading
// has no end.
func (l *Ledger) ListPart(s Slice) Window {
	if s.Part != PartWindow {
		return Window{}
	}
	for i := range l.Slices {
		if o := &l.Slices[i]; o.Window.To.After(s.Window.To) {
			return s.Window
		}
	}
	return Window{From: s.Window.From}
}

// DivideList divides a planned slice of a list at the cuts, which are in order:
// planned -> retired, and planned(-1) for each part. false, and nothing is changed,
// where no cut lies inside it.
func (l *Ledger) DivideList(no int, cuts []time.Time) (bool, error) {
	s, err := l.step("divide", no, Planned)
	if err != nil {
		return false, err
	}
	if l.Table.DividedBy() == "" {
		return false, illegal("divide slice %d of a list that is read as a whole", no)
	}
	youngest := l.ListPart(s.Slice).To.IsZero()
	w := s.Window
	if s.Part != PartWindow {
		w = Window{To: l.SnapshotTime}
	}
	if n := len(cuts); n > 0 && youngest && !cuts[n-1].Before(w.To) {
		w.To = cuts[n-1].Add(time.Second) // of what has come since the plan
	}
	var parts []Slice
	for from := w.From; ; {
		i := slices.IndexFunc(cuts, func(at time.Time) bool { return at.After(from) && at.Before(w.To) })
		part := Slice{No: l.Next + len(parts), Part: PartWindow, Window: w, Hi: Buckets, Rows: RowsUnknown}
		part.Window.From = from
		if i >= 0 {
			part.Window.To = cuts[i]
		}
		parts = append(parts, part)
		if i < 0 {
			break
		}
		from, cuts = cuts[i], cuts[i+1:]
	}
	if len(parts) < 2 {
		return false, nil
	}
	l.replaceByParts(s, parts...)
	return true, nil
}

// OldestFirst orders slices by where their windows begin. What changes while a list is
// read moves to a younger part, which is read later, and is not missed.
func OldestFirst(a, b Slice) int { return cmp.Or(a.Window.From.Compare(b.Window.From), a.No-b.No) }
