package funchost

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadResult_RefusesWhatTheHostRefuses(t *testing.T) {
	tests := []struct {
		name        string
		status      int
		contentType string
		body        string
		want        string // part of the error; empty for success
	}{
		{"the smallest answer", 200, "application/json", "{}", ""},
		{"any 2xx", 202, "application/json; charset=utf-8", `{"Outputs":null,"Logs":null,"ReturnValue":null,"More":1}`, ""},
		{"text/json", 200, "text/json", "{}", ""},
		{"not found", 404, "application/json", "{}", "404 (Not Found)"},
		{"server error", 500, "text/plain", "", "500"},
		{"redirect", 302, "application/json", "{}", "302"},
		{"empty", 200, "application/json", "", "would hang"},
		{"null", 200, "application/json", " null\n", "would hang"},
		{"sniffed by Go", 200, "text/plain; charset=utf-8", "{}", "no media type formatter"},
		{"no content type", 200, "", "{}", "no media type formatter"},
		{"broken", 200, "application/json", "{", "parse response (1 bytes)"},
		{"array", 200, "application/json", "[]", "parse response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readResult(&http.Response{StatusCode: tt.status, Header: http.Header{"Content-Type": {tt.contentType}}, Body: io.NopCloser(strings.NewReader(tt.body))})
			if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if got := errors.Is(err, ErrWouldHang); got != (tt.want == "would hang") {
				t.Errorf("is ErrWouldHang = %v", got)
			}
		})
	}
}

func TestResult_Output(t *testing.T) {
	var r result
	if err := json.Unmarshal([]byte(`{"outputs": {"A": 1, "b": null}, "returnValue": {"b": 2, "c": 3}}`), &r); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "1", "b": "2", "C": "3", "d": "", "$return": `{"b": 2, "c": 3}`} {
		if got, _ := r.output(name); string(got) != want {
			t.Errorf("output(%s) = %s, want %s", name, got, want)
		}
	}
}

func TestQueueTexts_OfEachValue(t *testing.T) {
	tests := []struct {
		value  string
		binary bool
		want   []string
	}{
		{`"hello"`, false, []string{"hello"}},
		{`"abcd1234"`, false, []string{"i\xb7\x1d\xd7m\xf8"}}, // looks like base64
		{`"abcd1234"`, true, []string{"abcd1234"}},
		{`"{\"a\":1}"`, false, []string{`{"a":1}`}},
		{`{"a": 1}`, false, []string{`{"a":1}`}},
		{`["a", {"b": 2}, null]`, false, []string{"a", `{"b":2}`}},
		{`5`, false, []string{"5"}},
	}
	for _, tt := range tests {
		var got []string
		for _, text := range queueTexts(json.RawMessage(tt.value), tt.binary) {
			got = append(got, string(text))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s binary %v (-want +got):\n%s", tt.value, tt.binary, diff)
		}
	}
}

func TestHTTPOutput_OfEachBinding(t *testing.T) {
	tests := []struct {
		name, binding, value string
		status               int // 0: error
		header, body         string
	}{
		{"all parts", "res", `{"statusCode": "202", "headers": {"Content-Type": "text/csv"}, "body": "ok"}`, 202, "text/csv", "ok"},
		{"statusCode goes before status", "res", `{"status": 201, "StatusCode": 202, "body": {"a": 1}}`, 202, "application/json; charset=utf-8", `{"a":1}`},
		{"without body the rest is ignored", "res", `{"statusCode": 202}`, 200, "application/json; charset=utf-8", `{"statusCode":202}`},
		{"must be an object", "res", `"ok"`, 0, "", ""},
		{"$return may be text", "$return", `"ok"`, 200, "text/plain; charset=utf-8", "ok"},
		{"no status", "res", `{"statusCode": "fine", "body": ""}`, 0, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := httpOutput(tt.binding, json.RawMessage(tt.value))
			if (err == nil) != (tt.status != 0) {
				t.Fatalf("error = %v", err)
			}
			if got.status != tt.status || got.header.Get("Content-Type") != tt.header || string(got.body) != tt.body {
				t.Errorf("got %d %q %q, want %d %q %q", got.status, got.header.Get("Content-Type"), got.body, tt.status, tt.header, tt.body)
			}
		})
	}
}

func TestRateLine_ByItsWords(t *testing.T) {
	tests := []struct {
		text           string
		stderr, strict bool
		want           string
	}{
		{"error: on stdout", false, true, "INFO"},
		{"anything", true, true, "ERROR"},
		{"a WARNing", true, true, "WARN"},
		{"anything", true, false, "INFO"},
		{"it Failed", true, false, "ERROR"},
		{"a warning", true, false, "WARN"},
	}
	for _, tt := range tests {
		if got := rateLine(tt.text, tt.stderr, tt.strict); got.Level.String() != tt.want || got.Text != tt.text {
			t.Errorf("rateLine(%q, stderr %v, strict %v) = %v %q, want %s", tt.text, tt.stderr, tt.strict, got.Level, got.Text, tt.want)
		}
	}
	if got := rateLine("LanguageWorkerConsoleLog[x]", false, true); !got.System || got.Text != "[x]" {
		t.Errorf("system line = %+v", got)
	}
}
