package defender_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func envelope(code, message string) string {
	b, _ := json.Marshal(map[string]any{"error": map[string]string{"code": code, "message": message}})
	return string(b)
}

// A 400 about load is divided or tried again, in all the words that are known; only
// one about the query itself, or about a right, is final. A stated wait is obeyed
// whatever the status.
func TestScenario_L23_RefusalsAboutLoad(t *testing.T) {
	tests := []struct {
		status  int
		message string
		want    fault.Kind
		wait    time.Duration
	}{
		{400, "Query exceeded the timeout period. Optimize your query and try again.", fault.Split, 0},
		{400, `Result size limit exceeded. Use "summarize" to aggregate results, "project" to drop uninteresting columns, or "take" to truncate results.`, fault.Split, 0},
		{400, "Query stopped. Adjust use of the join operator to avoid excessive resource consumption.", fault.Split, 0},
		{400, "Query complexity exceeded the maximum.", fault.Split, 0},
		{400, "The query is too complex.", fault.Split, 0},
		{400, "The query text is too long.", fault.Split, 0},
		{400, "An unexpected error occurred during query execution. Please try again in a few minutes.", fault.Unavailable, 0},
		{400, "Something nobody has seen before.", fault.Unavailable, 0},
		{400, "", fault.Unavailable, 0},

		{400, "You have exceeded processing resources allocated to this tenant. You can run queries again in 00:12:34.", fault.Wait, 12*time.Minute + 34*time.Second},
		{400, "Queries timed out. You can run queries again in 5 minutes.", fault.Wait, 5 * time.Minute},
		{400, "Query exceeded the timeout period. Please retry after 1.5 hours.", fault.Wait, 90 * time.Minute},
		{400, "You can run queries again in 1 hour and 2 minutes.", fault.Wait, 62 * time.Minute},
		{400, "Try again in an hour.", fault.Wait, time.Hour},
		{400, "Please wait 1500 ms.", fault.Wait, 1500 * time.Millisecond},
		{503, "Please retry after PT2M.", fault.Wait, 2 * time.Minute},
		{503, "The service is unavailable.", fault.Unavailable, 0},
		{409, "Please retry after 30 seconds.", fault.Wait, 30 * time.Second},
		{409, "Something nobody has seen before.", fault.Permanent, 0},
		{400, "Query exceeded 180 seconds of run time and timed out.", fault.Split, 0},

		{400, "The query timed out: the application does not have permission to read this table.", fault.Permanent, 0},
		{400, "Access is denied.", fault.Permanent, 0},
		{400, "'where' operator: Failed to resolve scalar expression named 'Timeout'. Fix semantic errors in your query.", fault.Permanent, 0},
		{400, "A recognition error occurred. Token='|'", fault.Permanent, 0},
		{400, "Fix syntax errors in your query. Try again in 5 minutes.", fault.Permanent, 0},
		{400, "SEM0139: Failed to resolve expression", fault.Permanent, 0},
	}
	for _, tt := range tests {
		c, s, _ := start(t, nil, status(tt.status, envelope("BadRequest", tt.message)))
		_, _, err := fetch(t, c)
		if fault.KindOf(err) != tt.want || s.count() != 1 {
			t.Errorf("%d %q: %v (%v), want %v in one call", tt.status, tt.message, err, fault.KindOf(err), tt.want)
		}
		if until, ok := fault.Until(err); ok && until.Sub(now) != tt.wait {
			t.Errorf("%q: wait of %v, want %v", tt.message, until.Sub(now), tt.wait)
		}
	}
	c, _, _ := start(t, nil, status(503, "", "Retry-After", "90"))
	if _, _, err := fetch(t, c); fault.KindOf(err) != fault.Wait {
		t.Errorf("Retry-After with a 503: %v (%v), want a wait", err, fault.KindOf(err))
	}
}

// A byte order mark stands before an answer, and before each kind of error.
func TestScenario_L24_ByteOrderMark(t *testing.T) {
	const mark = "\ufeff"
	c, _, _ := start(t, nil, status(200, mark+oneRow))
	if rows, received, err := fetch(t, c); err != nil || received.Rows != 1 || rows != "{\"A\":1}\n" {
		t.Errorf("answer: %q, %+v, %v; want its row", rows, received, err)
	}
	for body, want := range map[string]fault.Kind{
		tooBig: fault.Split,
		envelope("429", "You can run queries again in 8 seconds."): fault.Wait,
		expired: fault.Retry,
	} {
		code := 400
		if want == fault.Retry {
			code = 401
		}
		c, _, _ := start(t, nil, status(code, mark+body))
		if _, _, err := fetch(t, c); fault.KindOf(err) != want {
			t.Errorf("%s: %v (%v), want %v", body, err, fault.KindOf(err), want)
		}
	}
	c, _, _ = start(t, nil, status(401, mark+expired))
	if _, _, err := fetch(t, c); err == nil || !strings.Contains(err.Error(), "the token is expired") {
		t.Errorf("got %v, want what the service said", err)
	}
}

// 401 with AF10001 is a missing role in the clothes of a refused token.
func TestScenario_L28_MissingRoleWith401(t *testing.T) {
	for name, body := range map[string]string{
		"by its code": envelope("AF10001", "Forbidden."),
		"by its text": envelope("Unauthorized", "The permission set () sent in the request does not include the expected permission."),
	} {
		c, s, cred := start(t, nil, status(401, body))
		cred.token = jwt("https://graph.microsoft.com")
		_, _, err := fetch(t, c)
		if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "app role ThreatHunting.Read.All is missing") {
			t.Errorf("%s: %v (%v), want the remedy of a missing role", name, err, fault.KindOf(err))
		}
		if s.count() != 1 || cred.forgotten != 0 {
			t.Errorf("%s: %d calls, token forgotten %d times; want one and none", name, s.count(), cred.forgotten)
		}
	}
}

// platform is a managed identity: it gives the same token whatever is forgotten.
type platform struct{ *credential }

func (platform) ManagedIdentity() bool { return true }

func TestScenario_L28_RoleOfAManagedIdentity(t *testing.T) {
	cred := &credential{token: jwt("https://graph.microsoft.com")}
	c, _, _ := start(t, func(cfg *defender.Config) { cfg.Credential = platform{cred} }, status(403, envelope("Forbidden", "")))
	_, _, err := fetch(t, c)
	for _, part := range []string{"appRoleAssignments", "up to 24 hours"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "admin consent") {
		t.Errorf("%v speaks of a consent that nobody can give", err)
	}
}

// allowance is a Caller that counts the calls it gave.
type allowance struct{ taken atomic.Int64 }

func (a *allowance) Do(ctx context.Context, try func(context.Context) error) error {
	a.taken.Add(1)
	return try(ctx)
}

// Each call that goes out was taken from the quota: the second try after a refused
// token, which is forgotten, as well.
func TestScenario_L9_RefusedTokenCostsOneCall(t *testing.T) {
	claims := `{"access_token":{"nbf":{"value":"1"}}}`
	asked := base64.StdEncoding.EncodeToString([]byte(claims))
	c, s, cred := start(t, nil,
		status(401, expired, "WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+asked+`"`), status(200, oneRow))
	var calls allowance
	for i, want := range []int{2, 3} {
		got, err := c.Fetch(t.Context(), &calls, table, slice, func(_ context.Context, produce func(io.Writer) error) error { return produce(io.Discard) })
		if err != nil || got.Rows != 1 || s.count() != want || int(calls.taken.Load()) != want {
			t.Errorf("fetch %d: %+v, %v; %d calls went out and %d were taken, want %d", i+1, got, err, s.count(), calls.taken.Load(), want)
		}
	}
	if cred.forgotten != 1 || len(cred.asked) != 3 || cred.asked[1].Claims != claims || cred.asked[2].Claims != "" {
		t.Errorf("forgotten %d times, tokens asked for with %+v; want once, and the claims once", cred.forgotten, cred.asked)
	}
	for name, count := range map[string]func(plan.Caller) error{
		"count": func(call plan.Caller) error {
			_, err := c.Count(t.Context(), call, plan.CountQuery{Table: table})
			return err
		},
		"buckets": func(call plan.Caller) error {
			_, err := c.CountBuckets(t.Context(), call, table, []plan.Slice{slice}, plan.Buckets)
			return err
		},
	} {
		c, s, _ = start(t, nil, status(401, expired), status(200, `{"schema":[],"results":[]}`))
		var calls allowance
		_ = count(&calls) // of an answer without a clock nothing comes
		if s.count() != 2 || calls.taken.Load() != 2 {
			t.Errorf("%s: %d calls went out and %d were taken, want 2", name, s.count(), calls.taken.Load())
		}
	}
}

// Refused right after it was replaced, a token is the wrong one: the remedy. The
// next run begins with a new one all the same.
func TestScenario_L9_RefusedTwiceInARow(t *testing.T) {
	for _, tt := range []struct {
		message, says string
		want          fault.Kind
	}{
		{"Audience validation failed", "check that tenant, cloud and scope belong together", fault.Permanent},
		{"Lifetime validation failed, the token is expired.", "clock", fault.Retry},
	} {
		c, s, cred := start(t, nil, status(401, envelope("InvalidAuthenticationToken", tt.message)))
		for run := 1; run <= 2; run++ {
			_, _, err := fetch(t, c)
			if fault.KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.says) || s.count() != 2*run || cred.forgotten != 2*run {
				t.Errorf("run %d: %v (%v) after %d calls, token forgotten %d times; want %v after %d", run, err, fault.KindOf(err), s.count(), cred.forgotten, tt.want, 2*run)
			}
		}
	}
}

// minted gives a new token after each Forget.
type minted struct {
	mu     sync.Mutex
	number int
}

func (m *minted) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return azcore.AccessToken{Token: string(rune('a' + m.number)), ExpiresOn: now.Add(time.Hour)}, nil
}

func (m *minted) Forget(...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.number++
}

// Fourteen calls are in flight with one token when it is refused: it is forgotten
// once, and none of them is taken for a second refusal.
func TestScenario_L9_ManyCallsWithOneRefusedToken(t *testing.T) {
	const calls = 14
	var together sync.WaitGroup
	together.Add(calls)
	cred := &minted{}
	c, s, _ := start(t, func(cfg *defender.Config) { cfg.Credential = cred }, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer a" {
			together.Done()
			together.Wait()
			status(401, expired)(w, r)
			return
		}
		status(200, oneRow)(w, r)
	})
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			if got, err := fetchInto(t.Context(), c, table, slice, io.Discard); err != nil || got.Rows != 1 {
				t.Errorf("got %+v, %v (%v); want a row", got, err, fault.KindOf(err))
			}
		})
	}
	all.Wait()
	if cred.number != 1 || s.count() != 2*calls {
		t.Errorf("the token was forgotten %d times in %d calls, want once in %d", cred.number, s.count(), 2*calls)
	}
}

// A count of several parts that is too much for one query is divided; one of a
// single part, whose text cannot be shortened, is not.
func TestScenario_L10_CountTooLongOrTooComplex(t *testing.T) {
	parts := []plan.Slice{{Part: plan.PartAll, Hi: 100}, {Part: plan.PartAll, Lo: 100, Hi: plan.Buckets}}
	tests := []struct {
		status int
		body   string
		parts  int
		want   fault.Kind
	}{
		{413, "<html><head><title>413 Request Entity Too Large</title></head></html>", 2, fault.Split},
		{414, "", 2, fault.Split},
		{400, envelope("BadRequest", "Query complexity exceeded the maximum."), 2, fault.Split},
		{400, envelope("BadRequest", "The query text is too long."), 2, fault.Split},
		{413, "", 1, fault.Permanent},
	}
	for _, tt := range tests {
		c, s, _ := start(t, nil, status(tt.status, tt.body))
		_, err := c.CountBuckets(t.Context(), once{}, table, parts[:tt.parts], plan.Buckets)
		if fault.KindOf(err) != tt.want || s.count() != 1 {
			t.Errorf("%d %q of %d parts: %v (%v), want %v", tt.status, tt.body, tt.parts, err, fault.KindOf(err), tt.want)
		}
	}
}

// A row that cannot be read has the same signature at each try, wherever it stands;
// an outage has none.
func TestScenario_L27_OneRowThatCannotBeRead(t *testing.T) {
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	for name, row := range map[string]string{"nested too deeply": `{"A":` + deep + `}`, "raw control character": "{\"A\":\"x\x01y\"}"} {
		var signatures []string
		for _, before := range []string{"", `{"A":1},`, `{"A":1},{"A":"` + strings.Repeat("x", 1000) + `"},`} {
			c, _, _ := start(t, nil, status(200, `{"schema":[],"results":[`+before+row+`]}`))
			_, _, err := fetch(t, c)
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "in row ") || strings.Contains(err.Error(), "x\x01") {
				t.Errorf("%s: %v (%v), want an error that names the row", name, err, fault.KindOf(err))
			}
			signatures = append(signatures, fault.Signature(err))
		}
		if signatures[0] == "" || signatures[0] != signatures[1] || signatures[1] != signatures[2] {
			t.Errorf("%s: signatures %q, want the same one", name, signatures)
		}
	}
	for _, body := range []string{"<html></html>", oneRow[:len(oneRow)-3], `{"results":[{"A":1}{"A":2}]}`} {
		c, _, _ := start(t, nil, status(200, body))
		if _, _, err := fetch(t, c); fault.Signature(err) != "" {
			t.Errorf("%q has the signature %q", body, fault.Signature(err))
		}
	}
}

// A service repeats the request in its error: nothing of the token is quoted.
func TestScenario_C11_EchoedRequest(t *testing.T) {
	const opaque, signed = "opaque-token-0123", "eyJhbGciOiJSUzI1NiJ9.eyJyb2xlcyI6W119.c2lnbmF0dXJl"
	for _, secret := range []string{opaque, signed} {
		for _, body := range []string{
			envelope("BadRequest", "POST /v1.0/security/runHuntingQuery Authorization: Bearer "+secret+" was refused"),
			envelope("Bearer "+secret, `headers: {"Authorization":"Bearer `+secret+`"}`),
			"<html><title>Bearer " + secret + "</title></html>",
			`{"error":"invalid","error_description":"access_token=` + secret + `"}`,
		} {
			for _, code := range []int{400, 401, 403, 429, 500} {
				c, _, cred := start(t, nil, status(code, body, "request-id", "Bearer "+secret))
				cred.token = secret
				if _, _, err := fetch(t, c); err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "eyJ") {
					t.Errorf("%d: got %v", code, err)
				}
			}
		}
	}
}
