package adx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	scripts "github.com/defender2adx/defender2adx/infra/kql"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Outcome says how a step ended.
type Outcome string

const (
	Done    Outcome = "done"
	Already Outcome = "already there"
	Missing Outcome = "missing"
	Failed  Outcome = "failed"
	Note    Outcome = "note" // nothing is wrong, and somebody should know
)

// Step is one thing that setup makes or a check looks at.
type Step struct {
	Name    string // such as "table DeviceInfoRaw"
	Outcome Outcome
	Detail  string // what was done, or what is wrong
	Remedy  string // what a person should do; "" where nothing is wrong
}

// Configurations that Setup can load.
const (
	LoadNothing     = ""
	LoadOriginal    = "original"
	LoadRecommended = "recommended"
)

// Options say what Setup makes beside the control tables, the view, and the raw
// tables of the catalogue and of the configuration.
type Options struct {
	Tables []string // more destination tables
	// Prefixes are put before the names of the catalogue's tables; "" makes them
	// under their own names, and none is "" alone.
	Prefixes []string
	// Destination is the raw table of a configuration row; "" where it is none of this
	// database. nil: it is as the row has it.
	Destination func(plan.Row) string
	Load        string // configuration for sources that have no row yet
	// Instance is whose rows Load appends, a key; "" is the default instance.
	Instance string
	Index    []string // destination tables that get the default encoding: an index, and rows of 1 MB
	// ViewPrefix begins the names of the typed views.
	ViewPrefix string
	Typed      []string   // views that get a typed table, fed by an update policy; those that have one keep it
	Streamed   bool       // views unite tables that have the names of hunting tables
	Grants     []Grant    // roles that somebody is to have
	Report     func(Step) // told of each step as it ends; may be nil
}

// LookedAt and NotLookedAt are what Setup and Missing judge by, for whoever reads that
// all is well.
var (
	LookedAt    = []string{"the database"}
	NotLookedAt = []string{"client secret and Key Vault", "Defender tenant and its app role", "storage account and queues", "ingestion into the database"}
)

// Setup makes what the app needs in the database, with the caller's own rights,
// which must be those of a database admin. It may be repeated: what is there stays,
// rows are never changed, and a database made by the original scripts is taken
// over in place. A step that fails does not stop the others, unless it is for a right that
// the caller lacks: the others would fail alike. The error is for what stopped
// everything.
func (c *Client) Setup(ctx context.Context, o Options) ([]Step, error) {
	if !slices.Contains([]string{LoadNothing, LoadOriginal, LoadRecommended}, o.Load) {
		return nil, fault.As(fault.Permanent, fmt.Errorf("set up database %s: want configuration %q or %q, got %q",
			c.database, LoadOriginal, LoadRecommended, o.Load))
	}
	if o.ViewPrefix != "" {
		if err := plan.CheckName("prefix of the views", o.ViewPrefix); err != nil {
			return nil, fault.As(fault.Permanent, fmt.Errorf("set up database %s: %w", c.database, err))
		}
	}
	d, err := c.readDatabase(ctx)
	if err != nil {
		return nil, err
	}
	s := &setup{client: c, before: d, report: o.Report, index: o.Index, destination: o.Destination}
	tables, functions := c.controlScripts()
	if err := s.runScript(ctx, tables); err != nil || s.refused {
		return s.steps, err
	}
	if !c.elsewhere() {
		s.takeOver(ctx)
	}
	if err := s.runScript(ctx, functions); err != nil || s.refused {
		return s.steps, err
	}
	if o.Load != LoadNothing && !c.elsewhere() {
		s.load(ctx, o.Load, o.Instance)
	}
	if len(o.Prefixes) == 0 {
		o.Prefixes = []string{""}
	}
	for _, prefix := range o.Prefixes {
		if err := s.runScript(ctx, catalogueScript(prefix)); err != nil || s.refused {
			return s.steps, err
		}
	}
	configured, err := c.Latest(ctx)
	if err != nil {
		s.add(failedStep("tables and views of the configuration", err))
	}
	err = s.moreTables(ctx, configured, append(slices.Clone(o.Tables), o.Index...))
	if err == nil && !s.refused {
		err = s.views(ctx, configured, o)
	}
	s.grant(ctx, o.Grants)
	s.saySize()
	return s.steps, err
}

// setup is one pass of Setup.
type setup struct {
	client *Client
	before database
	steps  []Step
	made   map[string]bool // tables dealt with
	report func(Step)

	index       []string // tables to be given the default encoding
	noIndexed32 bool     // the cluster has refused the indexed profile
	without     []string // tables whose Records is not indexed
	failed      map[string]bool
	destination func(plan.Row) string
	refused     bool // for a right that the caller lacks
}

// schemaScript is schema.kql; in a database that holds raw tables alone, what belongs
// beside those.
func (c *Client) schemaScript() []string {
	return slices.DeleteFunc(scriptOf("schema.kql"), func(text string) bool {
		h, err := readHead(text)
		return err == nil && c.elsewhere() && h.object != voidTable && h.object != probeTable
	})
}

// catalogueScript is tables.kql, for raw tables whose names begin with a prefix.
func catalogueScript(prefix string) []string {
	script := scriptOf("tables.kql")
	if prefix == "" {
		return script
	}
	var out []string
	for _, text := range script {
		if h, err := readHead(text); err == nil && h.action == makeTable {
			out = append(out, SplitScript(rawTableScript(prefix+h.object))...)
		}
	}
	return out
}

// controlScripts divides schema.kql: the view reads columns that its table may get
// only now, and what is taken over is recorded between the two.
func (c *Client) controlScripts() (tables, functions []string) {
	for _, text := range c.schemaScript() {
		if h, err := readHead(text); err == nil && h.action == makeFunction {
			functions = append(functions, text)
		} else {
			tables = append(tables, text)
		}
	}
	return tables, functions
}

func (s *setup) add(step Step) {
	s.steps = append(s.steps, step)
	if s.report != nil {
		s.report(step)
	}
}

// runScript runs commands: those on one object are one step.
func (s *setup) runScript(ctx context.Context, commands []string) error {
	var order []string
	byObject := make(map[string][]string)
	for _, text := range commands {
		h, err := readHead(text)
		if err != nil {
			return fault.As(fault.Permanent, err)
		}
		name := "table " + h.object
		if h.action == makeFunction {
			name = "function " + h.object
		} else {
			s.dealtWith(h.object)
		}
		if _, seen := byObject[name]; !seen {
			order = append(order, name)
		}
		byObject[name] = append(byObject[name], text)
	}
	for _, name := range order {
		if ctx.Err() != nil {
			return fault.As(fault.Retry, fmt.Errorf("set up database %s: %w", s.client.database, ctx.Err()))
		}
		table, view := strings.CutSuffix(strings.TrimPrefix(name, "function "), "Visible")
		if view && s.failed["table "+table] {
			continue // it has no table to read
		}
		step := s.object(ctx, name, byObject[name])
		if step.Outcome == Failed {
			if s.failed == nil {
				s.failed = make(map[string]bool)
			}
			s.failed[name] = true
		}
		s.add(step)
		if s.refused {
			return nil
		}
	}
	return nil
}

func (s *setup) dealtWith(table string) {
	if s.made == nil {
		s.made = make(map[string]bool)
	}
	s.made[table] = true
}

// object makes one table or function and sets what belongs to it.
func (s *setup) object(ctx context.Context, name string, commands []string) Step {
	step := Step{Name: name, Outcome: Already}
	for _, text := range commands {
		h, err := readHead(text)
		if err != nil {
			return failedStep(name, err)
		}
		switch h.action {
		case makeTable:
			lacks, clashes, exists := s.before.compare(h)
			if len(clashes) > 0 {
				return clashStep(name, h, clashes)
			}
			if len(lacks) == 0 {
				continue
			}
			step.Outcome, step.Detail = Done, "made"
			if exists {
				text = mergeCommand(h.object, lacks)
				step.Detail = "added " + columnNames(lacks)
			}
		case encodeRecords:
			done, err := s.encode(ctx, h.object)
			if err != nil {
				return failedStep(name, err)
			}
			if done != "" && step.Outcome == Already {
				step.Outcome, step.Detail = Done, done
			}
			continue
		case makeFunction:
			if s.before.has(h) {
				continue
			}
			step.Outcome, step.Detail = Done, "made"
			if _, exists := s.before.Functions[h.object]; exists {
				step.Detail = "replaced"
			}
		}
		if err := s.runAll(ctx, []string{text}); err != nil {
			return failedStep(name, err)
		}
	}
	return step
}

func (s *setup) runAll(ctx context.Context, commands []string) error {
	for _, text := range commands {
		if _, err := command[struct{}](ctx, s.client, admins, text); err != nil {
			if known := (*actionable)(nil); errors.As(err, &known) && known.refused {
				s.refused = true
			}
			return err
		}
	}
	return nil
}

// configurationScript is the configuration of that name for an instance.
func configurationScript(which, instance string) []string {
	script := scriptOf("configuration-" + which + ".kql")
	if instance == "" {
		return script
	}
	for i, text := range script {
		text = strings.ReplaceAll(text, "isempty(Instance)", "Instance =~ "+kql.String(instance))
		end := strings.LastIndex(text, ")")
		script[i] = text[:end] + "    | extend Instance = " + kql.String(instance) + "\n    " + text[end:]
	}
	return script
}

// load appends a configuration for the sources of the instance that have no row yet.
func (s *setup) load(ctx context.Context, which, instance string) {
	name := "configuration " + which
	count := func() (int64, error) {
		type counted struct {
			Rows int64 `kusto:"Rows"`
		}
		found, err := rows[counted](ctx, s.client, configurationTable+" | summarize Rows = count()")
		if err != nil || len(found) != 1 {
			return 0, err
		}
		return found[0].Rows, nil
	}
	before, err := count()
	if err == nil {
		err = s.runAll(ctx, configurationScript(which, instance))
	}
	var after int64
	if err == nil {
		after, err = count()
	}
	switch {
	case err != nil:
		s.add(failedStep(name, err))
	case after == before:
		s.add(Step{Name: name, Outcome: Already, Detail: "every source has a row"})
	default:
		s.add(Step{Name: name, Outcome: Done, Detail: fmt.Sprintf("%d sources added", after-before)})
	}
}

// moreTables makes raw tables that the catalogue does not have: those named and
// those that the configuration writes to.
func (s *setup) moreTables(ctx context.Context, configured []plan.Row, named []string) error {
	wanted := slices.Clone(named)
	for _, row := range configured {
		name := row.DestinationTable
		if s.destination != nil {
			name = s.destination(row)
		}
		wanted = append(wanted, name)
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	for _, name := range wanted {
		if s.made[name] || name == "" {
			continue
		}
		if err := plan.CheckName("DestinationTable", name); err != nil {
			s.add(Step{Name: "table " + quote(name), Outcome: Failed, Detail: err.Error(),
				Remedy: "append a row with another DestinationTable to " + configurationTable})
			continue
		}
		if err := s.runScript(ctx, SplitScript(rawTableScript(name))); err != nil {
			return err
		}
	}
	obstacles, err := s.client.obstaclesOf(ctx, slices.DeleteFunc(wanted, func(name string) bool { return plan.CheckName("", name) != nil }))
	if err != nil {
		obstacles = append(obstacles, failedStep("policies of the raw tables", err))
	}
	for _, step := range obstacles {
		s.add(step)
	}
	return s.retain(ctx, configured)
}

func failedStep(name string, err error) Step {
	step := Step{Name: name, Outcome: Failed, Detail: err.Error(), Remedy: "mend what the message says and run `handler setup` again"}
	var known *actionable
	switch {
	case errors.As(err, &known):
		step.Detail, step.Remedy = known.text, known.remedy
	case fault.KindOf(err) == fault.Retry:
		step.Remedy = "run `handler setup` again"
	}
	return step
}

func clashStep(name string, want head, clashes []column) Step {
	var details []error
	for _, c := range clashes {
		i := slices.IndexFunc(want.columns, func(w column) bool { return w.Name == c.Name })
		details = append(details, fmt.Errorf("column %s is %s, want %s", c.Name, c.Type, want.columns[i].Type))
	}
	return Step{
		Name: name, Outcome: Failed,
		Detail: strings.ReplaceAll(errors.Join(details...).Error(), "\n", "; "),
		Remedy: fmt.Sprintf("nothing was changed; rename the column (.rename column %s.%s to ...) or the table, and run `handler setup` again",
			want.object, clashes[0].Name),
	}
}

func columnNames(columns []column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// scriptOf returns the commands of a file that is part of the program.
func scriptOf(file string) []string {
	text, err := scripts.Files.ReadFile(file)
	if err != nil { // the files are embedded, a wrong name is a mistake in the code
		panic(err)
	}
	return SplitScript(string(text))
}
