package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// A state that is made again has the marks that the lost one had: from configuration
// rows of ours in their order, and from the filters of a run that was left open.
func TestTableState_MadeAgain(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 1, hour, 0, 0, 0, time.UTC) }
	row := func(column string, mark int) plan.Table {
		return plan.Table{Source: "T", Load: plan.Full, WatermarkColumn: column, LastRefreshed: at(mark), Ingested: at(mark + 1), RunID: "r"}
	}
	opened := plan.Ledger{RunID: "open", Window: plan.Window{From: at(2), To: at(3)}, Table: plan.Table{Source: "T", Load: plan.Full, RowLimit: 7, Filters: []plan.Filter{
		{Column: "Timestamp", After: at(8), OrArrivedPast: at(9)}, {Column: "Day", After: at(1), OrNull: true}}}}
	type step func(*plan.TableState)
	published := func(t, ran plan.Table, commanded bool) step {
		return func(s *plan.TableState) { s.Republish(t, ran, commanded, time.Hour) }
	}
	adopted := func(s *plan.TableState) { s.Adopt(&opened, time.Hour) }
	snapshot := row("", 6)
	snapshot.Load = plan.Snapshot
	for _, tt := range []struct {
		name  string
		steps []step
		older []plan.Mark
		mark  time.Time // the watermark
	}{
		{"one column", []step{published(row("", 4), row("", 4), false), published(row("", 6), row("", 6), false)}, nil, at(6)},
		{"another column", []step{published(row("Timestamp", 4), row("Timestamp", 4), false), published(row("", 2), row("", 2), false)},
			[]plan.Mark{{Column: "Timestamp", Through: at(4), Ended: at(5), Nulls: plan.NullsUnknown}}, at(2)},
		{"another column at the user's watermark", []step{published(row("Timestamp", 4), row("Timestamp", 4), false), published(row("", 2), row("", 2), true)}, nil, at(2)},
		{"a run that ended by the old column", []step{published(row("", 4), row("Timestamp", 4), false)},
			[]plan.Mark{{Column: "Timestamp", Through: at(4), Ended: at(5), Nulls: plan.NullsUnknown}}, time.Time{}},
		{"a snapshot since", []step{published(row("Timestamp", 4), row("Timestamp", 4), false), published(snapshot, snapshot, false)}, nil, at(6)},
		{"an open run alone", []step{adopted},
			[]plan.Mark{{Column: "Timestamp", Through: at(8), Ended: at(9), Nulls: plan.NullsUnknown}, {Column: "Day", Through: at(1), Nulls: plan.NullsNotCopied}}, at(2)},
		{"an open run knows better", []step{published(row("Timestamp", 4), row("Timestamp", 4), false), adopted},
			[]plan.Mark{{Column: "Timestamp", Through: at(8), Ended: at(9), Nulls: plan.NullsUnknown}, {Column: "Day", Through: at(1), Nulls: plan.NullsNotCopied}}, at(2)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := plan.TableState{Source: "T", Nulls: plan.NullsNotCopied}
			for _, step := range tt.steps {
				step(&s)
			}
			if diff := cmp.Diff(tt.older, s.Marks.Older); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
			if !s.Watermark.Equal(tt.mark) || s.Table.Filters != nil || s.Table.RowLimit != 0 {
				t.Errorf("watermark %s, want %s; table %+v", plan.Stamp(s.Watermark), plan.Stamp(tt.mark), s.Table)
			}
		})
	}
}
