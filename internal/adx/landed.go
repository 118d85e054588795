package adx

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Names of the control tables.
const (
	configurationTable = "MigrationConfiguration"
	auditTable         = "MigrationAuditLog"
	voidTable          = "MigrationVoidSlices"
	schemaTable        = "MigrationSchemaLog"
	probeTable         = "MigrationProbe"
	latestView         = "VwLatestMigrationConfiguration"
)

// clockSlack is how far our clock and ADX's are taken to differ at most, when one
// only bounds what must be read.
const clockSlack = 24 * time.Hour

// Landed counts the rows in ADX, by run and slice, of runs that began at since or later
// by our clock: older rows need not be read. Rows without an arrival time count always.
// The zero since is the beginning of time.
func (c *Client) Landed(ctx context.Context, destination string, runIDs []string, since time.Time) (plan.LandedRuns, error) {
	type group struct {
		RunID string `kusto:"RunId"`
		Slice *int32 `kusto:"Slice"`
		Rows  int64  `kusto:"Rows"`
		Nulls int64  `kusto:"Nulls"`
	}
	groups, err := rows[group](ctx, c, landedQuery(destination, runIDs, since))
	if err != nil {
		return nil, err
	}
	landed := plan.LandedRuns{}
	for _, g := range groups {
		if g.Slice == nil {
			continue
		}
		if landed[g.RunID] == nil {
			landed[g.RunID] = map[int]plan.Landed{}
		}
		landed[g.RunID][int(*g.Slice)] = plan.Landed{Rows: g.Rows, Nulls: g.Nulls}
	}
	return landed, nil
}

func landedQuery(destination string, runIDs []string, since time.Time) string {
	return kql.Name(destination) + arrivedSince(since) + " | where RunId in (" + kql.Strings(runIDs) + ")" +
		" | summarize Rows = count(), Nulls = countif(isnull(Records)) by RunId, Slice"
}

// arrivedSince leaves out what came in before since by our clock.
func arrivedSince(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	return " | where isnull(ingestion_time()) or ingestion_time() > " + kql.Datetime(since.Add(-clockSlack))
}

// Foreign returns the RunId of a row that came into the table after since and
// whose RunId does not begin with appID; "" when there is none. Rows without a
// RunId are the original script's and nobody's run. The zero since is the
// beginning of time.
func (c *Client) Foreign(ctx context.Context, destination, appID string, since time.Time) (string, error) {
	type row struct {
		RunID string `kusto:"RunId"`
	}
	found, err := rows[row](ctx, c, foreignQuery(destination, appID, since))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0].RunID, nil
}

func foreignQuery(destination, appID string, since time.Time) string {
	arrived := ""
	if !since.IsZero() {
		arrived = "ingestion_time() > " + kql.Datetime(since) + " and "
	}
	return kql.Name(destination) + " | where " + arrived + "isnotempty(RunId) and RunId !startswith_cs " + kql.String(appID) +
		" | take 1 | project RunId"
}

// sharer is a source whose newest configuration row names a destination.
type sharer struct {
	SourceTable string `kusto:"SourceTable"`
	IsActive    bool   `kusto:"IsActive"`
	Published   int64  `kusto:"Published"` // rows of its runs in the configuration
	Audited     int64  `kusto:"Audited"`   // its audit rows
	Ran         int64  `kusto:"Ran"`       // those of them that name a run
}

// mayHaveRows reports whether rows of the table can be of this source's runs. A
// mistyped source never gets as far as a run; one that was never audited may be on
// its first.
func (s sharer) mayHaveRows() bool {
	return s.Published > 0 || s.Ran > 0 || s.IsActive && s.Audited == 0
}

// OrphanRun returns a RunId in the table, other than own, that stands in no row of
// MigrationConfiguration, is not hidden as a whole, and is not by the audit log of a
// source that has left the table; and the command that hides it as Void does; ""
// when there is none. Where several sources share the table it is "" too: the run of
// another one may be under way.
func (c *Client) OrphanRun(ctx context.Context, destination, own string) (runID, command string, err error) {
	sources, err := rowsOf[sharer](ctx, c, c.control, sharersQuery(destination, c.writers))
	if err != nil {
		return "", "", err
	}
	sources = slices.DeleteFunc(sources, func(s sharer) bool { return !s.mayHaveRows() })
	if len(sources) > 1 {
		return "", "", nil
	}
	source := ""
	if len(sources) == 1 {
		source = sources[0].SourceTable
	}
	type row struct {
		RunID string `kusto:"RunId"`
	}
	found, err := rows[row](ctx, c, c.orphanQuery(destination, own, source))
	if err != nil || len(found) == 0 {
		return "", "", err
	}
	return found[0].RunID, ".append " + voidTable + " <| " + voidTable + " | take 0 | union (print TableName = " + kql.String(destination) +
		", RunId = " + kql.String(found[0].RunID) + ", Slice = int(-1), Timestamp = now(), Hidden = true)", nil
}

// sharersQuery finds the sources that name the destination, in the control database.
func sharersQuery(destination string, writers []Writer) string {
	const by = "SourceTable, Instance = tolower(Instance)"
	const on = "SourceTable, Instance"
	return latestView + " | where " + namesDestination(destination, writers) +
		" | project " + by + ", IsActive" +
		" | join kind=leftouter (" + configurationTable + " | where isnotempty(RunId) | summarize Published = count() by " + by + ") on " + on +
		" | join kind=leftouter (" + auditTable + " | where isnotempty(SourceTable) | summarize Audited = count(), Ran = countif(isnotempty(RunId)) by " + by + ") on " + on +
		" | project SourceTable, IsActive, Published, Audited, Ran"
}

// namesDestination selects the configuration rows whose raw table is destination.
func namesDestination(destination string, writers []Writer) string {
	if len(writers) == 0 {
		return "DestinationTable == " + kql.String(destination)
	}
	var either []string
	for _, w := range writers {
		if name, ok := strings.CutPrefix(destination, w.Prefix); ok {
			either = append(either, "(Instance =~ "+kql.String(w.Instance)+" and DestinationTable == "+kql.String(name)+")")
		}
	}
	if len(either) == 0 {
		return "false"
	}
	return strings.Join(either, " or ")
}

// orphanQuery leaves out the runs that the audit log knows as another source's, if
// source is known.
func (c *Client) orphanQuery(destination, own, source string) string {
	configuration, audit := c.controlTable(configurationTable), c.controlTable(auditTable)
	others := ""
	if source != "" {
		others = " | join kind=leftanti (" + audit + " | where isnotempty(RunId) and SourceTable != " + kql.String(source) + " | distinct RunId) on RunId"
	}
	return kql.Name(destination) + " | where isnotempty(RunId) and RunId != " + kql.String(own) + " | distinct RunId" +
		" | join kind=leftanti (" + configuration + " | where isnotempty(RunId) | distinct RunId) on RunId" + others +
		" | join kind=leftanti (" + voidTable + " | where Slice == -1 and TableName == " + kql.String(destination) +
		" | extend Said = coalesce(ingestion_time(), Timestamp) | extend Hidden = column_ifexists(\"Hidden\", bool(null))" +
		" | summarize arg_max(Said, Hidden) by RunId | where isnull(Hidden) or Hidden) on RunId" +
		" | top 1 by RunId asc"
}

// Void records that the slice is hidden from every view; slice -1 hides the whole
// run. Repeating it appends nothing.
func (c *Client) Void(ctx context.Context, destination, runID string, slice int) error {
	return c.append(ctx, voidTable, plan.IngestTag(runID, slice)+"void", []cell{
		{"TableName", destination}, {"RunId", runID}, {"Slice", int64(slice)}, {"Timestamp", c.now()}, {"Hidden", true},
	})
}
