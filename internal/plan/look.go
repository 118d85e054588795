package plan

import (
	"slices"
	"time"
)

// lookAfter is how long after its end a run is looked at again whose rows may still
// come in twice: queued ingestion holds a message back for minutes mostly, and for a
// day at the worst. Source: DESIGN, "freeze, then commit".
var lookAfter = []time.Duration{time.Hour, 24 * time.Hour}

// lookFor is how long a run stays due that cannot be looked at: as long as a queue
// keeps a message, by default, which could still bring rows.
const lookFor = 7 * 24 * time.Hour

// maxLooks bounds TableState.Looks: the runs of a long chain, oldest first.
const maxLooks = 100

// Look is a run that has ended and is looked at again.
type Look struct {
	RunID string    `json:"RunID"`
	Ended time.Time `json:"Ended"` // by the storage's clock
	Done  int       `json:"Done"`  // looks of lookAfter that are over
}

// InDoubt reports whether a second copy of the ledger's rows may still be on its way:
// a blob was handed over more than once, or the reply to it was lost.
func (l *Ledger) InDoubt() bool {
	return slices.ContainsFunc(l.Slices, func(s LedgerSlice) bool {
		return s.State == Verified && s.Blob.Rows > 0 && (s.Doubt || s.Sends > 1 || s.Unanswered || s.SourceID == "")
	})
}

// Watch has a run that ended now looked at again. now is the storage's clock, here and
// below: ours may jump over a look.
func (s *TableState) Watch(runID string, now time.Time) {
	s.Looks = append(s.Looks, Look{RunID: runID, Ended: now})
	if over := len(s.Looks) - maxLooks; over > 0 {
		s.Looks = slices.Delete(s.Looks, 0, over)
	}
}

// LooksDue returns the runs that are to be looked at: the one that ended last, and
// those for which a look is due.
func (s *TableState) LooksDue(now time.Time) (runIDs []string) {
	if s.LastRun != "" {
		runIDs = append(runIDs, s.LastRun)
	}
	for _, l := range s.Looks {
		if l.after(now) > l.Done && l.RunID != s.LastRun {
			runIDs = append(runIDs, l.RunID)
		}
	}
	return runIDs
}

// Looked notes that all runs due were looked at, but those unseen. One look serves all
// that are over.
func (s *TableState) Looked(now time.Time, unseen []string) {
	if !slices.Contains(unseen, s.LastRun) {
		s.LastRun = ""
	}
	for i := range s.Looks {
		if l := &s.Looks[i]; !slices.Contains(unseen, l.RunID) {
			l.Done = max(l.Done, l.after(now))
		}
	}
	s.Looks = slices.DeleteFunc(s.Looks, func(l Look) bool {
		return l.Done == len(lookAfter) || now.Sub(l.Ended) > lookFor
	})
}

// after is how many looks are due or over.
func (l Look) after(now time.Time) (n int) {
	for _, d := range lookAfter {
		if !now.Before(l.Ended.Add(d)) {
			n++
		}
	}
	return n
}
