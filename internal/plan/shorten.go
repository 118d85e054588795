package plan

import (
	"slices"
	"time"
)

// Shorten cuts the run's window short where the ledger has more than limit slices:
// planned ones at its newest end are left to the next run, so that the window ends
// where a slice ends and after all that was promised or settled. It reports whether
// anything was left out; a snapshot, which must be whole, leaves nothing.
func (l *Ledger) Shorten(limit int) bool {
	if l.Table.Load == Snapshot || len(l.Slices) <= limit {
		return false
	}
	var floor time.Time // the newest end of what cannot be left out
	var ends []time.Time
	for i := range l.Slices {
		switch s := &l.Slices[i]; {
		case s.Part != PartWindow:
		case s.State == Planned:
			ends = append(ends, s.Window.To)
		case s.State != Retired && s.Window.To.After(floor):
			floor = s.Window.To
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	ends = slices.CompactFunc(ends, time.Time.Equal)
	end := time.Time{}
	for _, at := range ends {
		if at.Before(floor) || !at.Before(l.Window.To) || l.across(at) {
			continue
		}
		if end.IsZero() || len(l.Slices)-l.beyond(at) <= limit {
			end = at
		}
	}
	if end.IsZero() {
		return false
	}
	before, known := l.expected()
	l.Slices = slices.DeleteFunc(l.Slices, func(s LedgerSlice) bool { return s.leftOut(end) })
	l.Window.To, l.More = end, true
	l.prune()
	if after, all := l.expected(); known && all {
		l.Account.Planned -= before - after // the next run's
	}
	return true
}

func (s *LedgerSlice) leftOut(end time.Time) bool {
	return s.State == Planned && s.Part == PartWindow && !s.Window.From.Before(end)
}

// beyond returns how many slices a window that ends there leaves out.
func (l *Ledger) beyond(end time.Time) (n int) {
	for i := range l.Slices {
		if l.Slices[i].leftOut(end) {
			n++
		}
	}
	return n
}

// across reports whether a planned slice lies on both sides of the instant.
func (l *Ledger) across(at time.Time) bool {
	return slices.ContainsFunc(l.Slices, func(s LedgerSlice) bool {
		return s.State == Planned && s.Part == PartWindow && s.Window.From.Before(at) && s.Window.To.After(at)
	})
}
