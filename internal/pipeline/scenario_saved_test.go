package pipeline_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// saved is a world whose one table is a saved query, of which the rows of the world are
// the result.
func saved(seed uint64, name string, load plan.LoadType, column string) *world {
	w := newWorld(seed)
	w.fill(60, 10)
	row := &w.config[0]
	row.SourceTable, row.DestinationTable, row.LoadType, row.WatermarkColumn = "query/"+name, "Query"+name+"Raw", string(load), column
	for i := range w.rows {
		w.rows[i].source = row.SourceTable
	}
	return w
}

// A saved query is copied by a column of its result, run after run, and as a snapshot
// with two of its rows equal: all that is asked carries its text.
func TestScenario_Q1_SavedQueryIsCopiedLikeATable(t *testing.T) {
	for _, tt := range []struct {
		name, column string
		load         plan.LoadType
		rows         int64 // copied by all runs
	}{
		{"HostLogons", "Timestamp", plan.Incr, 65}, {"HostLogons", "None", plan.Incr, 65}, {"ExploitableSoftware", "None", plan.Snapshot, 60 + 65},
	} {
		w := saved(81, tt.name, tt.load, tt.column)
		w.run(10 * time.Minute)
		source := w.config[0].SourceTable
		for range 5 {
			w.add(w.now).source = source
		}
		w.now = w.now.Add(2 * time.Hour)
		w.run(10 * time.Minute)
		var copied int64
		for _, a := range w.audits {
			if a.Status == plan.Success {
				copied += a.RecordCount
			}
		}
		if copied != tt.rows || w.count(source, plan.Failed) > 0 || w.falseOK > 0 {
			t.Errorf("%s by %s: %d rows copied, want %d:%s", tt.name, tt.column, copied, tt.rows, w.story())
		}
	}
}

// Rows that are made of several have no time at which they came in. The plan shows it
// before anything is copied, and so does the dry run.
func TestScenario_Q2_RowsWithoutATimeOfArrival(t *testing.T) {
	for name, without := range map[string]int{"all of them": 60, "one of them": 1} {
		w := saved(82, "HostLogons", plan.Incr, "None")
		for i := range without {
			w.rows[i].at = time.Time{}
		}
		p := &process{world: w}
		_, dry := pipeline.New(w.cfg, p.ports(), slog.New(slog.DiscardHandler)).Forecast(t.Context(), reader{p}, plan.Key{Source: w.config[0].SourceTable})
		w.run(10 * time.Minute)
		const want = "have no ingestion_time(), so nothing new could be told from old: name a datetime column of the result"
		if got := w.last(); got.Status != plan.Failed || !strings.Contains(got.FailureReason, want) || len(w.sent) > 0 {
			t.Errorf("%s: %d sent; want none and the reason:%s", name, len(w.sent), w.story())
		}
		if dry == nil || !strings.Contains(dry.Error(), want) {
			t.Errorf("%s: the dry run says %v", name, dry)
		}
	}
}
