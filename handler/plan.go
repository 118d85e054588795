package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// planCommand says what runs will take.
type planCommand struct {
	instanceFlag
	outputFlag
	logFlag
	Tables []string `arg:"" name:"table" help:"Configured tables, or patterns such as DeviceTvm*."`
}

func (planCommand) Help() string {
	return `Counts as the run will, plans as the run will, and writes nothing but the calls
into the quota. Where the width of a table's rows is not known yet, about 2,000
rows are fetched and dropped. Bytes are of uncompressed JSON. Of a file export its
files and when they were made: nobody knows their rows beforehand.

Example:

  handler plan DeviceInfo 'DeviceTvm*'`
}

// planned is what is said of one table.
type planned struct {
	Instance        string     `json:"instance,omitempty"`
	Table           string     `json:"table"`
	OpenRun         string     `json:"openRun,omitempty"`
	From            *time.Time `json:"windowFrom,omitempty"`
	To              *time.Time `json:"windowTo,omitempty"`
	Rows            int64      `json:"rows"`
	Slices          int        `json:"slices"`
	Runs            int        `json:"runs"`
	Calls           int        `json:"calls"`
	Minutes         float64    `json:"minutes"`
	BytesPerRow     int64      `json:"bytesPerRow,omitempty"`
	BytesPerDay     int64      `json:"bytesPerDay"`
	BytesPerYear    int64      `json:"bytesPerYear"`
	CallsPerDay     int64      `json:"callsPerDay"`
	AllowancePerDay int64      `json:"allowancePerDay"`
	Asked           int        `json:"callsMade"`               // by the plan itself
	Files           int        `json:"files,omitempty"`         // of a file export
	Generated       *time.Time `json:"generatedTime,omitempty"` // of a file export
	Notes           []string   `json:"notes,omitempty"`
	Problem         string     `json:"problem,omitempty"`
}

// Run plans one table after the other: together they share the quota, and so does
// the sum.
func (c planCommand) Run(p *process) error {
	g, err := p.open(c.Instance, c.Verbose, true)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.named(p.ctx, c.Tables, c.Instance)
	if err != nil {
		return err
	}
	var all []planned
	var sum planned
	var causes []error
	for _, row := range rows {
		one, err := g.planOne(p.ctx, row)
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		if err != nil {
			one.Problem = err.Error()
			causes = append(causes, err)
		}
		all = append(all, one)
		sum.Rows, sum.Slices, sum.Calls, sum.Minutes = sum.Rows+one.Rows, sum.Slices+one.Slices, sum.Calls+one.Calls, sum.Minutes+one.Minutes
		sum.BytesPerDay, sum.BytesPerYear = sum.BytesPerDay+one.BytesPerDay, sum.BytesPerYear+one.BytesPerYear
	}
	if c.json() {
		err = printJSON(p.stdout, all...)
	} else {
		printPlans(p, all, sum)
	}
	if len(causes) > 0 {
		err = errors.Join(err, said(causes...))
	}
	return err
}

func printPlans(p *process, all []planned, sum planned) {
	g := &grid{head: []string{"TABLE", "ROWS", "SLICES", "CALLS", "MINUTES", "A DAY", "A YEAR"}}
	add := func(name string, one planned) {
		rows := fmt.Sprint(one.Rows)
		if one.Generated != nil {
			rows = "?"
		}
		g.add(name, rows, fmt.Sprint(one.Slices), fmt.Sprint(one.Calls), fmt.Sprintf("%.1f", one.Minutes),
			size(float64(one.BytesPerDay)), size(float64(one.BytesPerYear)))
	}
	for _, one := range all {
		add(shown(plan.Key{Instance: one.Instance, Source: one.Table}), one)
		for _, note := range one.Notes {
			g.note(note)
		}
		if one.Problem != "" {
			g.note(one.Problem)
		}
	}
	if len(all) > 1 {
		add("together", sum)
	}
	g.print(p.stdout)
}

func (g *program) planOne(ctx context.Context, row plan.Candidate) (planned, error) {
	one := planned{Instance: row.Instance, Table: row.SourceTable}
	if _, err := row.Table(); err != nil {
		return one, fmt.Errorf("MigrationConfiguration: %w", err)
	}
	if err := g.CheckOwner(ctx, row); err != nil {
		return one, err
	}
	f, allowance, err := g.Forecast(ctx, row.Key())
	one.Asked = f.Asked
	if err != nil {
		return one, err
	}
	if f.Table.IsExport() {
		one.tellExport(f)
	} else {
		one.tell(f, allowance, g.RunsPerDay(f.Table))
	}
	if !row.IsActive {
		one.Notes = append(one.Notes, "the table is switched off: `handler on "+row.SourceTable+"` switches it on")
	}
	return one, nil
}

// tell fills in what the forecast says, at so many runs a day; 0: not known.
func (one *planned) tell(f pipeline.Forecast, allowance app.Allowance, runsPerDay float64) {
	one.OpenRun, one.From, one.To = f.OpenRun, instant(f.Window.From), instant(f.Window.To)
	one.Rows, one.Slices, one.Runs, one.Calls, one.Notes = f.Rows, f.Slices, f.Runs, f.Calls, f.Notes
	one.Minutes = math.Ceil(allowance.Takes(f.Calls).Minutes()*10) / 10
	one.BytesPerRow, one.AllowancePerDay = int64(math.Round(f.Width)), allowance.Day()
	perDay := float64(f.PerDay)
	runs := max(1, cmp.Or(runsPerDay, 1))
	if f.Table.Load == plan.Snapshot {
		runs = cmp.Or(runsPerDay, 1)
		perDay *= runs
	}
	one.BytesPerDay = int64(perDay * f.Width)
	one.BytesPerYear = 365 * one.BytesPerDay
	// Each run counts at least once; rows that come in little by little fill no slice.
	fetches := perDay / float64(max(1, f.Target))
	one.CallsPerDay = int64(math.Ceil(fetches + runs))
	if f.Table.Kind() == plan.KindList {
		fetches = runs * float64(f.Calls) // each run reads from its first page to its last
		one.CallsPerDay = int64(math.Ceil(fetches))
	}
	if f.OpenRun != "" {
		one.Notes = append(one.Notes, "run "+f.OpenRun+" is open and will be gone on with: the figures are of what is left of it")
	}
	if f.Runs == 0 {
		one.Notes = append(one.Notes, "nothing has settled since the watermark")
	}
	if f.Runs > 1 {
		one.Notes = append(one.Notes, fmt.Sprintf("%d runs one after the other, of %d slices at most", f.Runs, plan.MaxSlices))
	}
	if int64(math.Ceil(fetches)) > one.AllowancePerDay {
		one.Notes = append(one.Notes, fmt.Sprintf("exceeds your quota: stream this one; a day brings %.0f rows, which take %.0f calls of the %d that a day allows", perDay, math.Ceil(fetches), one.AllowancePerDay))
	}
}

// tellExport fills in what the forecast of a file export says.
func (one *planned) tellExport(f pipeline.Forecast) {
	one.OpenRun, one.Slices, one.Runs, one.Calls, one.Notes = f.OpenRun, f.Slices, f.Runs, f.Calls, f.Notes
	one.Files, one.Generated = len(f.Export.Files), instant(f.Export.Generated)
	about := fmt.Sprintf("%d files, made %s; ADX will tell how many rows they hold", one.Files, plan.Stamp(f.Export.Generated))
	switch {
	case f.OpenRun != "":
		about += "; run " + f.OpenRun + " is open and will be gone on with"
	case one.Files == 0:
		about = "the export of " + plan.Stamp(f.Export.Generated) + " holds no file: nothing will be copied"
	case f.Runs == 0:
		about += ": copied before"
	}
	one.Notes = append(one.Notes, about)
}
