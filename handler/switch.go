package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/prose"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// appendFlags are of commands that append configuration rows.
type appendFlags struct {
	Yes    bool `short:"y" help:"Do not ask."`
	DryRun bool `help:"Show what would be appended, and append nothing."`
}

// onCommand switches tables on.
type onCommand struct {
	instanceFlag
	outputFlag
	appendFlags
	Tables []string `arg:"" name:"table" help:"Tables, or patterns of configured ones such as DeviceTvm*."`
}

func (onCommand) Help() string {
	return `Appends a row to MigrationConfiguration, which is shown first: the newest row of the
table with IsActive = true; for a table that has none, the row of the recommended
configuration, for a saved query the one that its file recommends. The next run takes
it up.

Example:

  handler on DeviceInfo`
}

func (c onCommand) Run(p *process) error {
	return switchTables(p, c.instanceFlag, c.outputFlag, c.appendFlags, c.Tables, true)
}

// offCommand switches tables off.
type offCommand struct {
	instanceFlag
	outputFlag
	appendFlags
	Tables []string `arg:"" name:"table" help:"Configured tables, or patterns such as DeviceTvm*."`
}

func (offCommand) Help() string {
	return `Appends the newest row of the table with IsActive = false to
MigrationConfiguration; it is shown first. An open run pauses, and goes on when the
table is switched on.

Example:

  handler off 'Email*'`
}

func (c offCommand) Run(p *process) error {
	return switchTables(p, c.instanceFlag, c.outputFlag, c.appendFlags, c.Tables, false)
}

func switchTables(p *process, whose instanceFlag, out outputFlag, how appendFlags, names []string, on bool) error {
	g, err := p.open(whose.Instance, false, false)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.Rows(p.ctx, whose.Instance)
	if err != nil {
		return err
	}
	if on {
		if rows, err = g.withRecommended(rows, names, whose.Instance); err != nil {
			return err
		}
	}
	picked, err := pick(rows, names)
	if err != nil {
		return err
	}
	var changes []change
	for _, row := range picked {
		after := row.Row
		after.IsActive = on
		changes = append(changes, change{before: row, after: after, isNew: errors.Is(row.Problem, errUnconfigured)})
	}
	return p.append(g, out, how, changes)
}

// change is a configuration row to be appended in the place of another.
type change struct {
	before plan.Candidate
	after  plan.Row
	isNew  bool   // there is no row before
	note   string // what a person should know of it; "": nothing
}

// changed is one column of it.
type changed struct {
	Column string `json:"column"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// columns returns what differs.
func (c change) columns() (out []changed) {
	before := cells(c.before.Row)
	if c.isNew {
		before = map[string]string{}
	}
	for _, name := range []string{"DestinationTable", "WatermarkColumn", "LastRefreshedTime", "LoadType", "IsActive", "Frequency", "Retention"} {
		if after := cells(c.after)[name]; before[name] != after {
			out = append(out, changed{name, before[name], after})
		}
	}
	return out
}

func cells(r plan.Row) map[string]string {
	mark := ""
	if !r.LastRefreshedTime.IsZero() {
		mark = r.LastRefreshedTime.UTC().Format("2006-01-02T15:04:05.9999999Z")
	}
	return map[string]string{"DestinationTable": r.DestinationTable, "WatermarkColumn": plan.WrittenColumn(strings.TrimSpace(r.WatermarkColumn)), "LastRefreshedTime": mark,
		"LoadType": r.LoadType, "IsActive": fmt.Sprint(r.IsActive), "Frequency": r.Frequency, "Retention": r.Retention}
}

// appended is a change as JSON says it.
type appended struct {
	Instance string    `json:"instance,omitempty"`
	Table    string    `json:"table"`
	Changes  []changed `json:"changes"`
	Note     string    `json:"note,omitempty"`
	Appended bool      `json:"appended"`
}

// append shows the changes, asks where somebody is there to answer, and appends their
// rows. A change of nothing is said and left out. With JSON a person reads and answers
// on standard error.
func (p *process) append(g *program, out outputFlag, how appendFlags, changes []change) error {
	var todo []change
	for _, c := range changes {
		if len(c.columns()) > 0 {
			todo = append(todo, c)
		}
	}
	answer := !how.DryRun
	asks := answer && len(todo) > 0 && !how.Yes && p.asking
	people := p.stdout
	if out.json() {
		people = p.stderr
	}
	if asks || !out.json() {
		for _, c := range changes {
			c.show(people)
		}
	}
	if asks {
		answer = p.confirm(people, fmt.Sprintf("append %s to MigrationConfiguration?", prose.Counted(int64(len(todo)), "row")))
	}
	if answer {
		for _, c := range todo {
			if err := g.Append(p.ctx, c.after); err != nil {
				return err
			}
		}
	}
	if out.json() {
		for _, c := range changes {
			columns := c.columns()
			if err := printJSON(p.stdout, appended{c.after.Instance, c.after.SourceTable, columns, c.note, answer && len(columns) > 0}); err != nil {
				return err
			}
		}
		return nil
	}
	switch {
	case len(todo) == 0:
		fmt.Fprintln(p.stdout, "nothing to append")
	case answer:
		fmt.Fprintf(p.stdout, "%s appended to MigrationConfiguration\n", prose.Counted(int64(len(todo)), "row"))
	default:
		fmt.Fprintln(p.stdout, "nothing was appended")
	}
	return nil
}

// show prints the change for people.
func (c change) show(to io.Writer) {
	key := plan.Key{Instance: c.after.Instance, Source: c.after.SourceTable}
	columns := c.columns()
	switch {
	case c.isNew:
		fmt.Fprintf(to, "%s: new\n", shown(key))
	case len(columns) == 0:
		fmt.Fprintf(to, "%s: is so already\n", shown(key))
	default:
		fmt.Fprintf(to, "%s:\n", shown(key))
	}
	for _, x := range columns {
		if c.isNew {
			fmt.Fprintf(to, "  %-17s %s\n", x.Column, x.After)
			continue
		}
		fmt.Fprintf(to, "  %-17s %s, was %s\n", x.Column, orNone(x.After), orNone(x.Before))
	}
	if c.note != "" {
		fmt.Fprintln(to, folded("  "+c.note, "  "))
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// confirm asks a person; whoever says nothing says no.
func (p *process) confirm(to io.Writer, question string) bool {
	fmt.Fprintf(to, "%s [y/N] ", question)
	line, _ := bufio.NewReader(p.stdin).ReadString('\n') // an end without a line is a no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}

// errUnconfigured marks a row that stands in no configuration yet.
var errUnconfigured = errors.New("not configured")

// withRecommended adds, for names that have no row, the row of the recommended
// configuration, for the instance named or the only one there is. The error is for
// names that it can add none for.
func (g *program) withRecommended(rows []plan.Candidate, names []string, instance string) ([]plan.Candidate, error) {
	key, only := g.cfg.Instances[0].Key(), len(g.cfg.Instances) == 1
	if instance != "" {
		i, err := g.cfg.Instance(instance)
		if err != nil {
			return nil, err
		}
		key, only = i.Key(), true
	}
	whose, _ := g.cfg.Instance(key) // it is one of them
	prefix := whose.Defender.TablePrefix
	var errs []error
	for _, name := range names {
		if isPattern(name) || len(tables.Named(rows, name)) > 0 {
			continue
		}
		row, known := recommended(inCatalogue(strings.TrimPrefix(name, prefix)))
		switch {
		case !known:
			errs = append(errs, unknownTable(name, "`handler tables` lists those that `handler on` can add, a file for `handler apply` adds any other"))
		case !only:
			errs = append(errs, usageError{fmt.Errorf("table %s is copied for no instance yet: add --instance with one of %s", name, g.cfg.InstanceNames())})
		default:
			row.Instance, row.DestinationTable = key, prefix+row.DestinationTable
			rows = append(rows, plan.Candidate{Row: row, Problem: errUnconfigured})
		}
	}
	return rows, errors.Join(errs...)
}

// recommended is a row for a source that nobody has configured: a hunting table of the
// recommended configuration, or a list, file export or saved query.
func recommended(name string) (plan.Row, bool) {
	if row, known := adx.Recommended(name); known {
		return row, true
	}
	s, known := schema.LookupSource(name)
	if !known {
		return plan.Row{}, false
	}
	row, known := plan.DefaultRow(s.Name)
	row.LastRefreshedTime = never
	return row, known
}
