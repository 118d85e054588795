package app

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// auditor writes audit rows for what never reaches a table's pipeline. Each has
// a tag of its own, so a repeated call writes a second row.
type auditor struct {
	control pipeline.ControlTables
	now     func() time.Time
	api     func(instance string) string
}

// Reject records a configuration row that cannot be migrated.
func (a auditor) Reject(ctx context.Context, row plan.Candidate, cause error) error {
	return a.deliver(ctx, plan.Audit{TableName: row.DestinationTable, Instance: row.Instance, SourceTable: row.SourceTable,
		FailureReason: "MigrationConfiguration: " + cause.Error()})
}

// Malformed records a message that is no wake-up.
func (a auditor) Malformed(ctx context.Context, cause error) error {
	return a.deliver(ctx, plan.Audit{FailureReason: "malformed wake-up, dropped: " + cause.Error()})
}

// GivenUp records a wake-up that the queue delivered too often.
func (a auditor) GivenUp(ctx context.Context, w plan.WakeUp) error {
	return a.deliver(ctx, plan.Audit{Instance: w.Key.Instance, SourceTable: w.Key.Source,
		FailureReason: "the wake-up failed too often and went to the poison queue; the next tick wakes the table again"})
}

// Refuse records a wake-up for an instance through which nothing can be copied.
func (a auditor) Refuse(ctx context.Context, w plan.WakeUp, cause error) error {
	return a.deliver(ctx, plan.Audit{Instance: w.Key.Instance, SourceTable: w.Key.Source, FailureReason: cause.Error()})
}

func (a auditor) deliver(ctx context.Context, audit plan.Audit) error {
	audit.Status, audit.Timestamp, audit.API = plan.Failed, a.now(), a.api(audit.Instance)
	audit.AttemptID = host.InvocationID(ctx)
	return a.control.Deliver(ctx, plan.Outgoing{Tag: "m" + strings.ToLower(rand.Text()), Audit: &audit})
}
