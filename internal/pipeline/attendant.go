package pipeline

import (
	"context"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Attendant is a person's process that works on a table and stays with it: it sees
// how the run gets on, and where the service would send a wake-up again it waits
// itself. Its methods are called from several goroutines and must not block.
type Attendant interface {
	// Progress is told after the run's ledger was written.
	Progress(Progress)
	// PutOff ends an attempt: w is due after delay. Nothing waits in the queue, and
	// the state names no pending wake-up, so that the next tick goes on with the run
	// should the process be gone.
	PutOff(w plan.WakeUp, delay time.Duration, reason string)
}

// Progress is how far a run is, by its ledger.
type Progress struct {
	RunID    string
	Planned  int64 // rows of the whole run, as counted so far
	Verified int64 // of them in ADX
	Slices   int   // that hold them; divided and hidden ones are left out
	Calls    int   // hunting calls so far
	Status   plan.Status
	More     bool // another window follows at once
}

// progressOf reads a ledger.
func progressOf(l *plan.Ledger) Progress {
	p := Progress{RunID: l.RunID, Verified: l.Rows(), Calls: l.Calls, Status: plan.Status(l.Status), More: l.More}
	for i := range l.Slices {
		switch s := &l.Slices[i]; s.State {
		case plan.Retired, plan.Void:
		case plan.Planned:
			p.Slices++
			p.Planned += max(0, s.Rows)
		default:
			p.Slices++
			p.Planned += max(0, s.Blob.Rows)
		}
	}
	return p
}

// show tells whoever attends the run how it gets on.
func (r Request) show(l *plan.Ledger) {
	if r.Attendant != nil {
		r.Attendant.Progress(progressOf(l))
	}
}

// wake sends the wake-up again: to who attends it, else to the queue.
func (r Request) wake(ctx context.Context, queue Waker, w plan.WakeUp, delay time.Duration, reason string) error {
	if r.Attendant == nil {
		return queue.Wake(ctx, w, delay)
	}
	r.Attendant.PutOff(w, delay, reason)
	return nil
}
