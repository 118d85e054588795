package adx

import (
	"context"
	"errors"
	"slices"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const runSetup = "run `handler setup` with the rights of a database admin"

// Missing reports what Setup would have to make, reading only: the steps whose
// outcome is Missing or Failed. configured are the rows whose raw tables, which they
// name, stand in this database; what nobody writes to is not asked for. A viewer may
// call it.
func (c *Client) Missing(ctx context.Context, configured []plan.Row) ([]Step, error) {
	d, err := c.readDatabase(ctx)
	if err != nil {
		return nil, err
	}
	commands := c.schemaScript()
	var steps []Step
	wanted := make([]string, len(configured))
	for i, row := range configured {
		wanted[i] = row.DestinationTable
	}
	slices.Sort(wanted)
	for _, name := range slices.Compact(wanted) {
		if err := plan.CheckName("DestinationTable", name); err != nil {
			steps = append(steps, Step{Name: "table " + quote(name), Outcome: Failed, Detail: err.Error(),
				Remedy: "append a row with another DestinationTable to " + configurationTable})
			continue
		}
		commands = append(commands, SplitScript(rawTableScript(name))...)
	}
	for _, text := range commands {
		h, err := readHead(text)
		if err != nil {
			return nil, fault.As(fault.Permanent, err)
		}
		if step, ok := d.missing(h); ok {
			steps = append(steps, step)
		}
	}
	standing := slices.DeleteFunc(slices.Compact(wanted), func(name string) bool {
		_, stands := d.Tables[name]
		return !stands
	})
	obstacles, err := c.obstaclesOf(ctx, standing)
	if err != nil {
		return nil, err
	}
	steps = append(steps, obstacles...)
	kept, err := c.unlikeRetention(ctx, configured)
	if err != nil {
		return nil, err
	}
	views, err := c.missingViews(ctx, d, configured)
	return slices.Concat(steps, kept, views), err
}

// missing looks at what one command makes.
func (d database) missing(h head) (Step, bool) {
	switch h.action {
	case makeTable:
		name := "table " + h.object
		lacks, clashes, exists := d.compare(h)
		switch {
		case len(clashes) > 0:
			return clashStep(name, h, clashes), true
		case !exists:
			return Step{Name: name, Outcome: Missing, Detail: "the table does not exist", Remedy: runSetup}, true
		case len(lacks) > 0:
			return Step{Name: name, Outcome: Missing, Detail: "it lacks " + columnNames(lacks), Remedy: runSetup}, true
		}
	case makeFunction:
		step := Step{Name: "function " + h.object, Outcome: Missing, Detail: "the function does not exist", Remedy: runSetup}
		_, stands := d.Functions[h.object]
		_, original := d.MaterializedViews[h.object]
		switch {
		case original:
			step.Detail = "it is still the materialized view of the original scripts, which cannot be switched off or set back"
			return step, true
		case !stands:
			return step, true
		case !d.has(h):
			step.Detail = "the function is another than this version's"
			return step, true
		}
	}
	return Step{}, false
}

// Check tries each permission and connection that the app needs, reading only.
func (c *Client) Check(ctx context.Context) []Step {
	type number struct {
		Answer int64 `kusto:"Answer"`
	}
	checks := []struct {
		name   string
		detail string
		try    func() error
	}{
		{"query " + c.database, "viewer", func() error {
			_, err := rows[number](ctx, c, "print Answer = long(1)")
			return err
		}},
		{"configuration in " + c.database, latestView + " answers", func() error {
			_, err := c.Latest(ctx)
			return err
		}},
		{"queued ingestion at " + c.ingest, "ingestor", func() error {
			_, err := c.staging.newer(ctx, c.staging.list.Load())
			return err
		}},
	}
	steps := make([]Step, len(checks))
	for i, check := range checks {
		steps[i] = Step{Name: check.name, Outcome: Done, Detail: check.detail}
		if err := check.try(); err != nil {
			steps[i] = checkFailed(check.name, err)
		}
	}
	return steps
}

// checkFailed says what to look at where the error itself names no remedy.
func checkFailed(name string, err error) Step {
	step := failedStep(name, err)
	if known := (*actionable)(nil); !errors.As(err, &known) {
		step.Remedy = "check that the address is spelled right and reachable, and that the cluster is not stopped"
	}
	return step
}
