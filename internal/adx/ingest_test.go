package adx

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestRawMapping_NamesTheSlice(t *testing.T) {
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
	id, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "DeviceInfoRaw", RunID: "d2a1", Slice: 7, Blob: b})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := c.IngestStatus(t.Context(), id); err != nil || status.State != plan.IngestSucceeded {
		t.Errorf("a successful ingestion is reported as %+v, %v", status, err)
	}
	if at := s.messages[0]["IngestionStatusInTable"].(map[string]any); id == "" || at["PartitionKey"] != id {
		t.Errorf("named ingestion %q, the message %v", id, at["PartitionKey"])
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

// The id is the caller's to choose, so that it can be written down before anything is sent.
func TestEnqueue_IsReportedUnderTheIDGiven(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Succeeded"}
	c := s.client(t)
	const chosen = "0a0b0c0d-1111-5222-8333-444455556666"
	for i, in := range []plan.Ingestion{
		{Destination: "T", RunID: "d2a1", Slice: 7, Blob: staged(t, c, "a.json.gz"), SourceID: chosen},
		{Destination: "T", RunID: "d2a1", Slice: 8, Blob: staged(t, c, "b.json.gz"), SourceID: "no id"},
	} {
		id, err := c.Enqueue(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if at := s.messages[i]["IngestionStatusInTable"].(map[string]any); at["PartitionKey"] != id || (id == chosen) != (in.SourceID == chosen) || id == "" {
			t.Errorf("asked for %q, named %q, the message %v", in.SourceID, id, at["PartitionKey"])
		}
		if status, err := c.IngestStatus(t.Context(), id); err != nil || status.State != plan.IngestSucceeded {
			t.Errorf("%q is reported as %+v, %v", id, status, err)
		}
	}
}

func TestIngestStatus_TellsAFailureAndItsReason(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Failed", "FailureStatus": "Permanent", "ErrorCode": "BadRequest_TableNotExist", "Details": "no table; https://h/c?sig=SECRET"}
	c := s.client(t)
	id, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, Blob: staged(t, c, "a.json.gz")})
	if err != nil {
		t.Fatal(err)
	}
	if s.statusReads != 0 {
		t.Errorf("the status was read %d times unasked", s.statusReads)
	}
	status, err := c.IngestStatus(t.Context(), id)
	if err != nil || status.State != plan.IngestFailed || status.Reason != "BadRequest_TableNotExist: no table; https://h/c?[redacted]" {
		t.Errorf("got %+v, %v", status, err)
	}
}

func TestIngestStatus_UnderWayIsNotKnown(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Pending"}
	c := s.client(t)
	id, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, Blob: staged(t, c, "a.json.gz")})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := c.IngestStatus(t.Context(), id); err != nil || status.State != plan.IngestUnknown {
		t.Errorf("got %+v, %v", status, err)
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
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Retry || errors.Is(err, fault.ErrNotQueued) {
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

func TestVerdict_ReadsAStatusRow(t *testing.T) {
	const tag, failed, succeeded, unknown = "Skipped_IngestByTagAlreadyExists", plan.IngestFailed, plan.IngestSucceeded, plan.IngestUnknown
	cases := []struct {
		name      string
		row       statusRow
		state     plan.IngestState
		permanent bool
	}{
		{"succeeded", statusRow{Status: "Succeeded"}, succeeded, false},
		{"permanent", statusRow{"Failed", "Permanent", "X", "d"}, failed, true},
		{"exhausted", statusRow{"Failed", "Exhausted", "X", "d"}, failed, true},
		{"transient", statusRow{"Failed", "Transient", "X", "d"}, failed, false},
		{"unsaid", statusRow{"Failed", "", "X", "d"}, failed, false},
		{"in part", statusRow{"PartiallySucceeded", "Permanent", "X", "d"}, plan.IngestPartial, false},
		{"nothing in it", statusRow{"Failed", "Permanent", "BadRequest_EmptyBlob", "d"}, plan.IngestEmpty, false},
		{"an archive of nothing", statusRow{"Failed", "Permanent", "BadRequest_EmptyArchive", "d"}, plan.IngestEmpty, false},
		{"under way", statusRow{Status: "Pending"}, unknown, false},
		{"same tag", statusRow{"Skipped", "Permanent", tag, "d"}, succeeded, false},
		{"same tag under failed", statusRow{"Failed", "Permanent", tag, "d"}, succeeded, false},
		{"same tag, bare code", statusRow{"Skipped", "Permanent", "IngestByTagAlreadyExists", "d"}, succeeded, false},
		{"skipped for another reason", statusRow{"Skipped", "Permanent", "Skipped_NoRecords", "d"}, failed, true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := verdict(tc.row)
			if got.State != tc.state || got.Permanent != tc.permanent || got.Code != tc.row.ErrorCode {
				t.Errorf("got %+v, want %s, permanent %v", got, tc.state, tc.permanent)
			}
			if want := tc.row.ErrorCode + ": d"; got.State == failed && got.Reason != want {
				t.Errorf("reason = %q, want %q", got.Reason, want)
			}
		})
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
