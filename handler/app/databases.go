package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// databases are the databases that the instances write into. The control tables of
// all are in one of them; void slices are beside the data.
type databases struct {
	names   []string // that of the control tables first
	control *adx.Client
	data    map[string]*adx.Client // by name in lower case, the control database too
}

func newDatabases(cfg config.Config, cred azcore.TokenCredential, o Options) (*databases, error) {
	out := &databases{names: databaseNames(cfg), data: map[string]*adx.Client{}}
	var errs []error
	for _, name := range out.names {
		client, err := newADX(cfg, name, cred, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out.data[strings.ToLower(name)] = client
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	out.control = out.data[strings.ToLower(cfg.ADX.Database)]
	return out, nil
}

// databaseNames are the databases in use, that of the control tables first. Kusto
// compares their names without regard to case.
func databaseNames(cfg config.Config) []string {
	names := []string{cfg.ADX.Database}
	for _, i := range cfg.Instances {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, i.Defender.Database) }) {
			names = append(names, i.Defender.Database)
		}
	}
	return names
}

// writers are the instances whose raw tables are in the database; nil where nothing
// distinguishes them from the configuration's own rows.
func writers(cfg config.Config, database string) (out []adx.Writer) {
	if len(cfg.Instances) == 1 && cfg.Instances[0].Name == "" && cfg.Instances[0].Defender.TablePrefix == "" {
		return nil
	}
	for _, i := range cfg.Instances {
		if strings.EqualFold(i.Defender.Database, database) {
			out = append(out, adx.Writer{Instance: i.Key(), Prefix: i.Defender.TablePrefix})
		}
	}
	return out
}

func (d *databases) of(name string) *adx.Client { return d.data[strings.ToLower(name)] }

// Close ends what the clients do in the background.
func (d *databases) Close() error {
	var errs []error
	for _, client := range d.data {
		if err := client.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close ADX client: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Target is one database as `handler setup` prepares it.
type Target struct {
	Database string
	Client   *adx.Client
	Options  adx.Options // which raw tables it gets
}

// SetupTargets returns the databases in cfg with what each gets, that of the control
// tables first. Nothing is connected.
func SetupTargets(cfg config.Config, cred azcore.TokenCredential, o Options) ([]Target, error) {
	all, err := newDatabases(cfg, cred, o.withDefaults())
	if err != nil {
		return nil, err
	}
	var targets []Target
	for _, name := range databaseNames(cfg) {
		target := Target{Database: name, Client: all.of(name)}
		for _, i := range cfg.Instances {
			prefix := i.Defender.TablePrefix
			if strings.EqualFold(i.Defender.Database, name) && !slices.Contains(target.Options.Prefixes, prefix) {
				target.Options.Prefixes = append(target.Options.Prefixes, prefix)
			}
		}
		target.Options.Destination = func(row plan.Row) string {
			i, err := cfg.Instance(row.Instance)
			if err != nil || !strings.EqualFold(i.Defender.Database, name) {
				return ""
			}
			return i.Defender.TablePrefix + row.DestinationTable
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// reporter tells what the databases lack.
type reporter struct {
	*configuration
	databases *databases
}

// Missing looks at every database; the steps of others than that of the control
// tables carry its name.
func (r reporter) Missing(ctx context.Context, rows []plan.Candidate) ([]adx.Step, error) {
	var steps []adx.Step
	for _, name := range r.databases.names {
		client := r.databases.of(name)
		var here []plan.Row
		for _, row := range rows {
			if r.databases.of(row.Elsewhere) == client || row.Elsewhere == "" && client == r.databases.control {
				here = append(here, row.Row)
			}
		}
		found, err := client.Missing(ctx, here)
		if found, err = lacking(name, client == r.databases.control, found, err); err != nil {
			return nil, err
		}
		steps = append(steps, found...)
	}
	return steps, nil
}

// lacking is what was found in one database, as the report of all says it: where that of
// an instance cannot be read, there is still something to tell of the others.
func lacking(name string, control bool, found []adx.Step, err error) ([]adx.Step, error) {
	switch {
	case err != nil && control:
		return nil, err
	case err != nil:
		return []adx.Step{{Name: "database " + name, Outcome: adx.Failed, Detail: err.Error()}}, nil
	case !control:
		for i := range found {
			found[i].Name += " in database " + name
		}
	}
	return found, nil
}
