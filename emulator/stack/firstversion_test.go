package stack_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// document is a stored document of the first version (commit 868dea7), with members changed.
func document(t *testing.T, file string, changes map[string]any) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../internal/state/testdata/868dea7", file))
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range changes {
		if _, there := members[name]; !there {
			t.Fatalf("the first version stored no %s in %s", name, file)
		}
		members[name] = value
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Storage and database as the first version leaves them when it is killed in mid-run: a
// slice verified, one that has arrived and was not looked at yet, one not fetched. The
// handler ends that very run: nothing is repeated, nothing missing, and the audit row is
// of it, with the notes that it had.
func TestUpgrade_EndsARunOfTheFirstVersion(t *testing.T) {
	rounds.Long(t)
	const table, run = "DeviceEvents", "app00120261103120000cccccccc"
	data := events(t, table, 300)
	s := start(t, data, stack.Options{})
	script, err := os.ReadFile("../../internal/adx/testdata/868dea7/setup.kql")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range adx.SplitScript(string(script)) {
		s.command(command)
	}
	s.command(".create-merge table DeviceEventsRaw (Records: dynamic, RunId: string, Slice: int, SnapshotTime: datetime)")
	s.command(`.append MigrationConfiguration <| print "DeviceEvents", "DeviceEventsRaw", "Timestamp", datetime(1900-01-01), "", "Full", true, "", "", "", long(null)`)

	now := time.Now().UTC().Truncate(time.Second)
	from := now.Add(-40 * 24 * time.Hour)
	edges := []time.Time{from, now.Add(-96 * time.Hour), now.Add(-72 * time.Hour), now}
	parts := make([]strings.Builder, 3)
	rows := [3]int{}
	for text := range data.Rows(table) {
		var r struct{ Timestamp time.Time }
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		for i := range parts {
			if r.Timestamp.After(edges[i]) && !r.Timestamp.After(edges[i+1]) {
				parts[i].Write(append(text, '\n'))
				rows[i]++
			}
		}
	}
	if rows[0] == 0 || rows[1] == 0 || rows[2] == 0 || rows[0]+rows[1]+rows[2] != 300 {
		t.Fatalf("rows of the slices: %v", rows)
	}
	states := [3]string{"verified", "committing", "planned"}
	var slices []map[string]any
	for i, state := range states {
		slice := map[string]any{"No": i + 1, "Part": "window", "Window": plan.Window{From: edges[i], To: edges[i+1]}, "Lo": 0, "Hi": plan.Buckets,
			"Rows": rows[i], "State": state, "Blob": plan.Blob{}, "Sent": time.Time{}, "Sends": 0, "Failed": false, "Landed": 0, "Voids": 0, "Refetch": false, "Cut": 0}
		if state != "planned" {
			slice["Blob"] = plan.Blob{Path: fmt.Sprintf("https://store.blob.example/staging/s%d.json.gz", i+1), Rows: int64(rows[i]), Bytes: 1}
			slice["Sent"], slice["Sends"] = now.Add(-time.Minute), 1
			s.command(fmt.Sprintf(`.ingest inline into table DeviceEventsRaw with (format = "json", tags = '["ingest-by:%s"]', ingestionMapping = `+
				`'[{"Column": "Records", "Properties": {"Path": "$"}}, {"Column": "RunId", "Properties": {"ConstValue": "%s"}}, {"Column": "Slice", "Properties": {"ConstValue": "%d"}}]') <|`+"\n%s",
				plan.IngestTag(run, i+1), run, i+1, parts[i].String()))
		}
		if state == "verified" {
			slice["Landed"] = rows[i]
		}
		slices = append(slices, slice)
	}
	configured := map[string]any{"Instance": "", "Source": table, "Destination": "DeviceEventsRaw", "WatermarkColumn": "Timestamp", "Load": "Full", "Active": true,
		"LastRefreshed": "1900-01-01T00:00:00Z", "Frequency": "", "RunID": "", "Generation": 0, "Ingested": now.Add(-time.Hour)}
	ledger := document(t, "ledger.json", map[string]any{"RunID": run, "Instance": "", "Table": configured, "Started": now.Add(-2 * time.Minute), "Window": plan.Window{From: from, To: now},
		"More": false, "Nulls": 0, "Rewind": nil, "Probe": "", "ProbeSent": time.Time{}, "Next": 4, "Slices": slices})
	state := document(t, "state.json", map[string]any{"Instance": "", "Source": table, "Watermark": time.Time{}, "OpenRun": run, "LastRun": "", "NotBefore": time.Time{}, "Nulls": -1,
		"Settled": time.Time{}, "Restarts": 0, "Rewind": nil, "Command": now, "Table": configured, "Published": nil, "Outbox": nil})
	client, err := azblob.NewClientFromConnectionString(s.StorageConnection, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), "defender2adx", nil); err != nil {
		t.Fatal(err)
	}
	text := func(s string) *string { return &s }
	for name, stored := range map[string]struct {
		body     []byte
		metadata map[string]*string
	}{
		"state/default/" + table + ".json": {state, map[string]*string{"openrun": text(run)}},
		"ledger/" + run + ".json":          {ledger, map[string]*string{"instance": text("default"), "source": text(table), "open": text("1")}},
	} {
		if _, err := client.UploadBuffer(t.Context(), "defender2adx", name, stored.body, &blockblob.UploadBufferOptions{Metadata: stored.metadata}); err != nil {
			t.Fatal(err)
		}
	}

	s.setup("none")
	s.serve(map[string]string{"MIGRATION_APP_ID": "app001"}, funchost.Options{})
	s.tick()
	if ended := s.successes(table, 1)[0]; ended.RunID != run || ended.RecordCount != 300 || !strings.Contains(ended.Note, "a note; another") {
		t.Errorf("the first run that ended: %+v, want %s with 300 rows and its notes", ended, run)
	}
	s.equal()
	if n := s.fetches(); n != 1 {
		t.Errorf("%d fetches, want one: what was promised is not read again", n)
	}
}
