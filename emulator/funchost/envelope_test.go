package funchost

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
)

// decodeEnvelope returns the envelope as generic JSON with the GUID blanked.
func decodeEnvelope(t *testing.T, e envelope) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(e.encode(), &v); err != nil {
		t.Fatal(err)
	}
	if sys, ok := v["Metadata"].(map[string]any)["sys"].(map[string]any); ok && len(sys["RandGuid"].(string)) == 36 {
		sys["RandGuid"] = "guid"
	}
	return v
}

func parseJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

var envelopeNow = time.Date(2026, 3, 2, 10, 0, 4, 123456700, time.UTC)

func TestQueueEnvelope_MatchesTheHosts(t *testing.T) {
	delivered := message{
		ID: "msg-1", Receipt: "AgAA", Dequeues: 1,
		Inserted: time.Date(2026, 3, 2, 10, 0, 0, 999, time.UTC), Expires: time.Date(2026, 3, 9, 10, 0, 0, 0, time.UTC),
		NextVisible: time.Date(2026, 3, 2, 10, 10, 4, 0, time.UTC),
	}
	const sys = `"sys": {"MethodName": "migrate", "UtcNow": "2026-03-02T10:00:04.1234567Z", "RandGuid": "guid"}`
	const times = `"InsertionTime": "2026-03-02T10:00:00+00:00", "ExpirationTime": "2026-03-09T10:00:00+00:00", "NextVisibleTime": "2026-03-02T10:10:04+00:00"`
	const plain = `"DequeueCount": "1", "Id": "\"msg-1\"", "PopReceipt": "\"AgAA\"", ` + times
	tests := []struct {
		name, dataType string
		msg            message
		body           string
		want           string
	}{
		{"a JSON object: its scalars and objects are copied, over what is there", "", delivered,
			`{"table":"DeviceEvents","id":"job-7","parts":[1,2],"window":{ "from":"a" },"attempt":3}`,
			`{"Data": {"job": "\"{\\\"table\\\":\\\"DeviceEvents\\\",\\\"id\\\":\\\"job-7\\\",\\\"parts\\\":[1,2],\\\"window\\\":{ \\\"from\\\":\\\"a\\\" },\\\"attempt\\\":3}\""},
			  "Metadata": {"DequeueCount": "1", "Id": "\"job-7\"", "PopReceipt": "\"AgAA\"", ` + times + `, ` + sys + `,
			  "table": "\"DeviceEvents\"", "window": {"from": "a"}, "attempt": "\"3\""}}`},
		{"scalars are re-rendered, nulls and triggers dropped", "", delivered,
			`{"on":true,"off":false,"none":null,"at":"2026-01-02T03:04:05.678+01:00","f":1.50,"big":1e20,"QueueTrigger":"x"}`,
			`{"Data": {"job": "\"{\\\"on\\\":true,\\\"off\\\":false,\\\"none\\\":null,\\\"at\\\":\\\"2026-01-02T03:04:05.678+01:00\\\",\\\"f\\\":1.50,\\\"big\\\":1e20,\\\"QueueTrigger\\\":\\\"x\\\"}\""},
			  "Metadata": {` + plain + `, ` + sys + `, "on": "\"True\"", "off": "\"False\"", "at": "\"01/02/2026 02:04:05\"", "f": "\"1.5\"", "big": "\"1E+20\""}}`},
		{"sys and counts can be replaced", "", delivered, `{"SYS":"mine","dequeueCount":9}`,
			`{"Data": {"job": "\"{\\\"SYS\\\":\\\"mine\\\",\\\"dequeueCount\\\":9}\""},
			  "Metadata": {"DequeueCount": "\"9\"", "Id": "\"msg-1\"", "PopReceipt": "\"AgAA\"", ` + times + `, "sys": "\"mine\""}}`},
		{"text", "", delivered, `<hello>`, `{"Data": {"job": "\"<hello>\""}, "Metadata": {` + plain + `, ` + sys + `}}`},
		{"an array is text", "", delivered, `[{"a":1}]`, `{"Data": {"job": "\"[{\\\"a\\\":1}]\""}, "Metadata": {` + plain + `, ` + sys + `}}`},
		{"binary is base64 once, nothing copied", "binary", delivered, `{"a":1}`, `{"Data": {"job": "eyJhIjoxfQ=="}, "Metadata": {` + plain + `, ` + sys + `}}`},
		{"manual", "", message{Inserted: envelopeNow}, `{"a":1}`,
			`{"Data": {"job": "\"{\\\"a\\\":1}\""}, "Metadata": {"DequeueCount": "0", "InsertionTime": "2026-03-02T10:00:04+00:00",
			  "ExpirationTime": "9999-12-31T23:59:59+00:00", "NextVisibleTime": "9999-12-31T23:59:59+00:00", ` + sys + `, "a": "\"1\""}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &Function{Name: "migrate", trigger: binding{Name: "job", DataType: tt.dataType}}
			got := decodeEnvelope(t, queueEnvelope(f, tt.msg, []byte(tt.body), envelopeNow))
			if diff := cmp.Diff(parseJSON(t, tt.want), got); diff != "" {
				t.Errorf("envelope (-want +got):\n%s", diff)
			}
		})
	}
}

// recorded is a request of the real host to a handler.
type recorded struct {
	Method, Path string
	Headers      [][2]string
	Body         string
}

func recordedCalls(t *testing.T) []recorded {
	t.Helper()
	text, err := os.ReadFile(sampledata.Path(t, "host", "envelopes.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var calls []recorded
	for line := range strings.Lines(string(text)) {
		var c recorded
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	return calls
}

func TestEnvelope_IsThatOfTheRealHost(t *testing.T) {
	compared := 0
	for i, c := range recordedCalls(t) {
		if c.Path != "/qf" && c.Path != "/tf" {
			continue
		}
		want := parseJSON(t, c.Body)
		data, meta := want["Data"].(map[string]any), want["Metadata"].(map[string]any)
		sys := meta["sys"].(map[string]any)
		now := instant(t, sys["UtcNow"])
		sys["RandGuid"] = "guid"
		var got envelope
		if c.Path == "/qf" {
			got = rebuiltQueueEnvelope(t, data["job"].(string), meta, now)
		} else {
			got = rebuiltTimerEnvelope(t, data["tick"].(map[string]any), meta, now)
		}
		if diff := cmp.Diff(want, decodeEnvelope(t, got)); diff != "" {
			t.Errorf("call %d (-real host +this one):\n%s", i, diff)
		}
		compared++
		if !slices.Contains(c.Headers, [2]string{"Transfer-Encoding", "chunked"}) {
			t.Errorf("call %d is not chunked: %v", i, c.Headers)
		}
	}
	if compared == 0 {
		t.Error("no envelope was compared")
	}
}

func instant(t *testing.T, v any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, v.(string))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func unquoted(t *testing.T, v any) string {
	t.Helper()
	text, _ := v.(string)
	if text == "" {
		return ""
	}
	var inner string
	if err := json.Unmarshal([]byte(text), &inner); err != nil {
		t.Fatal(err)
	}
	return inner
}

func rebuiltQueueEnvelope(t *testing.T, job string, meta map[string]any, now time.Time) envelope {
	t.Helper()
	f := &Function{Name: "qf", trigger: binding{Name: "job"}}
	body, err := base64.StdEncoding.DecodeString(job)
	if err == nil {
		f.trigger.DataType = "binary"
	} else {
		body = []byte(unquoted(t, job))
	}
	m := message{Inserted: instant(t, meta["InsertionTime"]), Expires: instant(t, meta["ExpirationTime"]), NextVisible: instant(t, meta["NextVisibleTime"])}
	m.Dequeues, _ = strconv.ParseInt(meta["DequeueCount"].(string), 10, 64)
	_, manual := meta["job"]
	if !manual {
		m.ID, m.Receipt = unquoted(t, meta["Id"]), unquoted(t, meta["PopReceipt"])
	}
	e := queueEnvelope(f, m, body, now)
	if manual {
		e.byHand(f, string(body))
	}
	return e
}

func rebuiltTimerEnvelope(t *testing.T, tick, meta map[string]any, now time.Time) envelope {
	t.Helper()
	f := &Function{Name: "tf", trigger: binding{Name: "tick"}}
	var status *scheduleStatus
	if seen, ok := tick["ScheduleStatus"].(map[string]any); ok {
		status = &scheduleStatus{Last: instant(t, seen["Last"]), Next: instant(t, seen["Next"]), LastUpdated: instant(t, seen["LastUpdated"])}
	}
	e := timerEnvelope(f, status, tick["IsPastDue"].(bool), false, now)
	if _, manual := meta["tick"]; manual {
		e.byHand(f, "")
	}
	return e
}

func TestTimerEnvelope_MatchesTheHosts(t *testing.T) {
	f := &Function{Name: "fanout", trigger: binding{Name: "tick"}}
	status := &scheduleStatus{Next: envelopeNow.Truncate(time.Minute), LastUpdated: time.Date(2026, 3, 2, 9, 55, 0, 3100000, time.UTC)}
	const metadata = `"Metadata": {"sys": {"MethodName": "fanout", "UtcNow": "2026-03-02T10:00:04.1234567Z", "RandGuid": "guid"}}`
	tests := []struct {
		name              string
		status            *scheduleStatus
		pastDue, zoneless bool
		want              string
	}{
		{"first run", status, false, false, `{"Data": {"tick": {"Schedule": {"AdjustForDST": true}, "IsPastDue": false, "ScheduleStatus":
			{"Last": "0001-01-01T00:00:00+00:00", "Next": "2026-03-02T10:00:00+00:00", "LastUpdated": "2026-03-02T09:55:00.0031+00:00"}}}, ` + metadata + `}`},
		{"zoneless", status, true, true, `{"Data": {"tick": {"Schedule": {"AdjustForDST": true}, "IsPastDue": true, "ScheduleStatus":
			{"Last": "0001-01-01T00:00:00", "Next": "2026-03-02T10:00:00", "LastUpdated": "2026-03-02T09:55:00.0031"}}}, ` + metadata + `}`},
		{"not monitored", nil, false, false, `{"Data": {"tick": {"Schedule": {"AdjustForDST": true}, "IsPastDue": false, "ScheduleStatus": null}}, ` + metadata + `}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decodeEnvelope(t, timerEnvelope(f, tt.status, tt.pastDue, tt.zoneless, envelopeNow))
			if diff := cmp.Diff(parseJSON(t, tt.want), got); diff != "" {
				t.Errorf("envelope (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHTTPEnvelope_MatchesTheHosts(t *testing.T) {
	route, err := parseRoute("api/run/{id}/{verb?}")
	if err != nil {
		t.Fatal(err)
	}
	f := &Function{Name: "run", route: route, trigger: binding{Name: "req"}}
	build := func(kind string, body io.Reader) map[string]any {
		r := httptest.NewRequest(http.MethodPost, "/api/run/42?dry=1&x=a&x=b", body)
		r.Host = "app.example"
		r.Header = http.Header{"Content-Type": {kind}, "X-Request": {"a", "b"}}
		e, err := httpEnvelope(f, r, map[string]string{"id": "42"}, envelopeNow)
		if err != nil {
			t.Fatal(err)
		}
		return decodeEnvelope(t, e)
	}
	want := parseJSON(t, `{
		"Data": {"req": {"Url": "http://app.example/api/run/42?dry=1&x=a&x=b", "Method": "POST", "Query": {"dry": "1", "x": "a,b"},
			"Headers": {"Content-Type": ["application/json"], "X-Request": ["a", "b"], "Host": ["app.example"]}, "Params": {"id": "42", "verb": null},
			"Identities": [{"AuthenticationType": "WebJobsAuthLevel", "IsAuthenticated": true, "Claims": []}], "Body": "{\"k\":1}"}},
		"Metadata": {"sys": {"MethodName": "run", "UtcNow": "2026-03-02T10:00:04.1234567Z", "RandGuid": "guid"}, "Query": {"dry": "1", "x": "a,b"},
			"Headers": {"Content-Type": "application/json", "X-Request": "a,b", "Host": "app.example"}, "id": "\"42\"", "dry": "\"1\"", "x": "\"a,b\"", "k": "\"1\""}}`)
	if diff := cmp.Diff(want, build("application/json", strings.NewReader(`{"k":1}`))); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}

	bodies := []struct {
		name, kind string
		body       io.Reader
		want       any
	}{
		{"octets are base64", "application/octet-stream", strings.NewReader("abc"), "YWJj"},
		{"multipart is base64", "multipart/form-data; boundary=x", strings.NewReader("abc"), "YWJj"},
		{"a chunked body is lost", "application/json", struct{ io.Reader }{strings.NewReader("{}")}, nil},
		{"no body", "application/json", nil, nil},
	}
	for _, tt := range bodies {
		got := build(tt.kind, tt.body)["Data"].(map[string]any)["req"].(map[string]any)["Body"]
		if got != tt.want {
			t.Errorf("%s: body = %v, want %v", tt.name, got, tt.want)
		}
	}
}
