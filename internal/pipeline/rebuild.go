package pipeline

import (
	"context"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// rebuild makes a state for a table that has none: from an open ledger if one is
// found, else from what MigrationConfiguration says.
func (m *migration) rebuild(ctx context.Context) (*plan.Ledger, error) {
	state := &plan.TableState{
		Instance: m.req.Key.Instance, Source: m.req.Key.Source,
		Generation: 1, Nulls: plan.NullsNotCopied, Rebuilt: true,
	}
	rows, err := m.ports.ControlTables.Rows(ctx, m.req.Key, time.Time{})
	if err != nil {
		return nil, err
	}
	if err := m.published(ctx, state, rows); err != nil {
		return nil, err
	}
	if err := m.shownBefore(ctx, state); err != nil {
		return nil, err
	}
	ledger, err := m.lease.OpenLedger(ctx)
	if err != nil {
		return nil, err
	}
	if ledger != nil && ended(state, ledger) {
		m.log.Warn("an old ledger was left open; it is not taken up", "run_id", ledger.RunID)
		ledger = nil
	}
	if ledger != nil {
		state.Generation = max(state.Generation, ledger.Generation+1)
		state.Adopt(ledger, m.cfg.Settle)
	}
	if len(rows) == 0 && ledger == nil {
		// Nothing is known of such a table, so nothing is written for it.
		m.hold(state)
		return nil, nil
	}
	if err := m.lease.SaveState(ctx, state); err != nil {
		return nil, err
	}
	m.hold(state)
	if ledger == nil {
		return nil, nil
	}
	return ledger, m.fence(ctx, ledger)
}

// shownBefore finds, for a state that is made again, the record that the last published
// run left. A run that is not published has shown nothing that was not in it.
func (m *migration) shownBefore(ctx context.Context, state *plan.TableState) error {
	n := len(state.Published)
	if m.list == nil || n == 0 {
		return nil
	}
	l, err := m.lease.Ledger(ctx, state.Published[n-1].RunID)
	if err != nil && fault.KindOf(err) != fault.Permanent {
		return err
	}
	if err == nil && l != nil {
		state.Shown, state.Floor = l.Shown, l.Floor
	}
	return nil
}

// published fills the state from the rows that we published: the first of each
// run and generation, since a later one is a user's copy. What users wrote last is
// left to be judged as always; what they wrote before tells which run began with a
// watermark of theirs.
func (m *migration) published(ctx context.Context, state *plan.TableState, rows []plan.Row) error {
	type origin struct {
		run        string
		generation int64
	}
	seen := map[origin]bool{}
	said, edited, commanded := time.Time{}, false, false // by the user's rows since the last of ours
	for _, row := range rows {
		state.Generation = max(state.Generation, row.Generation+1)
		t, err := row.Table()
		from := origin{t.RunID, t.Generation}
		switch {
		case err != nil:
			continue
		case t.RunID == "" || seen[from]:
			mark := t.LastRefreshed
			if !mark.IsZero() && !mark.Equal(said) {
				commanded = !state.EverPublished(mark)
			}
			said, edited = mark, true
			continue
		}
		seen[from] = true
		ran := t
		if edited {
			// The row may tell what the user wrote while its run went on by the old columns.
			if ran, err = m.ranBy(ctx, t); err != nil {
				return err
			}
		}
		state.Republish(t, ran, commanded, m.cfg.Settle)
		edited, commanded = false, false
	}
	return nil
}

// ranBy returns the table as the run of a published row copied it; where its ledger
// is gone, as the row says.
func (m *migration) ranBy(ctx context.Context, t plan.Table) (plan.Table, error) {
	l, err := m.lease.Ledger(ctx, t.RunID)
	switch {
	case fault.KindOf(err) == fault.Permanent:
		m.log.Warn("read the ledger of a published run", "run_id", t.RunID, "error", err.Error())
	case err != nil:
		return t, err
	case l != nil:
		t.WatermarkColumn, t.Load = l.Table.WatermarkColumn, l.Table.Load
	}
	return t, nil
}

// hideLostRun gives up a run whose ledger is gone. What of it is in ADX, or still
// on its way, is hidden as a whole before the same window is copied again.
func (m *migration) hideLostRun(ctx context.Context) error {
	m.log.Error("ledger is gone: the run is hidden and its window copied again", "run_id", m.state.OpenRun)
	if err := m.ports.Ingester.Void(ctx, m.state.WritesTo(), m.state.OpenRun, -1); err != nil {
		return err
	}
	m.state.OpenRun = ""
	return m.lease.SaveState(ctx, m.state)
}
