package adx

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// period is a retention of a number of hours as a command writes it.
func period(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return fmt.Sprintf("%dh", d/time.Hour)
}

// wantedRetention is how long rows are to stay, by raw table: the longest that rows of
// the configuration name for it. Faulty rows are told of by whoever acts on them.
func wantedRetention(configured []plan.Row, destination func(plan.Row) string) map[string]time.Duration {
	wanted := map[string]time.Duration{}
	for _, row := range configured {
		table := row.DestinationTable
		if destination != nil {
			table = destination(row)
		}
		if keep, err := plan.ParseRetention(row.Retention); err == nil && keep > 0 && plan.CheckName("", table) == nil {
			wanted[table] = max(wanted[table], keep.Truncate(time.Hour))
		}
	}
	return wanted
}

// retentionCommand sets how long a table keeps its rows, and nothing else of its policy.
func retentionCommand(table string, keep time.Duration) string {
	return ".alter-merge table " + kql.Name(table) + " policy retention softdelete = " + period(keep)
}

// unlikeRetention are the tables whose policy is not what the configuration says, as
// steps that are missing; their commands are by name of the step.
func (c *Client) unlikeRetention(ctx context.Context, configured []plan.Row) ([]Step, error) {
	steps, _, err := c.retentions(ctx, configured, nil)
	return slices.DeleteFunc(steps, func(s Step) bool { return s.Outcome == Already }), err
}

func (c *Client) retentions(ctx context.Context, configured []plan.Row, destination func(plan.Row) string) (steps []Step, commands map[string]string, err error) {
	wanted := wantedRetention(configured, destination)
	if len(wanted) == 0 {
		return nil, nil, nil
	}
	stands, err := c.tablePolicies(ctx, "retention")
	if err != nil {
		return nil, nil, err
	}
	commands = map[string]string{}
	for _, table := range slices.Sorted(maps.Keys(wanted)) {
		name := "retention of " + table
		steps = append(steps, Step{Name: name, Outcome: Already, Detail: period(wanted[table])})
		if keeps(stands[table]) == wanted[table] {
			continue
		}
		steps[len(steps)-1] = Step{Name: name, Outcome: Missing, Detail: "the configuration says " + period(wanted[table]), Remedy: runSetup}
		commands[name] = retentionCommand(table, wanted[table])
	}
	return steps, commands, nil
}

// keeps is how long a policy keeps rows; 0 where there is none.
func keeps(policy string) time.Duration {
	var p struct{ SoftDeletePeriod string }
	if json.Unmarshal([]byte(policy), &p) != nil {
		return 0
	}
	d, err := plan.ParseDuration(p.SoftDeletePeriod)
	if err != nil {
		return 0
	}
	return d
}

// retain sets the retention of raw tables whose rows in the configuration name one. A
// table of a row that names none keeps its policy, and control tables theirs.
func (s *setup) retain(ctx context.Context, configured []plan.Row) error {
	steps, commands, err := s.client.retentions(ctx, configured, s.destination)
	if err != nil {
		s.add(failedStep("retention of the raw tables", err))
		return nil
	}
	for _, step := range steps {
		if command, ok := commands[step.Name]; ok {
			step.Outcome, step.Remedy = Done, ""
			if err := s.runAll(ctx, []string{command}); err != nil {
				step = failedStep(step.Name, err)
			}
		}
		s.add(step)
		if s.refused {
			break
		}
	}
	return nil
}
