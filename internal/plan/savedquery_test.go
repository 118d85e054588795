package plan_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// A run has the text and the key of its query, a row has neither: what the program
// brings may change while a run is open.
func TestTable_ForRunCarriesTheQuery(t *testing.T) {
	table, err := plan.Row{SourceTable: "query/ExploitableSoftware", DestinationTable: "QueryExploitableSoftwareRaw", LoadType: "Snapshot"}.Table()
	if err != nil || table.Query.Result != "" {
		t.Fatalf("row: %+v, %v", table.Query, err)
	}
	of, err := table.ForRun()
	if err != nil || !strings.HasPrefix(of.Query.Lets, "let Known = ") || !strings.HasSuffix(of.Query.Lets, ";\n") ||
		!strings.HasPrefix(of.Query.Result, "DeviceTvmSoftwareVulnerabilities\n") || len(of.Query.Key) != 5 {
		t.Errorf("run: %+v, %v", of.Query, err)
	}
	if of, err := (plan.Table{Source: "DeviceInfo"}).ForRun(); err != nil || of.Query.Result != "" {
		t.Errorf("hunting table: %+v, %v", of.Query, err)
	}
	if _, err := (plan.Table{Source: "query/Nothing"}).ForRun(); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a query that is gone: %v", err)
	}
}

func TestTable_CheckArrivalRefusesWhatCameInAtManyTimes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		table   plan.Table
		nulls   int64
		refused bool
	}{
		{"some have none", plan.Table{Source: "query/Hosts", Load: plan.Incr}, 1, true},
		{"all have one", plan.Table{Source: "query/HostLogons", Load: plan.Incr}, 0, false},
		{"by a column", plan.Table{Source: "query/Hosts", Load: plan.Incr, WatermarkColumn: "LastSeen"}, 1, false},
		{"snapshot", plan.Table{Source: "query/Hosts", Load: plan.Snapshot}, 1, false},
		{"hunting table", plan.Table{Source: "DeviceInfo", Load: plan.Incr}, 1, false},
	} {
		if err := tt.table.CheckArrival(tt.nulls); (err != nil) != tt.refused || err != nil && (fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "name a datetime column of the result, or set LoadType to Snapshot")) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
