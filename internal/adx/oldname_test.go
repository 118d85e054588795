package adx_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// withFunctions is a world with the control tables and the functions over them alone.
func withFunctions(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.provide(t)
	w.run(t, adx.FunctionScripts()...)
	return w
}

// The views know every name of old that the program knows, and no other.
func TestNames_OfOldAreThoseOfTheProgram(t *testing.T) {
	w := withFunctions(t)
	for _, table := range schema.Catalogue() {
		for _, name := range plan.NamesOf(table.Name) {
			if got := w.ask(t, "print MigrationTodaysName('"+name+"')"); !slices.Equal(got, []string{table.Name}) {
				t.Errorf("%s is %q, want %s", name, got, table.Name)
			}
		}
	}
	if got := w.ask(t, "print MigrationTodaysName('miscEVENTS'), MigrationTodaysName('deviceinfo'), MigrationTodaysName('')"); !slices.Equal(got, []string{"DeviceEvents|deviceinfo|"}) {
		t.Errorf("%q", got)
	}
}

// A torn snapshot shows where the newest whole one is older than twice the schedule,
// whatever name the configuration has the table by.
func TestSnapshots_GoByTheScheduleOfEitherName(t *testing.T) {
	ago := func(days int) string {
		return time.Now().UTC().AddDate(0, 0, -days).Format("2006-01-02T15:04:05.0000000Z")
	}
	type row struct {
		source, frequency string
		active            bool
	}
	tests := []struct {
		name string
		rows []row // oldest first
		want string
	}{
		{"none", nil, "d2atorn"},
		{"today's", []row{{"DeviceInfo", "7d", true}}, "d2awhole"},
		{"of old", []row{{"MachineInfo", "7d", true}}, "d2awhole"},
		{"of old in another letter case", []row{{"machineinfo", "P7D", true}}, "d2awhole"},
		{"of another table", []row{{"MachineNetworkInfo", "7d", true}}, "d2atorn"},
		{"the newer row of a name", []row{{"MachineInfo", "7d", true}, {"MachineInfo", "1d", true}}, "d2atorn"},
		{"of old, switched off since", []row{{"DeviceInfo", "7d", true}, {"MachineInfo", "1d", false}}, "d2awhole"},
		{"today's, switched off since", []row{{"MachineInfo", "7d", true}, {"DeviceInfo", "1d", false}}, "d2awhole"},
	}
	for _, tc := range tests {
		w := withFunctions(t)
		for _, r := range tc.rows {
			w.run(t, fmt.Sprintf(".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = '%s', Frequency = '%s', IsActive = %v)", r.source, r.frequency, r.active))
		}
		w.audit(t, "DeviceInfo", "", "d2awhole", "Success", ago(5))
		w.audit(t, "DeviceInfo", "", "d2atorn", "Torn", ago(1))
		if got := w.ask(t, "MigrationSnapshot('DeviceInfo', now()) | project RunId"); !slices.Equal(got, []string{tc.want}) {
			t.Errorf("name %s: %q, want %s", tc.name, got, tc.want)
		}
	}
}
