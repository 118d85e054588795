package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/prose"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// tablesCommand lists tables.
type tablesCommand struct {
	instanceFlag
	outputFlag
	Configured bool `help:"Only what MigrationConfiguration has; Defender is not asked."`
}

func (tablesCommand) Help() string {
	return `The tables of the catalogue and of MigrationConfiguration: which of them the tenant
lets you read (a table without licence or role is not offered), with the rows that
Defender holds now, and whether each is copied, how its last attempt ended, and
when it is due next (UTC). Asking Defender takes a few calls of the quota. Lists,
file exports and saved queries are named and not asked for; switched on, each says
what ` + "`handler plan`" + ` finds.

Example:

  handler tables --configured`
}

// listed is a table as it is shown.
type listed struct {
	tables.Table
	Kind       schema.Kind `json:"kind"`
	Configured bool        `json:"configured"`
	Offered    *bool       `json:"offered,omitempty"` // absent: Defender was not asked
	Rows       *int64      `json:"rows,omitempty"`    // that Defender holds; absent: not known
	Columns    int         `json:"columns,omitempty"`
	// CatalogueColumns is how many columns are known of the table; 0: it is not in the
	// catalogue.
	CatalogueColumns int `json:"catalogueColumns,omitempty"`
}

func (c tablesCommand) Run(p *process) error {
	g, err := p.open(c.Instance, false, false)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.Rows(p.ctx, c.Instance)
	if err != nil {
		return err
	}
	var all []listed
	for _, row := range rows {
		t, err := g.Show(p.ctx, row)
		if err != nil {
			return err
		}
		all = append(all, listed{Table: t, Kind: schema.KindOf(t.Source), Configured: true})
	}
	if !c.Configured {
		if all, err = c.withOffered(p, g, all); err != nil {
			return err
		}
	}
	slices.SortStableFunc(all, func(a, b listed) int { return strings.Compare(a.Instance+"/"+a.Source, b.Instance+"/"+b.Source) })
	if c.json() {
		return printJSON(p.stdout, all...)
	}
	printTables(p, all, !c.Configured)
	return nil
}

// withOffered asks the tenant for the tables, and for those of the catalogue that are
// not configured.
func (c tablesCommand) withOffered(p *process, g *program, all []listed) ([]listed, error) {
	key, err := g.InstanceKey(c.Instance)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range all {
		if t.Instance == key && t.Kind == schema.Hunting && plan.CheckSource("SourceTable", t.Source) == nil {
			names = append(names, t.Source)
		}
	}
	for _, t := range schema.Catalogue() {
		if !slices.Contains(names, t.Name) {
			names = append(names, t.Name)
			all = append(all, listed{Table: tables.Table{Instance: key, Source: t.Name}, Kind: schema.Hunting})
		}
	}
	for _, s := range slices.Concat(schema.Sources(), schema.SavedQueries()) {
		if !slices.ContainsFunc(all, func(t listed) bool { return t.Instance == key && t.Source == s.Name }) {
			all = append(all, listed{Table: tables.Table{Instance: key, Source: s.Name}, Kind: s.Kind})
		}
	}
	offers, err := g.Offered(p.ctx, c.Instance, names)
	if err != nil {
		return nil, fmt.Errorf("ask what the tenant offers, which --configured does not: %w", err)
	}
	for i := range all {
		if all[i].Instance == key && all[i].Kind == schema.Hunting {
			all[i].tell(offers)
		}
	}
	return all, nil
}

// tell fills in what the tenant offers of a hunting table. Other sources cannot be asked
// for without a call for each.
func (t *listed) tell(offers map[string]defender.Offer) {
	if schema.KindOf(t.Source) != schema.Hunting {
		return
	}
	offer, offered := offers[t.Source]
	t.Offered = &offered
	if known, ok := schema.Lookup(t.Source); ok {
		t.CatalogueColumns = len(known.Columns)
	}
	if t.Columns = offer.Columns; offered && offer.Rows >= 0 {
		t.Rows = &offer.Rows
	}
}

func printTables(p *process, all []listed, asked bool) {
	g := &grid{head: []string{"TABLE", "ROWS", "STATE", "LAST", "NEXT DUE"}}
	if !asked {
		g.head[1] = "LAST ROWS"
	}
	offered, unasked := 0, 0
	for _, t := range all {
		rows, last, next := "-", "-", "-"
		switch {
		case asked && t.Rows != nil:
			rows = fmt.Sprint(*t.Rows)
		case !asked && t.LastRunRows != nil:
			rows = fmt.Sprint(*t.LastRunRows)
		}
		if t.Last != nil {
			last = t.Last.Status
		}
		if t.NextDue != nil {
			next = t.NextDue.UTC().Format("01-02 15:04")
		}
		if t.Offered != nil && *t.Offered {
			offered++
		}
		if t.Kind != schema.Hunting {
			unasked++
		}
		g.add(shown(plan.Key{Instance: t.Instance, Source: t.Source}), rows, t.state(), last, next)
		if t.Problem != "" {
			g.note(t.Problem)
		}
		if t.Last != nil && t.Last.Error != "" {
			g.note(t.Last.Error)
		}
		if run := t.OpenRun; run != nil && run.Started != nil {
			g.note(fmt.Sprintf("run %s is open since %s: %d of %s in ADX, %s", run.RunID, minute(*run.Started), run.Verified, prose.Counted(int64(run.Slices), "slice"), prose.Counted(run.Rows, "row")))
		}
		if t.Configured && t.NotBefore != nil && t.NotBefore.After(time.Now()) {
			g.note("waits until " + minute(*t.NotBefore))
		}
	}
	g.print(p.stdout)
	if asked {
		fmt.Fprintf(p.stdout, "%s, %d offered; %s, which the tenant was not asked for\n", prose.Counted(int64(len(all)-unasked), "table"), offered,
			prose.Counted(int64(unasked), "other source"))
	} else {
		fmt.Fprintln(p.stdout, prose.Counted(int64(len(all)), "table"))
	}
}

// state is on, off or faulty for a configured table; else whether the tenant has it, as
// far as it was asked.
func (t listed) state() string {
	switch {
	case t.Offered != nil && !*t.Offered:
		return "not offered"
	case t.Problem != "":
		return "faulty"
	case t.Configured && t.Active:
		return "on"
	case t.Configured:
		return "off"
	case t.Kind != schema.Hunting:
		return "not asked"
	default:
		return "free"
	}
}
