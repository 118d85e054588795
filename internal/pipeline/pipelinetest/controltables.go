package pipelinetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// ControlTablesWorld is ADX without any configuration or audit row.
type ControlTablesWorld struct {
	// Open returns the control tables as one more process sees them.
	Open func() pipeline.ControlTables
	// Audits counts the audit rows there are.
	Audits func() int
	// Changes counts the columns of which a change was recorded.
	Changes func() int
	// DropChanges takes the table of changed columns away.
	DropChanges func()
}

// ControlTables tests a pipeline.ControlTables; open makes new tables for each case.
func ControlTables(t *testing.T, open func(t *testing.T) ControlTablesWorld) {
	for _, c := range []struct {
		name string
		test func(*testing.T, ControlTablesWorld)
	}{
		{"a source without rows has none", func(t *testing.T, w ControlTablesWorld) {
			if rows := rowsOf(t, w.Open(), table, time.Time{}); len(rows) != 0 {
				t.Errorf("Rows = %+v, want none", rows)
			}
		}},
		{"a configuration row comes back as it was delivered", configurationComesBack},
		{"a delivery under a known tag appends nothing", deliverOnce},
		{"an audit row is appended once", auditOnce},
		{"columns that changed are appended once, and are no other row", schemaOnce},
		{"columns that changed are refused for good where their table is not there", schemaOfNoTable},
		{"rows are the newest and those since, oldest first", rowsSince},
		{"rows of another source or instance are left out", rowsOfOneSource},
		{"a delivery of nothing, or of two rows, is permanent", deliverNothing},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func someRow(k plan.Key, n int) *plan.Row {
	at := time.Date(2026, 3, 4, 12, n, 0, 1234500, time.UTC)
	return &plan.Row{
		SourceTable: k.Source, DestinationTable: "DeviceInfoRaw", WatermarkColumn: "Timestamp", LastRefreshedTime: at, LastRefreshedTimeInString: plan.Stamp(at),
		LoadType: "Full", IsActive: true, Instance: k.Instance, Frequency: "6h", Retention: "P365D", RunID: fmt.Sprintf("app0012026030412%02d00abcdefgh", n), Generation: int64(n),
	}
}

func rowsOf(t *testing.T, c pipeline.ControlTables, k plan.Key, since time.Time) []plan.Row {
	t.Helper()
	rows, err := c.Rows(t.Context(), k, since)
	must(t, err)
	return rows
}

// wantRows compares rows but for when they came in, which must have been said and
// be in order.
func wantRows(t *testing.T, what string, got []plan.Row, want ...*plan.Row) {
	t.Helper()
	var last time.Time
	bare := []plan.Row{}
	for _, r := range got {
		if r.Ingested.IsZero() || r.Ingested.Before(last) {
			t.Errorf("%s: a row came in at %v after one of %v", what, r.Ingested, last)
		}
		last, r.Ingested = r.Ingested, time.Time{}
		bare = append(bare, r)
	}
	all := []plan.Row{}
	for _, r := range want {
		all = append(all, *r)
	}
	if diff := cmp.Diff(all, bare); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func configurationComesBack(t *testing.T, w ControlTablesWorld) {
	c := w.Open()
	must(t, c.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Config: someRow(table, 1)}))
	wantRows(t, "Rows", rowsOf(t, c, table, time.Time{}), someRow(table, 1))
}

func deliverOnce(t *testing.T, w ControlTablesWorld) {
	a, b := w.Open(), w.Open()
	must(t, a.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Config: someRow(table, 1)}))
	for _, c := range []pipeline.ControlTables{a, b} {
		must(t, c.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Config: someRow(table, 2)}))
	}
	wantRows(t, "Rows", rowsOf(t, b, table, time.Time{}), someRow(table, 1))
}

func auditOnce(t *testing.T, w ControlTablesWorld) {
	a, b := w.Open(), w.Open()
	audit := &plan.Audit{TableName: "DeviceInfoRaw", Timestamp: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), Status: plan.Skipped,
		Instance: table.Instance, SourceTable: table.Source, FailureReason: "it's \"quoted\"\nand has\tlines \\ of its own"}
	for _, c := range []pipeline.ControlTables{a, b, b} {
		must(t, c.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Audit: audit}))
	}
	if n := w.Audits(); n != 1 {
		t.Errorf("%d audit rows under one tag", n)
	}
	must(t, b.Deliver(t.Context(), plan.Outgoing{Tag: "t2", Audit: audit}))
	if n := w.Audits(); n != 2 {
		t.Errorf("%d audit rows under two tags", n)
	}
}

func someChange() *plan.SchemaChange {
	return &plan.SchemaChange{SourceTable: table.Source, Instance: table.Instance, Timestamp: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), RunID: "r1",
		Columns: []plan.Drift{{Column: "it's new", Change: plan.ColumnNew, NewType: "long"}, {Column: "Old", Change: plan.ColumnGone, OldType: "string"}}}
}

func schemaOfNoTable(t *testing.T, w ControlTablesWorld) {
	w.DropChanges()
	c := w.Open()
	wantKind(t, "Deliver", c.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Schema: someChange()}), fault.Permanent)
	must(t, c.Deliver(t.Context(), plan.Outgoing{Tag: "t2", Config: someRow(table, 1)}))
}

func schemaOnce(t *testing.T, w ControlTablesWorld) {
	a, b := w.Open(), w.Open()
	for _, c := range []pipeline.ControlTables{a, b, b} {
		must(t, c.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Schema: someChange()}))
	}
	if n := w.Changes(); n != 2 {
		t.Errorf("%d rows of changed columns under one tag, want 2", n)
	}
	if rows, n := rowsOf(t, a, table, time.Time{}), w.Audits(); len(rows) != 0 || n != 0 {
		t.Errorf("%d configuration rows and %d audit rows, want none", len(rows), n)
	}
}

func rowsSince(t *testing.T, w ControlTablesWorld) {
	c := w.Open()
	for n := range 4 {
		must(t, c.Deliver(t.Context(), plan.Outgoing{Tag: fmt.Sprint("t", n), Config: someRow(table, n)}))
	}
	all := rowsOf(t, c, table, time.Time{})
	wantRows(t, "all rows", all, someRow(table, 0), someRow(table, 1), someRow(table, 2), someRow(table, 3))
	if t.Failed() {
		return
	}
	wantRows(t, "rows since the second", rowsOf(t, c, table, all[1].Ingested), someRow(table, 2), someRow(table, 3))
	wantRows(t, "rows since the newest", rowsOf(t, c, table, all[3].Ingested), someRow(table, 3))
	wantRows(t, "rows since a later instant", rowsOf(t, c, table, all[3].Ingested.Add(time.Hour)), someRow(table, 3))
}

func rowsOfOneSource(t *testing.T, w ControlTablesWorld) {
	c := w.Open()
	elsewhere, another := plan.Key{Source: table.Source}, plan.Key{Instance: table.Instance, Source: "DeviceEvents"}
	for i, k := range []plan.Key{table, elsewhere, another} {
		must(t, c.Deliver(t.Context(), plan.Outgoing{Tag: fmt.Sprint("t", i), Config: someRow(k, i)}))
	}
	for i, k := range []plan.Key{table, elsewhere, another} {
		wantRows(t, "Rows of "+k.String(), rowsOf(t, c, k, time.Time{}), someRow(k, i))
	}
}

func deliverNothing(t *testing.T, w ControlTablesWorld) {
	c := w.Open()
	wantKind(t, "Deliver of nothing", c.Deliver(t.Context(), plan.Outgoing{Tag: "t1"}), fault.Permanent)
	wantKind(t, "Deliver of two", c.Deliver(t.Context(), plan.Outgoing{Tag: "t2", Config: someRow(table, 1), Audit: &plan.Audit{Status: plan.Failed}}), fault.Permanent)
	wantKind(t, "Deliver of two with columns", c.Deliver(t.Context(), plan.Outgoing{Tag: "t3", Config: someRow(table, 1), Schema: someChange()}), fault.Permanent)
	if rows, n := rowsOf(t, c, table, time.Time{}), w.Audits(); len(rows) != 0 || n != 0 || w.Changes() != 0 {
		t.Errorf("%d configuration rows, %d audit rows and %d changes, want none", len(rows), n, w.Changes())
	}
}
