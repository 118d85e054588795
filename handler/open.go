package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// instanceFlag says whose tables are meant.
type instanceFlag struct {
	Instance string `placeholder:"NAME" help:"Instance whose tables are meant: one of DEFENDER_INSTANCES, or default for that of the settings without a name."`
}

// logFlag shows what the service would log.
type logFlag struct {
	Verbose bool `help:"Write the log of the work to standard error."`
}

// program is the service as a command works with it.
type program struct {
	*app.App
	cfg config.Config
}

// open wires the program by the settings. instance is what the command line names, ""
// nothing; adopt says that the command works as the app whose storage is named.
func (p *process) open(instance string, verbose, adopt bool) (*program, error) {
	cfg, err := config.ReadAttended(p.getenv)
	if err != nil {
		return nil, faultySettings(err, config.Warnings(p.getenv, p.environ))
	}
	if instance != "" {
		if _, err := cfg.Instance(instance); err != nil {
			return nil, usageError{fmt.Errorf("--instance: %w", err)}
		}
	}
	o := app.Options{Version: version, Log: slog.New(slog.DiscardHandler), Say: p.say}
	if verbose {
		o.Log = slog.New(slog.NewTextHandler(p.stderr, nil))
	}
	for _, warning := range config.Unknown(p.environ) {
		fmt.Fprintln(p.stderr, "handler: settings:", warning)
	}
	if adopt {
		if err := app.AdoptAppID(p.ctx, &cfg, p.getenv("MIGRATION_APP_ID") != "", o); err != nil {
			return nil, err
		}
	}
	built, err := app.New(cfg, o)
	if err != nil {
		return nil, settingsError{fmt.Errorf("settings:\n%w", err)}
	}
	return &program{built, cfg}, nil
}

// close ends the program; what then fails is of no consequence to a command that is
// over.
func (g *program) close() { _ = g.Close() }

// named returns the configured tables that a person names, each once, in the order of
// the names: by source, short name or destination, or by a pattern
// of these such as DeviceTvm*.
func (g *program) named(ctx context.Context, names []string, instance string) ([]plan.Candidate, error) {
	rows, err := g.Rows(ctx, instance)
	if err != nil {
		return nil, err
	}
	return pick(rows, names)
}

func pick(rows []plan.Candidate, names []string) ([]plan.Candidate, error) {
	var out []plan.Candidate
	var errs []error
	seen := map[plan.Key]bool{}
	take := func(row plan.Candidate) {
		if !seen[row.Key()] {
			seen[row.Key()] = true
			out = append(out, row)
		}
	}
	for _, name := range names {
		if isPattern(name) {
			found, err := matching(rows, name)
			errs = append(errs, err)
			for _, row := range found {
				take(row)
			}
			continue
		}
		switch found := tables.Named(rows, name); len(found) {
		case 0:
			remedy := "`handler tables` lists them"
			if _, known := recommended(inCatalogue(name)); known {
				remedy += fmt.Sprintf(", `handler on %s` adds it", name)
			}
			errs = append(errs, unknownTable(name, remedy))
		case 1:
			take(found[0])
		default:
			errs = append(errs, usageError{fmt.Errorf("table %s is copied for the instances %s: add --instance with one of them", name, tables.InstancesOf(found))})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

// unknownTable is the error for a name that no row of the configuration goes by: what is
// wrong with the name itself, or what to do.
func unknownTable(name, remedy string) error {
	if err := plan.Divided(name); err != nil {
		return err
	}
	if strings.Contains(name, "/") {
		if err := plan.CheckSource("table", name); err != nil {
			return err
		}
	}
	return fmt.Errorf("no table %q in MigrationConfiguration: %s", name, remedy)
}

// matching returns the rows that the pattern fits by any of their names.
func matching(rows []plan.Candidate, pattern string) (found []plan.Candidate, err error) {
	for _, row := range rows {
		ok, err := fits(pattern, namesOf(row.Row))
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, row)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no table of MigrationConfiguration fits %q", pattern)
	}
	return found, nil
}

// shown is a table's name for people: with its instance where it has one.
func shown(key plan.Key) string { return key.String() }
