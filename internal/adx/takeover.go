package adx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// takeoverRun begins the RunId of a row by which a source of the original script is
// taken over. Such a row counts as published: rows after it are a user's.
const takeoverRun = "takeover"

const takeoverNote = "taken over from the original script at the greatest watermark that it wrote. Rows which it lost stay lost, " +
	"unless LastRefreshedTime is set back by a new row of " + configurationTable + " or LoadType becomes Snapshot. " +
	"Where WatermarkColumn is None it kept Records.IngestionTime; rows from now on have none"

// takenSource is a source of the original script, with the row of its greatest watermark.
type takenSource struct {
	SourceTable      string    `kusto:"SourceTable"`
	Instance         string    `kusto:"Instance"`
	DestinationTable string    `kusto:"DestinationTable"`
	Greatest         time.Time `kusto:"Greatest"`
}

// takeOver makes a database of the original scripts ours. They append a row a page,
// newest page first, and read the greatest watermark; we go by the newest row. So the
// greatest one is written down as the newest row of its source before their
// materialized view makes room for the function of that name. A database whose view
// an earlier setup has replaced is taken over alike, as long as nothing was copied
// into it since.
func (s *setup) takeOver(ctx context.Context) {
	_, old := s.before.MaterializedViews[latestView]
	_, configured := s.before.Tables[configurationTable]
	_, viewed := s.before.Functions[latestView]
	if !old && (!configured || !viewed) {
		return
	}
	const name = "takeover from the original script"
	taken, err := s.recordTakeover(ctx, old)
	if err != nil {
		// The view stays: without the record its watermarks would be lost.
		s.add(failedStep(name, err))
		return
	}
	if len(taken) > 0 {
		names := make([]string, len(taken))
		for i, t := range taken {
			names[i] = t.SourceTable
		}
		s.add(Step{Name: name, Outcome: Done, Detail: fmt.Sprintf("recorded the greatest watermark of %s; %s", strings.Join(names, ", "), takeoverNote)})
	}
	if !old {
		return
	}
	step := Step{Name: "materialized view " + latestView, Outcome: Done, Detail: "dropped for the function of that name; no row is lost"}
	if err := s.runAll(ctx, scriptOf("takeover.kql")); err != nil {
		step = failedStep(step.Name, err)
	}
	s.add(step)
}

// recordTakeover appends the audit rows and then the configuration rows, each under
// a tag that follows from the rows, so that a repetition after a kill adds none twice.
func (s *setup) recordTakeover(ctx context.Context, old bool) ([]takenSource, error) {
	c := s.client
	taken, err := rows[takenSource](ctx, c, takeoverQuery(old))
	if err != nil || len(taken) == 0 {
		return nil, err
	}
	sum := sha256.New()
	for _, t := range taken {
		fmt.Fprintf(sum, "%q %q %s\n", t.Instance, t.SourceTable, plan.Stamp(t.Greatest))
	}
	run := takeoverRun + hex.EncodeToString(sum.Sum(nil)[:8])
	audits := make([][]cell, len(taken))
	for i, t := range taken {
		audits[i] = auditCells(plan.Audit{
			TableName: t.DestinationTable, Timestamp: c.now(), Status: plan.Skipped, Instance: t.Instance, SourceTable: t.SourceTable,
			RunID: run, WindowTo: t.Greatest, Note: takeoverNote,
		})
	}
	if err := c.appendRows(ctx, auditTable, run+"-audit", audits); err != nil {
		return nil, err
	}
	columns, err := c.tableColumns(ctx, configurationTable)
	if err != nil {
		return nil, err
	}
	return taken, s.runAll(ctx, []string{takeoverCommand(run, taken, columns)})
}

// takeoverQuery finds the sources to be taken over: those with a watermark and
// without any row of a run. Where the original view is gone, the rows of a source
// must show that they are the original's: it wrote audit rows, which name no attempt,
// and its newest row is not the one that it went by.
func takeoverQuery(old bool) string {
	query := configurationTable +
		"\n| summarize Ours = countif(isnotempty(RunId)), Greatest = max(LastRefreshedTime), arg_max(LastRefreshedTime, DestinationTable) by SourceTable, Instance" +
		"\n| where Ours == 0 and Greatest > datetime(1900-01-01)"
	if !old {
		query += "\n| join kind=inner (" + latestView + " | project SourceTable, Instance, Newest = LastRefreshedTime) on SourceTable, Instance" +
			"\n| where isnull(Newest) or Greatest > Newest" +
			"\n| join kind=inner (" + auditTable + " | where isempty(AttemptId) | distinct TableName) on $left.DestinationTable == $right.TableName"
	}
	return query + "\n| project SourceTable, Instance, DestinationTable, Greatest\n| sort by Instance asc, SourceTable asc"
}

// takeoverCommand copies the row of the greatest watermark of each source, the
// newest of several, with all columns of the table.
func takeoverCommand(run string, taken []takenSource, columns []column) string {
	which := make([]string, len(taken))
	for i, t := range taken {
		which[i] = "SourceTable == " + kql.String(t.SourceTable) + " and Instance == " + kql.String(t.Instance)
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = kql.Name(c.Name)
	}
	return ".append " + configurationTable + ` with (tags = '["` + ingestBy + run + `"]', ingestIfNotExists = '["` + run + `"]') <| ` +
		configurationTable + " | where " + strings.Join(which, " or ") +
		" | extend At = coalesce(ingestion_time(), datetime(1900-01-01))" +
		" | summarize arg_max(At, *) by SourceTable, Instance, LastRefreshedTime" +
		" | summarize arg_max(LastRefreshedTime, *) by SourceTable, Instance" +
		" | extend RunId = " + kql.String(run) +
		" | project " + strings.Join(names, ", ")
}
