package credential

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// Entra's own trouble comes with status 400, too.
func TestScenario_L26_EntrasTroubleWith400(t *testing.T) {
	for _, number := range []int{90033, 50087, 50196} {
		w := newWorld(t, "s1", "s1")
		failing := true
		w.entra.refuse = func(rw http.ResponseWriter) bool {
			if failing {
				entraError(rw, http.StatusBadRequest, "invalid_request", number)
			}
			return failing
		}
		if _, err := w.token(t, graph); fault.KindOf(err) != fault.Retry || !strings.Contains(err.Error(), fmt.Sprintf("AADSTS%d", number)) {
			t.Errorf("AADSTS%d: %v (%v), want retry", number, err, fault.KindOf(err))
		}
		w.entra.set(func() { failing = false })
		if got, err := w.token(t, graph); err != nil || got == "" {
			t.Errorf("after AADSTS%d: %q, %v", number, got, err)
		}
	}
}

// The vault refuses a token before its time: it is forgotten once, and the secret
// read with a new one.
func TestVault_RefusesAKeptToken(t *testing.T) {
	issued := 0
	identity := newCache(tokenFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		issued++
		token := "vault-token" // what the vault takes
		if issued == 1 {
			token = "revoked"
		}
		return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
	}), time.Now)
	w := newWorld(t, "s1", "s1", func(c *Config) { c.VaultCredential = identity })
	if got, err := w.token(t, graph); err != nil || got != "token-1" || issued != 2 {
		t.Errorf("%q, %v after %d tokens for the vault; want the secret with the second", got, err, issued)
	}

	// One that stays refused is asked for twice, not for ever.
	issued = -1000
	identity = newCache(tokenFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		issued++
		return azcore.AccessToken{Token: "wrong", ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
	}), time.Now)
	w = newWorld(t, "s1", "s1", func(c *Config) { c.VaultCredential = identity })
	if _, err := w.token(t, graph); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "same tenant") || issued != -998 {
		t.Errorf("%v (%v) after %d tokens, want the remedy after two", err, fault.KindOf(err), issued+1000)
	}
}

// A token of the managed identity is refused: the next one comes from the platform,
// not out of the SDK's memory, for each audience; then it is kept again.
func TestManagedIdentity_AsksThePlatformAgain(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"access_token": fmt.Sprint("mi-", requests.Add(1)), "expires_on": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
			"resource": r.URL.Query().Get("resource"), "token_type": "Bearer",
		})
	}))
	defer server.Close()
	t.Setenv("IDENTITY_ENDPOINT", server.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "proof")
	cred, err := New(Config{Kind: KindManagedIdentity, retry: policy.RetryOptions{MaxRetries: -1}})
	if err != nil {
		t.Fatal(err)
	}
	// The SDK keeps these tokens for the whole process, hence names of their own.
	a, b := fmt.Sprintf("https://a%d.example/.default", time.Now().UnixNano()), fmt.Sprintf("https://b%d.example/.default", time.Now().UnixNano())
	get := func(scope, want string) {
		t.Helper()
		if got, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil || got.Token != want {
			t.Errorf("got %q, %v; want %s", got.Token, err, want)
		}
	}
	get(a, "mi-1")
	get(b, "mi-2")
	get(a, "mi-1")
	cred.(*tokenCache).Forget(a)
	get(a, "mi-3")
	get(a, "mi-3")
	get(b, "mi-2")
	cred.(*tokenCache).Forget()
	get(b, "mi-4")
	get(a, "mi-5")
	if m, ok := cred.(interface{ ManagedIdentity() bool }); !ok || !m.ManagedIdentity() {
		t.Error("the credential does not say that it is a managed identity")
	}
}

// What a service repeats of a request is not quoted, whoever answers.
func TestScenario_C11_EchoedRequestOfASignIn(t *testing.T) {
	const secret = "S3cr3t-0123456789"
	echo := `{"error":"client_secret=` + secret + `","error_description":"client_secret=` + secret + ` Authorization: Bearer ` + secret + `","message":"` + secret + `"}`
	for _, status := range []int{400, 401, 403, 429, 500} {
		w := newWorld(t, secret, secret)
		w.entra.refuse = func(rw http.ResponseWriter) bool {
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(echo))
			return true
		}
		if _, err := w.token(t, graph); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Entra ID, %d: %v", status, err)
		}
		w = newWorld(t, secret, secret)
		w.vault.refuse = func(rw http.ResponseWriter) bool {
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(`{"error":{"code":"Bearer vault-token","message":"Bearer vault-token","innererror":{"code":"Bearer vault-token"}}}`))
			return true
		}
		if _, err := w.token(t, graph); err == nil || strings.Contains(err.Error(), "vault-token") {
			t.Errorf("Key Vault, %d: %v", status, err)
		}
	}
}

// An error begins with the service that refused; what was being done is for the
// caller to say.
func TestErrors_BeginWithTheService(t *testing.T) {
	refusing := func(change func(*world)) error {
		w := newWorld(t, "s1", "s1")
		change(w)
		_, err := w.token(t, graph)
		return err
	}
	identity := explained{tokenFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return azcore.AccessToken{}, context.DeadlineExceeded
	}), signIn{who: "the system-assigned managed identity", managed: true}}
	_, unanswered := identity.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph}})
	for _, tt := range []struct {
		begins string
		err    error
	}{
		{"Entra ID: ", refusing(func(w *world) {
			w.entra.refuse = func(rw http.ResponseWriter) bool { entraError(rw, 400, "x", 1); return true }
		})},
		{"Key Vault: ", refusing(func(w *world) {
			w.vault.refuse = func(rw http.ResponseWriter) bool { vaultError(rw, 403, "Forbidden", ""); return true }
		})},
		{"Key Vault: ", refusing(func(w *world) { w.vault.secret = "" })},
		{"managed identity endpoint: ", unanswered},
	} {
		if tt.err == nil || !strings.HasPrefix(tt.err.Error(), tt.begins) {
			t.Errorf("%v does not begin with %q", tt.err, tt.begins)
		}
		for _, step := range []string{"fetch", "count ", "read secret", "sign in", "get a token"} {
			if tt.err != nil && strings.Contains(tt.err.Error(), step) {
				t.Errorf("%v says what is being done: %q", tt.err, step)
			}
		}
	}
}
