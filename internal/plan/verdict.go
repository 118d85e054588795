package plan

import (
	"maps"
	"slices"
)

// Verdict is what ADX's answer for one slice means.
type Verdict string

const (
	// Unjudged: nothing was promised of the slice, or it is being hidden.
	Unjudged Verdict = "unjudged"
	// Complete: every row sent is there, and no more than were reported already.
	Complete Verdict = "complete"
	// Missing: nothing is there. Not yet, or no more: that is for the caller, who
	// knows when it was sent.
	Missing Verdict = "missing"
	// Unsettled: some rows of a file are there, of which nobody knows how many there must
	// be: its ingestion's status tells whether they are all, or Ledger.SeenTwice.
	Unsettled Verdict = "unsettled"
	// Partial: fewer rows are there than were sent.
	Partial Verdict = "partial"
	// Nulls: the rows are there and ADX made some of them null. Only a committing
	// slice is judged so: one verified with nulls was accepted with them.
	Nulls Verdict = "nulls"
	// Copies: the service took the whole slice in more than once, and it may be hidden
	// and its blob sent under a new number: before the checkpoint, and where the blob
	// is still there. Otherwise it is an Excess.
	Copies Verdict = "copies"
	// Excess: more rows are there than were sent, and only a person may remove them:
	// no whole multiple, or hidden MaxCopies times already. The slice stays visible
	// and is reported.
	Excess Verdict = "excess"
)

// Verdict judges the slice by what ADX holds of it. It is the one comparison of rows
// sent and rows landed: of the poll, of the final check and of the look for late
// copies.
func (s *LedgerSlice) Verdict(landed Landed) Verdict {
	sent := s.Blob.Rows
	switch {
	case s.State != Committing && s.State != Verified:
		return Unjudged
	case sent == 0:
		return Complete // it had no rows, and its number is nobody else's
	case landed.Rows == 0:
		return Missing
	case sent == RowsUnknown:
		return Unsettled
	case landed.Rows < sent:
		return Partial
	case landed.Nulls > 0 && s.State == Committing && !s.Rewritten:
		return Nulls
	case landed.Rows <= max(sent, s.Surplus):
		return Complete
	case landed.Rows%sent == 0 && s.Voids < MaxCopies && s.Surplus == 0:
		return Copies
	default:
		return Excess
	}
}

// Short reports whether ADX shows less of a verified slice than was sent.
func (l *Ledger) Short(landed map[int]Landed) bool {
	return slices.ContainsFunc(l.Slices, func(s LedgerSlice) bool {
		return s.State == Verified && landed[s.No].Rows < s.Blob.Rows
	})
}

// Fuller merges two answers of what ADX holds: of each slice the one with more rows. A
// weak answer lacks rows and never invents them.
func Fuller(a, b map[int]Landed) map[int]Landed {
	out := maps.Clone(a)
	if out == nil {
		out = map[int]Landed{}
	}
	for no, l := range b {
		if known, ok := out[no]; !ok || l.Rows > known.Rows {
			out[no] = l
		}
	}
	return out
}
