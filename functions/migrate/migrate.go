// Package migrate is the queue function: it works on the one table that a
// wake-up names. The work itself is the pipeline's.
package migrate

import (
	"context"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Binding is the trigger's name in function.json.
const Binding = "wakeup"

// Pipeline migrates one table.
type Pipeline interface {
	Migrate(ctx context.Context, req pipeline.Request) error
}

// Parser reads the text of a wake-up.
type Parser func(text string) (plan.WakeUp, error)

// Auditor records a message that is no wake-up.
type Auditor interface {
	Malformed(ctx context.Context, cause error) error
}

// Function migrates tables.
type Function struct {
	Pipeline Pipeline
	Parse    Parser
	Auditor  Auditor
}

// Serve works on one wake-up. Sender: the queue, woken by a tick, by a person or
// by ourselves. A duplicate finds the lease held or nothing to do. Redelivery is
// asked for a fault that repeating may mend, until the pipeline puts the wake-up back
// itself; a permanent fault and a malformed message are done with, since the next
// tick wakes the table again.
func (f *Function) Serve(ctx context.Context, in host.Invocation) host.Reply {
	log := host.Logger(ctx)
	message, err := host.DecodeQueue(in.Body, Binding)
	var req pipeline.Request
	if err == nil {
		req.WakeUp, err = f.Parse(message.Text)
	}
	if err != nil {
		log.Error("malformed wake-up", "error", err.Error())
		if auditErr := f.Auditor.Malformed(ctx, err); auditErr != nil {
			log.Error("audit", "error", auditErr.Error())
			return host.Reply{Redeliver: true}
		}
		return host.Reply{Logs: []string{"malformed wake-up: " + err.Error()}}
	}
	req.AttemptID, req.Deliveries, req.Inserted, req.Log = in.ID, message.DequeueCount, message.Inserted, log
	if req.Key.Instance != "" {
		log = log.With("instance", req.Key.Instance)
	}
	err = f.Pipeline.Migrate(ctx, req)
	switch fault.KindOf(err) {
	case fault.None:
		return host.Reply{}
	case fault.Permanent:
		log.Error("migrate", "table", req.Key.Source, "error", err.Error())
		return host.Reply{Logs: []string{fmt.Sprintf("%s: %v", req.Key, err)}}
	default:
		log.Warn("migrate: to be delivered again", "table", req.Key.Source, "error", err.Error())
		return host.Reply{Redeliver: true}
	}
}
