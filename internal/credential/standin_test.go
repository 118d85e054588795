package credential

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/secret"
)

const (
	tenant = "11111111-2222-3333-4444-555555555555"
	app    = "66666666-7777-8888-9999-000000000000"
	graph  = "https://graph.microsoft.com/.default"
	kusto  = "https://help.kusto.windows.net/.default"
)

// entra answers like the token endpoint of one tenant.
type entra struct {
	url string

	mu       sync.Mutex
	secret   string // accepted client secret
	life     time.Duration
	refuse   func(w http.ResponseWriter) bool // answers in place of the endpoint
	requests map[string]int                   // token requests by scope
	issued   int
}

func newEntra(t *testing.T, secret string) (*entra, *httptest.Server) {
	e := &entra{secret: secret, life: time.Hour, requests: map[string]int{}}
	server := httptest.NewTLSServer(e)
	t.Cleanup(server.Close)
	e.url = server.URL
	return e, server
}

func (e *entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/" + tenant + "/v2.0/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{
			"issuer":                 e.url + "/" + tenant + "/v2.0",
			"authorization_endpoint": e.url + "/" + tenant + "/oauth2/v2.0/authorize",
			"token_endpoint":         e.url + "/" + tenant + "/oauth2/v2.0/token",
		})
	case "/" + tenant + "/oauth2/v2.0/token":
		_ = r.ParseForm()
		e.requests[strings.Fields(r.Form.Get("scope"))[0]]++
		switch {
		case e.refuse != nil && e.refuse(w):
		case r.Form.Get("client_id") != app:
			entraError(w, 400, "unauthorized_client", 700016)
		case r.Form.Get("client_secret") != e.secret:
			entraError(w, 401, "invalid_client", 7000215)
		default:
			e.issued++
			_ = json.NewEncoder(w).Encode(map[string]any{
				"token_type": "Bearer", "expires_in": int(e.life.Seconds()), "access_token": fmt.Sprintf("token-%d", e.issued),
			})
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func entraError(w http.ResponseWriter, status int, code string, number int) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error":             code,
		"error_description": fmt.Sprintf("AADSTS%d: Explanation.\r\nTrace ID: t Correlation ID: c", number),
		"error_codes":       []int{number},
		"correlation_id":    "c",
	})
}

func (e *entra) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *entra) count(scope string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests[scope]
}

// keyVault answers like a vault: a challenge first, then one secret.
type keyVault struct {
	url string

	mu        sync.Mutex
	secret    string
	refuse    func(w http.ResponseWriter) bool
	challenge string
	reads     int // with a token
}

func newKeyVault(t *testing.T, secret, authority string) *keyVault {
	v := &keyVault{
		secret:    secret,
		challenge: fmt.Sprintf(`Bearer authorization="%s/%s", resource="https://vault.azure.net"`, authority, tenant),
	}
	server := httptest.NewTLSServer(v)
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *keyVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer vault-token" {
		w.Header().Set("WWW-Authenticate", v.challenge)
		vaultError(w, http.StatusUnauthorized, "Unauthorized", "")
		return
	}
	v.reads++
	switch {
	case v.refuse != nil && v.refuse(w):
	case r.URL.Path != "/secrets/defender/":
		vaultError(w, http.StatusNotFound, "SecretNotFound", "")
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{
			"value": v.secret, "id": v.url + "/secrets/defender/1", "attributes": map[string]bool{"enabled": true},
		})
	}
}

func vaultError(w http.ResponseWriter, status int, code, inner string) {
	w.WriteHeader(status)
	e := map[string]any{"code": code, "message": "no"}
	if inner != "" {
		e["innererror"] = map[string]string{"code": inner}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"error": e})
}

func (v *keyVault) set(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

func (v *keyVault) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads
}

// tokenFunc is a credential made of a function.
type tokenFunc func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)

func (f tokenFunc) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f(ctx, o)
}

func vaultToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "vault-token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a tenant, a vault and the credential between them.
type world struct {
	entra *entra
	vault *keyVault
	clock *clock
	cred  azcore.TokenCredential
}

func newWorld(t *testing.T, inVault, atEntra string, change ...func(*Config)) *world {
	t.Helper()
	e, server := newEntra(t, atEntra)
	v := newKeyVault(t, inVault, e.url)
	c := &clock{now: time.Now()}
	cfg := Config{
		Kind: KindSecret, TenantID: tenant, ClientID: app, AuthorityHost: e.url,
		VaultURL: v.url, Secret: secret.Ref{Name: "defender"}, VaultCredential: tokenFunc(vaultToken),
		Loopback: true, Transport: server.Client(), Now: c.Now,
		retry: policy.RetryOptions{MaxRetries: -1},
	}
	for _, f := range change {
		f(&cfg)
	}
	cred, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &world{e, v, c, cred}
}

func (w *world) token(t *testing.T, scope string) (string, error) {
	t.Helper()
	token, err := w.cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	return token.Token, err
}
