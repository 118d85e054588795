package credential

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/fault"
)

func TestSecretCredential_ReadsTheVaultOnceForAllAudiences(t *testing.T) {
	w := newWorld(t, "s1", "s1")
	var callers sync.WaitGroup
	for range 8 {
		for _, scope := range []string{graph, kusto} {
			callers.Go(func() {
				if _, err := w.token(t, scope); err != nil {
					t.Error(err)
				}
			})
		}
	}
	callers.Wait()
	if w.vault.count() != 1 || w.entra.count(graph) != 1 || w.entra.count(kusto) != 1 {
		t.Errorf("got %d vault reads and %d + %d token requests, want one of each",
			w.vault.count(), w.entra.count(graph), w.entra.count(kusto))
	}
}

func TestSecretCredential_TakesUpARotatedSecret(t *testing.T) {
	w := newWorld(t, "s1", "s1")
	w.entra.life = 4 * time.Minute // short enough for the SDK's own cache to let go
	if got, err := w.token(t, graph); err != nil || got != "token-1" {
		t.Fatalf("first token: %q, %v", got, err)
	}
	w.vault.set(func() { w.vault.secret = "s2" })
	w.entra.set(func() { w.entra.secret = "s2" })
	w.clock.advance(2 * time.Hour)
	if got, err := w.token(t, graph); err != nil || got != "token-2" {
		t.Fatalf("token after the rotation: %q, %v", got, err)
	}
	if got := w.vault.count(); got != 2 {
		t.Errorf("vault reads: got %d, want 2", got)
	}
}

func TestSecretCredential_CallersForSeveralAudiencesShareARotation(t *testing.T) {
	w := newWorld(t, "s1", "s1")
	w.entra.life = 4 * time.Minute
	for _, scope := range []string{graph, kusto} {
		if _, err := w.token(t, scope); err != nil {
			t.Fatal(err)
		}
	}
	w.vault.set(func() { w.vault.secret = "s2" })
	w.entra.set(func() { w.entra.secret = "s2" })
	w.clock.advance(2 * time.Hour)
	var callers sync.WaitGroup
	for _, scope := range []string{graph, kusto} {
		callers.Go(func() {
			if _, err := w.token(t, scope); err != nil {
				t.Errorf("%s: %v", scope, err)
			}
		})
	}
	callers.Wait()
	if got := w.vault.count(); got != 2 {
		t.Errorf("vault reads: got %d, want 2", got)
	}
}

func TestSecretCredential_AWrongSecretIsAskedForOnceAMinute(t *testing.T) {
	w := newWorld(t, "wrong", "right")
	for range 3 {
		_, err := w.token(t, graph)
		if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "AADSTS7000215") {
			t.Fatalf("got %v of kind %v", err, fault.KindOf(err))
		}
	}
	if w.vault.count() != 1 || w.entra.count(graph) != 1 {
		t.Errorf("within a minute: %d vault reads, %d token requests, want one of each", w.vault.count(), w.entra.count(graph))
	}
	w.clock.advance(readAgain)
	if _, err := w.token(t, graph); err == nil {
		t.Fatal("the wrong secret was accepted")
	}
	if w.vault.count() != 2 || w.entra.count(graph) != 2 {
		t.Errorf("after a minute: %d vault reads, %d token requests, want two of each", w.vault.count(), w.entra.count(graph))
	}
	w.vault.set(func() { w.vault.secret = "right" })
	w.clock.advance(readAgain)
	if _, err := w.token(t, graph); err != nil {
		t.Errorf("after the secret was corrected: %v", err)
	}
}

func TestSecretCredential_DoesNotTryTheSameSecretTwiceInOneCall(t *testing.T) {
	w := newWorld(t, "s1", "s1")
	w.entra.life = 4 * time.Minute
	if _, err := w.token(t, graph); err != nil {
		t.Fatal(err)
	}
	w.entra.set(func() { w.entra.secret = "revoked meanwhile" })
	w.clock.advance(2 * time.Hour)
	_, err := w.token(t, graph)
	if fault.KindOf(err) != fault.Permanent {
		t.Errorf("got %v of kind %v", err, fault.KindOf(err))
	}
	if w.vault.count() != 2 || w.entra.count(graph) != 2 {
		t.Errorf("%d vault reads, %d token requests, want two of each", w.vault.count(), w.entra.count(graph))
	}
}

func TestSecretCredential_NamesCauseAndRemedy(t *testing.T) {
	entraAnswers := func(status int, code string, number int) func(*world) {
		return func(w *world) {
			w.entra.refuse = func(rw http.ResponseWriter) bool { entraError(rw, status, code, number); return true }
		}
	}
	vaultAnswers := func(status int, code, inner string) func(*world) {
		return func(w *world) {
			w.vault.refuse = func(rw http.ResponseWriter) bool { vaultError(rw, status, code, inner); return true }
		}
	}
	vaultHolds := func(value string) func(*world) {
		return func(w *world) { w.vault.secret = value }
	}
	tests := []struct {
		name   string
		change func(*world)
		kind   fault.Kind
		want   []string
	}{
		{"wrong secret", entraAnswers(401, "invalid_client", 7000215), fault.Permanent, []string{app, tenant, graph, "AADSTS7000215", `secret "defender" in vault 127.0.0.1`}},
		{"expired secret", entraAnswers(401, "invalid_client", 7000222), fault.Permanent, []string{"has expired", `secret "defender"`}},
		{"other proof missing", entraAnswers(401, "invalid_client", 7000218), fault.Permanent, []string{"is not accepted"}},
		{"unknown application", entraAnswers(400, "unauthorized_client", 700016), fault.Permanent, []string{"no such application"}},
		{"unknown resource", entraAnswers(400, "invalid_resource", 500011), fault.Permanent, []string{"does not know the API"}},
		{"conditional access", entraAnswers(400, "access_denied", 53003), fault.Permanent, []string{"Conditional Access"}},
		{"other refusal", entraAnswers(400, "invalid_request", 90013), fault.Permanent, []string{"HTTP 400 invalid_request AADSTS90013", "check tenant id"}},
		{"Entra ID throttles", entraAnswers(429, "temporarily_unavailable", 90033), fault.Retry, []string{"HTTP 429"}},
		{"Entra ID is down", entraAnswers(503, "server_error", 90033), fault.Retry, []string{"HTTP 503"}},
		{"no role on the vault", vaultAnswers(403, "Forbidden", "ForbiddenByRbac"), fault.Permanent, []string{"Key Vault Secrets User", "(ForbiddenByRbac)", `"defender"`}},
		{"vault firewall", vaultAnswers(403, "Forbidden", "ForbiddenByFirewall"), fault.Permanent, []string{"firewall"}},
		{"disabled secret", vaultAnswers(403, "Forbidden", "SecretDisabled"), fault.Permanent, []string{"enable the secret"}},
		{"no such secret", vaultAnswers(404, "SecretNotFound", ""), fault.Permanent, []string{"no such secret", "SecretNotFound"}},
		{"vault throttles", vaultAnswers(429, "Throttled", ""), fault.Retry, []string{"HTTP 429"}},
		{"vault is down", vaultAnswers(500, "InternalServerError", ""), fault.Retry, []string{"HTTP 500"}},
		{"empty secret", vaultHolds(""), fault.Permanent, []string{`secret "defender" in vault 127.0.0.1`, "is empty"}},
		{"blank secret", vaultHolds(" \n"), fault.Permanent, []string{"is empty"}},
		{"line end after the secret", vaultHolds("confidential\n"), fault.Permanent, []string{"begins or ends with white space: store it again without"}},
		{"blank before the secret", vaultHolds(" confidential"), fault.Permanent, []string{"begins or ends with white space"}},
		{"server that is no vault", func(w *world) { w.vault.challenge = `Bearer authorization="x", resource="https://vault.azure.net"` },
			fault.Permanent, []string{"check the vault URL"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "confidential", "confidential")
			tt.change(w)
			_, err := w.token(t, graph)
			if err == nil {
				t.Fatal("no error")
			}
			if got := fault.KindOf(err); got != tt.kind {
				t.Errorf("kind: got %v, want %v (%v)", got, tt.kind, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "confidential") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error shows the secret or spans lines: %q", err)
			}
		})
	}
}

func TestSecretCredential_AVaultThatRefusesIsAskedOnceAMinute(t *testing.T) {
	w := newWorld(t, "s1", "s1")
	w.vault.refuse = func(rw http.ResponseWriter) bool { vaultError(rw, 403, "Forbidden", ""); return true }
	for _, want := range []int{1, 1, 2} {
		if _, err := w.token(t, graph); fault.KindOf(err) != fault.Permanent {
			t.Fatalf("got %v", err)
		}
		if got := w.vault.count(); got != want {
			t.Errorf("vault reads: got %d, want %d", got, want)
		}
		w.clock.advance(readAgain/2 + time.Nanosecond)
	}
	w.vault.set(func() { w.vault.refuse = nil })
	w.clock.advance(readAgain)
	if _, err := w.token(t, graph); err != nil {
		t.Errorf("after the role was given: %v", err)
	}
}

func TestSecretCredential_ABusyVaultIsAskedAgainAtOnce(t *testing.T) {
	w := newWorld(t, "s1", "s1")
	w.vault.refuse = func(rw http.ResponseWriter) bool { vaultError(rw, 503, "Unavailable", ""); return true }
	if _, err := w.token(t, graph); fault.KindOf(err) != fault.Retry {
		t.Fatalf("got %v", err)
	}
	w.vault.set(func() { w.vault.refuse = nil })
	if _, err := w.token(t, graph); err != nil {
		t.Errorf("after the vault came back: %v", err)
	}
}

func TestSecretCredential_UnreachableServices(t *testing.T) {
	tests := []struct {
		name string
		url  func(*Config) *string
		want string
	}{
		{"vault", func(c *Config) *string { return &c.VaultURL }, "the vault cannot be reached"},
		{"Entra ID", func(c *Config) *string { return &c.AuthorityHost }, "Entra ID: application"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "s1", "s1", func(c *Config) { *tt.url(c) = "https://127.0.0.1:1" })
			_, err := w.token(t, graph)
			if fault.KindOf(err) != fault.Retry || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v of kind %v", err, fault.KindOf(err))
			}
		})
	}
}

func TestSecretCredential_KeepsTheKindOfTheVaultsCredential(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Retry, fault.Permanent} {
		w := newWorld(t, "s1", "s1", func(c *Config) {
			c.VaultCredential = tokenFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
				return azcore.AccessToken{}, fault.As(kind, errors.New("no identity"))
			})
		})
		_, err := w.token(t, graph)
		if fault.KindOf(err) != kind || !strings.Contains(err.Error(), "no identity") || !strings.Contains(err.Error(), `Key Vault: secret "defender"`) {
			t.Errorf("got %v of kind %v, want %v", err, fault.KindOf(err), kind)
		}
	}
}

func TestSecretCredential_TrustsNoForeignChallengeUnlessOnThisMachine(t *testing.T) {
	w := newWorld(t, "s1", "s1", func(c *Config) { c.Loopback = false })
	_, err := w.token(t, graph)
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "doesn't match") {
		t.Errorf("got %v of kind %v", err, fault.KindOf(err))
	}
	if got := w.vault.count(); got != 0 {
		t.Errorf("the token went to the vault %d times", got)
	}
}

func TestSecretCredential_ForgetsARefusedToken(t *testing.T) {
	w := newWorld(t, "s1", "s1")
	if got, err := w.token(t, graph); err != nil || got != "token-1" {
		t.Fatalf("first token: %q, %v", got, err)
	}
	w.cred.(interface{ Forget(...string) }).Forget(graph)
	if got, err := w.token(t, graph); err != nil || got != "token-2" {
		t.Errorf("token after the first was refused: %q, %v; want a new one", got, err)
	}
	if got := w.vault.count(); got != 1 {
		t.Errorf("vault reads: got %d, want 1", got)
	}
}
