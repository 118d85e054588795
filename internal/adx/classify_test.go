package adx

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/fault"
)

func restError(code, text, permanent string) string {
	return `{"error":{"code":"` + code + `","message":"Request failed.","@message":"` + text + `"` + permanent + `}}`
}

func TestErrors_HaveAKindAndARemedyAndNoStatement(t *testing.T) {
	const yes, no, unsaid = `,"@permanent":true`, `,"@permanent":false`, ``
	cases := []struct {
		name   string
		reply  reply
		kind   fault.Kind
		quotes string
	}{
		{"throttled", reply{code: 429, body: restError("TooManyRequests", "slow down", no)}, fault.Retry, "slow down"},
		{"throttled, said to be permanent", reply{code: 429, body: restError("TooManyRequests", "slow down", yes)}, fault.Retry, "429"},
		{"unavailable", reply{code: 503, body: "<html>gateway</html>"}, fault.Retry, "503"},
		{"internal and transient", reply{code: 500, body: restError("General_InternalServerError", "oops", no)}, fault.Retry, "oops"},
		{"internal and permanent", reply{code: 500, body: restError("General_InternalServerError", "never", yes)}, fault.Permanent, "never"},
		{"bad request", reply{code: 400, body: restError("BadRequest_Syntax", "SYN0002: line 1", yes)}, fault.Permanent, "SYN0002"},
		{"bad request, no flag", reply{code: 400, body: restError("BadRequest", "what", unsaid)}, fault.Permanent, "what"},
		{"bad request, transient", reply{code: 400, body: restError("LimitsExceeded", "later", no)}, fault.Retry, "later"},
		{"unknown column", reply{code: 400, body: restError("Semantic error", "SEM0100: 'where' operator: Failed to resolve column named 'RunId'", yes)}, fault.Permanent, "run `handler setup`"},
		{"unknown table", reply{code: 400, body: restError("BadRequest_EntityNotFound", "Entity 'T' of kind 'Table' was not found.", yes)}, fault.Permanent, "run `handler setup`"},
		{"unknown table in the answer", reply{columns: "Slice:int, Rows:long, Nulls:long", v2error: restError("BadRequest_EntityNotFound", "SEM0100", yes)}, fault.Permanent, "run `handler setup`"},
		{"unauthenticated", reply{code: 401}, fault.Permanent, ".add database ['db1'] viewers ('aadapp="},
		{"unauthorized", reply{code: 403, body: restError("Forbidden", "Principal 'aadapp=x' is not authorized", yes)}, fault.Permanent, ".add database ['db1'] viewers ('aadapp="},
		{"out of memory in the answer", reply{columns: "Slice:int, Rows:long, Nulls:long", v2error: restError("E_LOW_MEMORY", "low memory", no)}, fault.Retry, "low memory"},
		{"paused capacity", reply{code: 403, body: restError("CapacityNotActive", "Unable to complete the action because this Fabric capacity is currently paused.", yes)}, fault.Wait, "resume the Fabric capacity"},
		{"paused capacity, by its text alone", reply{code: 400, body: restError("BadRequest", "Unable to complete the action because this Fabric capacity is currently paused.", yes)}, fault.Wait, "resume the Fabric capacity"},
		{"empty answer", reply{body: " "}, fault.Retry, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := newStandIn(t)
			s.answer = func(string, string, string) reply { return tc.reply }
			_, err := s.client(t).Landed(t.Context(), "SecretlyNamedRaw", []string{"run1"}, time.Time{})
			if err == nil || fault.KindOf(err) != tc.kind {
				t.Fatalf("got %v (%v), want kind %v", err, fault.KindOf(err), tc.kind)
			}
			if !strings.Contains(err.Error(), tc.quotes) {
				t.Errorf("error %q does not say %q", err, tc.quotes)
			}
			if strings.Contains(err.Error(), "summarize") {
				t.Errorf("error %q quotes the statement", err)
			}
		})
	}
}

func TestErrors_OfACommandNameTheRoleItNeeds(t *testing.T) {
	s := newStandIn(t)
	s.answer = func(_, _, text string) reply {
		if strings.HasPrefix(text, ".show table") {
			return reply{columns: "Schema:string", rows: []string{`["{\"OrderedColumns\":[{\"Name\":\"RunId\",\"CslType\":\"string\"}]}"]`}}
		}
		return reply{code: 403, body: restError("Forbidden", "not authorized", "")}
	}
	err := s.client(t).Void(t.Context(), "TRaw", "run1", 1)
	if err == nil || !strings.Contains(err.Error(), ".add database ['db1'] ingestors") {
		t.Errorf("got %v, want the ingestor role named", err)
	}
}

func TestErrors_UnreachableIsRetryWithoutStatement(t *testing.T) {
	s := newStandIn(t)
	c := s.client(t)
	s.answer = func(string, string, string) reply { return reply{columns: "Id:string"} }
	if _, err := c.Probed(t.Context(), "warm"); err != nil {
		t.Fatal(err)
	}
	s.CloseClientConnections()
	s.Close()
	_, err := c.Probed(t.Context(), "x")
	if fault.KindOf(err) != fault.Retry || strings.Contains(err.Error(), "where Id") {
		t.Errorf("got %v (%v)", err, fault.KindOf(err))
	}
}

func TestErrors_CancelledKeepsTheContextsError(t *testing.T) {
	s := newStandIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.answer = func(string, string, string) reply { cancel(); return reply{code: 200, body: "["} }
	_, err := s.client(t).Probed(ctx, "x")
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Retry {
		t.Errorf("got %v (%v), want a retryable cancellation", err, fault.KindOf(err))
	}
}

type refusingCredential struct{ err error }

func (c refusingCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, c.err
}

func TestErrors_OfTheCredentialKeepTheirKind(t *testing.T) {
	s := newStandIn(t)
	cause := fault.As(fault.Permanent, errors.New("the client secret has expired"))
	c := s.client(t, func(cfg *Config) { cfg.Credential = refusingCredential{cause} })
	_, err := c.Probed(t.Context(), "x")
	if !errors.Is(err, cause) || fault.KindOf(err) != fault.Permanent {
		t.Errorf("got %v (%v), want the credential's own error", err, fault.KindOf(err))
	}
}

func TestRedact_RemovesEverySignature(t *testing.T) {
	for _, text := range []string{
		`Put "https://a.blob.core.windows.net/c/b.json.gz?sv=1&sig=SECRET%2B": EOF`,
		`IngestionSourcePath: https://h/c?se=2&sp=r&sig=SECRET,`,
		`sig=SECRET`,
		`AccountKey=SECRET;`,
	} {
		if got := redact(text); strings.Contains(got, "SECRET") {
			t.Errorf("redact(%q) = %q", text, got)
		}
	}
	if got := quote("a\n  b " + strings.Repeat("é", 1000)); !strings.HasPrefix(got, "a b é") || len(got) > messageLimit+3 {
		t.Errorf("quote leaves %d bytes: %q", len(got), got[:20])
	}
}

// ADX, or a proxy before it, repeats the request in its error.
func TestScenario_C11_EchoedRequestOfADX(t *testing.T) {
	const secret = "opaque-token-0123456789"
	for _, code := range []int{400, 401, 403, 429, 500} {
		for _, body := range []string{
			restError("Bearer "+secret, "Authorization: Bearer "+secret+" was refused", `,"@permanent":true`),
			`{"error":{"code":"x","message":"access_token=` + secret + `"}}`, "Bearer " + secret,
		} {
			s := newStandIn(t)
			s.answer = func(string, string, string) reply { return reply{code: code, body: body} }
			if _, err := s.client(t).Landed(t.Context(), "TRaw", []string{"run1"}, time.Time{}); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%d %s: %v", code, body, err)
			}
		}
	}
}

func TestNew_RefusesAllMistakesAtOnce(t *testing.T) {
	_, err := New(Config{ClusterURL: "mycluster", IngestURL: "http://ingest-c.example"})
	for _, setting := range []string{"ADX_CLUSTER_URL", "ADX_INGEST_URL", "ADX_DATABASE"} {
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("got %v, want %s named", err, setting)
		}
	}
}

func TestNew_DerivesTheIngestEndpoint(t *testing.T) {
	cases := map[string][2]string{
		"https://c.region.kusto.windows.net/":       {"https://c.region.kusto.windows.net", "https://ingest-c.region.kusto.windows.net"},
		"https://ingest-c.region.kusto.windows.net": {"https://c.region.kusto.windows.net", "https://ingest-c.region.kusto.windows.net"},
		"http://127.0.0.1:8080":                     {"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		"https://localhost:8443":                    {"https://localhost:8443", "https://localhost:8443"},
	}
	for given, want := range cases {
		c, err := New(Config{ClusterURL: given, Database: "d"})
		if err != nil {
			t.Fatalf("%s: %v", given, err)
		}
		if got := [2]string{c.cluster, c.ingest}; got != want {
			t.Errorf("%s: got %v, want %v", given, got, want)
		}
	}
}

func TestClose_LeavesNothingToOpen(t *testing.T) {
	s := newStandIn(t)
	c := s.client(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Probed(t.Context(), "x"); err == nil {
		t.Error("a closed client answered")
	}
	if _, err := c.ingestion(); err == nil {
		t.Error("a closed client made an ingest client")
	}
}

var _ http.RoundTripper = wholeBody{}
