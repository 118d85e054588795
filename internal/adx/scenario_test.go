package adx

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const auditColumns = `{\"Name\":\"TableName\",\"CslType\":\"string\"},{\"Name\":\"Status\",\"CslType\":\"string\"},{\"Name\":\"FailureReason\",\"CslType\":\"string\"}`

// control returns a stand-in that keeps the commands appended to control tables
// and refuses those that hold the text, if any.
func control(t *testing.T, refuse string) (*Client, *[]string) {
	t.Helper()
	s := newStandIn(t)
	var appended []string
	s.answer = func(kind, _, text string) reply {
		switch {
		case kind == "query":
			return reply{columns: "Tagged:bool"}
		case strings.HasPrefix(text, ".show table"):
			return schemaReply(auditColumns)
		case refuse != "" && strings.Contains(text, refuse):
			return reply{code: 400, body: restError("BadRequest", "Syntax error", `,"@permanent":true`)}
		}
		appended = append(appended, text)
		return reply{}
	}
	return s.client(t), &appended
}

// An error text holds a path, quotes, a line end and what would end the command.
func TestScenario_O28_AwkwardTextInAnAuditRow(t *testing.T) {
	c, appended := control(t, "")
	const text = "open C:\\temp\\new: \"denied\"\r\nat 'x'] | take 0 //"
	audit := plan.Audit{TableName: "De'vice\\Info", Status: plan.Failed, FailureReason: text}
	if err := c.Deliver(t.Context(), plan.Outgoing{Tag: "t1", Audit: &audit}); err != nil {
		t.Fatal(err)
	}
	want := `print ['TableName'] = "De'vice\\Info", ['Status'] = "Failed", ` +
		`['FailureReason'] = "open C:\\temp\\new: \"denied\"\r\nat 'x'] | take 0 //"`
	if len(*appended) != 1 || !strings.HasSuffix((*appended)[0], want) || strings.Contains((*appended)[0], "\n") {
		t.Errorf("commands %q, want one that ends in %s", *appended, want)
	}
	// And what ADX answers is not ignored.
	c, _ = control(t, ".append")
	if err := c.Deliver(t.Context(), plan.Outgoing{Tag: "t2", Audit: &audit}); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a refused audit row gives %v", err)
	}
}

// Each table's audit row is a command of its own: one that ADX refuses takes no
// other with it.
func TestScenario_P20_AuditRowsAreSeparate(t *testing.T) {
	c, appended := control(t, "first\\nsecond line")
	var errs []error
	for i, reason := range []string{"", "first\nsecond line", "third"} {
		audit := plan.Audit{TableName: "T" + string(rune('1'+i)), Status: plan.Failed, FailureReason: reason}
		errs = append(errs, c.Deliver(t.Context(), plan.Outgoing{Tag: "t" + string(rune('1'+i)), Audit: &audit}))
	}
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("errors %v, want one for the second row", errs)
	}
	if len(*appended) != 2 || !strings.Contains((*appended)[0], `"T1"`) || !strings.Contains((*appended)[1], `"T3"`) {
		t.Errorf("appended %q", *appended)
	}
}

// What says how a blob is packed, its name, its format and its bytes, agrees;
// and success is what the count of rows says, not what ingestion reports.
func TestScenario_K1_PackedAsItIsNamed(t *testing.T) {
	s := newStandIn(t)
	s.status = map[string]any{"Status": "Succeeded"}
	c := s.client(t)
	b, err := c.Stage(t.Context(), "run1-000001.json.gz", func(w io.Writer) error {
		gz := gzip.NewWriter(w)
		if _, err := io.WriteString(gz, "{\"a\":1}\n"); err != nil {
			return err
		}
		return gz.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(bytes.NewReader([]byte(s.bodies["/staging/run1-000001.json.gz "])))
	if err != nil {
		t.Fatalf("the blob is no gzip: %v", err)
	}
	if rows, err := io.ReadAll(gz); err != nil || string(rows) != "{\"a\":1}\n" {
		t.Errorf("the blob holds %q, %v", rows, err)
	}
	if _, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "T", RunID: "r1", Slice: 1, Blob: b}); err != nil {
		t.Fatal(err)
	}
	more := s.messages[0]["AdditionalProperties"].(map[string]any)
	if path, _, _ := strings.Cut(s.messages[0]["BlobPath"].(string), "?"); !strings.HasSuffix(path, ".json.gz") || more["format"] != "json" {
		t.Errorf("the message names %s as %v", path, more["format"])
	}
	if _, err := c.Stage(t.Context(), "run1-000002.json", writes(nil, nil)); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a name that does not say gzip: %v", err)
	}
	s.mu.Lock()
	s.answer = func(string, string, string) reply {
		return reply{columns: "Slice:int, Rows:long, Nulls:long"}
	}
	s.mu.Unlock()
	if landed, err := c.Landed(t.Context(), "T", []string{"r1"}, time.Time{}); err != nil || landed["r1"][1].Rows != 0 {
		t.Errorf("landed %v, %v", landed, err)
	}
}

// The two instants of an afternoon as ADX gets them.
func TestScenario_S1_SnapshotTimeOfTheAfternoon(t *testing.T) {
	at := time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)
	if got := rawMapping(plan.Ingestion{RunID: "r", Slice: 1, SnapshotTime: at}); !strings.Contains(got, "2026-03-04T15:00:00.0000000Z") {
		t.Errorf("SnapshotTime in %s", got)
	}
	if got := literal(at, "datetime"); got != "datetime(2026-03-04T15:00:00.0000000Z)" {
		t.Errorf("datetime %s", got)
	}
}
