package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// rowsSettle is how much later than its ingestion time a configuration row may
// become visible. No bound is documented; generous beside the seconds that an append
// takes.
const rowsSettle = time.Minute

// Judgement is what a table's rows in MigrationConfiguration say.
type Judgement struct {
	// Command is the user's newest row that was not taken up yet; nil: none.
	Command *Table
	// Hidden: a row of ours came in after the command, so that the newest row of the
	// table does not show what is in force and must be published again.
	Hidden bool
	// Seen is the arrival of the newest row judged; no row up to it needs to be judged
	// again. Never before the state's Command.
	Seen time.Time
}

// Judge finds the user's command among rows, oldest first by ingestion time: the
// newest that is not exactly one we published and was not taken up before. now is
// our clock. Of state nothing changes but the arrivals of rows we published, which
// are remembered. The error is of kind Permanent and in the operator's words: no row
// at all, or the newest command has a fault.
func Judge(state *TableState, rows []Row, now time.Time) (Judgement, error) {
	if len(rows) == 0 {
		return Judgement{}, fault.As(fault.Permanent, fmt.Errorf(
			"no row for SourceTable %q in MigrationConfiguration: append one, or correct the name", state.Source))
	}
	j := Judgement{Seen: state.Command}
	var problem error
	for _, row := range rows {
		t, err := row.Table()
		switch {
		case err != nil:
			problem = fmt.Errorf("MigrationConfiguration: %w", err)
		case state.Table.Source != "" && !row.Ingested.IsZero() && !row.Ingested.After(state.Command):
			// Taken up before, or older than what was.
		case state.Ours(t):
			j.Hidden = j.Command != nil
		default:
			problem, j.Hidden, j.Command = nil, false, &t
		}
		if row.Ingested.After(j.Seen) {
			j.Seen = row.Ingested
		}
	}
	if problem != nil {
		return Judgement{}, fault.As(fault.Permanent, problem)
	}
	if j.Command == nil {
		// Rows of ours are judged once, too, since only so many of them are
		// remembered; the youngest again, in case a user's comes to light beside them.
		if settled := now.Add(-rowsSettle); j.Seen.After(settled) {
			j.Seen = settled
		}
		if j.Seen.Before(state.Command) {
			j.Seen = state.Command
		}
	}
	return j, nil
}

// Waiting tells what the newest row of the configuration asks for that no run has taken
// up yet, a line a column, in the operator's words; none: the state goes by that row
// already. A row without an arrival time, as the original scripts' view shows it, is
// taken for known.
func (s *TableState) Waiting(newest Table) (changes []string) {
	copied := *s
	copied.Published = slices.Clone(s.Published) // Ours remembers arrivals
	if !newest.Ingested.After(s.Command) || copied.Ours(newest) {
		return nil
	}
	old, row := s.Table.Row(), newest.Row()
	changed := func(column string, from, to any) {
		if from != to {
			changes = append(changes, fmt.Sprintf("%s: %v, was %v", column, to, from))
		}
	}
	changed("DestinationTable", old.DestinationTable, row.DestinationTable)
	changed("WatermarkColumn", old.WatermarkColumn, row.WatermarkColumn)
	changed("LoadType", old.LoadType, row.LoadType)
	changed("IsActive", old.IsActive, row.IsActive)
	changed("Frequency", fmt.Sprintf("%q", old.Frequency), fmt.Sprintf("%q", row.Frequency))
	changed("Retention", fmt.Sprintf("%q", old.Retention), fmt.Sprintf("%q", row.Retention))
	if mark := newest.LastRefreshed; !mark.IsZero() && !mark.Equal(s.Table.LastRefreshed) && !s.EverPublished(mark) {
		changes = append(changes, fmt.Sprintf("LastRefreshedTime: %s, was %s", Stamp(mark), Stamp(s.Watermark)))
	}
	if len(changes) == 0 {
		changes = []string{"nothing that is not in force"}
	}
	return changes
}
