package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// waitForNewer answers a wake-up for a table whose state only a newer version of
// the program can read. Nothing is written over it.
func (p *Pipeline) waitForNewer(ctx context.Context, req Request, log *slog.Logger, err error) error {
	a := &attempt{Pipeline: p, req: req, base: log, log: log, started: p.Clock.Now()}
	return a.answer(ctx, fmt.Errorf("migrate %s: %w", req.Key, err))
}

// auditNewer says, once for each table and day (UTC), that the table waits for a
// newer version of the program. The state cannot remember that it was said, since
// it may be what cannot be read: the row's tag does. A row that could not be
// delivered is tried again with the next wake-up.
func (a *attempt) auditNewer(ctx context.Context, cause error) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer done()
	tag := fmt.Sprintf("%snewer-%s-%s", a.cfg.AppID, a.req.Key, a.Clock.Now().UTC().Format(time.DateOnly))
	audit := a.completeAudit(plan.Audit{Status: plan.Failed, FailureReason: cause.Error()}, nil)
	if err := a.ControlTables.Deliver(ctx, plan.Outgoing{Tag: tag, Audit: audit}); err != nil {
		a.log.Error("audit", "error", err.Error())
	}
}
