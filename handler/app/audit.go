package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// auditor writes audit rows for what never reaches a table's pipeline. What each tick
// finds again is said once a day (UTC) and cause, which the row's tag remembers; what a
// message or a person brought is said each time.
type auditor struct {
	appID   string
	control pipeline.ControlTables
	now     func() time.Time
	api     func(instance string) string
}

// Reject records a configuration row that cannot be migrated.
func (a auditor) Reject(ctx context.Context, row plan.Candidate, cause error) error {
	return a.daily(ctx, plan.Audit{TableName: row.DestinationTable, Instance: row.Instance, SourceTable: row.SourceTable,
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
	row := plan.Audit{Instance: w.Key.Instance, SourceTable: w.Key.Source, FailureReason: cause.Error()}
	if w.Trigger != plan.Scheduled {
		return a.deliver(ctx, row)
	}
	return a.daily(ctx, row)
}

// deliver writes the row, each time it is called.
func (a auditor) deliver(ctx context.Context, audit plan.Audit) error {
	return a.write(ctx, "m"+strings.ToLower(rand.Text()), audit)
}

// daily writes the row unless it was written today.
func (a auditor) daily(ctx context.Context, audit plan.Audit) error {
	sum := sha256.Sum256([]byte(strings.Join([]string{audit.Instance, audit.SourceTable, audit.TableName, audit.FailureReason}, "\x00")))
	return a.write(ctx, a.appID+"refused-"+hex.EncodeToString(sum[:12])+"-"+a.now().UTC().Format(time.DateOnly), audit)
}

func (a auditor) write(ctx context.Context, tag string, audit plan.Audit) error {
	audit.Status, audit.Timestamp, audit.API = plan.Failed, a.now(), a.api(audit.Instance)
	audit.AttemptID = host.InvocationID(ctx)
	return a.control.Deliver(ctx, plan.Outgoing{Tag: tag, Audit: &audit})
}
