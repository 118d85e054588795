package adx_test

import (
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// An instance's own database gets its raw tables and what hides their slices, and no
// second configuration; what is asked of the configuration there is asked of the
// control tables.
func TestInstances_ADatabaseOfRawTablesAlone(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	data := adx.Config{Database: "data", Control: "db1", Writers: []adx.Writer{{Instance: "west", Prefix: "W_"}}}
	row := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "Own", Instance: "West", IsActive: true, RunID: "d2a0001"}
	control := w.client(t, "app")
	if err := control.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Config: &row}); err != nil {
		t.Fatal(err)
	}
	person := w.clientOf(t, "person", data)
	options := adx.Options{Prefixes: []string{"W_"}, Load: adx.LoadOriginal, Destination: func(r plan.Row) string { return "W_" + r.DestinationTable }}
	steps, err := person.Setup(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, s := range steps {
		if s.Outcome == adx.Failed {
			t.Errorf("%+v", s)
		}
		made[s.Name] = true
		if s.Name == "table MigrationConfiguration" || s.Name == "table MigrationAuditLog" || strings.HasPrefix(s.Name, "configuration ") || strings.HasPrefix(s.Name, "function Vw") {
			t.Errorf("made %s beside the data", s.Name)
		}
	}
	for _, name := range []string{"table MigrationVoidSlices", "table MigrationProbe", "table W_DeviceInfoRaw", "function W_DeviceInfoRawVisible", "table W_Own"} {
		if !made[name] {
			t.Errorf("%s is not made", name)
		}
	}
	app := w.clientOf(t, "app", data)
	if missing, err := app.Missing(t.Context(), writing("W_Own", "W_Other")); err != nil || len(missing) != 2 || missing[0].Name != "table W_Other" {
		t.Errorf("missing %+v, %v", missing, err)
	}

	// Run d2a0001 stands in the configuration; d2a0002 is nobody's.
	w.runIn(t, "data", `.set-or-append W_Own <| print dynamic({}), "d2a0001", int(1), datetime(null)`)
	if id, _, err := app.OrphanRun(t.Context(), "W_Own", "d2a0009"); err != nil || id != "" {
		t.Errorf("orphan %q, %v", id, err)
	}
	w.runIn(t, "data", `.set-or-append W_Own <| print dynamic({}), "d2a0002", int(1), datetime(null)`)
	id, command, err := app.OrphanRun(t.Context(), "W_Own", "d2a0009")
	if err != nil || id != "d2a0002" {
		t.Errorf("orphan %q, %v", id, err)
	}
	w.runIn(t, "data", command)
	if id, _, err := app.OrphanRun(t.Context(), "W_Own", "d2a0009"); err != nil || id != "" {
		t.Errorf("orphan after it was hidden: %q, %v", id, err)
	}
	// A second source of the instance with that table, and another instance's row of
	// the same words, which is of no table here.
	w.runIn(t, "data", `.set-or-append W_Own <| print dynamic({}), "d2a0003", int(1), datetime(null)`)
	other := plan.Row{SourceTable: "DeviceOther", DestinationTable: "Own", IsActive: true}
	if err := control.Deliver(t.Context(), plan.Outgoing{Tag: "t2", Config: &other}); err != nil {
		t.Fatal(err)
	}
	if id, _, err := app.OrphanRun(t.Context(), "W_Own", "d2a0009"); err != nil || id != "d2a0003" {
		t.Errorf("orphan beside another instance's row: %q, %v", id, err)
	}
	other.Instance = "WEST"
	if err := control.Deliver(t.Context(), plan.Outgoing{Tag: "t3", Config: &other}); err != nil {
		t.Fatal(err)
	}
	if id, _, err := app.OrphanRun(t.Context(), "W_Own", "d2a0009"); err != nil || id != "" {
		t.Errorf("orphan where two sources share the table: %q, %v", id, err)
	}
}

// Names of instances are compared without regard to case, by the view and by Rows.
func TestInstances_NamesInAnyLetterCase(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	app := w.client(t, "app")
	for i, name := range []string{"West", "WEST", "", "east"} {
		row := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "T" + string(rune('0'+i)), Instance: name, IsActive: true}
		if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "t" + string(rune('0'+i)), Config: &row}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := app.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.Instance+" "+r.DestinationTable)
	}
	if text := strings.Join(got, ", "); text != " T2, east T3, west T1" {
		t.Errorf("the newest rows are %s", text)
	}
	mine, err := app.Rows(t.Context(), plan.Key{Instance: "west", Source: "DeviceInfo"}, time.Time{})
	if err != nil || len(mine) != 2 || mine[0].Instance != "west" || mine[1].DestinationTable != "T1" {
		t.Errorf("rows of west: %+v, %v", mine, err)
	}
}

// A configuration is loaded for the instance that is named, whatever others have.
func TestInstances_AConfigurationOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{Load: adx.LoadOriginal})
	for _, load := range []string{adx.LoadOriginal, adx.LoadRecommended, adx.LoadOriginal} {
		w.setUp(t, adx.Options{Load: load, Instance: "west"})
	}
	rows, err := w.client(t, "app").Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range rows {
		count[r.Instance]++
	}
	if count[""] != 9 || count["west"] < 60 {
		t.Errorf("rows by instance: %v", count)
	}
}
