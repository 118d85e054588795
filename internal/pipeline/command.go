package pipeline

import (
	"cmp"
	"context"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// command reads the table's rows and takes up what the user says there: the newest
// row that is not exactly one we published.
func (m *migration) command(ctx context.Context) error {
	rows, err := m.ports.ControlTables.Rows(ctx, m.req.Key, m.state.Command)
	if err != nil {
		return err
	}
	said, err := plan.Judge(m.state, rows, m.ports.Clock.Now())
	if err != nil {
		return err
	}
	if said.Command == nil {
		m.inForce, m.state.Command = m.state.Table, said.Seen
		return nil
	}
	if err := m.applyCommand(ctx, *said.Command, said.Seen); err != nil {
		return err
	}
	if said.Hidden {
		m.outbox.publish(m.state.Watermark, cmp.Or(m.state.Table.RunID, plan.RunID(m.cfg.AppID, m.ports.Clock.Now(), randomID(8))))
	}
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return err
	}
	return m.outbox.flush(ctx)
}

// applyCommand takes the user's row for the configuration in force. Its watermark counts
// as a command only where it is one and none that we wrote: whoever edits a
// column copies the row's watermark with it, or leaves it out. seen is the arrival
// of the newest row looked at: no row up to it is judged again.
func (m *migration) applyCommand(ctx context.Context, t plan.Table, seen time.Time) error {
	anew := m.othersRows()
	first := m.state.Table.Source == ""
	switch mark := t.LastRefreshed; {
	case first:
		if m.state.OpenRun == "" && len(m.state.Published) == 0 {
			m.state.Watermark = mark
		}
	case mark.IsZero() || mark.Equal(m.state.Table.LastRefreshed):
	case m.state.EverPublished(mark):
		m.state.Rewind = nil // back to what we wrote: an earlier command is withdrawn
	default:
		ours, err := m.onceOurs(ctx, t)
		if err != nil {
			return err
		}
		if !ours {
			m.state.Rewind = &mark
		}
		if !ours && anew {
			if err := m.changeTenant(ctx); err != nil {
				return err
			}
		}
	}
	if m.state.OpenRun == "" {
		// Else the open run ends by the column that it was planned by.
		m.turn(t)
	}
	m.state.Command = seen
	m.state.Table, m.inForce = t, t
	return nil
}

// turn makes the state ready for another column or load type. A watermark that the
// user wrote with it is a command and beats what was copied before.
func (m *migration) turn(next plan.Table) {
	if note := m.state.Turn(next, m.state.Rewind != nil, m.cfg.Settle); note != "" {
		m.log.Info("turned", "note", note)
		m.state.Turned = note
	}
}

// onceOurs looks through all of the table's rows for one of ours with t's
// watermark: the state remembers the youngest only.
func (m *migration) onceOurs(ctx context.Context, t plan.Table) (bool, error) {
	rows, err := m.ports.ControlTables.Rows(ctx, m.req.Key, time.Time{})
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if row.RunID != "" && plan.Ticks(row.LastRefreshedTime).Equal(t.LastRefreshed) && row.Ingested.Before(t.Ingested) {
			return true, nil
		}
	}
	return false, nil
}
