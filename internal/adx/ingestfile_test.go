package adx

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// A file of an export stands in storage of Microsoft's: ADX gets its address as it is.
func TestEnqueue_HandsOverAFileThatStandsElsewhere(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Succeeded"}
	c := s.client(t)
	const at = "https://exports.blob.example/tvm-export/2021-01-11/1101/VaExport/json/OrgId=1/part-0.c000.json.gz?sv=2019-12-12&sig=S3CRET%2B"
	in := plan.Ingestion{Destination: "ExportRaw", RunID: "d2a1", Slice: 7, SnapshotTime: noon, URL: secret.New(at)}
	id, err := c.Enqueue(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := c.IngestStatus(t.Context(), id); err != nil || status.State != plan.IngestSucceeded {
		t.Errorf("status %+v, %v", status, err)
	}
	m := s.messages[0]
	more := m["AdditionalProperties"].(map[string]any)
	got := map[string]any{
		"blob": m["BlobPath"], "table": m["TableName"], "size": m["RawDataSize"], "flush": m["FlushImmediately"], "level": m["ReportLevel"],
		"format": more["format"], "tags": more["tags"], "ifNotExists": more["ingestIfNotExists"], "mapping": more["ingestionMapping"],
	}
	want := map[string]any{
		"blob": at, "table": "ExportRaw", "size": nil, "flush": true, "level": 2.0,
		"format": "multijson", "tags": `["ingest-by:d2a1s000007"]`, "ifNotExists": `["d2a1s000007"]`, "mapping": rawMapping(in),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if len(s.puts) != 0 {
		t.Errorf("%d requests to the staging storage, want none", len(s.puts))
	}
}

// An address that is none, or that would let the cluster read as somebody else, goes
// nowhere and is not shown.
func TestEnqueue_RefusesAFileThatIsNoPlainAddress(t *testing.T) {
	c := newStandIn(t).client(t)
	for _, at := range []string{
		"http://exports.example/f.json.gz?sig=S3CRET", "https://u:S3CRET@exports.example/f.json.gz", "ftp://exports.example/S3CRET",
		"https://exports.example/f.json.gz?sig=S3CRET;managed_identity=system", "https://exports.example/%zz?sig=S3CRET", "S3CRET",
	} {
		_, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, URL: secret.New(at)})
		if fault.KindOf(err) != fault.Permanent || !errors.Is(err, fault.ErrNotQueued) || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: got %v", at, err)
		}
	}
}

// The queue refuses: the address is in no text of the error.
func TestEnqueue_ShowsNoSignatureOfAFile(t *testing.T) {
	s := newStandIn(t)
	s.queue = 403
	c := s.client(t)
	in := plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, URL: secret.New("https://exports.example/f.json.gz?sv=1&sig=S3CRET")}
	_, err := c.Enqueue(t.Context(), in)
	if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, in), "S3CRET") {
		t.Errorf("got %v", err)
	}
}
