package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// checkLateCopies looks once more at runs that have ended, before the next one: at the
// last, and at those in doubt an hour and a day after their end, since a copy may come
// in when its run is over. One query serves all that are due and went to one table.
func (m *migration) checkLateCopies(ctx context.Context) error {
	now := m.serviceNow()
	byDestination := map[string][]*plan.Ledger{}
	due := m.state.LooksDue(now)
	for _, id := range due {
		l, err := m.lease.Ledger(ctx, id)
		if err != nil {
			return err
		}
		if l == nil {
			m.log.Warn("no look for copies: the ledger is gone", "run_id", id)
			continue
		}
		byDestination[l.Table.Destination] = append(byDestination[l.Table.Destination], l)
	}
	if len(due) == 0 {
		return nil
	}
	said := len(m.state.Outbox)
	var reported []*plan.Ledger
	var unseen []string
	for _, destination := range slices.Sorted(maps.Keys(byDestination)) {
		runs := byDestination[destination]
		found, err := m.lateCopies(ctx, destination, runs)
		if fault.KindOf(err) == fault.Permanent {
			// Nothing of the next run depends on it, the table may be gone by now. Until they
			// are told or too old these runs stay due.
			m.log.Warn("no look for copies", "table", destination, "error", err.Error())
			for _, l := range runs {
				unseen = append(unseen, l.RunID)
			}
			continue
		}
		if err != nil {
			m.state.Outbox = m.state.Outbox[:min(said, len(m.state.Outbox))] // all are said at once, or none
			return err
		}
		reported = append(reported, found...)
	}
	m.state.Looked(now, unseen)
	if err := m.lease.SaveState(ctx, m.state); err != nil {
		return err
	}
	// After the state: a kill in between has a copy reported twice, and never not.
	for _, l := range reported {
		l.Generation = m.state.Generation
		if err := m.lease.SaveLedger(ctx, l); err != nil {
			return err
		}
	}
	return m.outbox.flush(ctx)
}

// lateCopies puts the audit rows of copies that runs of one table have into the outbox
// and returns the ledgers that have learned of them.
func (m *migration) lateCopies(ctx context.Context, destination string, runs []*plan.Ledger) (reported []*plan.Ledger, err error) {
	ids, since := make([]string, len(runs)), runs[0].Started
	for i, l := range runs {
		ids[i] = l.RunID
		if l.Started.Before(since) {
			since = l.Started
		}
	}
	landed, err := m.ports.Verifier.Landed(ctx, destination, ids, since)
	if err != nil {
		return nil, fmt.Errorf("look for copies of runs %s in %s: %w", strings.Join(ids, ", "), destination, err)
	}
	for _, l := range runs {
		r := newRun(m, l, nil)
		more := false
		for i := range l.Slices {
			s := &l.Slices[i]
			found := landed[l.RunID][s.No]
			if v := s.Verdict(found); v == plan.Copies || v == plan.Excess {
				if err := r.reportSurplus(ctx, s, found); err != nil {
					return nil, err
				}
				more = true
			}
		}
		if more {
			reported = append(reported, l)
		}
	}
	return reported, nil
}
