package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/defender2adx/defender2adx/functions/tables"
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
	Source      string  `yaml:"source" json:"source"` // any name of it, or a pattern over the configured tables and the catalogue
	Instance    string  `yaml:"instance,omitempty" json:"instance,omitempty"`
	Destination string  `yaml:"destination,omitempty" json:"destination,omitempty"`
	Watermark   string  `yaml:"watermarkColumn,omitempty" json:"watermarkColumn,omitempty"`
	Load        string  `yaml:"loadType,omitempty" json:"loadType,omitempty"`
	Frequency   *string `yaml:"frequency,omitempty" json:"frequency,omitempty"`
	Retention   *string `yaml:"retention,omitempty" json:"retention,omitempty"`
	Active      *bool   `yaml:"active,omitempty" json:"active,omitempty"` // default true
}

// applyCommand makes the configuration what a file says.
type applyCommand struct {
	outputFlag
	appendFlags
	Instance string `placeholder:"NAME" help:"Apply what the file says of this instance alone. Entries that name no instance are of it."`
	File     string `arg:"" type:"existingfile" help:"YAML file, as export writes it."`
}

func (applyCommand) Help() string {
	return `Appends a row for each table that stands otherwise in MigrationConfiguration; the
difference is shown first. Tables that the file does not name stay as they are;
watermarks always do. A source goes by any name that other commands take, or may be a
pattern over configured tables and the catalogue; skip lists what no pattern means,
and later entries go over earlier ones:

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
	g, err := p.open("", false, false)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.Rows(p.ctx, c.Instance)
	if err != nil {
		return err
	}
	key := func(name string) (string, error) {
		i, err := g.cfg.Instance(cmp.Or(name, c.Instance))
		return i.Key(), err
	}
	if c.Instance != "" {
		if f, err = f.of(c.Instance, key); err != nil {
			return usageError{fmt.Errorf("%s: %w", c.File, err)}
		}
	}
	changes, err := f.changes(rows, key, g.Prefix)
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

// of leaves the entries of one instance; those that name none are of it.
func (f file) of(instance string, key func(string) (string, error)) (file, error) {
	wanted, err := key(instance)
	errs := []error{err}
	f.Tables = slices.DeleteFunc(slices.Clone(f.Tables), func(entry fileTable) bool {
		named, err := key(entry.Instance)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", entry.Source, err))
		}
		return named != wanted
	})
	return f, errors.Join(errs...)
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
		sources, err := f.sources(entry.Source, prefix(key), slices.DeleteFunc(slices.Clone(rows), func(row plan.Candidate) bool { return row.Instance != key }))
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
	row := byDefault(at.Source)
	row.Instance, row.DestinationTable = at.Instance, prefix+row.DestinationTable
	return change{after: row, isNew: true}
}

// sources returns what an entry means, of the rows of its instance and the catalogue: the
// table that goes by its name, or the tables that a pattern fits.
func (f file) sources(pattern, prefix string, rows []plan.Candidate) ([]string, error) {
	if !isPattern(pattern) {
		source := meant(pattern, prefix, rows)
		return []string{source}, plan.CheckSource("source", source)
	}
	names := map[string][]string{}
	for _, row := range rows {
		names[row.SourceTable] = append(namesOf(row.Row), strings.TrimPrefix(row.DestinationTable, prefix))
	}
	for _, row := range catalogued() {
		stands := func(other plan.Candidate) bool { return strings.EqualFold(other.SourceTable, row.SourceTable) }
		if !slices.ContainsFunc(rows, stands) {
			names[row.SourceTable] = namesOf(row)
		}
	}
	var out []string
	for _, source := range slices.Sorted(maps.Keys(names)) {
		means, err := fits(pattern, names[source])
		if err != nil {
			return nil, err
		}
		skipped := false
		for _, skip := range f.Skip {
			ok, err := fits(skip, names[source])
			if err != nil {
				return nil, fmt.Errorf("skip: %w", err)
			}
			skipped = skipped || ok
		}
		if means && !skipped {
			out = append(out, source)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("source %q fits no table", pattern)
	}
	return out, nil
}

// meant is the source that goes by a name: of a row that stands, as every command reads
// names, else of the catalogue; else it is the name itself. The file has destinations
// without the prefix of their instance.
func meant(name, prefix string, rows []plan.Candidate) string {
	for _, is := range []string{name, prefix + name} {
		if found := tables.Named(rows, is); len(found) > 0 {
			return found[0].SourceTable
		}
	}
	return inCatalogue(name)
}

// inCatalogue is the source of the catalogue that goes by a name, be it its own, an old
// one, its short one or that of its raw table; else it is the name itself.
func inCatalogue(name string) string {
	all := catalogued()
	candidates := make([]plan.Candidate, len(all))
	for i, row := range all {
		candidates[i].Row = row
	}
	if found := tables.Named(candidates, name); len(found) > 0 {
		return found[0].SourceTable
	}
	return name
}

// catalogued are the rows by default of every table that is known, without an instance.
func catalogued() (rows []plan.Row) {
	for _, t := range schema.Catalogue() {
		rows = append(rows, byDefault(t.Name))
	}
	for _, s := range slices.Concat(schema.Sources(), schema.SavedQueries()) {
		rows = append(rows, byDefault(s.Name))
	}
	return rows
}

// byDefault is the row that a source gets where a file says nothing more of it.
func byDefault(source string) plan.Row {
	if row, known := recommended(source); known {
		return row
	}
	return plan.Row{SourceTable: source, DestinationTable: source + "Raw", WatermarkColumn: "None", LoadType: string(plan.Full), LastRefreshedTime: never}
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
	Output string `enum:"text,json" default:"text" placeholder:"text|json" help:"text: YAML, which apply reads; json: one table a line. Default: text."`
}

func (exportCommand) Help() string {
	return `Writes the whole configuration as YAML, without watermarks: what apply reads.

Example:

  handler export > tables.yaml`
}

func (c exportCommand) Run(p *process) error {
	g, err := p.open(c.Instance, false, false)
	if err != nil {
		return err
	}
	defer g.close()
	rows, err := g.Rows(p.ctx, c.Instance)
	if err != nil {
		return err
	}
	f := exported(rows, g.Prefix, len(g.cfg.Instances) > 1)
	if c.Output == "json" {
		return printJSON(p.stdout, f.Tables...)
	}
	enc := yaml.NewEncoder(p.stdout)
	enc.SetIndent(2)
	return errors.Join(enc.Encode(f), enc.Close())
}

// exported is the file that says what stands. Where there are several instances the
// default one is named like the others, so that it is never taken for another.
func exported(rows []plan.Candidate, prefix func(key string) string, several bool) file {
	var f file
	for _, row := range rows {
		instance := row.Instance
		if several {
			instance = plan.ShownInstance(instance)
		}
		var retention *string
		if row.Retention != "" {
			retention = &row.Retention
		}
		f.Tables = append(f.Tables, fileTable{Source: row.SourceTable, Instance: instance,
			Destination: strings.TrimPrefix(row.DestinationTable, prefix(row.Instance)), Watermark: plan.WrittenColumn(strings.TrimSpace(row.WatermarkColumn)), Load: row.LoadType,
			Frequency: &row.Frequency, Retention: retention, Active: &row.IsActive})
	}
	return f
}
