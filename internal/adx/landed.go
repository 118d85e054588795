package adx

import (
	"context"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Names of the control tables.
const (
	configurationTable = "MigrationConfiguration"
	auditTable         = "MigrationAuditLog"
	voidTable          = "MigrationVoidSlices"
	probeTable         = "MigrationProbe"
	latestView         = "VwLatestMigrationConfiguration"
)

// Landed counts the run's rows in ADX by slice number.
func (c *Client) Landed(ctx context.Context, destination, runID string) (map[int]plan.Landed, error) {
	type group struct {
		Slice *int32 `kusto:"Slice"`
		Rows  int64  `kusto:"Rows"`
		Nulls int64  `kusto:"Nulls"`
	}
	groups, err := rows[group](ctx, c, landedQuery(destination, runID))
	if err != nil {
		return nil, fmt.Errorf("count rows of run %s in %s: %w", runID, destination, err)
	}
	landed := make(map[int]plan.Landed, len(groups))
	for _, g := range groups {
		if g.Slice != nil {
			landed[int(*g.Slice)] = plan.Landed{Rows: g.Rows, Nulls: g.Nulls}
		}
	}
	return landed, nil
}

func landedQuery(destination, runID string) string {
	return kql.Name(destination) + " | where RunId == " + kql.String(runID) +
		" | summarize Rows = count(), Nulls = countif(isnull(Records)) by Slice"
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
		return "", fmt.Errorf("look for rows of other apps in %s: %w", destination, err)
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

// OrphanRun returns a RunId in the table, other than own, that stands in no row of
// MigrationConfiguration and is not hidden as a whole, and the command that hides
// it as Void does; "" when there is none. Where several sources share the table it
// is "" too: the run of another one may be under way.
func (c *Client) OrphanRun(ctx context.Context, destination, own string) (runID, command string, err error) {
	type row struct {
		RunID string `kusto:"RunId"`
	}
	found, err := rows[row](ctx, c, unknownQuery(destination, own))
	if err != nil {
		return "", "", fmt.Errorf("look for unknown runs in %s: %w", destination, err)
	}
	if len(found) == 0 {
		return "", "", nil
	}
	type source struct {
		SourceTable string `kusto:"SourceTable"`
	}
	sources, err := rows[source](ctx, c, configurationTable+" | where DestinationTable == "+kql.String(destination)+" | distinct SourceTable, Instance | take 2")
	if err != nil {
		return "", "", fmt.Errorf("look for the sources of %s: %w", destination, err)
	}
	if len(sources) > 1 {
		return "", "", nil
	}
	return found[0].RunID, ".set-or-append " + voidTable + " <| print TableName = " + kql.String(destination) +
		", RunId = " + kql.String(found[0].RunID) + ", Slice = int(-1), Timestamp = now()", nil
}

func unknownQuery(destination, own string) string {
	return kql.Name(destination) + " | where isnotempty(RunId) and RunId != " + kql.String(own) + " | distinct RunId" +
		" | join kind=leftanti (" + configurationTable + " | where isnotempty(RunId) | distinct RunId) on RunId" +
		" | join kind=leftanti (" + voidTable + " | where Slice == -1 | distinct RunId) on RunId" +
		" | top 1 by RunId asc"
}

// Void records that the slice is hidden from every view; slice -1 hides the whole
// run. Repeating it appends nothing.
func (c *Client) Void(ctx context.Context, destination, runID string, slice int) error {
	err := c.append(ctx, voidTable, plan.IngestTag(runID, slice)+"void", []cell{
		{"TableName", destination}, {"RunId", runID}, {"Slice", int64(slice)}, {"Timestamp", c.now()},
	})
	if err != nil {
		return fmt.Errorf("record slice %d of run %s void: %w", slice, runID, err)
	}
	return nil
}
