// Package deadletter is the function of the poison queue: it records a wake-up
// that was delivered too often. It never touches run state, since the next tick
// wakes the table again and the run goes on.
package deadletter

import (
	"context"

	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Binding is the trigger's name in function.json.
const Binding = "wakeup"

// Auditor records the end of a message.
type Auditor interface {
	// GivenUp records a wake-up that was delivered too often.
	GivenUp(ctx context.Context, w plan.WakeUp) error
	// Malformed records a message that is no wake-up.
	Malformed(ctx context.Context, cause error) error
}

// Function records poisoned messages.
type Function struct {
	Parse   func(text string) (plan.WakeUp, error)
	Auditor Auditor
}

// Serve records one poisoned message. Sender: the host, after maxDequeueCount
// failures. A duplicate writes a second audit row. Redelivery is asked for only
// when the audit row could not be written.
func (f *Function) Serve(ctx context.Context, in host.Invocation) host.Reply {
	log := host.Logger(ctx)
	message, err := host.DecodeQueue(in.Body, Binding)
	var w plan.WakeUp
	if err == nil {
		w, err = f.Parse(message.Text)
	}
	if err != nil {
		log.Error("poisoned message is no wake-up", "error", err.Error())
		err = f.Auditor.Malformed(ctx, err)
	} else {
		log.Error("wake-up was given up by the queue", "table", w.Key.Source, "trigger", w.Trigger)
		err = f.Auditor.GivenUp(ctx, w)
	}
	if err != nil {
		log.Error("audit", "error", err.Error())
		return host.Reply{Redeliver: true}
	}
	return host.Reply{}
}
