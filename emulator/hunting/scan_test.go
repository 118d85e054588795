package hunting_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/compare"
	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// plain is a catalog that reads everything for every query.
type plain struct{ *tenant.Tenant }

func (p plain) Table(name string) (engine.Source, bool) { return p.Source(name, tenant.View{}) }
func (plain) Function(string) (*engine.Function, bool)  { return nil, false }

// What the server saves by reading less must not show in any answer.
func TestNarrowing_NeverChangesAnAnswer(t *testing.T) {
	tn, err := tenant.Generate(tenant.Options{Scale: 0.03, Now: now, Only: []string{"DeviceEvents", "DeviceInfo", "DeviceTvmSoftwareInventory"}, NullIngestion: []string{"DeviceInfo"}})
	if err != nil {
		t.Fatal(err)
	}
	server := newWorld(t, func(o *hunting.Options) {
		o.Awkward.PlainNulls = true // as the engine writes them
		o.Tenant = tn
		o.Limits = map[hunting.API]hunting.Limits{hunting.Graph: {}}
	})
	const (
		from = "datetime(2026-11-18T00:00:00.0000000Z)"
		to   = "datetime(2026-11-19T06:30:00.0000000Z)"
	)
	key := "hash(strcat(tostring(['DeviceId']), '|', tostring(['ReportId'])), 65536)"
	tests := []struct {
		name, query string
		empty       bool
	}{
		{"window", "['DeviceEvents'] | where ingestion_time() > " + from + " and ingestion_time() <= " + to, false},
		{"window by columns", "DeviceEvents | where ingestion_time() >= " + from + " and ingestion_time() < " + to + " and ActionType startswith 'A'", false},
		{"buckets", "['DeviceEvents'] | where ingestion_time() <= " + to + " | where " + key + " between (0 .. 20000)", false},
		{"whole row buckets", "DeviceTvmSoftwareInventory | where hash(tostring(pack_all()), 65536) between (0 .. 30000)", false},
		{"planning", "let d2a_from = " + from + ";\nlet d2a_to = min_of(" + to + ", now() - 3600s);\n" +
			"print Kind = 'clock', Bin = datetime(null), Rows = long(0), Now = now(), To = d2a_to\n" +
			"| union (['DeviceEvents'] | where isnull(ingestion_time()) or ingestion_time() > d2a_from | summarize Rows = count() by Kind = case(isnull(ingestion_time()), 'null', ingestion_time() > d2a_to, 'later', 'window')," +
			" Bin = iff(ingestion_time() > d2a_to, datetime(null), bin(ingestion_time() - 1tick, 3600s)))", false},
		{"planning without ingestion times", "let d2a_from = " + from + "; print Kind = 'clock' | union (DeviceInfo | where isnull(ingestion_time()) or ingestion_time() > d2a_from | summarize Rows = count() by Kind = 'x')", false},
		{"tally", "['DeviceEvents'] | where ingestion_time() > " + from + " and ingestion_time() <= " + to + " | summarize Rows = count() by Part = long(0), Bucket = " + key + " / 8192\n" +
			"| union (['DeviceEvents'] | where ingestion_time() <= " + from + " | summarize Rows = count() by Part = long(1), Bucket = long(0)),\n (DeviceEvents | where isnull(Timestamp) | summarize Rows = count() by Part = long(2), Bucket = long(0))", false},
		{"or", "DeviceEvents | where ingestion_time() > " + to + " or ActionType == 'DriverLoad' | project DeviceId, ActionType", false},
		{"or in brackets", "DeviceEvents | where (ingestion_time() > " + to + " or ActionType == 'DriverLoad') and ingestion_time() > " + from + " | count", false},
		{"where behind take", "DeviceEvents | take 20 | where ingestion_time() > " + to + " | count", false},
		{"time of a watermark column", "['DeviceEvents'] | where ['Timestamp'] > " + from + " and ['Timestamp'] <= " + to + " | summarize n = count(), m = max(Timestamp) by DeviceName | sort by n desc, DeviceName asc | take 5", false},
		{"union of two tables", "union (DeviceEvents | where ReportId < 3), (DeviceInfo | where ReportId < 3)", false},
		{"join", "DeviceEvents | where ingestion_time() > " + to + " | summarize n = count() by DeviceId | join kind=inner (DeviceInfo | where OSBuild > 20000 | distinct DeviceId, OSPlatform) on DeviceId | sort by DeviceId asc, OSPlatform asc", false},
		{"arg_max", "DeviceInfo | summarize arg_max(Timestamp, *) by DeviceId | sort by DeviceId asc | take 3", false},
		{"named table", "let T = DeviceEvents | where ingestion_time() > " + to + "; T | where ReportId > 100 | project ReportId, ActionType, AdditionalFields", false},
		{"name of a table taken", "let DeviceInfo = DeviceEvents | where ReportId < 3; DeviceInfo | where isnotempty(ActionType) | project ActionType", false},
		{"extend", "DeviceEvents | where ReportId < 5 | extend Hour = bin(Timestamp, 1h)", false},
		{"dynamic path", "DeviceEvents | where tostring(parse_json(AdditionalFields).IsAudit) == 'false' | project AdditionalFields", false},
		{"sorted", "DeviceEvents | where ReportId < 30 | sort by ReportId asc, DeviceId asc | take 7", false},
		{"in a subquery", "DeviceInfo | where DeviceId in ((DeviceEvents | where ingestion_time() > " + to + " | project DeviceId)) | project DeviceName", false},
		{"nothing", "DeviceEvents | where ingestion_time() > now()", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := engine.Run(t.Context(), engine.Query{Text: tt.query, Catalog: plain{tn}, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, r := range res.Rows {
				if r.Raw != nil {
					want = append(want, string(r.Raw))
					continue
				}
				b := []byte{'{'}
				for i, c := range res.Columns {
					if i > 0 {
						b = append(b, ',')
					}
					b = append(engine.FormatJSON(b, engine.TypeString, c.Name), ':')
					b = engine.FormatJSON(b, c.Type, r.Values[i])
				}
				want = append(want, string(append(b, '}')))
			}
			if (len(want) == 0) != tt.empty {
				t.Fatalf("%d rows", len(want))
			}
			r := server.graph(tt.query)
			if r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			_, got, _ := strings.Cut(r.body, `,"results":`)
			if diff := cmp.Diff(got, "["+strings.Join(want, ",")+"]}"); diff != "" {
				t.Errorf("%.1500s", diff)
			}
		})
	}
}

func TestSamples_AreServedAsTheyStand(t *testing.T) {
	dir := sampledata.Path(t, "defender-samples")
	tn, err := tenant.Load(dir, tenant.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Byte for byte where nulls go out as null; as the handler passes rows where Graph
	// writes some of them as {}.
	exact := newWorld(t, func(o *hunting.Options) { o.Tenant, o.Awkward.PlainNulls = tn, true })
	w := newWorld(t, func(o *hunting.Options) { o.Tenant = tn })
	files, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		table := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		query := "['" + table + "'] | where ingestion_time() > ago(30d)"
		rows := results(t, exact.graph(query))
		total += len(rows)
		if got := append(bytes.Join(rows, []byte("\n")), '\n'); !bytes.Equal(got, text) {
			t.Errorf("%s differs", table)
		}
		want, err := compare.CollectSource(table, slices.Values(rows))
		if err != nil {
			t.Fatal(err)
		}
		got, err := compare.CollectSource(table, slices.Values(results(t, w.graph(query))))
		if r := compare.Compare(want, got); err != nil || !r.OK() {
			t.Errorf("%s with the nulls of Graph: %+v, %v", table, r, err)
		}
	}
	if total != 1632 {
		t.Errorf("%d records, want 1632", total)
	}
	if r := w.graph("SecurityAlert | where TimeGenerated > datetime(2024-07-01) | count"); !strings.Contains(r.body, `{"Count":`) || strings.Contains(r.body, `{"Count":0}`) {
		t.Error(r.body)
	}
	if r := w.graph("DeviceProcessEvents | where ProcessCreationTime between (datetime(2021-06-24) .. datetime(2021-06-25)) | count"); strings.Contains(r.body, `{"Count":0}`) {
		t.Error(r.body)
	}
}

// results are the rows of an answer, as they came.
func results(t *testing.T, r reply) [][]byte {
	t.Helper()
	var doc struct{ Results []json.RawMessage }
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil || r.status != 200 {
		t.Fatalf("status %d, %v", r.status, err)
	}
	rows := make([][]byte, len(doc.Results))
	for i, row := range doc.Results {
		rows[i] = row
	}
	return rows
}
