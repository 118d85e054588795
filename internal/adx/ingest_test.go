package adx

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-kusto-go/azkustoingest"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestRawMapping(t *testing.T) {
	in := plan.Ingestion{RunID: "d2a1", Slice: 12}
	want := `[{"Column":"Records","Properties":{"Path":"$"}},{"Column":"RunId","Properties":{"ConstValue":"d2a1"}},` +
		`{"Column":"Slice","Properties":{"ConstValue":"12"}}]`
	if got := rawMapping(in); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	in.SnapshotTime = noon
	want = strings.TrimSuffix(want, "]") + `,{"Column":"SnapshotTime","Properties":{"ConstValue":"2026-01-02T12:00:00.1234567Z"}}]`
	if got := rawMapping(in); got != want {
		t.Errorf("snapshot: got  %s\nwant %s", got, want)
	}
}

func staged(t *testing.T, c *Client, name string) plan.Blob {
	t.Helper()
	b, err := c.Stage(t.Context(), name, writes([]byte("x"), nil))
	if err != nil {
		t.Fatal(err)
	}
	b.Rows, b.Bytes = 3, 4567
	return b
}

func TestEnqueue_SendsTheBlobWithTagMappingAndSize(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Succeeded"}
	c := s.client(t)
	b := staged(t, c, "a.json.gz")
	ticket, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "DeviceInfoRaw", RunID: "d2a1", Slice: 7, Blob: b})
	if err != nil {
		t.Fatal(err)
	}
	<-ticket.(*Ticket).done
	if reason, failed := ticket.Failed(); failed {
		t.Errorf("a successful ingestion failed: %s", reason)
	}
	if len(s.messages) != 1 {
		t.Fatalf("%d messages, want 1", len(s.messages))
	}
	m := s.messages[0]
	more := m["AdditionalProperties"].(map[string]any)
	got := map[string]any{
		"blob": m["BlobPath"], "db": m["DatabaseName"], "table": m["TableName"], "size": m["RawDataSize"], "flush": m["FlushImmediately"],
		"level": m["ReportLevel"], "method": m["ReportMethod"],
		"format": more["format"], "tags": more["tags"], "ifNotExists": more["ingestIfNotExists"], "mapping": more["ingestionMapping"],
	}
	want := map[string]any{
		"blob": b.Path + "?sig=first", "db": "db1", "table": "DeviceInfoRaw", "size": 4567.0, "flush": true,
		"level": 2.0, "method": 1.0,
		"format": "json", "tags": `["ingest-by:d2a1s000007"]`, "ifNotExists": `["d2a1s000007"]`, "mapping": rawMapping(plan.Ingestion{RunID: "d2a1", Slice: 7}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestEnqueue_TicketTellsAFailureAndItsReason(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Failed", "FailureStatus": "Permanent", "ErrorCode": "BadRequest_TableNotExist", "Details": "no table; https://h/c?sig=SECRET"}
	c := s.client(t)
	ticket, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, Blob: staged(t, c, "a.json.gz")})
	if err != nil {
		t.Fatal(err)
	}
	<-ticket.(*Ticket).done
	reason, failed := ticket.Failed()
	if !failed || reason != "BadRequest_TableNotExist: no table; https://h/c?[redacted]" {
		t.Errorf("got %q, %v", reason, failed)
	}
}

func TestEnqueue_PendingTicketEndsWithTheClient(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Pending"}
	c := s.client(t)
	ticket, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, Blob: staged(t, c, "a.json.gz")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-ticket.(*Ticket).done
	if reason, failed := ticket.Failed(); failed {
		t.Errorf("an unknown end counts as failed: %s", reason)
	}
}

func TestEnqueue_IsLeftToItselfWhenTheEndpointHangs(t *testing.T) {
	s := newStandIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	c := s.client(t)
	b := staged(t, c, "a.json.gz")
	s.mu.Lock()
	s.answer = func(_, _, text string) reply {
		cancel()
		<-release
		return reply{code: 503}
	}
	s.mu.Unlock()
	_, err := c.Enqueue(ctx, plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, Blob: b})
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Retry {
		t.Errorf("got %v (%v), want to be let go", err, fault.KindOf(err))
	}
}

func TestEnqueue_LostRightIsPermanentWithTheRemedy(t *testing.T) {
	s := newStandIn(t)
	c := s.client(t)
	b := staged(t, c, "a.json.gz")
	s.mu.Lock()
	s.answer = func(string, string, string) reply {
		return reply{code: 403, body: restError("Forbidden", "not authorized", "")}
	}
	s.mu.Unlock()
	_, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, Blob: b})
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "ingestors") {
		t.Errorf("got %v (%v)", err, fault.KindOf(err))
	}
}

func TestEnqueue_RefusesNamesThatAreNone(t *testing.T) {
	c := newStandIn(t).client(t)
	for _, in := range []plan.Ingestion{{Destination: "T; drop", RunID: "r"}, {Destination: "T", RunID: `r"]`}, {Destination: "T"}} {
		if _, err := c.Enqueue(t.Context(), in); fault.KindOf(err) != fault.Permanent {
			t.Errorf("%+v: got %v, want a permanent refusal", in, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	row := func(status, failure, code string) map[string]any {
		return map[string]any{"Status": status, "FailureStatus": failure, "ErrorCode": code, "Details": "d"}
	}
	cases := []struct {
		name   string
		row    map[string]any
		failed bool
	}{
		{"permanent", row("Failed", "Permanent", "X"), true},
		{"exhausted", row("Failed", "Exhausted", "X"), true},
		{"transient", row("Failed", "Transient", "X"), false},
		{"unsaid", row("Failed", "", "X"), false},
		{"in part", row("PartiallySucceeded", "Permanent", "X"), false},
		{"same tag", row("Skipped", "Permanent", "Skipped_IngestByTagAlreadyExists"), false},
		{"same tag, bare code", row("Skipped", "Permanent", "IngestByTagAlreadyExists"), false},
		{"skipped for another reason", row("Skipped", "Permanent", "Skipped_NoRecords"), true},
		{"status not readable", row("StatusRetrievalFailed", "Transient", "X"), false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			reason, failed := verdict(azkustoingest.StatusFromMapForTests(tc.row))
			if failed != tc.failed {
				t.Errorf("failed = %v, want %v", failed, tc.failed)
			}
			if want := tc.row["ErrorCode"].(string) + ": d"; failed && reason != want {
				t.Errorf("reason = %q, want %q", reason, want)
			}
		})
	}
	if _, failed := verdict(errors.New("anything else")); failed {
		t.Error("an error that is no status counts as a failed ingestion")
	}
}

func TestProbe_IsAnIngestionOfOneRow(t *testing.T) {
	s := newStandIn(t)
	c := s.client(t, func(cfg *Config) { cfg.Clock = func() time.Time { return noon } })
	for range 2 { // again under the same id
		if err := c.Probe(t.Context(), "probe1"); err != nil {
			t.Fatal(err)
		}
	}
	more := s.messages[1]["AdditionalProperties"].(map[string]any)
	want := `[{"Column":"Id","Properties":{"ConstValue":"probe1"}},{"Column":"Timestamp","Properties":{"ConstValue":"2026-01-02T12:00:00.1234567Z"}}]`
	if s.messages[1]["TableName"] != "MigrationProbe" || more["ingestionMapping"] != want {
		t.Errorf("got %v", s.messages[1])
	}
	if more["ingestIfNotExists"] != nil {
		t.Error("a probe must arrive even if one of its kind did")
	}
}
