package hunting_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

const (
	directory = "11111111-1111-4111-8111-111111111111"
	appID     = "22222222-2222-4222-8222-222222222222"
	objectID  = "33333333-3333-4333-8333-333333333333"

	graphPath = "/v1.0/security/runHuntingQuery"
	mdePath   = "/api/advancedqueries/run"
	xdrPath   = "/api/advancedhunting/run"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a server on TLS with a directory that knows one application.
type world struct {
	t      *testing.T
	tenant *tenant.Tenant
	ids    *identity.Server
	server *hunting.Server
	http   *httptest.Server
	clock  *time.Time // of the directory
}

func newWorld(t *testing.T, change func(*hunting.Options)) *world {
	t.Helper()
	clock := now
	w := &world{t: t, clock: &clock}
	var err error
	if w.ids, err = identity.New(identity.Options{Now: func() time.Time { return clock }}); err != nil {
		t.Fatal(err)
	}
	if err := w.ids.AddTenant(directory); err != nil {
		t.Fatal(err)
	}
	err = w.ids.RegisterApplication(identity.Principal{Tenant: directory, ClientID: appID, ObjectID: objectID, Roles: map[string][]string{
		identity.AudienceGraph: {"ThreatHunting.Read.All"}, identity.AudienceDefender: {"AdvancedQuery.Read.All"}, identity.AudienceXDR: {"AdvancedHunting.Read.All"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = tenant.New(now)
	o := hunting.Options{Tenant: w.tenant, Verify: w.ids.Verify}
	if change != nil {
		change(&o)
	}
	if w.server, err = hunting.New(o); err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewTLSServer(w.server)
	t.Cleanup(w.http.Close)
	return w
}

func (w *world) append(table string, rows ...string) {
	w.t.Helper()
	if err := w.tenant.Append(table, now.Add(-3*time.Hour), rows...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) token(audience string) string {
	w.t.Helper()
	token, err := w.ids.Token(appID, audience)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (w *world) send(path, audience, body string, change func(*http.Request)) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.http.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if audience != "" {
		req.Header.Set("Authorization", "Bearer "+w.token(audience))
	}
	if change != nil {
		change(req)
	}
	resp, err := w.http.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text), err}
}

func (w *world) graph(query string) reply {
	w.t.Helper()
	return w.send(graphPath, identity.AudienceGraph, body(query), nil)
}

func (w *world) mde(query string) reply {
	w.t.Helper()
	return w.send(mdePath, identity.AudienceDefender, body(query), nil)
}

func body(query string) string {
	b, _ := json.Marshal(map[string]string{"Query": query})
	return string(b)
}

// failure picks code and message out of an error document.
func failure(t *testing.T, r reply) (code, message string) {
	t.Helper()
	var doc struct {
		Error struct {
			Code, Message, Target string
			InnerError            map[string]string
		}
	}
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		t.Fatalf("%d %q: %v", r.status, r.body, err)
	}
	if doc.Error.Target == "" && doc.Error.InnerError["request-id"] == "" {
		t.Errorf("the error names no request: %s", r.body)
	}
	return doc.Error.Code, doc.Error.Message
}

func TestGraph_Answer(t *testing.T) {
	w := newWorld(t, nil)
	row := `{ "DeviceId":"d1" , "ReportId":9007199254740993,"OSBuild":1.0, "AdditionalFields":"{\"a\":\"\u00e9\"}","Extra":{"b":[1,2]}}`
	w.append("DeviceInfo", row)
	got := w.graph("DeviceInfo | where DeviceId == 'd1'")
	if got.status != 200 || got.header.Get("OData-Version") == "" || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		t.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	if !strings.HasSuffix(got.body, `,"results":[`+row+`]}`) {
		t.Errorf("the row does not stand as it was: %s", got.body)
	}
	got = w.graph("DeviceInfo | project DeviceId, ReportId, N = 2, IsAzureADJoined")
	want := `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.security.huntingQueryResults",` +
		`"schema":[{"name":"DeviceId","type":"String"},{"name":"ReportId","type":"Int64"},{"name":"N","type":"Int64"},{"name":"IsAzureADJoined","type":"SByte"}],` +
		`"results":[{"DeviceId":"d1","ReportId":9007199254740993,"N":2,"IsAzureADJoined":{}}]}`
	if diff := cmp.Diff(strings.ReplaceAll(got.body, `"N","type":"Int32"`, `"N","type":"Int64"`), want); diff != "" {
		t.Error(diff)
	}
	got = w.send("/beta/security/runHuntingQuery", identity.AudienceGraph, `{"query":"AlertInfo"}`, nil)
	if got.status != 200 || !strings.HasSuffix(got.body, `"results":[]}`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestOlderAPIs_Answer(t *testing.T) {
	w := newWorld(t, nil)
	w.append("DeviceInfo", `{"DeviceId":"d1"}`, `{"DeviceId":"d2"}`)
	for path, audience := range map[string]string{mdePath: identity.AudienceDefender, xdrPath: identity.AudienceXDR} {
		got := w.send(path, audience, body("DeviceInfo"), nil)
		var doc struct {
			Stats struct {
				ExecutionTime *float64
				Usage         struct {
					CPU map[string]string `json:"cpu"`
				} `json:"resource_usage"`
				Data []struct {
					Rows int `json:"table_row_count"`
					Size int `json:"table_size"`
				} `json:"dataset_statistics"`
			}
			Schema  []struct{ Name, Type string }
			Results []map[string]any
		}
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
			t.Fatalf("%s: %v", got.body, err)
		}
		if doc.Stats.ExecutionTime == nil || doc.Stats.Usage.CPU["total cpu"] == "" || len(doc.Stats.Data) != 1 || doc.Stats.Data[0].Rows != 2 || doc.Stats.Data[0].Size == 0 {
			t.Errorf("%s: Stats %+v", path, doc.Stats)
		}
		if len(doc.Schema) < 40 || doc.Schema[0].Name != "Timestamp" || doc.Schema[0].Type != "DateTime" || len(doc.Results) != 2 {
			t.Errorf("%s: %s", path, got.body)
		}
		for _, key := range []string{`"Stats":`, `"Schema":`, `"Results":`} {
			if !strings.Contains(got.body, key) {
				t.Errorf("%s: no %s", path, key)
			}
		}
	}
}

func TestAnswer_IsCompressedOnlyOnRequest(t *testing.T) {
	w := newWorld(t, nil)
	w.append("DeviceInfo", `{"DeviceId":"d1"}`)
	plain := func(r *http.Request) { r.Header.Set("Accept-Encoding", "identity") }
	got := w.send(mdePath, identity.AudienceDefender, body("DeviceInfo"), plain)
	if got.header.Get("Content-Encoding") != "" || !json.Valid([]byte(got.body)) {
		t.Errorf("%v %s", got.header, got.body)
	}
	none := w.send(graphPath, identity.AudienceGraph, body("DeviceInfo"), func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip;q=0, br") })
	if none.header.Get("Content-Encoding") != "" {
		t.Error("compressed in spite of q=0")
	}
	zipped := w.send(graphPath, identity.AudienceGraph, body("DeviceInfo"), func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if zipped.header.Get("Content-Encoding") != "gzip" || !bytes.HasPrefix([]byte(zipped.body), []byte{0x1f, 0x8b}) {
		t.Errorf("%v", zipped.header)
	}
}

func TestRefusals_OfTokens(t *testing.T) {
	w := newWorld(t, nil)
	code := func(r reply) string { c, _ := failure(t, r); return strconv.Itoa(r.status) + " " + c }
	tests := []struct{ name, path, audience, want string }{
		{"graph without", graphPath, "", "401 InvalidAuthenticationToken"},
		{"graph for another", graphPath, identity.AudienceXDR, "401 InvalidAuthenticationToken"},
		{"mde without", mdePath, "", "401 Unauthorized"},
		{"mde for another", mdePath, identity.AudienceXDR, "403 Forbidden"},
		{"xdr for another", xdrPath, identity.AudienceDefender, "401 Unauthorized"},
	}
	for _, tt := range tests {
		if got := code(w.send(tt.path, tt.audience, body("AlertInfo"), nil)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}

	old := w.token(identity.AudienceGraph)
	*w.clock = now.Add(2 * time.Hour)
	got := w.send(graphPath, "", body("AlertInfo"), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+old) })
	if c, m := failure(t, got); got.status != 401 || c != "InvalidAuthenticationToken" || !strings.Contains(m, "expired") || got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("expired: %d %s", got.status, got.body)
	}

	if err := w.ids.SetRoles(appID, identity.AudienceGraph, "Policy.Read.All", "User.Read.All"); err != nil {
		t.Fatal(err)
	}
	got = w.graph("AlertInfo")
	if _, m := failure(t, got); got.status != 403 || m != "Missing application roles. API required roles: ThreatHunting.Read.All, application roles: Policy.Read.All,User.Read.All." {
		t.Errorf("role: %d %s", got.status, got.body)
	}
	if err := w.ids.SetRoles(appID, identity.AudienceDefender); err != nil {
		t.Fatal(err)
	}
	got = w.mde("AlertInfo")
	if c, m := failure(t, got); got.status != 403 || c != "Forbidden" || m != "Missing application roles. API required roles: AdvancedQuery.Read.All" {
		t.Errorf("mde role: %d %s", got.status, got.body)
	}
}

func TestRefusals_OfRequests(t *testing.T) {
	w := newWorld(t, nil)
	text := func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	tests := []struct {
		name, path, body, want string
		change                 func(*http.Request)
	}{
		{"no query", graphPath, `{}`, "400 BadRequest", nil},
		{"blank query", graphPath, `{"Query":" "}`, "400 BadRequest", nil},
		{"no JSON", graphPath, `{"Query"`, "400 BadRequest", nil},
		{"an array", graphPath, `[]`, "400 BadRequest", nil},
		{"a number", graphPath, `{"Query":1}`, "400 BadRequest", nil},
		{"unknown parameter", graphPath, `{"Query":"AlertInfo","Take":1}`, "400 BadRequest", nil},
		{"text", graphPath, `{"Query":"AlertInfo"}`, "400 BadRequest", text},
		{"bad timespan", graphPath, `{"Query":"AlertInfo","Timespan":"soon"}`, "400 BadRequest", nil},
		{"mde lower case", mdePath, `{"query":"AlertInfo"}`, "400 MissingRequiredParameter", nil},
		{"mde no JSON", mdePath, `Query`, "400 InvalidRequestBody", nil},
		{"mde text", mdePath, `{"Query":"DeviceInfo"}`, "400 InvalidRequestBody", text},
		{"GET", graphPath, ``, "405 Request_BadRequest", func(r *http.Request) { r.Method = http.MethodGet }},
		{"graph path", "/v1.0/security/alerts", ``, "404 BadRequest", nil},
		{"mde path", "/api/libraryfiles", ``, "404 ResourceNotFound", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			audience := identity.AudienceGraph
			if tt.path == mdePath {
				audience = identity.AudienceDefender
			}
			got := w.send(tt.path, audience, tt.body, tt.change)
			code, _ := failure(t, got)
			if s := strconv.Itoa(got.status) + " " + code; s != tt.want {
				t.Errorf("got %s, want %s: %s", s, tt.want, got.body)
			}
		})
	}
	got := w.graph("AlertInfo | where Title != '" + strings.Repeat("x", 1<<20) + "'")
	if got.status != 413 || !strings.Contains(got.body, "<center>nginx</center>") || !strings.Contains(got.body, "413 Request Entity Too Large") {
		t.Errorf("large request: %d %.200s", got.status, got.body)
	}
}

func TestRefusals_OfQueries(t *testing.T) {
	w := newWorld(t, nil)
	w.tenant.Remove("EmailEvents")
	tests := []struct{ name, query, want string }{
		{"unknown table", "EmailEvents | where Timestamp > ago(1d)", "'where' operator: Failed to resolve table or column expression named 'EmailEvents'. Fix semantic errors in your query."},
		{"table in another case", "deviceinfo | where true", "'where' operator: Failed to resolve table or column expression named 'deviceinfo'. Fix semantic errors in your query."},
		{"unknown column", "DeviceInfo | where Nope == 1", "'where' operator: Failed to resolve scalar expression named 'Nope'. Fix semantic errors in your query."},
		{"syntax", "DeviceInfo | where (", "Fix syntax errors in your query."},
		{"control command", ".show tables", "Fix syntax errors in your query."},
		{"outside data", "externaldata (a:string) ['https://example.com/x']", "in your query."},
		{"another cluster", "cluster('help').database('Samples').StormEvents", "in your query."},
	}
	for _, tt := range tests {
		got := w.graph(tt.query)
		code, message := failure(t, got)
		if got.status != 400 || code != "BadRequest" || !strings.HasSuffix(message, tt.want) {
			t.Errorf("%s: %d %s %q, want %q", tt.name, got.status, code, message, tt.want)
		}
	}
	w.append("AlertInfo", `{"AlertId":"a"}`)
	if got := w.mde("AlertInfo | take 1"); got.status != 400 || !strings.Contains(got.body, "Failed to resolve table") {
		t.Errorf("AlertInfo on MDE: %d %s", got.status, got.body)
	}
}

func TestLookBack_IsJudgedByIngestionTime(t *testing.T) {
	w := newWorld(t, nil)
	for _, row := range []struct {
		at time.Time
		id string
	}{{now.AddDate(0, 0, -31), "gone"}, {now.AddDate(0, 0, -29), "held"}, {time.Time{}, "undated"}, {now.Add(time.Second), "not yet"}} {
		if err := w.tenant.Append("AlertInfo", row.at, `{"AlertId":"`+row.id+`","Timestamp":"2020-01-01T00:00:00Z"}`); err != nil {
			t.Fatal(err)
		}
	}
	got := w.graph("AlertInfo | summarize Ids = make_list(AlertId)")
	if !strings.Contains(got.body, `["held","undated"]`) {
		t.Error(got.body)
	}
	w.tenant.Advance(time.Minute)
	if got = w.graph("AlertInfo | summarize Ids = make_list(AlertId), Now = now()"); !strings.Contains(got.body, `["held","undated","not yet"]`) || !strings.Contains(got.body, `"2026-11-21T12:01:00`) {
		t.Error(got.body)
	}
}

func TestTimespan_NarrowsByTheTimeColumn(t *testing.T) {
	w := newWorld(t, nil)
	w.append("AlertInfo", `{"AlertId":"old","Timestamp":"2026-11-01T00:00:00Z"}`, `{"AlertId":"new","Timestamp":"2026-11-21T00:00:00.1Z"}`, `{"AlertId":"undated"}`)
	w.append("DeviceTvmSoftwareInventory", `{"DeviceId":"d"}`)
	tests := []struct{ span, want string }{
		{"P30D", `["old","new"]`}, {"PT12H", `["new"]`}, {"2026-11-20T00:00:00Z", `["new"]`},
		{"2026-10-31T00:00:00Z/2026-11-02", `["old"]`}, {"P5D/2026-11-02T00:00:00Z", `["old"]`}, {"2026-11-21T00:00:00Z/P1D", `["new"]`},
	}
	for _, tt := range tests {
		got := w.send(graphPath, identity.AudienceGraph, `{"Query":"AlertInfo | summarize Ids = make_list(AlertId)","Timespan":"`+tt.span+`"}`, nil)
		if !strings.Contains(got.body, `"Ids":`+tt.want) {
			t.Errorf("%s: %s, want %s", tt.span, got.body, tt.want)
		}
	}
	if got := w.send(graphPath, identity.AudienceGraph, `{"Query":"DeviceTvmSoftwareInventory | count","Timespan":"P1D"}`, nil); !strings.Contains(got.body, `{"Count":1}`) {
		t.Error(got.body)
	}
}
