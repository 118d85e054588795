package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// file is a configuration as a file: what is to be copied, and how.
type file struct {
	Skip   []string    `yaml:"skip,omitempty"`
	Tables []fileTable `yaml:"tables"`
}

// fileTable is one entry. What it leaves out is as it stands, and of a new table as the
// recommended configuration has it. Later entries go over earlier ones.
type fileTable struct {
	Source      string  `yaml:"source"` // or a pattern over the configured tables and the catalogue
	Instance    string  `yaml:"instance,omitempty"`
	Destination string  `yaml:"destination,omitempty"`
	Watermark   string  `yaml:"watermarkColumn,omitempty"`
	Load        string  `yaml:"loadType,omitempty"`
	Frequency   *string `yaml:"frequency,omitempty"`
	Retention   *string `yaml:"retention,omitempty"`
	Active      *bool   `yaml:"active,omitempty"` // default true
}

// applyCommand makes the configuration what a file says.
type applyCommand struct {
	outputFlag
	appendFlags
	File string `arg:"" type:"existingfile" help:"YAML file, as export writes it."`
}

func (applyCommand) Help() string {
	return `Appends a row for each table that stands otherwise in MigrationConfiguration; the
difference is shown first. Tables that the file does not name stay as they are;
watermarks always do. A source may be a pattern over configured tables and the
catalogue, skip lists what no pattern means, and later entries go over earlier ones:

  skip: ['*Beta']
  tables:
    - source: 'DeviceTvm*'
      loadType: Snapshot
      frequency: 1d
    - source: EmailEvents
      active: false

Example:

  handler apply tables.yaml --dry-run`
}

func (c applyCommand) Run(p *process) error {
	f, err := readFile(c.File)
	if err != nil {
		return usageError{err}
	}
	g, err := p.open(false, false)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.Rows(p.ctx, "")
	if err != nil {
		return err
	}
	changes, err := f.changes(rows, func(name string) (string, error) {
		i, err := g.cfg.Instance(name)
		return i.Key(), err
	}, g.Prefix)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.File, err)}
	}
	changes = slices.DeleteFunc(changes, func(x change) bool { return len(x.columns()) == 0 })
	return p.append(g, c.outputFlag, c.appendFlags, changes)
}

// readFile reads a file and refuses what it does not know.
func readFile(name string) (f file, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// changes compares the file with the newest rows. prefix is what stands before the raw
// tables of an instance and in no file.
func (f file) changes(rows []plan.Candidate, instance func(string) (string, error), prefix func(key string) string) ([]change, error) {
	var order []plan.Key
	wanted := map[plan.Key]change{}
	var errs []error
	for _, entry := range f.Tables {
		key, err := instance(entry.Instance)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", entry.Source, err))
			continue
		}
		sources, err := f.sources(entry.Source, key, rows)
		if err != nil {
			errs = append(errs, err)
		}
		for _, source := range sources {
			at := plan.Key{Instance: key, Source: source}
			c, known := wanted[at]
			if !known {
				order = append(order, at)
				c = standing(at, rows, prefix(key))
			}
			entry.over(&c.after, prefix(key))
			if _, err := c.after.Table(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", at, err))
			}
			wanted[at] = c
		}
	}
	var out []change
	for _, at := range order {
		out = append(out, wanted[at])
	}
	return out, errors.Join(errs...)
}

// standing is how a table is configured now, or would be by default.
func standing(at plan.Key, rows []plan.Candidate, prefix string) change {
	for _, row := range rows {
		if row.Key() == at {
			return change{before: row, after: row.Row}
		}
	}
	row, known := recommended(at.Source)
	if !known {
		row = plan.Row{SourceTable: at.Source, DestinationTable: at.Source + "Raw", WatermarkColumn: "None", LoadType: string(plan.Full), LastRefreshedTime: never}
	}
	row.Instance, row.DestinationTable = at.Instance, prefix+row.DestinationTable
	return change{after: row, isNew: true}
}

// sources returns what an entry means: itself, or the tables that a pattern fits.
func (f file) sources(pattern, instance string, rows []plan.Candidate) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?[") {
		if s, ok := schema.LookupSource(pattern); ok {
			pattern = s.Name
		}
		return []string{pattern}, plan.CheckSource("source", pattern)
	}
	var names []string
	for _, row := range rows {
		if row.Instance == instance {
			names = append(names, row.SourceTable)
		}
	}
	for _, t := range schema.Catalogue() {
		names = append(names, t.Name)
	}
	for _, s := range slices.Concat(schema.Sources(), schema.SavedQueries()) {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	var out []string
	for _, name := range slices.Compact(names) {
		fits, err := fitsAny(name, []string{pattern})
		if err != nil {
			return nil, err
		}
		skipped, err := fitsAny(name, f.Skip)
		if err != nil {
			return nil, err
		}
		if fits && !skipped {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("source %q fits no table", pattern)
	}
	return out, nil
}

func fitsAny(name string, patterns []string) (bool, error) {
	for _, pattern := range patterns {
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
		if err != nil {
			return false, fmt.Errorf("pattern %q: want * for any characters, ? for one, [ab] for some", pattern)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// over puts what the entry says over a row.
func (e fileTable) over(row *plan.Row, prefix string) {
	if e.Destination != "" {
		row.DestinationTable = prefix + e.Destination
	}
	if e.Watermark != "" {
		row.WatermarkColumn = e.Watermark
	}
	if load, err := plan.ParseLoadType(e.Load); err == nil {
		row.LoadType = string(load)
	} else if e.Load != "" {
		row.LoadType = e.Load // refused by whoever checks the row
	}
	if e.Frequency != nil {
		row.Frequency = *e.Frequency
	}
	if e.Retention != nil {
		row.Retention = *e.Retention
	}
	row.IsActive = e.Active == nil || *e.Active
}

// exportCommand writes the configuration as a file.
type exportCommand struct {
	instanceFlag
}

func (exportCommand) Help() string {
	return `Writes the whole configuration as YAML, without watermarks: what apply reads.

Example:

  handler export > tables.yaml`
}

func (c exportCommand) Run(p *process) error {
	g, err := p.open(false, false)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.Rows(p.ctx, c.Instance)
	if err != nil {
		return err
	}
	enc := yaml.NewEncoder(p.stdout)
	enc.SetIndent(2)
	return errors.Join(enc.Encode(exported(rows, g.Prefix)), enc.Close())
}

func exported(rows []plan.Candidate, prefix func(key string) string) file {
	var f file
	for _, row := range rows {
		var retention *string
		if row.Retention != "" {
			retention = &row.Retention
		}
		f.Tables = append(f.Tables, fileTable{Source: row.SourceTable, Instance: row.Instance,
			Destination: strings.TrimPrefix(row.DestinationTable, prefix(row.Instance)), Watermark: plan.WrittenColumn(strings.TrimSpace(row.WatermarkColumn)), Load: row.LoadType,
			Frequency: &row.Frequency, Retention: retention, Active: &row.IsActive})
	}
	return f
}
