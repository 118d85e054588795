package plan

import (
	"fmt"
	"slices"
	"time"
)

// Mark is a watermark of a column that was in force before: the rows up to and
// including it are in ADX, as far as they had arrived when it was left.
type Mark struct {
	Column  string    `json:"Column"`         // "" means ingestion_time()
	Through time.Time `json:"Through"`        // the watermark
	Ended   time.Time `json:"Ended,omitzero"` // Defender's clock when the last run by the column ended; zero: not known
	Nulls   int64     `json:"Nulls"`          // as TableState.Nulls, of this column
}

// Marks says what of a table was copied by other means than the column in force.
type Marks struct {
	Older []Mark    `json:"Older,omitempty"` // newest last
	Ended time.Time `json:"Ended,omitzero"`  // Defender's clock when the last run ended
	// Snapshot: the table's watermark is the time of a snapshot, of whatever column.
	Snapshot bool `json:"Snapshot,omitzero"`
}

// Filter selects rows beside the window, in every query of a run, counts too: rows
// whose Column is after After, and those that one of the alternatives lets in.
type Filter struct {
	Column        string    `json:"Column"`                 // "" means ingestion_time()
	After         time.Time `json:"After"`                  // exclusive: a row of just this instant was copied
	OrNull        bool      `json:"OrNull,omitzero"`        // or Column is null, since those rows were not copied
	OrArrivedPast time.Time `json:"OrArrivedPast,omitzero"` // or ingestion_time() is after this; zero: no such alternative
}

// RunEnded records, at the checkpoint, Defender's clock and whether the watermark is
// the time of a snapshot, which holds all that was copied before.
func (s *TableState) RunEnded(defender time.Time, snapshot bool) {
	s.Marks.Ended, s.Marks.Snapshot = defender, snapshot
	if snapshot {
		s.Marks.Older = nil
	}
}

// Turn makes the state ready for a configuration that copies by another column or
// load type than the one in force, and returns what the audit row should say; ""
// where nothing turns. commanded says that the user wrote a watermark together with
// it, which beats what was copied before.
//
// A new column begins at nothing: what was copied is left out by its old column,
// through Filters. Its null rows are counted anew, under the same filters. After a
// snapshot the window begins a settle time before it: rows of that overlap stand in
// both and are told apart by SnapshotTime.
func (s *TableState) Turn(next Table, commanded bool, settle time.Duration) (note string) {
	was := s.Table
	turned := was.Source != "" && was.WatermarkColumn != next.WatermarkColumn
	// A state of before there were marks tells a snapshot by its load type alone.
	snapshot := s.Marks.Snapshot || was.Load == Snapshot && s.Marks.Ended.IsZero()
	switch {
	case commanded:
		s.Marks.Older, s.Marks.Snapshot = nil, false
		if turned {
			s.Nulls = NullsNotCopied
		}
		return ""
	case s.Watermark.IsZero() || snapshot && next.Load == Snapshot:
		return "" // nothing was copied, or all of it will be
	case snapshot:
		s.Watermark = s.Watermark.Add(-settle)
		s.Marks.Older, s.Marks.Snapshot, s.Nulls = nil, false, NullsUnknown
		return fmt.Sprintf("rows are copied from %s on, shortly before the last snapshot: those of the overlap stand in both and differ in SnapshotTime", Stamp(s.Watermark))
	case turned:
		return s.leave(was, next)
	default:
		return ""
	}
}

// leave puts the watermark in force among the older ones.
func (s *TableState) leave(was, next Table) (note string) {
	left := Mark{Column: was.WatermarkColumn, Through: s.Watermark, Ended: s.Marks.Ended, Nulls: s.Nulls}
	if left.Ended.IsZero() {
		left.Ended = s.LastEnded // by our clock: all that a state of before there were marks knows
	}
	s.Marks.Older = slices.DeleteFunc(s.Marks.Older, func(m Mark) bool {
		return m.Column == left.Column && !m.Through.After(left.Through) && !m.Ended.After(left.Ended)
	})
	s.Marks.Older = append(s.Marks.Older, left)
	s.Watermark, s.Nulls = time.Time{}, NullsNotCopied
	note = fmt.Sprintf("the watermark column was %s up to %s and is %s now: what was copied by the old one is left out",
		columnName(left.Column), Stamp(left.Through), columnName(next.WatermarkColumn))
	if left.Nulls > 0 {
		note += fmt.Sprintf(", with %d rows in which it is null", left.Nulls)
	}
	return note
}

// Republish takes in a configuration row of ours, for a state that is made again from
// such rows, oldest first. ran is the table as the row's run copied it, of which the
// row has what was in force when it ended; commanded says that the run began with a
// watermark of the user's. Where the columns of two rows differ the older watermark
// goes among the marks, as it did when they were written.
func (s *TableState) Republish(row, ran Table, commanded bool, settle time.Duration) {
	s.Turn(ran, commanded, settle)
	s.Watermark, s.Command = row.LastRefreshed, row.Ingested
	s.LastEnded, s.ForeignSince = row.Ingested, row.Ingested
	// Rows without watermark were copied by the run that published this.
	s.Nulls = NullsUnknown
	s.RunEnded(row.Ingested, ran.Load == Snapshot)
	s.Table = ran
	s.Turned = ""
	if row.WatermarkColumn != ran.WatermarkColumn || row.Load != ran.Load {
		s.Turned = s.Turn(row, commanded, settle)
	}
	s.Table = row
	s.Publish(row)
	s.Published[len(s.Published)-1].Ingested = row.Ingested
}

// Adopt makes the open ledger's run the state's, which is made again: with the
// watermark that it began at, and what it leaves out as copied by other columns.
func (s *TableState) Adopt(l *Ledger, settle time.Duration) {
	s.Turn(l.Table, l.Rewind != nil, settle)
	s.OpenRun, s.Table, s.Rebuilt, s.Turned = l.RunID, l.Table, false, ""
	s.OpenInto = l.Table.Destination
	s.Table.Filters, s.Table.RowLimit = nil, 0
	s.Shown, s.Floor = l.Known, l.Floor
	if l.Table.Load != Snapshot {
		s.Watermark = l.Window.From
	}
	for _, f := range l.Table.Filters {
		m := Mark{Column: f.Column, Through: f.After, Ended: f.OrArrivedPast, Nulls: NullsUnknown}
		if f.OrNull {
			m.Nulls = NullsNotCopied
		}
		s.Marks.Older = slices.DeleteFunc(s.Marks.Older, func(o Mark) bool {
			if o.Column == m.Column && m.Ended.IsZero() {
				m.Ended = o.Ended // the filter has it only where it lets rows in
			}
			return o.Column == m.Column && !o.Through.After(m.Through)
		})
		s.Marks.Older = append(s.Marks.Older, m)
	}
}

func columnName(column string) string {
	if column == "" {
		return "ingestion_time()"
	}
	return column
}

// Filters returns what a run by the configuration in force selects beside its
// window, which begins at from; none of a snapshot.
//
// Arrival tells rows that came late: an old event column lets in what arrived after
// its last run. That is only so where ingestion_time() is trusted, as it is, or was,
// the watermark itself: of tables that are rewritten it is new for every row.
func (s *TableState) Filters(from time.Time) (out []Filter) {
	if s.Table.Load == Snapshot {
		return nil
	}
	trusted := s.Table.WatermarkColumn == "" || slices.ContainsFunc(s.Marks.Older, func(m Mark) bool { return m.Column == "" })
	for _, m := range s.Marks.Older {
		f := Filter{Column: m.Column, After: m.Through, OrNull: nullsLeft(m.Nulls)}
		if m.Column != "" && trusted {
			f.OrArrivedPast = m.Ended
			if s.Table.WatermarkColumn == "" && !m.Ended.IsZero() && !from.Before(m.Ended) {
				continue // every row of the window arrived after it
			}
		}
		if m.Column == s.Table.WatermarkColumn && m.Column == "" && !from.Before(m.Through) {
			continue
		}
		out = append(out, f)
	}
	return out
}

// RetireMarks forgets the older watermarks of which Defender holds no row any more. A
// business date says nothing of that: its mark stays. now is Defender's clock.
func (s *TableState) RetireMarks(now time.Time, lookBack time.Duration) {
	s.Marks.Older = slices.DeleteFunc(s.Marks.Older, func(m Mark) bool {
		newest := m.Through
		if m.Ended.After(newest) {
			newest = m.Ended
		}
		return Table{WatermarkColumn: m.Column}.ArrivalTime() && newest.Add(lookBack).Before(now)
	})
}
