package defender

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
)

var (
	march1 = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	march2 = time.Date(2026, 3, 2, 0, 0, 0, 100, time.UTC)
	march  = plan.Window{From: march1, To: march2}
	opened = plan.Window{To: march2}
)

// The texts are what the service is asked; a change here is a change of what is
// copied.
func TestQueries_AreWhatTheServiceIsAsked(t *testing.T) {
	events := plan.Table{Source: "DeviceInfo"}
	tvm := plan.Table{Source: "DeviceTvmSoftwareVulnerabilities", Load: plan.Snapshot}
	alerts := plan.Table{Source: "AlertEvidence", Load: plan.Snapshot}
	text := plan.Table{Source: "DeviceTvmSoftwareEvidenceBeta", WatermarkColumn: "LastSeenTime"}
	dated := plan.Table{Source: "DeviceTvmBrowserExtensions", WatermarkColumn: "InstallationTime"}
	unknown := plan.Table{Source: "NewTable"}
	saved := plan.Table{Source: "query/Late", WatermarkColumn: "At", Query: plan.SavedQuery{
		Lets: "let late = 1d;\n", Result: "DeviceInfo\n| project DeviceId, At = Timestamp + late", Key: []string{"DeviceId"},
	}}
	keyless := plan.Table{Source: "query/All", Load: plan.Snapshot, Query: plan.SavedQuery{Result: "DeviceInfo"}}
	const lateQuery = "let late = 1d;\nlet d2a_query = (DeviceInfo\n| project DeviceId, At = Timestamp + late);\n"
	const lateBucket = `hash(strcat(tostring(column_ifexists("DeviceId", ''))), 65536)`
	const deviceBucket = `hash(strcat(tostring(column_ifexists("DeviceId", '')), '|', tostring(column_ifexists("Timestamp", '')), '|', tostring(column_ifexists("ReportId", ''))), 65536)`
	const tvmBucket = `hash(strcat(tostring(column_ifexists("DeviceId", '')), '|', tostring(column_ifexists("SoftwareVendor", '')), '|', tostring(column_ifexists("SoftwareName", '')), '|', tostring(column_ifexists("SoftwareVersion", '')), '|', tostring(column_ifexists("CveId", ''))), 65536)`
	tvmSum := strings.Replace(tvmBucket, "65536", "2147483647", 1)
	tests := []struct{ name, got, want string }{
		{
			"window by arrival",
			countWindowQuery(plan.CountQuery{Table: events, Window: march, Settle: time.Hour, Bin: time.Hour}),
			`let d2a_from = datetime(2026-03-01T00:00:00.0000000Z);
let d2a_to = min_of(datetime(2026-03-02T00:00:00.0000001Z), now() - 3600s);
print Kind = 'clock', Bin = datetime(null), Rows = long(0), Now = now(), To = d2a_to
| union (['DeviceInfo'] | where isnull(ingestion_time()) or ingestion_time() > d2a_from | summarize Rows = count() by Kind = case(isnull(ingestion_time()), 'null', ingestion_time() > d2a_to, 'later', 'window'), Bin = iff(ingestion_time() > d2a_to, datetime(null), bin(ingestion_time() - 1tick, 3600s)))`,
		},
		{
			"window without a beginning, by a column",
			countWindowQuery(plan.CountQuery{Table: dated, Window: opened, Bin: 24 * time.Hour}),
			`let d2a_to = min_of(datetime(2026-03-02T00:00:00.0000001Z), now() - 0s);
print Kind = 'clock', Bin = datetime(null), Rows = long(0), Now = now(), To = d2a_to
| union (['DeviceTvmBrowserExtensions'] | summarize Rows = count() by Kind = case(isnull(['InstallationTime']), 'null', ['InstallationTime'] > d2a_to, 'later', 'window'), Bin = iff(['InstallationTime'] > d2a_to, datetime(null), bin(['InstallationTime'] - 1tick, 86400s)))`,
		},
		{
			"snapshot by a key",
			countSnapshotQuery(tvm, true),
			`print Kind = 'clock', Bucket = long(null), Rows = long(0), Now = now(), Newest = datetime(null), Checksum = ''
| union (['DeviceTvmSoftwareVulnerabilities'] | summarize Rows = count(), Newest = max(ingestion_time()), Checksum = tostring(sum(` + tvmSum + `)) by Bucket = hash(strcat(tostring(column_ifexists("DeviceId", '')), '|', tostring(column_ifexists("SoftwareVendor", '')), '|', tostring(column_ifexists("SoftwareName", '')), '|', tostring(column_ifexists("SoftwareVersion", '')), '|', tostring(column_ifexists("CveId", ''))), 65536) / 256)`,
		},
		{
			"snapshot without a key",
			countSnapshotQuery(alerts, true),
			`print Kind = 'clock', Bucket = long(null), Rows = long(0), Now = now(), Newest = datetime(null), Checksum = ''
| union (['AlertEvidence'] | summarize Rows = count(), Newest = max(ingestion_time()), Checksum = tostring(sum(hash(tostring(pack_all()), 2147483647))) by Bucket = hash(tostring(pack_all()), 65536) / 256)`,
		},
		{
			"snapshot whose arrival cannot be asked for",
			countSnapshotQuery(alerts, false),
			`print Kind = 'clock', Bucket = long(null), Rows = long(0), Now = now(), Newest = datetime(null), Checksum = ''
| union (['AlertEvidence'] | summarize Rows = count(), Checksum = tostring(sum(hash(tostring(pack_all()), 2147483647))) by Bucket = hash(tostring(pack_all()), 65536) / 256)`,
		},
		{
			"one part counted whole",
			bucketsQuery(events, []plan.Slice{{Part: plan.PartWindow, Window: march, Hi: plan.Buckets}}, plan.Buckets),
			`['DeviceInfo'] | where ingestion_time() > datetime(2026-03-01T00:00:00.0000000Z) and ingestion_time() <= datetime(2026-03-02T00:00:00.0000001Z) | summarize Rows = count() | extend Bucket = long(0) | extend Part = long(0)`,
		},
		{
			"parts counted by ranges",
			bucketsQuery(events, []plan.Slice{
				{Part: plan.PartAll, Lo: 0, Hi: 512}, {Part: plan.PartAll, Lo: 512, Hi: 1024}, {Part: plan.PartNull, Hi: plan.Buckets},
			}, 256),
			`['DeviceInfo'] | where ` + deviceBucket + ` between (0 .. 511) | summarize Rows = count() by Bucket = ` + deviceBucket + ` / 256 | extend Part = long(0)
| union (['DeviceInfo'] | where ` + deviceBucket + ` between (512 .. 1023) | summarize Rows = count() by Bucket = ` + deviceBucket + ` / 256 | extend Part = long(1)),
    (['DeviceInfo'] | where isnull(ingestion_time()) | summarize Rows = count() by Bucket = ` + deviceBucket + ` / 256 | extend Part = long(2))`,
		},
		{"fetch all", fetchQuery(tvm, plan.Slice{Part: plan.PartAll, Hi: plan.Buckets}), `['DeviceTvmSoftwareVulnerabilities']`},
		{
			"fetch a window's buckets", fetchQuery(unknown, plan.Slice{Part: plan.PartWindow, Window: march, Lo: 32768, Hi: plan.Buckets}),
			`['NewTable'] | where ingestion_time() > datetime(2026-03-01T00:00:00.0000000Z) and ingestion_time() <= datetime(2026-03-02T00:00:00.0000001Z) | where hash(tostring(pack_all()), 65536) between (32768 .. 65535)`,
		},
		{
			"fetch a window without a beginning, time as text", fetchQuery(text, plan.Slice{Part: plan.PartWindow, Window: opened, Hi: plan.Buckets}),
			`['DeviceTvmSoftwareEvidenceBeta'] | where todatetime(['LastSeenTime']) <= datetime(2026-03-02T00:00:00.0000001Z)`,
		},
		{
			"window of a saved query",
			countWindowQuery(plan.CountQuery{Table: saved, Window: march, Settle: time.Hour, Bin: time.Hour}),
			lateQuery + `let d2a_from = datetime(2026-03-01T00:00:00.0000000Z);
let d2a_to = min_of(datetime(2026-03-02T00:00:00.0000001Z), now() - 3600s);
print Kind = 'clock', Bin = datetime(null), Rows = long(0), Now = now(), To = d2a_to
| union (d2a_query | where isnull(['At']) or ['At'] > d2a_from | summarize Rows = count() by Kind = case(isnull(['At']), 'null', ['At'] > d2a_to, 'later', 'window'), Bin = iff(['At'] > d2a_to, datetime(null), bin(['At'] - 1tick, 3600s)))`,
		},
		{
			"snapshot of a saved query without a key",
			countSnapshotQuery(keyless, false),
			`let d2a_query = (DeviceInfo);
print Kind = 'clock', Bucket = long(null), Rows = long(0), Now = now(), Newest = datetime(null), Checksum = ''
| union (d2a_query | summarize Rows = count(), Checksum = tostring(sum(hash(tostring(pack_all()), 2147483647))) by Bucket = hash(tostring(pack_all()), 65536) / 256)`,
		},
		{
			"a part of a snapshot counted by ranges",
			bucketsQuery(tvm, []plan.Slice{{Part: plan.PartAll, Hi: 4096}}, 16),
			`['DeviceTvmSoftwareVulnerabilities'] | where ` + tvmBucket + ` between (0 .. 4095) | summarize Rows = count(), Checksum = tostring(sum(` + tvmSum + `)) by Bucket = ` + tvmBucket + ` / 16 | extend Part = long(0)`,
		},
		{
			"parts of a snapshot counted whole",
			bucketsQuery(alerts, []plan.Slice{{Part: plan.PartAll, Hi: 4096}, {Part: plan.PartAll, Lo: 4096, Hi: 8192}}, plan.Buckets),
			`['AlertEvidence'] | where hash(tostring(pack_all()), 65536) between (0 .. 4095) | summarize Rows = count(), Checksum = tostring(sum(hash(tostring(pack_all()), 2147483647))) | extend Bucket = long(0) | extend Part = long(0)
| union (['AlertEvidence'] | where hash(tostring(pack_all()), 65536) between (4096 .. 8191) | summarize Rows = count(), Checksum = tostring(sum(hash(tostring(pack_all()), 2147483647))) | extend Bucket = long(0) | extend Part = long(1))`,
		},
		{
			"parts of a saved query",
			bucketsQuery(saved, []plan.Slice{{Part: plan.PartAll, Lo: 0, Hi: 512}, {Part: plan.PartNull, Hi: plan.Buckets}}, 256),
			lateQuery + `d2a_query | where ` + lateBucket + ` between (0 .. 511) | summarize Rows = count() by Bucket = ` + lateBucket + ` / 256 | extend Part = long(0)
| union (d2a_query | where isnull(['At']) | summarize Rows = count() by Bucket = ` + lateBucket + ` / 256 | extend Part = long(1))`,
		},
		{
			"fetch a window of a saved query", fetchQuery(saved, plan.Slice{Part: plan.PartWindow, Window: march, Hi: plan.Buckets}),
			lateQuery + `d2a_query | where ['At'] > datetime(2026-03-01T00:00:00.0000000Z) and ['At'] <= datetime(2026-03-02T00:00:00.0000001Z)`,
		},
		{
			"fetch rows without a watermark", fetchQuery(dated, plan.Slice{Part: plan.PartNull, Hi: plan.Buckets}),
			`['DeviceTvmBrowserExtensions'] | where isnull(['InstallationTime'])`,
		},
	}
	var sent []string
	for _, tt := range tests {
		sent = append(sent, tt.got)
	}
	written, err := json.MarshalIndent(sent, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	// For the check by Microsoft's parser.
	if golden, err := os.ReadFile("testdata/sent.json"); err != nil || strings.TrimSpace(string(golden)) != string(written) {
		if os.Getenv("D2A_UPDATE") != "1" {
			t.Errorf("testdata/sent.json is not what these queries are (%v); run with D2A_UPDATE=1", err)
		} else if err := os.WriteFile("testdata/sent.json", append(written, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
		})
	}
}

// The service takes an empty line for the end of a query: what follows would be left
// out without a word. testdata/sent.json has one query of each form.
func TestScenario_C9_NoQueryHasAnEmptyLine(t *testing.T) {
	written, err := os.ReadFile("testdata/sent.json")
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	if err := json.Unmarshal(written, &sent); err != nil || len(sent) == 0 {
		t.Fatalf("%d queries, %v", len(sent), err)
	}
	for _, text := range sent {
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) == "" {
				t.Errorf("the query has an empty line: %q", text)
			}
		}
		if strings.TrimSpace(text) != text {
			t.Errorf("the query begins or ends with blanks: %q", text)
		}
	}
}
