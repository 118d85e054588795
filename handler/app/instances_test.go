package app

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/quota"
)

// threeInstances are the default one, West of the same tenant, and Broken, whose tenant is no id.
var threeInstances = map[string]string{
	"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "control", "AzureWebJobsStorage": "UseDevelopmentStorage=true",
	"MIGRATION_QUEUE": "migrations", "MIGRATION_SCHEDULE": "0 0 * * * *", "KEY_VAULT_URL": "https://v.vault.azure.net",
	"DEFENDER_INSTANCES": "West, Broken", "DEFENDER_TENANT_ID": "11111111-2222-3333-4444-555555555555", "DEFENDER_CLIENT_ID": "c",
	"DEFENDER_WEST_TENANT_ID": "11111111-2222-3333-4444-555555555555", "DEFENDER_WEST_TABLE_PREFIX": "W_", "DEFENDER_WEST_CALLS_PER_MINUTE": "10", "DEFENDER_WEST_DATABASE": "westdata",
	"DEFENDER_BROKEN_TENANT_ID": "nobody",
}

func appOf(t *testing.T, settings map[string]string, o Options) *App {
	t.Helper()
	cfg, err := config.Read(func(name string) string { return settings[name] })
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// desk is the control tables on paper.
type desk struct {
	rows    []plan.Row
	written []plan.Outgoing
	err     error // of a read
}

func (d *desk) Rows(context.Context, plan.Key, time.Time) ([]plan.Row, error) { return d.rows, nil }
func (d *desk) Latest(context.Context) ([]plan.Row, error)                    { return d.rows, d.err }
func (d *desk) Deliver(_ context.Context, out plan.Outgoing) error {
	d.written = append(d.written, out)
	return nil
}

// A wake-up goes to its own instance in any letter case, and to no other: one that
// no setting names and one whose settings are faulty are refused for good, with an
// audit row that says what to do.
func TestInstances_AWakeUpIsItsOwnInstancesAlone(t *testing.T) {
	paper := &desk{}
	a := appOf(t, threeInstances, Options{Ports: func(p *pipeline.Ports) { p.ControlTables = paper }})
	fine := func(context.Context, plan.Key) error { return nil }
	route := router{a.instances, auditor{control: paper, now: time.Now, api: a.instances.api}, fine}
	var got []string
	for key, i := range a.instances.wired {
		if i.pipeline != nil {
			i.pipeline = recorder(func(k plan.Key) { got = append(got, plan.ShownInstance(key)+" does "+k.String()) })
		}
	}
	for _, tt := range []struct{ instance, done, refused string }{
		{"", "default does DeviceInfo", ""},
		{"WEST", "west does west/DeviceInfo", ""},
		{"broken", "", "DEFENDER_BROKEN_TENANT_ID: want an id"},
		{"gone", "", `instance "gone": no setting names it: want one of default, West, Broken`},
		{"default", "", `instance "default": no setting names it`},
	} {
		got, paper.written = nil, nil
		err := route.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Instance: tt.instance, Source: "DeviceInfo"}}})
		if strings.Join(got, ";") != tt.done {
			t.Errorf("%q: %v, want %q", tt.instance, got, tt.done)
		}
		if tt.refused == "" {
			if err != nil {
				t.Errorf("%q: %v", tt.instance, err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%q: %v, want a permanent error with %q", tt.instance, err, tt.refused)
		}
		if len(paper.written) != 1 || paper.written[0].Audit.Instance != tt.instance || !strings.Contains(paper.written[0].Audit.FailureReason, tt.refused) {
			t.Errorf("%q: wrote %+v, want one audit row with %q", tt.instance, paper.written, tt.refused)
		}
	}
}

type recorder func(plan.Key)

func (r recorder) Migrate(_ context.Context, req pipeline.Request) error { r(req.Key); return nil }

// A row of the configuration is its instance's, under the raw table's name; it never
// falls to another instance.
func TestInstances_RowsAreJudgedAmongAllOthers(t *testing.T) {
	a := appOf(t, threeInstances, Options{})
	row := func(instance, source, destination string) plan.Row {
		return plan.Row{Instance: instance, SourceTable: source, DestinationTable: destination, LoadType: "Full", IsActive: true}
	}
	older, newer := row("West", "DeviceEvents", "Old"), row("west", "DeviceEvents", "New")
	newer.Ingested = time.Unix(1, 0)
	c := &configuration{stored: &desk{rows: []plan.Row{
		row("", "DeviceInfo", "DeviceInfoRaw"), row("WEST", "DeviceInfo", "DeviceInfoRaw"), newer, older,
		row("broken", "DeviceInfo", "X"), row("gone", "DeviceInfo", "Y"), row("default", "DeviceInfo", "Z"),
	}}, states: states{}, instances: a.instances}
	rows, err := c.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		line := plan.ShownInstance(r.Instance) + " " + r.SourceTable + " " + r.DestinationTable + " " + r.Elsewhere
		if _, err := r.Table(); err != nil {
			line = r.Instance + " refused"
		}
		got = append(got, line)
	}
	want := []string{"default DeviceInfo DeviceInfoRaw ", "west DeviceInfo W_DeviceInfoRaw westdata", "west DeviceEvents W_New westdata",
		"broken refused", "gone refused", "default refused"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A table under two names is one table: the name that is switched on counts, and where
// both are neither is copied.
func TestConfiguration_OldNamesAreTodaysTables(t *testing.T) {
	a := appOf(t, threeInstances, Options{})
	row := func(source, destination string, on bool) plan.Row {
		return plan.Row{SourceTable: source, DestinationTable: destination, LoadType: "Full", IsActive: on}.Renamed()
	}
	c := &configuration{stored: &desk{rows: []plan.Row{
		row("MachineInfo", "A", true), row("LogonEvents", "B", true), row("DeviceLogonEvents", "C", true),
		row("DeviceEvents", "D", true), row("MiscEvents", "E", false), row("RegistryEvents", "F", false), row("DeviceRegistryEvents", "G", true),
		row("AlertEvents", "H", true),
	}}, states: states{}, instances: a.instances}
	rows, err := c.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		line := r.SourceTable + " " + r.DestinationTable
		if _, err := r.Table(); err != nil {
			line = r.SourceTable + ": " + err.Error()[:30]
		}
		got = append(got, line)
	}
	want := []string{"DeviceInfo A", "DeviceLogonEvents: SourceTable: DeviceLogonEvents", "DeviceEvents D", "DeviceRegistryEvents G", "AlertEvents: SourceTable: AlertEvents becam"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// states are those of tables, on paper.
type states map[plan.Key]*plan.TableState

func (s states) Read(_ context.Context, key plan.Key) (*plan.TableState, error) { return s[key], nil }

// Two instances do not mix their rows in one raw table: whoever has copied there keeps
// it, switched off or faulty, before whoever is named first. The other is refused at
// the tick where it is switched on, and by every wake-up.
func TestInstances_ARawTableHasOneInstance(t *testing.T) {
	a := appOf(t, map[string]string{
		"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "control", "AzureWebJobsStorage": "UseDevelopmentStorage=true",
		"MIGRATION_QUEUE": "migrations", "KEY_VAULT_URL": "https://v.vault.azure.net", "DEFENDER_INSTANCES": "a,b,c", "DEFENDER_CLIENT_ID": "c",
		"DEFENDER_A_TENANT_ID": "11111111-2222-3333-4444-555555555555", "DEFENDER_B_TENANT_ID": "11111111-2222-3333-4444-666666666666",
	}, Options{}) // c has no tenant
	const off, on, published = 1, 2, 4
	row := func(instance string, is int) plan.Row {
		r := plan.Row{Instance: instance, SourceTable: "S", DestinationTable: "T", LoadType: "Full", IsActive: is&on != 0}
		if is&published != 0 {
			r.RunID = "app00120260101000000aaaaaaaa"
		}
		return r
	}
	ended := plan.TableState{Table: plan.Table{Destination: "T"}, LastEnded: time.Unix(1, 0)}
	open := plan.TableState{Table: plan.Table{Destination: "T"}, OpenRun: "r"}
	moved := plan.TableState{Table: plan.Table{Destination: "Old"}, LastEnded: time.Unix(1, 0)}
	for _, tt := range []struct {
		name                string
		other               string // beside a
		a, b                int
		stateA, stateB      *plan.TableState
		refused, mayNotWake string // instances
	}{
		{"both are new", "b", on, on, nil, nil, "b", "b"},
		{"the first is off and has copied nothing", "b", off, on, nil, nil, "", "a"},
		{"the other has published", "b", on, on | published, nil, nil, "a", "a"},
		{"the other has published and is off", "b", on, off | published, nil, nil, "a", "a"},
		{"the other was switched off by a user's row", "b", on, off, nil, &ended, "a", "a"},
		{"the other's first run is open", "b", on, on, nil, &open, "a", "a"},
		{"the other copied into another table", "b", on, on, nil, &moved, "b", "b"},
		{"both have published", "b", on | published, on | published, nil, nil, "b", "b"},
		{"the first is open, the other has published", "b", on, on, &open, &ended, "a", "a"},
		{"the other's settings are faulty by now", "c", on, on | published, nil, nil, "a c", "a c"},
		{"the other is named by no setting", "d", on, on | published, nil, nil, "d", "d"},
	} {
		c := &configuration{instances: a.instances, stored: &desk{rows: []plan.Row{row(tt.other, tt.b), row("a", tt.a)}},
			states: states{{Instance: "a", Source: "S"}: tt.stateA, {Instance: tt.other, Source: "S"}: tt.stateB}}
		rows, err := c.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var refused, asleep []string
		for _, r := range []plan.Candidate{rows[1], rows[0]} {
			if r.Problem != nil {
				refused = append(refused, r.Instance)
			}
			paper := &desk{}
			worked := false
			wired := instances{cfg: a.instances.cfg, wired: map[string]*instance{r.Instance: {pipeline: recorder(func(plan.Key) { worked = true })}}}
			err := router{&wired, auditor{control: paper, now: time.Now, api: func(string) string { return "" }}, c.Check}.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: r.Key()}})
			if worked != (err == nil) || worked != (len(paper.written) == 0) || err != nil && fault.KindOf(err) != fault.Permanent {
				t.Errorf("%s: %s worked: %t, with %d audit rows: %v", tt.name, r.Instance, worked, len(paper.written), err)
			}
			if err != nil {
				asleep = append(asleep, r.Instance)
			}
		}
		if got := strings.Join(refused, " "); got != tt.refused {
			t.Errorf("%s: refused %q, want %q", tt.name, got, tt.refused)
		}
		if got := strings.Join(asleep, " "); got != tt.mayNotWake {
			t.Errorf("%s: wake-ups refused of %q, want %q", tt.name, got, tt.mayNotWake)
		}
	}
}

// The prefix stands in no row that people read and write, and in every audit row.
func TestInstances_ThePrefixIsTheAppsAlone(t *testing.T) {
	paper := &desk{rows: []plan.Row{{DestinationTable: "DeviceInfoRaw"}}}
	p := prefixed{paper, "W_"}
	rows, err := p.Rows(t.Context(), plan.Key{}, time.Time{})
	if err != nil || rows[0].DestinationTable != "W_DeviceInfoRaw" {
		t.Errorf("rows %+v, %v", rows, err)
	}
	row := plan.Row{DestinationTable: "W_DeviceInfoRaw"}
	if err := errors.Join(p.Deliver(t.Context(), plan.Outgoing{Config: &row}), p.Deliver(t.Context(), plan.Outgoing{Audit: &plan.Audit{TableName: "W_DeviceInfoRaw"}})); err != nil {
		t.Fatal(err)
	}
	if got := paper.written[0].Config.DestinationTable; got != "DeviceInfoRaw" || row.DestinationTable != "W_DeviceInfoRaw" {
		t.Errorf("published %s, and the caller's row is %s", got, row.DestinationTable)
	}
	if got := paper.written[1].Audit.TableName; got != "W_DeviceInfoRaw" {
		t.Errorf("audited %s", got)
	}
}

// Instances of one tenant share its quota, by the smallest of their limits and also
// under two clouds; another tenant has its own. The quota's name is that of the first.
func TestInstances_OneTenantHasOneQuota(t *testing.T) {
	settings := maps.Clone(threeInstances)
	settings["DEFENDER_BROKEN_TENANT_ID"] = "11111111-2222-3333-4444-666666666666"
	for _, cloud := range []string{"", "gcc"} {
		settings["DEFENDER_WEST_CLOUD"] = cloud
		a := appOf(t, settings, Options{})
		first, west, other := a.instances.wired[""].ports.Quota, a.instances.wired["west"].ports.Quota, a.instances.wired["broken"].ports.Quota
		if first != west || first == other {
			t.Errorf("west in %q: quotas %p of the tenant, %p of its second instance, %p of another tenant", cloud, first, west, other)
		}
		if name := first.(*quota.Quota).Name(); name != "quota/global-11111111-2222-3333-4444-555555555555.json" {
			t.Errorf("west in %q: the quota is %s", cloud, name)
		}
	}
}

// unreadable are states of which one cannot be read.
type unreadable struct {
	states
	key plan.Key
}

func (u unreadable) Read(ctx context.Context, key plan.Key) (*plan.TableState, error) {
	if key == u.key {
		return nil, fault.As(fault.Permanent, errors.New("the document is damaged"))
	}
	return u.states.Read(ctx, key)
}

// Where nobody can tell whose a raw table is, those who name it wait, and nobody else.
func TestInstances_AStateThatCannotBeReadStopsItsTableAlone(t *testing.T) {
	a := appOf(t, threeInstances, Options{})
	row := func(instance, source, destination string) plan.Row {
		return plan.Row{Instance: instance, SourceTable: source, DestinationTable: destination, LoadType: "Full", IsActive: true}
	}
	contested := []plan.Row{row("", "DeviceInfo", "Shared"), row("broken", "DeviceInfo", "Shared")}
	c := &configuration{instances: a.instances, stored: &desk{rows: append(contested, row("", "DeviceEvents", "DeviceEventsRaw"))},
		states: unreadable{states{}, plan.Key{Instance: "broken", Source: "DeviceInfo"}}}
	rows, err := c.Latest(t.Context())
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		waits := r.DestinationTable == "Shared"
		err := c.Check(t.Context(), r.Key())
		if (r.Problem != nil) != waits || (err != nil) != waits {
			t.Errorf("%s of %s: %v, %v", r.Key(), r.DestinationTable, r.Problem, err)
		}
		if r.Instance == "" && waits && fault.KindOf(err) != fault.Retry {
			t.Errorf("%s is refused for good: %v", r.Key(), err)
		}
	}
}

// A service that refuses the read of the configuration has said nothing of the row: the
// audit row says why, and the wake-up is delivered again.
func TestInstances_AnUnreadConfigurationIsNoVerdict(t *testing.T) {
	paper := &desk{err: fault.As(fault.Permanent, errors.New("General_BadRequest"))}
	a := appOf(t, threeInstances, Options{})
	c := &configuration{instances: a.instances, stored: paper, states: states{}}
	route := router{a.instances, auditor{control: paper, now: time.Now, api: a.instances.api}, c.Check}
	err := route.Migrate(t.Context(), pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Source: "DeviceInfo"}}})
	if fault.KindOf(err) != fault.Retry {
		t.Errorf("%v is of kind %v, want Retry", err, fault.KindOf(err))
	}
	if len(paper.written) != 1 || !strings.Contains(paper.written[0].Audit.FailureReason, "General_BadRequest") {
		t.Errorf("wrote %+v, want one audit row with the reason", paper.written)
	}
}
