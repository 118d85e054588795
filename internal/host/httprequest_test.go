package host

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeHTTP(t *testing.T) {
	tests := []struct {
		name string
		want HTTPRequest
	}{
		{"http.json", HTTPRequest{
			Method: "POST",
			URL:    "https://app.example/api/tables/DeviceInfo/migrate?force=true&code=key-of-the-function",
			Query:  url.Values{"force": {"true"}, "code": {"key-of-the-function"}},
			Header: http.Header{"Content-Type": {"application/json"}, "X-Request": {"a", "b"}, "X-Single": {"c"}},
			Params: map[string]string{"table": "DeviceInfo", "verb": ""},
			Body:   `{"k":1}`,
		}},
		{"http_get.json", HTTPRequest{
			Method: "GET",
			URL:    "http://localhost:7071/api/status?a=1&a=2",
			Query:  url.Values{"a": {"1", "2"}},
			Header: http.Header{},
			Params: map[string]string{},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeHTTP(sample(t, tt.name), "req")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("DecodeHTTP (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeHTTP_keepsABodyThatIsAJSONString(t *testing.T) {
	got, err := DecodeHTTP([]byte(`{"Data":{"req":{"Method":"PUT","Body":"\"text\""}}}`), "req")
	if err != nil || got.Body != `"text"` {
		t.Errorf("got body %q, %v", got.Body, err)
	}
}

func TestHTTPRequest_printsNoKey(t *testing.T) {
	request, err := DecodeHTTP(sample(t, "http.json"), "req")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("got", "request", request)
	for _, text := range []string{log.String(), fmt.Sprintf("%v %+v %#v %s", request, request, request, request)} {
		if strings.Contains(text, "key-of-the-function") || !strings.Contains(text, "POST") {
			t.Errorf("printed %s", text)
		}
	}
}
