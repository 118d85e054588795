package adx_test

import (
	"slices"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestMissing_NamesWhatTheViewsOfConfiguredTablesLack(t *testing.T) {
	rounds.Long(t)
	w := newWorld(t)
	w.run(t, ".create table AlertEvidence (Mine: string)")
	w.setUp(t, adx.Options{Typed: []string{"DeviceEvents"}, Tables: []string{"OtherRaw"}})
	rows := []plan.Row{{SourceTable: "AlertInfo", DestinationTable: "AlertInfoRaw"}, {SourceTable: "AlertEvidence", DestinationTable: "AlertEvidenceRaw"},
		{SourceTable: "DeviceEvents", DestinationTable: "DeviceEventsRaw"}}
	app := w.client(t, "app")
	lacks := func(want ...string) {
		t.Helper()
		missing, err := app.Missing(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range missing {
			got = append(got, s.Name+": "+s.Detail)
			if s.Outcome != adx.Missing || s.Remedy == "" {
				t.Errorf("got %+v", s)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("missing %q, want %q", got, want)
		}
	}
	lacks()
	w.run(t, ".drop function AlertInfo", ".alter table DeviceEventsTyped policy update '[]'")
	lacks("view AlertInfo: no function shows AlertInfoRaw with columns and types", "update policy of DeviceEventsTyped: nothing fills it from DeviceEventsRaw")
	w.setUp(t, adx.Options{ViewPrefix: "Hunting"})
	w.setUp(t, adx.Options{})
	lacks()
	w.run(t, ".drop function AlertInfo")
	lacks() // there is one of another name
	change := plan.SchemaChange{SourceTable: "AlertInfo", Timestamp: time.Now(), Columns: []plan.Drift{{Column: "Odd", Change: plan.ColumnNew, NewType: "long"}}}
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Schema: &change}); err != nil {
		t.Fatal(err)
	}
	rows[0].DestinationTable = "OtherRaw"
	lacks("view AlertInfo: HuntingAlertInfo does not read OtherRaw", "view AlertInfo: HuntingAlertInfo lacks columns that Defender has added: Odd")
}
