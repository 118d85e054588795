package adx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestSetup_RetentionOfARawTableIsThatOfTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	configure := func(row string) {
		w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (datatable (SourceTable: string, DestinationTable: string, Instance: string, Retention: string) ["+row+
			"] | extend LoadType = 'Full', IsActive = true)")
	}
	configure("'DeviceInfo', 'DeviceInfoRaw', '', '365d'")
	configure("'AlertInfo', 'SharedRaw', '', 'P90D'")
	configure("'AlertInfo', 'SharedRaw', 'two', '30d'")    // the longest counts: nobody's rows go early
	configure("'EmailEvents', 'EmailEventsRaw', '', '1h'") // faulty
	configure("'DeviceEvents', 'DeviceEventsRaw', '', ''") // as it is
	w.run(t, ".alter-merge table DeviceEventsRaw policy retention softdelete = 7d")
	app := w.client(t, "app")
	lacking := func() (names []string) {
		t.Helper()
		missing, err := app.Missing(t.Context(), []plan.Row{
			{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", Retention: "365d"}, {SourceTable: "DeviceEvents", DestinationTable: "DeviceEventsRaw"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range missing {
			names = append(names, s.Name+": "+s.Detail)
		}
		return names
	}
	if got := lacking(); !slices.Equal(got, []string{"retention of DeviceInfoRaw: the configuration says 365d"}) {
		t.Errorf("before setup %q are missing", got)
	}
	first := w.changed(t, adx.Options{})
	for _, name := range []string{"retention of DeviceInfoRaw", "retention of SharedRaw"} {
		if !slices.Contains(first, name) {
			t.Errorf("setup does %q, want %s among it", first, name)
		}
	}
	if again := w.changed(t, adx.Options{}); len(again) != 0 {
		t.Errorf("the second time setup does %q", again)
	}
	if got := lacking(); len(got) != 0 {
		t.Errorf("after setup %q are missing", got)
	}
	for table, want := range map[string]string{"DeviceInfoRaw": "365.00:00:00", "SharedRaw": "90.00:00:00", "DeviceEventsRaw": "7.00:00:00", "EmailEventsRaw": "null",
		"MigrationConfiguration": "36500.00:00:00", "MigrationAuditLog": "36500.00:00:00", "MigrationVoidSlices": "36500.00:00:00", "MigrationSchemaLog": "36500.00:00:00"} {
		if got := w.policy(t, table, "retention"); !strings.Contains(got, want) {
			t.Errorf("%s has %s, want %s", table, got, want)
		}
	}
	// What the app publishes keeps the column.
	published := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", LoadType: "Full", IsActive: true, Retention: "365d", RunID: "d2a1", Generation: 1}
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Config: &published}); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(t, "VwLatestMigrationConfiguration | where SourceTable == 'DeviceInfo' | project Retention, RunId"); !slices.Equal(got, []string{"365d|d2a1"}) {
		t.Errorf("published: %q", got)
	}
}

// policy is what the service shows of a table's policy.
func (w *world) policy(t *testing.T, table, policy string) string {
	t.Helper()
	return w.show(t, ".show table "+table+" policy "+policy, 2)
}
