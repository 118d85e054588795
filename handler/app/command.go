package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// What a person's commands do with the program, over the adapters of the service.

// SettingsFault is a fault of the settings that shows only where they are used.
type SettingsFault struct{ error }

func (e SettingsFault) Unwrap() error { return e.error }

// ErrUnnamed is the error where an instance must be named.
var ErrUnnamed = errors.New("--instance is needed")

// AdoptAppID gives cfg the id of the app whose storage it names: a command works as
// that app, on whatever machine it runs. explicit says that MIGRATION_APP_ID was
// set; then it must be the same, and is taken where the storage knows none yet: else the
// error is a SettingsFault.
func AdoptAppID(ctx context.Context, cfg *config.Config, explicit bool, o Options) error {
	o = o.withDefaults()
	creds, err := newCredentials(*cfg, o)
	if err != nil {
		return SettingsFault{err}
	}
	store, err := newStore(*cfg, storageOf(*cfg, creds.storage, o), o)
	if err != nil {
		return SettingsFault{err}
	}
	id, err := store.AppID(ctx)
	switch {
	case err != nil:
		return err
	case id == "" && !explicit:
		return SettingsFault{fault.As(fault.Permanent, fmt.Errorf("container %s of the app's storage knows no app id: start the app once, or set MIGRATION_APP_ID to the one it will have", cfg.Storage.Container))}
	case id == "":
		return nil
	case explicit && id != cfg.Migration.AppID:
		return SettingsFault{fault.As(fault.Permanent, fmt.Errorf("MIGRATION_APP_ID: is %s, but container %s belongs to app %s: leave the setting out, or name that app's storage", cfg.Migration.AppID, cfg.Storage.Container, id))}
	}
	cfg.Migration.AppID = id
	return nil
}

// Rows returns the newest configuration row of every source of the instance; of all
// instances where instance is "". The error lists the instances.
func (a *App) Rows(ctx context.Context, instance string) ([]plan.Candidate, error) {
	key := ""
	if instance != "" {
		var err error
		if key, err = a.instances.Resolve(instance); err != nil {
			return nil, err
		}
	}
	all, err := a.configuration.Latest(ctx)
	if err != nil || instance == "" {
		return all, err
	}
	var rows []plan.Candidate
	for _, row := range all {
		if row.Instance == key {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// Show reads what is known of a configured table.
func (a *App) Show(ctx context.Context, row plan.Candidate) (tables.Table, error) {
	return a.tables.Show(ctx, row, true)
}

// Migrate works on one table as the queue function does.
func (a *App) Migrate(ctx context.Context, req pipeline.Request) error {
	return a.migrate.Pipeline.Migrate(ctx, req)
}

// CheckOwner refuses a table whose rows are another app's: its storage holds the
// watermark, and whoever works from ours would copy everything again. The error
// names the app.
func (a *App) CheckOwner(ctx context.Context, row plan.Candidate) error {
	i, err := a.instances.find(row.Instance)
	if err != nil {
		return err
	}
	own := a.cfg.Migration.AppID
	rows, err := i.ports.ControlTables.Rows(ctx, row.Key(), time.Time{})
	if err != nil {
		return err
	}
	other := ""
	for _, r := range rows { // oldest first
		if id := r.RunID; plan.RunIDTime(id) != (time.Time{}) {
			other = id
		}
	}
	if strings.HasPrefix(other, own) {
		other = ""
	}
	if other == "" {
		state, err := a.store.Read(ctx, row.Key())
		if err != nil {
			return err
		}
		if state == nil || state.LastEnded.IsZero() && state.OpenRun == "" {
			// Nothing of ours was ever here: any row is another's.
			if other, err = i.ports.Verifier.Foreign(ctx, row.DestinationTable, own, time.Time{}); err != nil {
				return err
			}
		}
	}
	if other == "" {
		return nil
	}
	return fault.As(fault.Permanent, fmt.Errorf("%s holds rows of run %s, which app %s wrote, and the storage named is that of app %s: name the storage of app %.6s (AzureWebJobsStorage), or a database of its own",
		row.DestinationTable, other, other[:plan.AppIDLength], own, other))
}

// Forecast plans the next run of a table and writes nothing; the quota says how long
// its calls will take.
func (a *App) Forecast(ctx context.Context, key plan.Key) (pipeline.Forecast, Allowance, error) {
	i, err := a.instances.find(key.Instance)
	if err != nil {
		return pipeline.Forecast{}, Allowance{}, err
	}
	f, err := i.whole.Forecast(ctx, a.store, key)
	if allowance, ok := listAllowance(i.Defender, key.Source); ok {
		return f, allowance, err
	}
	return f, i.allowance, err
}

// RunsPerDay returns how often a day the table is copied by its Frequency and the
// timer; 0 where the schedule does not say.
func (a *App) RunsPerDay(t plan.Table) float64 {
	return t.RunsPerDay(a.clock.Now(), a.cfg.Migration.NextTick)
}

// RowsTwice counts the rows that Defender still holds of those copied after from:
// they will stand twice when the watermark is set back to it.
func (a *App) RowsTwice(ctx context.Context, key plan.Key, from time.Time) (int64, error) {
	i, err := a.instances.find(key.Instance)
	if err != nil {
		return 0, err
	}
	return i.whole.CopiedAfter(ctx, a.store, key, from)
}

// Append appends a row to the configuration, as a person does. Its DestinationTable may
// be the raw table: the prefix of the instance stands in no row.
func (a *App) Append(ctx context.Context, row plan.Row) error {
	row.RunID, row.Generation = "", 0
	if i := a.instances.wired[row.Instance]; i != nil {
		row.DestinationTable = strings.TrimPrefix(row.DestinationTable, i.Defender.TablePrefix)
	}
	return a.databases.control.Deliver(ctx, plan.Outgoing{Tag: "p" + strings.ToLower(rand.Text()), Config: &row})
}

// Runs returns the newest rows of the audit log of a table, newest first.
func (a *App) Runs(ctx context.Context, key plan.Key, most int) ([]plan.Audit, error) {
	return a.databases.control.Audits(ctx, key, most)
}

// AskADX runs a query on the database of the instance; "" is that of the control
// tables.
func (a *App) AskADX(ctx context.Context, instance, text string) (adx.Answer, error) {
	if instance == "" {
		return a.databases.control.Ask(ctx, text)
	}
	key, err := a.instances.Resolve(instance)
	if err != nil {
		return adx.Answer{}, err
	}
	return a.databases.of(a.instances.wired[key].Defender.Database).Ask(ctx, text)
}

// AskDefender runs a query on the tenant of the instance, in a call of its quota; ""
// is the only instance there is. The error lists them where it must be named.
func (a *App) AskDefender(ctx context.Context, instance, text string) (defender.Found, error) {
	i, err := a.onlyInstance(instance)
	if err != nil {
		return defender.Found{}, err
	}
	return i.hunter.Hunt(ctx, i.whole.Caller("query"), text)
}

// onlyInstance returns the instance that a person names; without a name the only one.
func (a *App) onlyInstance(name string) (*instance, error) {
	if name == "" && len(a.instances.order) > 1 {
		return nil, fmt.Errorf("%w: one of %s", ErrUnnamed, a.cfg.InstanceNames())
	}
	if name == "" {
		return a.instances.find(a.instances.order[0].Key())
	}
	key, err := a.instances.Resolve(name)
	if err != nil {
		return nil, err
	}
	return a.instances.find(key)
}

// Offered looks which tables of the catalogue the tenant has.
func (a *App) Offered(ctx context.Context, instance string, names []string) (map[string]defender.Offer, error) {
	i, err := a.onlyInstance(instance)
	if err != nil {
		return nil, err
	}
	return i.hunter.Offered(ctx, i.whole.Caller("tables"), names)
}

// InstanceKey returns the key of the instance that a person names, or of the only one.
func (a *App) InstanceKey(name string) (string, error) {
	i, err := a.onlyInstance(name)
	if err != nil {
		return "", err
	}
	return i.Key(), nil
}

// FreeMark returns the watermark that a person sets, a little earlier where that very
// instant stands in a row of the table already, be it ours or a person's: then it would
// be taken for known, and for no command.
func (a *App) FreeMark(ctx context.Context, row plan.Candidate, mark time.Time) (time.Time, error) {
	i, err := a.instances.find(row.Instance)
	if err != nil {
		return mark, err
	}
	rows, err := i.ports.ControlTables.Rows(ctx, row.Key(), time.Time{})
	if err != nil {
		return mark, err
	}
	state, err := a.store.Read(ctx, row.Key())
	if err != nil {
		return mark, err
	}
	return freeMark(mark, rows, state), nil
}

// freeMark is mark, or the nearest tick before it that stands in no row and is not the
// one that the state (which may be nil) went by last.
func freeMark(mark time.Time, rows []plan.Row, state *plan.TableState) time.Time {
	taken := map[time.Time]bool{}
	for _, r := range rows {
		taken[plan.Ticks(r.LastRefreshedTime)] = true
	}
	if state != nil {
		taken[plan.Ticks(state.Table.LastRefreshed)] = true
	}
	for taken[plan.Ticks(mark)] {
		mark = mark.Add(-plan.Tick)
	}
	return mark
}

// Prefix returns what stands before the raw tables of the instance of a key.
func (a *App) Prefix(key string) string {
	if i := a.instances.wired[key]; i != nil {
		return i.Defender.TablePrefix
	}
	return ""
}
