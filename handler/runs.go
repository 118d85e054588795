package main

import (
	"fmt"
	"math"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/prose"
)

// runsCommand shows the audit log of a table.
type runsCommand struct {
	instanceFlag
	outputFlag
	Last  int    `default:"20" help:"How many rows, newest first. Default: 20."`
	Table string `arg:"" help:"A configured table."`
}

func (runsCommand) Help() string {
	return `How the table's attempts ended, newest first, as MigrationAuditLog has them, with
reasons and notes; times are UTC.

Example:

  handler runs DeviceInfo --last 5`
}

// ended is an audit row as it is shown.
type ended struct {
	At       time.Time  `json:"at"`
	Status   string     `json:"status"`
	Rows     int64      `json:"rows"`
	Slices   int        `json:"slices"`
	Calls    int        `json:"calls"`
	Bytes    int64      `json:"bytes"`
	Seconds  float64    `json:"seconds"`
	RunID    string     `json:"runId,omitempty"`
	From     *time.Time `json:"windowFrom,omitempty"`
	To       *time.Time `json:"windowTo,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Note     string     `json:"note,omitempty"`
	Instance string     `json:"instance,omitempty"`
}

func (c runsCommand) Run(p *process) error {
	if c.Last < 1 {
		return usageError{fmt.Errorf("--last: want 1 or more, got %d", c.Last)}
	}
	g, err := p.open(c.Instance, false, false)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.named(p.ctx, []string{c.Table}, c.Instance)
	if err != nil {
		return err
	}
	var all []ended
	for _, row := range rows {
		audits, err := g.Runs(p.ctx, row.Key(), c.Last)
		if err != nil {
			return err
		}
		for _, a := range audits {
			all = append(all, endedOf(a))
		}
	}
	if c.json() {
		return printJSON(p.stdout, all...)
	}
	printRuns(p, all)
	return nil
}

func endedOf(a plan.Audit) ended {
	return ended{At: a.Timestamp.UTC(), Status: string(a.Status), Rows: a.RecordCount, Slices: a.Slices, Calls: a.Calls, Bytes: a.Bytes,
		Seconds: math.Round(a.Duration.Seconds()*10) / 10, RunID: a.RunID, From: instant(a.WindowFrom), To: instant(a.WindowTo),
		Reason: a.FailureReason, Note: a.Note, Instance: a.Instance}
}

func printRuns(p *process, all []ended) {
	g := &grid{head: []string{"ENDED", "STATUS", "ROWS", "SLICES", "CALLS", "SECONDS", "UP TO"}}
	for _, e := range all {
		to := "-"
		if e.To != nil {
			to = minute(*e.To)
		}
		g.add(minute(e.At), e.Status, fmt.Sprint(e.Rows), fmt.Sprint(e.Slices), fmt.Sprint(e.Calls), fmt.Sprintf("%.1f", e.Seconds), to)
		for _, text := range []string{e.Reason, e.Note} {
			if text != "" {
				g.note(text)
			}
		}
	}
	g.print(p.stdout)
	fmt.Fprintln(p.stdout, prose.Counted(int64(len(all)), "row"))
}
