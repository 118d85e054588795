package pipeline

import (
	"context"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// drift compares the columns of the newest answer with those last known. What has
// changed is a warning, a note of the run and rows of MigrationSchemaLog; rows are
// copied as they come. No slice is in flight.
func (r *run) drift(ctx context.Context) error {
	state := r.m.state
	drifts := state.Drifted(r.columns)
	if len(drifts) == 0 {
		return nil
	}
	text := plan.DriftText(drifts)
	r.log.Warn(text, "table", r.table.Source)
	r.ledger.Note(text)
	r.m.outbox.add(plan.Outgoing{Schema: &plan.SchemaChange{SourceTable: state.Source, Instance: state.Instance,
		Timestamp: r.ports.Clock.Now(), RunID: r.ledger.RunID, Columns: drifts}})
	// The note first: a kill in between says it twice, and never not.
	if err := r.save(ctx); err != nil {
		return err
	}
	return r.m.lease.SaveState(ctx, state)
}
