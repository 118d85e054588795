package main

import (
	"testing"

	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/internal/defender"
)

// What the tenant was not asked for is neither offered nor refused.
func TestTables_TellOfHuntingTablesAlone(t *testing.T) {
	offers := map[string]defender.Offer{"DeviceInfo": {Rows: 5, Columns: 3}}
	for _, tt := range []struct{ source, state string }{
		{"DeviceInfo", "on"}, {"DeviceEvents", "not offered"}, {"api/machines", "on"}, {"api/machines/SoftwareVulnerabilitiesExport", "on"}, {"query/Hosts", "on"},
	} {
		l := listed{Table: tables.Table{Source: tt.source, Active: true}, Configured: true}
		l.tell(offers)
		if got := l.state(); got != tt.state {
			t.Errorf("%s is %q, want %q", tt.source, got, tt.state)
		}
	}
}
