package adx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// storedRow is a configuration row as a query returns it; null is zero.
type storedRow struct {
	SourceTable               string    `kusto:"SourceTable"`
	DestinationTable          string    `kusto:"DestinationTable"`
	WatermarkColumn           string    `kusto:"WatermarkColumn"`
	LastRefreshedTime         time.Time `kusto:"LastRefreshedTime"`
	LastRefreshedTimeInString string    `kusto:"LastRefreshedTimeInString"`
	LoadType                  string    `kusto:"LoadType"`
	IsActive                  bool      `kusto:"IsActive"`
	Instance                  string    `kusto:"Instance"`
	Frequency                 string    `kusto:"Frequency"`
	Retention                 string    `kusto:"Retention"`
	RunID                     string    `kusto:"RunId"`
	Generation                int64     `kusto:"Generation"`
	Ingested                  time.Time `kusto:"IngestedAt"`
}

func (r storedRow) row() plan.Row {
	return plan.Row{
		SourceTable: r.SourceTable, DestinationTable: r.DestinationTable, WatermarkColumn: r.WatermarkColumn,
		LastRefreshedTime: r.LastRefreshedTime, LastRefreshedTimeInString: r.LastRefreshedTimeInString, LoadType: r.LoadType,
		IsActive: r.IsActive, Instance: r.Instance, Frequency: r.Frequency, Retention: r.Retention, RunID: r.RunID, Generation: r.Generation, Ingested: r.Ingested,
	}.Renamed()
}

// configurationColumns reads a configuration table of any age: columns that it
// lacks are empty, columns of another type are converted.
const configurationColumns = `
| project SourceTable = tostring(column_ifexists("SourceTable", "")),
    DestinationTable = tostring(column_ifexists("DestinationTable", "")),
    WatermarkColumn = tostring(column_ifexists("WatermarkColumn", "")),
    LastRefreshedTime = todatetime(column_ifexists("LastRefreshedTime", datetime(null))),
    LastRefreshedTimeInString = tostring(column_ifexists("LastRefreshedTimeInString", "")),
    LoadType = tostring(column_ifexists("LoadType", "")),
    IsActive = tobool(column_ifexists("IsActive", bool(null))),
    Instance = tostring(column_ifexists("Instance", "")),
    Frequency = tostring(column_ifexists("Frequency", "")),
    Retention = tostring(column_ifexists("Retention", "")),
    RunId = tostring(column_ifexists("RunId", "")),
    Generation = tolong(column_ifexists("Generation", long(null))),
    IngestedAt`

// newestFirst orders configuration rows. Rows that came in while the ingestion
// time policy was off have no arrival and count as the oldest.
const newestFirst = `
| sort by IngestedAt desc nulls last, Generation desc nulls last, LastRefreshedTime desc nulls last`

// Rows returns the configuration rows of a source that matter: the newest of
// all, and those that came in after since; oldest first. Rows that arrived
// together are ordered by Generation, then LastRefreshedTime. The zero since is for a
// state that is rebuilt: the first row of each of the newest runs, and the newest
// rows of users.
func (c *Client) Rows(ctx context.Context, key plan.Key, since time.Time) ([]plan.Row, error) {
	stored, err := rowsOf[storedRow](ctx, c, c.control, rowsQuery(key, since))
	if err != nil {
		return nil, fmt.Errorf("read the configuration of %s: %w", key, err)
	}
	out := make([]plan.Row, len(stored))
	for i, r := range stored {
		out[i] = r.row()
		out[i].Instance = key.Instance // in whatever letter case it is written there
	}
	slices.Reverse(out)
	return plan.OneName(out), nil
}

// runsKept is how many runs of a source a rebuilt state is told of, newest first:
// more than a state keeps, and few beside the rows of years.
const runsKept = 200

// rowsQuery reduces before it sorts: a source has a row a run, for years. Without
// since the runs are the newest runsKept, by the first row of each, which is ours;
// later ones of the same run are a user's copies.
func rowsQuery(key plan.Key, since time.Time) string {
	const newest = " | where isnull(NewestAt) or IngestedAt == NewestAt" + newestFirst + "\n| take 1"
	text := "let All = " + configurationTable + "\n| extend IngestedAt = ingestion_time()" + configurationColumns +
		"\n| where " + sourceIs(key.Source) + " and Instance =~ " + kql.String(key.Instance) + ";" +
		"\nlet NewestAt = toscalar(All | summarize max(IngestedAt));" +
		"\nlet Newest = All" + newest + ";"
	top := "\n| extend Arrived = coalesce(IngestedAt, datetime(1900-01-01))" +
		"\n| summarize arg_min(Arrived, *) by RunId, Generation\n| top " + strconv.Itoa(runsKept) + " by Arrived desc\n| project-away Arrived"
	switch {
	case since.IsZero():
		text += "\nlet Runs = All\n| where isnotempty(RunId)" + top + ";" +
			"\nlet Users = All\n| where isempty(RunId)\n| top " + strconv.Itoa(runsKept) + " by IngestedAt desc nulls last;" +
			"\nNewest\n| union Runs, Users"
	default:
		text += "\nNewest\n| union (All | where IngestedAt > " + kql.Datetime(since) + ")"
	}
	return text + "\n| distinct *" + newestFirst
}

// sourceIs selects the rows of a source under all of its names.
func sourceIs(source string) string {
	var names []string
	for _, name := range plan.NamesOf(source) {
		names = append(names, kql.String(name))
	}
	if len(names) == 1 {
		return "SourceTable == " + names[0]
	}
	return "(SourceTable == " + names[0] + " or SourceTable in~ (" + strings.Join(names[1:], ", ") + "))"
}

// Latest returns the newest configuration row of every source and instance,
// inactive ones included, as VwLatestMigrationConfiguration shows them: the stored
// function of `handler setup` or a materialized view of the original scripts,
// which knows neither instances nor arrival times.
func (c *Client) Latest(ctx context.Context) ([]plan.Row, error) {
	stored, err := rowsOf[storedRow](ctx, c, c.control, latestQuery)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", latestView, err)
	}
	out := make([]plan.Row, len(stored))
	for i, r := range stored {
		out[i] = r.row()
	}
	return out, nil
}

const latestQuery = latestView + "\n" +
	`| extend IngestedAt = todatetime(column_ifexists("IngestedAt", datetime(null)))` +
	configurationColumns + "\n| sort by Instance asc, SourceTable asc"

// Deliver appends one row to MigrationConfiguration or MigrationAuditLog, or the rows
// of one answer to MigrationSchemaLog, under its tag; repeating it appends nothing.
func (c *Client) Deliver(ctx context.Context, out plan.Outgoing) error {
	var table string
	var rows [][]cell
	switch {
	case out.Config != nil && out.Audit == nil && out.Schema == nil:
		table, rows = configurationTable, [][]cell{configurationCells(*out.Config)}
	case out.Audit != nil && out.Config == nil && out.Schema == nil:
		table, rows = auditTable, [][]cell{auditCells(*out.Audit)}
	case out.Schema != nil && out.Config == nil && out.Audit == nil:
		table, rows = schemaTable, schemaCells(*out.Schema)
	default:
		return fault.As(fault.Permanent, errors.New("deliver "+out.Tag+": want a configuration row, an audit row or columns that changed"))
	}
	if err := c.appendRows(ctx, table, out.Tag, rows); err != nil {
		return fmt.Errorf("append to %s: %w", table, err)
	}
	return nil
}

func configurationCells(r plan.Row) []cell {
	stamp := ""
	if !r.LastRefreshedTime.IsZero() {
		stamp = plan.Stamp(r.LastRefreshedTime)
	}
	return []cell{
		{"SourceTable", r.WrittenName()},
		{"DestinationTable", r.DestinationTable},
		{"WatermarkColumn", plan.WrittenColumn(r.WatermarkColumn)},
		{"LastRefreshedTime", r.LastRefreshedTime},
		{"LastRefreshedTimeInString", stamp},
		{"LoadType", r.LoadType},
		{"IsActive", r.IsActive},
		{"Instance", r.Instance},
		{"Frequency", r.Frequency},
		{"Retention", r.Retention},
		{"RunId", r.RunID},
		{"Generation", r.Generation},
	}
}

func auditCells(a plan.Audit) []cell {
	return []cell{
		{"TableName", a.TableName},
		{"Timestamp", a.Timestamp},
		{"Status", string(a.Status)},
		{"FailureReason", a.FailureReason},
		{"RecordCount", a.RecordCount},
		{"Instance", a.Instance},
		{"SourceTable", a.SourceTable},
		{"RunId", a.RunID},
		{"AttemptId", a.AttemptID},
		{"WindowFrom", a.WindowFrom},
		{"WindowTo", a.WindowTo},
		{"Slices", int64(a.Slices)},
		{"Calls", int64(a.Calls)},
		{"Bytes", a.Bytes},
		{"DurationSeconds", a.Duration.Seconds()},
		{"Api", a.API},
		{"Note", a.Note},
	}
}
