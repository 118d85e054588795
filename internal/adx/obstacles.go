package adx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
)

// policyRow is one row of a `.show … policy` command.
type policyRow struct {
	Entity string `kusto:"EntityName"`
	Policy string `kusto:"Policy"`
}

// Obstacles names the policies because of which rows that ADX took in cannot be seen
// in the raw table, each with what mends it. A viewer may ask.
func (c *Client) Obstacles(ctx context.Context, table string) ([]string, error) {
	steps, err := c.obstacles(ctx, table, func(policy string) (string, error) {
		return c.policyOf(ctx, "table "+kql.Name(table), policy)
	})
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i] = s.Detail + "; " + s.Remedy
	}
	return out, err
}

// obstaclesOf is Obstacles for many tables, in a few commands; row-level security that
// exempts an application is none here.
func (c *Client) obstaclesOf(ctx context.Context, tables []string) ([]Step, error) {
	all := make(map[string]map[string]string)
	for _, policy := range []string{"retention", "row_level_security", "restricted_view_access"} {
		found, err := c.tablePolicies(ctx, policy)
		if err != nil {
			return nil, err
		}
		all[policy] = found
	}
	var steps []Step
	for _, table := range tables {
		exempt, err := c.exempts(ctx, all["row_level_security"][table])
		if err != nil {
			return nil, err
		}
		if exempt {
			delete(all["row_level_security"], table)
		}
		found, err := c.obstacles(ctx, table, func(policy string) (string, error) { return all[policy][table], nil })
		if err != nil {
			return nil, err
		}
		steps = append(steps, found...)
	}
	return steps, nil
}

// calledFirst is the function that the query of a policy begins with.
var calledFirst = regexp.MustCompile(`^\s*(?:\['(\w+)'\]|(\w+))\s*\(`)

// exempts reports whether row-level security names an application in its query or in
// the function that the query calls, as the sample of policies.kql does: who wrote it
// thought of ours. Where it is another's, rows stay unseen, and a run says so.
func (c *Client) exempts(ctx context.Context, policy string) (bool, error) {
	var p struct{ Query string }
	if !switchedOn(policy) || json.Unmarshal([]byte(policy), &p) != nil {
		return false, nil
	}
	const app = "aadapp="
	name := calledFirst.FindStringSubmatch(p.Query)
	if name == nil || strings.Contains(p.Query, app) {
		return strings.Contains(p.Query, app), nil
	}
	type function struct {
		Body string `kusto:"Body"`
	}
	found, err := command[function](ctx, c, viewers, ".show function "+kql.Name(name[1]+name[2]))
	if fault.KindOf(err) == fault.Permanent {
		return false, nil
	}
	return len(found) > 0 && strings.Contains(found[0].Body, app), err
}

func (c *Client) obstacles(ctx context.Context, table string, policyOf func(policy string) (string, error)) ([]Step, error) {
	var steps []Step
	found := func(detail, remedy string) {
		steps = append(steps, Step{Name: "table " + table, Outcome: Failed, Detail: detail, Remedy: remedy})
	}
	name := kql.Name(table)
	retention, err := policyOf("retention")
	if err != nil {
		return nil, err
	}
	where := "table " + name
	if retention == "" {
		where = "database " + kql.Name(c.database)
		if retention, err = c.policyOf(ctx, where, "retention"); err != nil {
			return nil, err
		}
	}
	if keepsNothing(retention) {
		detail := "the retention of " + table + " is zero: rows vanish as they come in"
		remedy := "set it: .alter-merge " + where + " policy retention softdelete = 3650d"
		fed, err := c.feeds(ctx, table)
		if err != nil {
			return nil, err
		}
		if len(fed) > 0 {
			detail += " (it feeds the update policy of " + strings.Join(fed, ", ") + ")"
			remedy += ", or append a row with another DestinationTable to " + configurationTable
		}
		found(detail, remedy)
	}
	filter, err := policyOf("row_level_security")
	if err != nil {
		return nil, err
	}
	if switchedOn(filter) {
		found("row-level security is on for "+table+", also for admins: this app may not see its own rows",
			"let the query show all rows to this app, or switch it off: .alter table "+name+" policy row_level_security disable \"\"")
	}
	restricted, err := policyOf("restricted_view_access")
	if err != nil {
		return nil, err
	}
	if switchedOn(restricted) {
		found("view access to "+table+" is restricted: this app cannot count its rows",
			"grant it the role: "+c.grant("unrestrictedviewers"))
	}
	return steps, nil
}

// policyOf reads one policy; "" where it is not set. One that the cluster does not
// know, or does not show us, is not set as far as we can tell.
func (c *Client) policyOf(ctx context.Context, entity, policy string) (string, error) {
	found, err := command[policyRow](ctx, c, viewers, ".show "+entity+" policy "+policy)
	if fault.KindOf(err) == fault.Permanent {
		return "", nil
	}
	if err != nil || len(found) == 0 || found[0].Policy == "null" {
		return "", err
	}
	return found[0].Policy, nil
}

// tablePolicies reads one policy of all tables, by table; none where that is refused.
func (c *Client) tablePolicies(ctx context.Context, policy string) (map[string]string, error) {
	found, err := command[policyRow](ctx, c, viewers, ".show table * policy "+policy)
	if fault.KindOf(err) == fault.Permanent {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byTable := make(map[string]string)
	for _, row := range found {
		_, name, nested := strings.Cut(row.Entity, "].[")
		if !nested {
			name = row.Entity
		}
		if row.Policy != "null" {
			byTable[strings.Trim(name, "[]")] = row.Policy
		}
	}
	return byTable, nil
}

func switchedOn(policy string) bool {
	var p struct{ IsEnabled bool }
	return json.Unmarshal([]byte(policy), &p) == nil && p.IsEnabled
}

// zeroPeriod is a timespan of nothing, whatever its form.
var zeroPeriod = regexp.MustCompile(`^[0:.]+[dhms]?$`)

func keepsNothing(retention string) bool {
	var p struct{ SoftDeletePeriod *string }
	return json.Unmarshal([]byte(retention), &p) == nil && p.SoftDeletePeriod != nil && zeroPeriod.MatchString(*p.SoftDeletePeriod)
}

// feeds returns the tables whose update policies read from the table.
func (c *Client) feeds(ctx context.Context, table string) ([]string, error) {
	found, err := c.tablePolicies(ctx, "update")
	if err != nil {
		return nil, err
	}
	var fed []string
	for _, target := range slices.Sorted(maps.Keys(found)) {
		var policies []struct {
			IsEnabled bool
			Source    string
		}
		if json.Unmarshal([]byte(found[target]), &policies) != nil {
			continue
		}
		for _, p := range policies {
			if p.IsEnabled && p.Source == table {
				fed = append(fed, target)
			}
		}
	}
	return fed, nil
}

// Trouble explains why a raw table cannot take or show rows: it is missing, lacks
// columns of ours, has them with other types, or a policy is in the way. Each text
// ends with what mends it; none is found where all is well. The mapping of a slice
// travels with it and cannot be missing. A viewer may ask.
func (c *Client) Trouble(ctx context.Context, table string) ([]string, error) {
	have, err := c.tableColumns(ctx, table)
	if err != nil {
		if known := (*actionable)(nil); errors.As(err, &known) && known.unknownName {
			return []string{"table " + table + " does not exist; " + runSetup}, nil
		}
		return nil, err
	}
	h, err := readHead(SplitScript(rawTableScript(table))[0])
	if err != nil {
		return nil, fault.As(fault.Permanent, err)
	}
	var texts []string
	d := database{Tables: tablesOf(table, have)}
	lacks, clashes, _ := d.compare(h)
	if len(lacks) > 0 {
		texts = append(texts, fmt.Sprintf("table %s lacks %s; %s", table, columnNames(lacks), runSetup))
	}
	if len(clashes) > 0 {
		step := clashStep("", h, clashes)
		texts = append(texts, "table "+table+": "+step.Detail+"; "+step.Remedy)
	}
	obstacles, err := c.Obstacles(ctx, table)
	return append(texts, obstacles...), err
}
