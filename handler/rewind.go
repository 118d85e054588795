package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/prose"
)

// rewindCommand sets a table's watermark back.
type rewindCommand struct {
	instanceFlag
	outputFlag
	appendFlags
	Table string `arg:"" help:"A configured table."`
	Time  string `arg:"" optional:"" help:"Up to when the rows stay as they are: an instant (UTC), or how long ago, such as 7d. Without it: the beginning."`
}

func (rewindCommand) Help() string {
	return `Appends the newest row of the table with LastRefreshedTime = TIME to
MigrationConfiguration: the next run copies what is newer than TIME again. What
Defender still holds of the rows copied since then will stand twice in ADX, under
another RunId; how many is counted at Defender and said first. A file export is copied
once more, though Defender has made no newer one.

Example:

  handler rewind DeviceInfo 7d`
}

func (c rewindCommand) Run(p *process) error {
	mark, err := parseMark(c.Time, time.Now())
	if err != nil {
		return usageError{err}
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
	if len(rows) != 1 {
		return usageError{errors.New("rewind takes one table")}
	}
	row := rows[0]
	table, err := rewindable(row)
	if err != nil {
		return err
	}
	now, err := g.Show(p.ctx, row)
	if err != nil {
		return err
	}
	if now.Watermark != nil && !mark.Before(*now.Watermark) {
		return fmt.Errorf("%s is copied up to %s: %s is not before that", row.Key(), plan.Stamp(*now.Watermark), plan.Stamp(mark))
	}
	if mark, err = g.FreeMark(p.ctx, row, mark); err != nil {
		return err
	}
	// Nobody knows the rows of an export, nor whether it is the one that was copied.
	note := "the files that Defender offers by then are copied by the next run, though they were copied before, as a snapshot of its own: the view shows the newest alone"
	if !table.IsExport() {
		twice, err := g.RowsTwice(p.ctx, row.Key(), mark)
		if err != nil {
			return err
		}
		note = fmt.Sprintf("%s will stand twice in ADX: copied before, and once more by the next run", prose.Counted(twice, "row"))
	}
	after := row.Row
	after.LastRefreshedTime, after.LastRefreshedTimeInString = mark, ""
	return p.append(g, c.outputFlag, c.appendFlags, []change{{before: row, after: after, note: note}})
}

// rewindable checks the row of a table that has a watermark to set back: one that is
// copied by it, or a file export, which is copied when it is newer.
func rewindable(row plan.Candidate) (plan.Table, error) {
	table, err := row.Table()
	switch {
	case err != nil:
		return table, fmt.Errorf("%s: MigrationConfiguration: %w", row.Key(), err)
	case table.Load == plan.Snapshot && !table.IsExport():
		return table, fmt.Errorf("%s is copied whole each time: there is no watermark to set back; `handler migrate %s` copies it now", row.Key(), row.SourceTable)
	}
	return table, nil
}

// A table that was never copied has this watermark in the configurations that ship;
// one before it means everything just as well, and is a command where this is none.
var (
	never     = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	beginning = time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)
)

// parseMark reads an instant, or a duration before now; nothing is the beginning.
func parseMark(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return beginning, nil
	}
	if ago, err := plan.ParseDuration(text); err == nil {
		return plan.Ticks(now.Add(-ago)), nil
	}
	mark, err := plan.ParseStamp(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("TIME: want an instant such as 2026-11-20T06:00:00Z, or a duration before now such as 7d, got %q", text)
	}
	return mark, nil
}
