package vault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/vault"
)

const (
	tenant       = "11111111-aaaa-4bbb-8ccc-000000000001"
	otherTenant  = "11111111-aaaa-4bbb-8ccc-000000000002"
	readerID     = "22222222-aaaa-4bbb-8ccc-000000000001"
	readerObject = "33333333-aaaa-4bbb-8ccc-000000000001"
	guestID      = "22222222-aaaa-4bbb-8ccc-000000000002"
	guestObject  = "33333333-aaaa-4bbb-8ccc-000000000002"
	otherID      = "22222222-aaaa-4bbb-8ccc-000000000003"
)

// stack is a vault with its authority. The reader may read, the guest may not.
type stack struct {
	*vault.Server
	identity  *identity.Server
	certs     *certs.Bundle
	authority *httptest.Server
	vault     *httptest.Server
	clock     time.Time
}

func newStack(t *testing.T) *stack {
	t.Helper()
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{certs: bundle, clock: time.Now()}
	now := func() time.Time { return s.clock }
	s.identity, err = identity.New(identity.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.identity.AddTenant(tenant),
		s.identity.AddTenant(otherTenant),
		s.identity.RegisterApplication(identity.Principal{Tenant: tenant, ClientID: readerID, ObjectID: readerObject}, identity.Secret{Value: "s"}),
		s.identity.RegisterApplication(identity.Principal{Tenant: tenant, ClientID: guestID, ObjectID: guestObject}, identity.Secret{Value: "s"}),
		s.identity.RegisterApplication(identity.Principal{Tenant: otherTenant, ClientID: otherID, ObjectID: readerObject}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.authority = serve(t, bundle, s.identity.Authority())
	s.Server, err = vault.New(vault.Options{Identity: s.identity, Authority: s.authority.URL + "/" + tenant, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s.Grant(readerObject)
	s.vault = serve(t, bundle, s.Server)
	return s
}

func serve(t *testing.T, bundle *certs.Bundle, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = bundle.TLS()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// client is the official client, without retries.
func (s *stack) client(t *testing.T, clientID string) *azsecrets.Client {
	t.Helper()
	options := azcore.ClientOptions{
		Transport: s.certs.Client(),
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: s.authority.URL},
		Retry:     policy.RetryOptions{MaxRetries: -1},
	}
	credential, err := azidentity.NewClientSecretCredential(tenant, clientID, "s", &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            options,
		DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azsecrets.NewClient(s.vault.URL, credential, &azsecrets.ClientOptions{
		ClientOptions:                        options,
		DisableChallengeResourceVerification: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *stack) set(t *testing.T, name, value string) string {
	t.Helper()
	version, err := s.Set(name, value)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func TestServer_OfficialClientReadsAndSeesRotation(t *testing.T) {
	s := newStack(t)
	client := s.client(t, readerID)
	first := s.set(t, "Defender-Secret", "one")

	got, err := client.GetSecret(t.Context(), "defender-secret", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if *got.Value != "one" || got.ID.Version() != first || got.ID.Name() != "Defender-Secret" || !*got.Attributes.Enabled {
		t.Errorf("got %q, id %s", *got.Value, *got.ID)
	}

	s.set(t, "defender-secret", "two")
	for version, want := range map[string]string{"": "two", first: "one"} {
		got, err := client.GetSecret(t.Context(), "defender-secret", version, nil)
		if err != nil {
			t.Fatal(err)
		}
		if *got.Value != want {
			t.Errorf("version %q: got %q, want %q", version, *got.Value, want)
		}
	}
	if diff := cmp.Diff(map[string]int{"Defender-Secret": 3}, s.Reads()); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
}

func TestServer_OfficialClientSeesWhyItIsRefused(t *testing.T) {
	tests := []struct {
		name    string
		client  string
		arrange func(*stack) error
		status  int
		code    string
		text    string
	}{
		{"missing", readerID, func(s *stack) error { s.Delete("kept"); return nil }, 404, "SecretNotFound", "kept"},
		{"disabled", readerID, func(s *stack) error { return s.SetEnabled("kept", "", false) }, 403, "Forbidden", "SecretDisabled"},
		{"no right", guestID, func(*stack) error { return nil }, 403, "Forbidden", "ForbiddenByRbac"},
		{"right revoked", readerID, func(s *stack) error { s.Revoke(readerObject); return nil }, 403, "Forbidden", "ForbiddenByRbac"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStack(t)
			s.set(t, "kept", "value")
			if err := test.arrange(s); err != nil {
				t.Fatal(err)
			}
			_, err := s.client(t, test.client).GetSecret(t.Context(), "kept", "", nil)
			var refused *azcore.ResponseError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a ResponseError", err)
			}
			if refused.StatusCode != test.status || refused.ErrorCode != test.code || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %d %s with %s", err, test.status, test.code, test.text)
			}
			if len(s.Reads()) != 0 {
				t.Errorf("a refused read was counted: %v", s.Reads())
			}
		})
	}
}

func TestServer_ConditionsEndWhenSwitchedBack(t *testing.T) {
	s := newStack(t)
	s.set(t, "kept", "value")
	client := s.client(t, readerID)
	read := func() error { _, err := client.GetSecret(t.Context(), "kept", "", nil); return err }

	s.SetCondition(vault.Throttled, 7*time.Second)
	err := read()
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("got %v, want 429", err)
	}
	if got := refused.RawResponse.Header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After: got %q, want 7", got)
	}

	s.SetCondition(vault.Unreachable, 0)
	if err := read(); err == nil || errors.As(err, &refused) {
		t.Errorf("got %v, want a broken connection", err)
	}

	s.SetCondition(vault.Healthy, 0)
	if err := read(); err != nil {
		t.Errorf("healthy again, got %v", err)
	}
}

func TestServer_Protocol(t *testing.T) {
	s := newStack(t)
	s.set(t, "kept", "value")
	token := func(clientID, audience string) string {
		token, err := s.identity.Token(clientID, audience)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	reader := token(readerID, identity.AudienceVault)
	const version = "?api-version=2026-04-01"
	tests := []struct {
		name, path, authorization string
		later                     time.Duration
		status                    int
		message                   string
	}{
		{"good", "/secrets/kept/" + version, reader, 0, 200, ""},
		{"without the slash", "/secrets/kept" + version, reader, 0, 200, ""},
		{"older API version", "/secrets/kept?api-version=7.4", reader, 0, 200, ""},
		{"no token", "/secrets/kept/" + version, "", 0, 401, "AKV10000"},
		{"broken token", "/secrets/kept/" + version, "Bearer x", 0, 401, "malformed"},
		{"old token", "/secrets/kept/" + version, reader, 2 * time.Hour, 401, "TokenExpired"},
		{"token for Graph", "/secrets/kept/" + version, token(readerID, identity.AudienceGraph), 0, 401, "AKV10022"},
		{"token of another tenant", "/secrets/kept/" + version, token(otherID, identity.AudienceVault), 0, 401, "AKV10032"},
		{"no API version", "/secrets/kept/", reader, 0, 400, "api-version must be specified"},
		{"unknown API version", "/secrets/kept/?api-version=latest", reader, 0, 400, "not recognized"},
		{"impossible name", "/secrets/a_b/" + version, reader, 0, 400, "a_b"},
		{"unknown version", "/secrets/kept/0123" + version, reader, 0, 404, "kept/0123"},
		{"no such route", "/keys/kept" + version, reader, 0, 404, ""},
	}
	start := s.clock
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.clock = start.Add(test.later)
			r := httptest.NewRequest(http.MethodGet, "https://vault.example"+test.path, nil)
			if test.authorization != "" {
				r.Header.Set("Authorization", test.authorization)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.message) {
				t.Fatalf("got %d %s, want %d with %q", w.Code, w.Body, test.status, test.message)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if test.status != http.StatusUnauthorized {
				if challenge != "" {
					t.Errorf("%d carries a challenge", w.Code)
				}
				return
			}
			want := `Bearer authorization="` + s.authority.URL + "/" + tenant + `", resource="https://vault.azure.net"`
			if challenge != want {
				t.Errorf("challenge: got %s, want %s", challenge, want)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("body is not JSON: %s", w.Body)
			}
		})
	}
}

func TestNew_WantsTheTenantInTheAuthority(t *testing.T) {
	for _, authority := range []string{"", "https://login.example", "https://login.example/", "http://login.example/" + tenant, "https://login.example/" + tenant + "/oauth2"} {
		if _, err := vault.New(vault.Options{Authority: authority}); err == nil {
			t.Errorf("authority %q was accepted", authority)
		}
	}
}

func TestServer_RefusesImpossibleNames(t *testing.T) {
	s := newStack(t)
	for _, name := range []string{"", "a_b", "a/b", strings.Repeat("a", 128)} {
		if _, err := s.Set(name, "v"); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if err := s.SetEnabled("absent", "", false); err == nil {
		t.Error("switching an absent secret got no error")
	}
}

func TestList_GivesSecretsAndVersionsWithoutValues(t *testing.T) {
	s := newStack(t)
	for i := range 30 {
		s.set(t, fmt.Sprintf("secret-%02d", i), "v")
	}
	first, second := s.set(t, "secret-07", "v2"), s.set(t, "secret-07", "v3")
	if err := s.SetEnabled("secret-07", second, false); err != nil {
		t.Fatal(err)
	}
	client := s.client(t, readerID)
	var names []string
	for pager := client.NewListSecretPropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Value {
			names = append(names, item.ID.Name())
		}
	}
	if len(names) != 30 || names[0] != "secret-00" || names[29] != "secret-29" {
		t.Errorf("secrets: %v, want all thirty over two pages", names)
	}
	var versions []string
	for pager := client.NewListSecretPropertiesVersionsPager("secret-07", nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Value {
			versions = append(versions, fmt.Sprintf("%s %t", item.ID.Version(), *item.Attributes.Enabled))
		}
	}
	if len(versions) != 3 || versions[1] != first+" true" || versions[2] != second+" false" {
		t.Errorf("versions: %v", versions)
	}
	if _, err := s.client(t, guestID).NewListSecretPropertiesPager(nil).NextPage(t.Context()); err == nil {
		t.Error("a stranger may list")
	}
}
