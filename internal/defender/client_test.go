package defender_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const scope = "https://graph.microsoft.com/.default"

var (
	now     = time.Date(2026, 3, 2, 10, 7, 30, 0, time.UTC)
	table   = plan.Table{Source: "DeviceInfo", Load: plan.Full}
	slice   = plan.Slice{No: 3, Part: plan.PartWindow, Window: plan.Window{From: now.Add(-time.Hour), To: now}, Hi: plan.Buckets}
	oneRow  = `{"schema":[{"name":"A","type":"Int64"}],"results":[{"A":1}]}`
	tooBig  = `{"error":{"code":"BadRequest","message":"Query execution has exceeded the allowed result size. Optimize your query"}}`
	expired = `{"error":{"code":"InvalidAuthenticationToken","message":"Lifetime validation failed, the token is expired."}}`
)

// service is a scripted hunting API: handler i answers call i, the last one all
// that follow.
type service struct {
	mu      sync.Mutex
	calls   []*http.Request
	queries []string
	script  []http.HandlerFunc
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var query struct{ Query string }
	_ = json.Unmarshal(body, &query)
	s.mu.Lock()
	answer := s.script[min(len(s.calls), len(s.script)-1)]
	s.calls, s.queries = append(s.calls, r), append(s.queries, query.Query)
	s.mu.Unlock()
	answer(w, r)
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// credential hands out a token and counts what happens to it.
type credential struct {
	mu        sync.Mutex
	token     string
	err       error
	asked     []policy.TokenRequestOptions
	forgotten int
}

func (c *credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, o)
	return azcore.AccessToken{Token: c.token, ExpiresOn: now.Add(time.Hour)}, c.err
}

func (c *credential) Forget(...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
}

func jwt(aud string, roles ...string) string {
	payload, _ := json.Marshal(map[string]any{"aud": aud, "roles": roles})
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
}

// person is the token of somebody who signed in.
func person(aud, scopes string) string {
	payload, _ := json.Marshal(map[string]any{"aud": aud, "scp": scopes})
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
}

func start(t *testing.T, change func(*defender.Config), script ...http.HandlerFunc) (*defender.Client, *service, *credential) {
	t.Helper()
	s := &service{script: script}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cred := &credential{token: "secret-token"}
	cfg := defender.Config{BaseURL: server.URL, Scope: scope, Credential: cred, Transport: server.Client().Transport, Now: func() time.Time { return now }}
	if change != nil {
		change(&cfg)
	}
	client, err := defender.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client, s, cred
}

func fetch(t *testing.T, c *defender.Client) (string, plan.Received, error) {
	t.Helper()
	var out bytes.Buffer
	received, err := fetchInto(t.Context(), c, table, slice, &out)
	if err != nil {
		return "", received, err
	}
	gz, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return string(rows), received, nil
}

func TestClient_Fetch(t *testing.T) {
	const body = `{"schema":[{"name":"A","type":"Int64"},{"Name":"B","Type":"System.SByte"},{"name":"C","type":"Object"},{"name":"D","type":"DateTime"},{"name":"E","type":"unheard of"}],"results":[{"A@odata.type":"#Int64", "A":9007199254740993},{"A":null}]}`
	zipped := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		gz := gzip.NewWriter(w)
		_, _ = io.WriteString(gz, body)
		_ = gz.Close()
	}
	for name, answer := range map[string]http.HandlerFunc{"as it is": status(200, body), "gzip": zipped} {
		t.Run(name, func(t *testing.T) {
			c, s, cred := start(t, nil, answer)
			rows, received, err := fetch(t, c)
			if err != nil {
				t.Fatal(err)
			}
			const want = "{\"A\":9007199254740993}\n{\"A\":null}\n"
			types := map[string]string{"A": "long", "B": "bool", "C": "dynamic", "D": "datetime", "E": "dynamic"}
			if diff := cmp.Diff(plan.Received{Rows: 2, Bytes: int64(len(want)), Columns: types}, received); rows != want || diff != "" {
				t.Errorf("Fetch = %q, want %q; (-want +got):\n%s", rows, want, diff)
			}
			r := s.calls[0]
			if r.Method != "POST" || r.URL.Path != "/v1.0/security/runHuntingQuery" || r.Header.Get("Authorization") != "Bearer secret-token" ||
				r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("request was %s %s with %v", r.Method, r.URL.Path, r.Header)
			}
			const query = "['DeviceInfo'] | where ingestion_time() > datetime(2026-03-02T09:07:30.0000000Z) and ingestion_time() <= datetime(2026-03-02T10:07:30.0000000Z)"
			if s.queries[0] != query {
				t.Errorf("query was %q, want %q", s.queries[0], query)
			}
			if got := cred.asked[0].Scopes; !cmp.Equal(got, []string{scope}) {
				t.Errorf("token was asked for %v", got)
			}
		})
	}
}

func TestClient_Paths(t *testing.T) {
	tests := []struct {
		api           defender.API
		version, want string
	}{
		{defender.Graph, "", "/v1.0/security/runHuntingQuery"},
		{defender.Graph, "beta", "/beta/security/runHuntingQuery"},
		{defender.MDE, "", "/api/advancedqueries/run"},
	}
	for _, tt := range tests {
		c, s, _ := start(t, func(cfg *defender.Config) { cfg.API, cfg.Version = tt.api, tt.version }, status(200, oneRow))
		if _, _, err := fetch(t, c); err != nil || s.calls[0].URL.Path != tt.want || c.API() != string(tt.api) {
			t.Errorf("%s %s went to %s, %v; want %s", tt.api, tt.version, s.calls[0].URL.Path, err, tt.want)
		}
	}
}

func TestClient_Failures(t *testing.T) {
	envelope := func(code, message string) string {
		b, _ := json.Marshal(map[string]any{"error": map[string]any{"code": code, "message": message, "innererror": map[string]string{"request-id": "id-1"}}})
		return string(b)
	}
	capped := `{"schema":[],"results":[{}` + strings.Repeat(",{}", plan.MaxRows-1) + `]}`
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   fault.Kind
		says   string
		calls  int
	}{
		{"result too large", status(400, tooBig), fault.Split, "allowed result size", 1},
		{"preempted", status(400, envelope("BadRequest", "Query execution has exceeded the allowed limits ... was preempted.")), fault.Split, "preempted", 1},
		{"too heavy", status(400, envelope("badrequest", "Query stopped due to excessive resource consumption.")), fault.Split, "excessive", 1},
		{"exactly the cap", status(200, capped), fault.Split, "100000 rows", 1},
		{"table not there", status(400, envelope("BadRequest", "'where' operator: Failed to resolve table or column expression named 'DeviceInfo'. Fix semantic errors")), fault.Permanent, "table DeviceInfo is not available in this tenant (unknown, unlicensed or not readable)", 1},
		{"column not there", status(400, envelope("BadRequest", "'where' operator: Failed to resolve scalar expression named 'Seen'. Fix")), fault.Permanent, "table DeviceInfo has no column Seen", 1},
		{"bad syntax", status(400, envelope("BadRequest", "A recognition error occurred. Fix syntax errors in your query.")), fault.Permanent, "recognition error", 1},
		{"query too long", status(413, "<html><head><title>413 Request Entity Too Large</title></head></html>", "Content-Type", "text/html"), fault.Permanent, "query text is too long", 1},
		{"not found", status(404, envelope("ResourceNotFound", "x")), fault.Permanent, "check cloud and base URL", 1},
		{"redirected", status(302, "", "Location", "https://elsewhere.example/"), fault.Permanent, "check cloud and base URL", 1},
		{"throttled", status(429, envelope("TooManyRequests", "slow down"), "Retry-After", "30"), fault.Wait, "waiting until 2026-03-02T10:08:00", 1},
		{"throttled under a 400", status(400, envelope("429", "again in 8 seconds")), fault.Wait, "10:07:38", 1},
		{"proxy's page", status(502, "<html>\n<head><title>502 Bad\n Gateway</title></head></html>", "Content-Type", "text/html"), fault.Unavailable, `"502 Bad Gateway"`, 1},
		{"unknown error", status(500, envelope("UnknownError", "")), fault.Unavailable, "UnknownError (request-id id-1)", 1},
		{"time-out of the gateway", status(504, ""), fault.Unavailable, "504 Gateway Timeout", 1},
		{"empty answer", status(200, ""), fault.Unavailable, "unexpected EOF", 1},
		{"nothing in the answer", status(200, "{}"), fault.Unavailable, "neither a schema nor rows", 1},
		{"answer cut", status(200, oneRow[:len(oneRow)-3]), fault.Unavailable, "unexpected EOF", 1},
		{"answer malformed", status(200, `{"results":[{"A":1}{"A":2}]}`), fault.Unavailable, "malformed answer", 1},
		{"HTML as an answer", status(200, "<html></html>"), fault.Unavailable, "malformed answer", 1},
		{"gzip cut", cutGzip, fault.Unavailable, "unexpected EOF", 1},
		{"not gzip", status(200, oneRow, "Content-Encoding", "gzip"), fault.Unavailable, "unpack", 1},
		{"encoding not asked for", status(200, oneRow, "Content-Encoding", "br"), fault.Unavailable, `"br"`, 1},
		{"connection reset", reset, fault.Unavailable, "the connection failed", 1},
		{"connection reset in the answer", resetLater, fault.Unavailable, "EOF", 1},
		{"error in the answer", status(200, `{"results":[{"A":1}],"error":{"code":"X","message":"was preempted"}}`), fault.Split, "preempted", 1},
		{"other error in the answer", status(200, `{"error":{"code":"X","message":"y"}}`), fault.Unavailable, "X", 1},
		{"token refused twice", status(401, envelope("InvalidAuthenticationToken", "Audience validation failed")), fault.Permanent, "check that tenant, cloud and scope belong together", 2},
		{"token expired twice", status(401, expired), fault.Retry, "clock", 2},
		{"tenant refused", status(401, envelope("Unauthorized", "Unauthorized request - reason of failure: No Tvm license")), fault.Permanent, "the tenant or its licence", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s, cred := start(t, nil, tt.answer)
			_, _, err := fetch(t, c)
			if err == nil || fault.KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Fetch = %v (%v), want %v with %q", err, fault.KindOf(err), tt.want, tt.says)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), "Microsoft Graph: ") || strings.Contains(err.Error(), cred.token) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("error %q does not begin with the service, or holds the token, or spans lines", err)
			}
			if s.count() != tt.calls {
				t.Errorf("%d calls, want %d", s.count(), tt.calls)
			}
		})
	}
}

func cutGzip(w http.ResponseWriter, _ *http.Request) {
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	_, _ = io.WriteString(gz, oneRow)
	_ = gz.Close()
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(packed.Bytes()[:packed.Len()-6])
}

func reset(w http.ResponseWriter, _ *http.Request) {
	panic(http.ErrAbortHandler)
}

func resetLater(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, oneRow[:20])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func TestClient_ForbiddenNamesTheRole(t *testing.T) {
	const aud = "https://graph.microsoft.com"
	body := `{"error":{"code":"Forbidden","message":"Missing application roles."}}`
	tests := []struct {
		name  string
		api   defender.API
		token string
		body  string
		says  string
	}{
		{"no role", defender.Graph, jwt(aud), body, "app role ThreatHunting.Read.All is missing; roles in the token: none; add it to the app from the permissions of Microsoft Graph"},
		{"other roles", defender.Graph, jwt(aud, "User.Read.All", "Policy.Read.All"), body, "roles in the token: User.Read.All, Policy.Read.All"},
		{"the original script's role", defender.Graph, jwt(aud, "AdvancedHunting.Read.All"), body, "AdvancedHunting.Read.All, which the original script used, is not enough: add ThreatHunting.Read.All"},
		{"the original script's role for the older API", defender.MDE, jwt(aud, "AdvancedHunting.Read.All"), body, "add AdvancedQuery.Read.All of WindowsDefenderATP"},
		{"the role is there", defender.Graph, jwt(aud, "ThreatHunting.Read.All"), body, "denied for another reason"},
		{"a token for somebody else", defender.Graph, jwt("https://api.securitycenter.microsoft.com"), body, "the token is for https://api.securitycenter.microsoft.com but https://graph.microsoft.com is wanted"},
		{"a person without the permission", defender.MDE, person(aud, "Machine.Read User.Read"), body, "delegated permission AdvancedQuery.Read is missing; permissions in the token: Machine.Read User.Read; add it to the app from the permissions of WindowsDefenderATP"},
		{"a person without a role in Defender", defender.Graph, person(aud, "User.Read ThreatHunting.Read.All"), body, "the person lacks a role in Defender"},
		{"an opaque token", defender.Graph, "opaque", body, "ThreatHunting.Read.All of Microsoft Graph is probably missing"},
		{"tenant without Defender", defender.Graph, jwt(aud), `{"error":{"code":"Forbidden","message":"Unauthorized request - Account is not provisioned."}}`, "not set up in this tenant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _, cred := start(t, func(cfg *defender.Config) { cfg.API = tt.api }, status(403, tt.body))
			cred.token = tt.token
			_, _, err := fetch(t, c)
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), tt.token) {
				t.Errorf("Fetch = %v (%v), want permanent with %q", err, fault.KindOf(err), tt.says)
			}
		})
	}
}

func TestClient_LongMessagesAreClipped(t *testing.T) {
	c, _, _ := start(t, nil, status(400, `{"error":{"code":"BadRequest","message":"`+strings.Repeat("long ", 5000)+`"}}`))
	if _, _, err := fetch(t, c); err == nil || len(err.Error()) > 1000 {
		t.Errorf("error has %d bytes", len(err.Error()))
	}
}

func TestClient_TokenErrorKeepsItsKind(t *testing.T) {
	c, s, cred := start(t, nil, status(200, oneRow))
	cred.err = fault.As(fault.Permanent, errors.New("AADSTS7000215: wrong secret"))
	if _, _, err := fetch(t, c); fault.KindOf(err) != fault.Permanent || s.count() != 0 {
		t.Errorf("Fetch = %v (%v) after %d calls, want permanent and none", err, fault.KindOf(err), s.count())
	}
}

func TestClient_SilentService(t *testing.T) {
	release := make(chan struct{})
	tests := []struct {
		name         string
		answer, idle time.Duration
		handler      http.HandlerFunc
		says         string
	}{
		{"no answer", time.Millisecond, time.Hour, func(http.ResponseWriter, *http.Request) { <-release }, "no answer from the service"},
		{"answer stops", time.Hour, time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, oneRow[:20])
			_ = http.NewResponseController(w).Flush()
			<-release
		}, "no bytes from the service"},
	}
	var clients []*defender.Client
	for _, tt := range tests {
		c, _, _ := start(t, func(cfg *defender.Config) {
			cfg.AnswerTimeout, cfg.IdleTimeout = tt.answer, tt.idle
		}, tt.handler)
		clients = append(clients, c)
	}
	t.Cleanup(func() { close(release) }) // before the servers close, which wait for their handlers
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := fetch(t, clients[i]); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Fetch = %v (%v), want unavailable with %q", err, fault.KindOf(err), tt.says)
			}
		})
	}
}

func TestClient_CallersEndIsNotTheServices(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _, _ := start(t, nil, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := fetchInto(ctx, c, table, slice, io.Discard)
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Retry {
		t.Errorf("Fetch = %v (%v), want the context's error without a kind", err, fault.KindOf(err))
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestClient_DestinationsErrorIsNotTheServices(t *testing.T) {
	c, _, _ := start(t, nil, status(200, oneRow))
	broken := fault.As(fault.Permanent, errors.New("staging is full"))
	if _, err := fetchInto(t.Context(), c, table, slice, brokenWriter{broken}); !errors.Is(err, broken) || fault.KindOf(err) != fault.Permanent {
		t.Errorf("Fetch = %v (%v), want the destination's error with its kind", err, fault.KindOf(err))
	}
}

// Every answer that was published for the hunting APIs, as the client takes it.
func TestClient_PublishedAnswers(t *testing.T) {
	dir := sampledata.Path(t, "api-responses")
	tests := []struct {
		file   string
		status int
		want   fault.Kind
		rows   int64
		says   string
	}{
		{"graph-runhuntingquery-200", 200, fault.None, 2, ""},
		{"graph-runhuntingquery-200-dynamic-annotated", 200, fault.None, 1, ""},
		{"graph-runhuntingquery-200-empty", 200, fault.None, 0, ""},
		{"graph-runhuntingquery-200-schema-pascalcase", 200, fault.None, 2, ""},
		{"graph-runhuntingquery-200-timespan-p90d", 200, fault.None, 4, ""},
		{"m365d-advancedhunting-run-200", 200, fault.None, 2, ""},
		{"m365d-advancedhunting-run-200-alertinfo", 200, fault.None, 3, ""},
		{"m365d-advancedhunting-run-200-short-stats", 200, fault.None, 2, ""},
		{"mde-advancedqueries-run-200", 200, fault.None, 2, ""},
		{"graph-runhuntingquery-400-limits-preempted", 400, fault.Split, 0, ""},
		{"graph-runhuntingquery-400-result-too-large", 400, fault.Split, 0, ""},
		{"mde-advancedqueries-run-400-result-too-large", 400, fault.Split, 0, ""},
		{"graph-runhuntingquery-400-semantic-error", 400, fault.Permanent, 0, "table DeviceProcessEvents is not available in this tenant"},
		{"mde-error-400-invalid-request-body", 400, fault.Permanent, 0, "Request body is incorrect"},
		{"graph-error-401-invalid-token", 401, fault.Retry, 0, "token is expired"},
		{"mde-error-401-account-inactive", 401, fault.Permanent, 0, "Account mode is inactive"},
		{"mde-error-401-no-tvm-license", 401, fault.Permanent, 0, "No Tvm license"},
		{"entra-token-401-invalid-client", 401, fault.Permanent, 0, "AADSTS7000215"},
		{"graph-runhuntingquery-403-missing-role", 403, fault.Permanent, 0, "ThreatHunting.Read.All"},
		{"graph-runhuntingquery-403-not-provisioned", 403, fault.Permanent, 0, "not set up"},
		{"mde-error-403-missing-role", 403, fault.Permanent, 0, "Machine.Read.All"},
		{"mde-error-404-resource-not-found", 404, fault.Permanent, 0, "ResourceNotFound"},
		{"graph-runhuntingquery-429-cpu-quota", 429, fault.Wait, 0, "2026-03-02T10:20:04"},
		{"graph-error-429-too-many-requests", 429, fault.Wait, 0, "Please retry again later."},
		{"mde-advancedqueries-run-429-per-minute", 429, fault.Wait, 0, "2026-03-02T10:08:30"},
		{"mde-advancedqueries-run-429-per-hour", 429, fault.Wait, 0, "2026-03-02T11:07:30"},
		{"mde-error-429-retry-hint", 429, fault.Wait, 0, "2026-03-02T10:07:38"},
		{"graph-runhuntingquery-504-unknown-error", 504, fault.Unavailable, 0, "UnknownError"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(dir, tt.file+".json"))
			if err != nil {
				t.Fatal(err)
			}
			c, _, _ := start(t, nil, status(tt.status, string(body), "Content-Type", "application/json"))
			rows, received, err := fetch(t, c)
			if fault.KindOf(err) != tt.want || received.Rows != tt.rows || strings.Count(rows, "\n") != int(tt.rows) {
				t.Errorf("Fetch = %d rows, %v (%v); want %d, %v", received.Rows, err, fault.KindOf(err), tt.rows, tt.want)
			}
			if tt.says != "" && !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("Fetch = %v, want it to say %q", err, tt.says)
			}
			if until, ok := fault.Until(err); tt.want == fault.Wait && (!ok || !until.After(now)) {
				t.Errorf("Fetch = %v waits until %v, want after %v", err, until, now)
			}
		})
	}
}

// lengths are those of the writes that came.
type lengths []int

func (l *lengths) Write(p []byte) (int, error) {
	*l = append(*l, len(p))
	return len(p), nil
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestFetch_AnErrorPageWritesNothing(t *testing.T) {
	c, _, _ := start(t, nil, status(502, "<html>"), status(200, oneRow))
	var got lengths
	if _, err := fetchInto(t.Context(), c, table, slice, &got); err == nil || len(got) > 0 {
		t.Errorf("an error page: writes of %v bytes, %v", got, err)
	}
	if _, err := fetchInto(t.Context(), c, table, slice, closed{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the writer's error", err)
	}
}
