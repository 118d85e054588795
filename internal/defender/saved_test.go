package defender_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/savedquery"
)

// Every saved query is asked of the sample tenant as it recommends: it finds something,
// each part holds as many rows as were counted in it, all together once the whole, with
// the columns that the file promises.
func TestClient_SavedQueriesAreCountedAndCopied(t *testing.T) {
	data, err := tenant.Generate(tenant.Options{Seed: 1, Scale: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	c := emulated(t, data)
	for _, q := range savedquery.All() {
		t.Run(q.Name, func(t *testing.T) {
			table, err := plan.Table{Source: q.Source(), Load: plan.LoadType(q.Load), WatermarkColumn: q.Watermark}.ForRun()
			if err != nil {
				t.Fatal(err)
			}
			window := plan.Window{From: data.Now().Add(-30 * 24 * time.Hour), To: data.Now()}
			counts, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: table, Window: window, Bin: 6 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			parts := plan.Whole(plan.PartAll, counts.Buckets)
			if table.Load != plan.Snapshot {
				parts = plan.Cells(window, counts.Bins, 6*time.Hour)
			}
			if counts.Rows() == 0 || counts.Nulls > counts.Rows()/100 {
				t.Fatalf("%d rows, %d without a watermark", counts.Rows(), counts.Nulls)
			}
			parts = append(parts[:0:0], parts[0], parts[len(parts)-1])
			for _, part := range parts {
				var rows bytes.Buffer
				got, err := fetchInto(t.Context(), c, table, part, &rows)
				if err != nil || got.Rows != part.Rows {
					t.Errorf("%v: counted %d, fetched %d: %v", part, part.Rows, got.Rows, err)
				}
			}
			whole := plan.Slice{Part: plan.PartAll, Hi: plan.Buckets}
			var rows bytes.Buffer
			if _, err := fetchInto(t.Context(), c, table, whole, &rows); err != nil {
				t.Fatal(err)
			}
			columns(t, q, rows.Bytes())
		})
	}
}

// columns compares the members of the rows with the columns that a query promises.
func columns(t *testing.T, q savedquery.Query, rows []byte) {
	t.Helper()
	unpacked, err := gzip.NewReader(bytes.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		var row map[string]any
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		for name := range row {
			seen[name] = true
		}
	}
	var want []string
	for _, c := range q.Columns {
		want = append(want, c.Name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(seen))); diff != "" {
		t.Errorf("columns (-promised +given):\n%s", diff)
	}
}
