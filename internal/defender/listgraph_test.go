package defender_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Alerts and incidents in the shape that Graph documents: what evidence is stays with it,
// notes of types of a plain member do not, comments stay nested, and a row's version is
// its last update. The samples are ours.
func TestLists_OfGraphInTheDocumentedShape(t *testing.T) {
	for source, c := range map[string]struct {
		file   string
		newest time.Time
		types  int // of objects
	}{
		"security/alerts_v2": {"testdata/graph-alerts_v2-200.json", time.Date(2026, 3, 2, 9, 19, 27, 770_000_000, time.UTC), 6},
		"security/incidents": {"testdata/graph-incidents-200.json", time.Date(2026, 2, 28, 9, 35, 45, 113_333_300, time.UTC), 2},
	} {
		text, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		moved := strings.Replace(string(text), `"lastUpdateDateTime": "2026-02-14T00:00:01Z"`, `"lastUpdateDateTime": "2026-02-15T00:00:01Z"`, 1)
		l, s, _ := startLists(t, "rest-graph", status(200, string(text)), status(200, moved))
		rows, answer, err := readList(t, l, plan.ListQuery{Table: plan.Table{Source: source, WatermarkColumn: "lastUpdateDateTime", Load: plan.Incr}, From: now, Reads: 2})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		var sample struct{ Value []map[string]any }
		if err := json.Unmarshal(text, &sample); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{}
		for _, v := range sample.Value {
			want[v["id"].(string)+" "+v["lastUpdateDateTime"].(string)] = v
			if details, ok := v["customDetails"].(map[string]any); ok {
				delete(details, "Case@odata.type")
			}
		}
		if moved != string(text) {
			again := map[string]any{}
			for k, v := range sample.Value[1] {
				again[k] = v
			}
			again["lastUpdateDateTime"] = "2026-02-15T00:00:01Z"
			want["4102 2026-02-15T00:00:01Z"] = again
		}
		got, types := map[string]any{}, 0
		for _, row := range rows {
			var v map[string]any
			if err := json.Unmarshal([]byte(row), &v); err != nil {
				t.Fatalf("%s: %v", source, err)
			}
			got[v["id"].(string)+" "+v["lastUpdateDateTime"].(string)] = v
			types += strings.Count(row, `"@odata.type"`)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", source, diff)
		}
		if !answer.Shown.Newest().Equal(c.newest) || types != c.types || s.count() != 2 {
			t.Errorf("%s: newest %v, %d objects with a type, %d calls", source, answer.Shown.Newest(), types, s.count())
		}
	}
}
