package hunting_test

import (
	"bytes"
	"compress/flate"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
)

// gzipHeadBytes is a gzip head without optional fields. Source: RFC 1952.
const gzipHeadBytes = 10

func TestAnswer_IsOneGzipMember(t *testing.T) {
	w := newWorld(t, nil)
	w.append("DeviceInfo", `{"DeviceId":"d","Timestamp":"2026-11-20T00:00:00Z"}`)
	for path, audience := range map[string]string{graphPath: identity.AudienceGraph, mdePath: identity.AudienceDefender} {
		r := w.send(path, audience, body("DeviceInfo"), func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
		if r.status != http.StatusOK || r.header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: got %d %v", path, r.status, r.header)
		}
		// flate stops where its first stream ends: what is left must be the trailer.
		rest := bytes.NewReader([]byte(r.body)[gzipHeadBytes:])
		text, err := io.ReadAll(flate.NewReader(rest))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(text), "}]}") || rest.Len() != 8 {
			t.Errorf("%s: first member %.200q with %d bytes behind it, want all and 8", path, text, rest.Len())
		}
		zip, err := gzip.NewReader(strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := io.ReadAll(zip); err != nil || !bytes.Equal(whole, text) {
			t.Errorf("%s: got %v and %d bytes, want %d", path, err, len(whole), len(text))
		}
	}
}

func TestAnswer_BrokenOffStaysOneMember(t *testing.T) {
	w := newWorld(t, nil)
	w.append("DeviceInfo", `{"DeviceId":"`+strings.Repeat("d", 4000)+`","Timestamp":"2026-11-20T00:00:00Z"}`)
	w.server.SetFault(func(hunting.Call) hunting.Fault { return hunting.Fault{ResetAt: 1000} })
	r := w.send(mdePath, identity.AudienceDefender, body("DeviceInfo"), func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if r.err == nil {
		t.Fatal("read to its end, want a broken connection")
	}
	zip, err := gzip.NewReader(strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(zip)
	if !strings.HasPrefix(string(text), `{"Stats":`) || !strings.HasSuffix(string(text), "ddd") {
		t.Errorf("got %.60q … %d bytes, want the head and the row's beginning", text, len(text))
	}
}

func TestRequest_GraphTakesAWorkspace(t *testing.T) {
	w := newWorld(t, nil)
	w.append("DeviceInfo", `{"DeviceId":"d"}`)
	const workspace = `"11111111-2222-4333-8444-555555555555"`
	tests := []struct {
		name, path, audience, body string
		status                     int
	}{
		{"a workspace", graphPath, identity.AudienceGraph, `{"Query":"DeviceInfo","workspaceId":` + workspace + `}`, 200},
		{"its other spelling", graphPath, identity.AudienceGraph, `{"Query":"DeviceInfo","WorkspaceId":` + workspace + `}`, 200},
		{"none", graphPath, identity.AudienceGraph, `{"Query":"DeviceInfo","workspaceId":null}`, 200},
		{"no text", graphPath, identity.AudienceGraph, `{"Query":"DeviceInfo","workspaceId":5}`, 400},
		{"another name", graphPath, identity.AudienceGraph, `{"Query":"DeviceInfo","workspace":` + workspace + `}`, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if r := w.send(test.path, test.audience, test.body, nil); r.status != test.status {
				t.Errorf("got %d %s, want %d", r.status, r.body, test.status)
			}
		})
	}
}

func TestRefusal_EndsWithoutANewline(t *testing.T) {
	w := newWorld(t, nil)
	for _, r := range []reply{w.graph("Nowhere"), w.mde("Nowhere")} {
		if r.status != http.StatusBadRequest || !strings.HasSuffix(r.body, "}") {
			t.Errorf("got %d %q", r.status, r.body)
		}
	}
}

func TestTables_OldNamesStillAnswer(t *testing.T) {
	w := newWorld(t, nil)
	w.append("DeviceInfo", `{"DeviceId":"d1"}`)
	w.append("DeviceProcessEvents", `{"DeviceId":"d2"}`, `{"DeviceId":"d3"}`)
	for query, want := range map[string]string{
		"MachineInfo | project DeviceId":                                 `"Results":[{"DeviceId":"d1"}]`,
		"ProcessCreationEvents | where DeviceId == 'd3' | count":         `"Results":[{"Count":1}]`,
		"ProcessCreationEvents | where isnull(ingestion_time()) | count": `"Results":[{"Count":0}]`,
	} {
		if r := w.mde(query); r.status != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("%s: got %d %s, want %s", query, r.status, r.body, want)
		}
	}
	if r := w.graph("MachineInfo"); r.status != http.StatusBadRequest {
		t.Errorf("over Graph: got %d, want 400", r.status)
	}
}

func TestAnswer_TiesComeInAnotherOrderOnRequest(t *testing.T) {
	w := newWorld(t, func(o *hunting.Options) { o.Awkward.LooseTies = true })
	for range 30 {
		w.append("DeviceInfo", `{"DeviceId":"`+strings.Repeat("d", 1+w.tenant.Count("DeviceInfo"))+`","OSPlatform":"x"}`)
	}
	const query = "DeviceInfo | sort by OSPlatform asc | project DeviceId"
	first := w.graph(query).body
	for range 5 {
		if w.graph(query).body != first {
			return
		}
	}
	t.Error("six queries gave thirty equal rows in one order")
}

func TestAnswer_WholeRowsHaveEveryColumn(t *testing.T) {
	w := newWorld(t, func(o *hunting.Options) { o.Whole = true })
	w.append("AlertInfo", `{"AlertId":"a","Extra":{"kept":1}}`, `{"Severity":null,"AlertId":"b"}`)
	body := w.graph("AlertInfo").body
	for _, want := range []string{
		`{"AlertId":"a","Extra":{"kept":1},"Timestamp":`, `,"Title":""`, `{"Severity":"","AlertId":"b","Timestamp":`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}

func TestAnswer_WholeRowsHaveTheTypesOfTheSchema(t *testing.T) {
	w := newWorld(t, func(o *hunting.Options) { o.Whole, o.Awkward.PlainNulls = true, true })
	for _, tt := range []struct{ row, want string }{
		{`{"RemotePort":"443"}`, `"RemotePort":443`},
		{`{"RemotePort":"none"}`, `"RemotePort":null`},
		{`{"DeviceName":7}`, `"DeviceName":"7"`},
		{`{"AdditionalFields":{"a" : 1}}`, `"AdditionalFields":"{\"a\" : 1}"`},
		{`{"Timestamp":"2026-03-01 10:00:00"}`, `"Timestamp":"2026-03-01T10:00:00.0000000Z"`},
	} {
		w.append("DeviceNetworkEvents", tt.row)
		if body := w.graph("DeviceNetworkEvents").body; !strings.Contains(body, tt.want) {
			_, rows, _ := strings.Cut(body, `"results":`)
			t.Errorf("%s: got %s, want %s", tt.row, rows, tt.want)
		}
	}
}
