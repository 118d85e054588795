package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

const (
	tenant      = "11111111-aaaa-4bbb-8ccc-000000000001"
	otherTenant = "11111111-aaaa-4bbb-8ccc-000000000002"
	appID       = "22222222-aaaa-4bbb-8ccc-000000000001"
	appObject   = "33333333-aaaa-4bbb-8ccc-000000000001"
	siteID      = "22222222-aaaa-4bbb-8ccc-000000000002"
	siteObject  = "33333333-aaaa-4bbb-8ccc-000000000002"
	userID      = "22222222-aaaa-4bbb-8ccc-000000000003"
	userObject  = "33333333-aaaa-4bbb-8ccc-000000000003"
	userRes     = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"
	secret      = "c0rrect~secret=;+"
	header      = "identity-header-value"
)

// directory is a server with one application and two managed identities, and a
// clock that the test moves.
type directory struct {
	*identity.Server
	clock     time.Time
	certs     *certs.Bundle
	authority *httptest.Server
}

func newDirectory(t *testing.T) *directory {
	t.Helper()
	return newTroubled(t, nil)
}

// newTroubled makes a directory that has trouble of its own.
func newTroubled(t *testing.T, trouble func() int) *directory {
	t.Helper()
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	d := &directory{clock: time.Now(), certs: bundle}
	d.Server, err = identity.New(identity.Options{Now: func() time.Time { return d.clock }, Trouble: trouble})
	if err != nil {
		t.Fatal(err)
	}
	graph := map[string][]string{identity.AudienceGraph: {"ThreatHunting.Read.All"}}
	for _, err := range []error{
		d.AddTenant(tenant, "contoso.onmicrosoft.com"),
		d.AddTenant(otherTenant),
		d.RegisterApplication(identity.Principal{Tenant: tenant, ClientID: appID, ObjectID: appObject, Roles: graph},
			identity.Secret{Value: secret},
			identity.Secret{Value: "old", Expires: d.clock.Add(-time.Second)}),
		d.RegisterManagedIdentity(identity.Principal{Tenant: tenant, ClientID: siteID, ObjectID: siteObject}, ""),
		d.RegisterManagedIdentity(identity.Principal{Tenant: tenant, ClientID: userID, ObjectID: userObject, Roles: graph}, userRes),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.authority = httptest.NewUnstartedServer(d.Authority())
	d.authority.TLS = bundle.TLS()
	d.authority.StartTLS()
	t.Cleanup(d.authority.Close)
	return d
}

// credential makes the official credential for a client secret.
func (d *directory) credential(t *testing.T, tenantID, value string) *azidentity.ClientSecretCredential {
	t.Helper()
	credential, err := azidentity.NewClientSecretCredential(tenantID, appID, value, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: azcore.ClientOptions{
			Transport: d.certs.Client(),
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: d.authority.URL},
		},
		DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

func scope(audience string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}}
}

func TestAuthority_ClientSecretCredentialGetsATokenThatVerifies(t *testing.T) {
	d := newDirectory(t)
	token, err := d.credential(t, tenant, secret).GetToken(t.Context(), scope(identity.AudienceGraph))
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Verify("Bearer "+token.Token, identity.AudienceGraph)
	if err != nil {
		t.Fatal(err)
	}
	want := &identity.Claims{
		Audience:  identity.AudienceGraph,
		Issuer:    "https://sts.windows.net/" + tenant + "/",
		IssuedAt:  d.clock.Unix(),
		NotBefore: d.clock.Unix(),
		Expires:   d.clock.Add(time.Hour).Unix(),
		AppID:     appID,
		AppIDACR:  "1",
		IDP:       "https://sts.windows.net/" + tenant + "/",
		IDType:    "app",
		ObjectID:  appObject,
		Roles:     []string{"ThreatHunting.Read.All"},
		Subject:   appObject,
		TenantID:  tenant,
		Version:   "1.0",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(identity.Claims{}, "TokenID")); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if !got.HasRole("ThreatHunting.Read.All") || got.HasRole("AdvancedQuery.Read.All") {
		t.Errorf("roles %v", got.Roles)
	}
	if left := time.Until(token.ExpiresOn); left < 55*time.Minute || left > 65*time.Minute {
		t.Errorf("client believes the token lives %s, want an hour", left)
	}
}

func TestAuthority_InstanceDiscoveryNamesItself(t *testing.T) {
	d := newDirectory(t)
	resp, err := d.certs.Client().Get(d.authority.URL + "/common/discovery/instance?api-version=1.1&authorization_endpoint=" +
		url.QueryEscape(d.authority.URL+"/"+tenant+"/oauth2/v2.0/authorize"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct {
		Endpoint string `json:"tenant_discovery_endpoint"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := d.authority.URL + "/" + tenant + "/v2.0/.well-known/openid-configuration"; got.Endpoint != want {
		t.Errorf("got %q, want %q", got.Endpoint, want)
	}
}

func TestAuthority_WrongSecretIsAnAuthenticationFailure(t *testing.T) {
	d := newDirectory(t)
	_, err := d.credential(t, tenant, "wrong").GetToken(t.Context(), scope(identity.AudienceGraph))
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse.StatusCode != http.StatusUnauthorized {
		t.Fatalf("got %v, want an AuthenticationFailedError with 401", err)
	}
	if !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Errorf("error lacks AADSTS7000215: %v", err)
	}
}

func TestAuthority_SecretRotation(t *testing.T) {
	d := newDirectory(t)
	try := func(value string) error {
		_, err := d.credential(t, tenant, value).GetToken(t.Context(), scope(identity.AudienceGraph))
		return err
	}
	if err := try("next"); err == nil {
		t.Fatal("secret was accepted before it was added")
	}
	if err := d.AddSecret(appID, identity.Secret{Value: "next", Expires: d.clock.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(try(secret), try("next")); err != nil {
		t.Fatalf("both secrets should be good: %v", err)
	}
	if err := d.RemoveSecret(appID, secret); err != nil {
		t.Fatal(err)
	}
	if try(secret) == nil || try("next") != nil {
		t.Error("only the new secret should be good")
	}
	d.clock = d.clock.Add(time.Hour)
	if err := try("next"); err == nil || !strings.Contains(err.Error(), "AADSTS7000222") {
		t.Errorf("got %v, want AADSTS7000222 at the secret's end", err)
	}
}

func TestAuthority_RefusalsCarryEntraCodes(t *testing.T) {
	d := newDirectory(t)
	good := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {appID},
		"client_secret": {secret},
		"scope":         {identity.AudienceGraph + "/.default openid profile offline_access"},
	}
	tests := []struct {
		name, tenant, field, value string
		status, code               int
		oauth                      string
	}{
		{"accepted", tenant, "", "", 200, 0, ""},
		{"tenant by domain", "Contoso.onmicrosoft.com", "", "", 200, 0, ""},
		{"application id of Graph", tenant, "scope", "00000003-0000-0000-c000-000000000000/.default", 200, 0, ""},
		{"slash after the resource", tenant, "scope", "https://vault.azure.net//.default", 200, 0, ""},
		{"unknown tenant", "nobody.example", "", "", 400, 90002, "invalid_tenant"},
		{"application of another tenant", otherTenant, "", "", 400, 700016, "unauthorized_client"},
		{"unknown client", tenant, "client_id", siteObject, 400, 700016, "unauthorized_client"},
		{"managed identity as client", tenant, "client_id", siteID, 400, 700016, "unauthorized_client"},
		{"wrong secret", tenant, "client_secret", "x", 401, 7000215, "invalid_client"},
		{"expired secret", tenant, "client_secret", "old", 401, 7000222, "invalid_client"},
		{"no secret", tenant, "client_secret", "", 401, 7000218, "invalid_client"},
		{"no grant type", tenant, "grant_type", "", 400, 900144, "invalid_request"},
		{"no client id", tenant, "client_id", "", 400, 900144, "invalid_request"},
		{"no scope", tenant, "scope", "", 400, 900144, "invalid_request"},
		{"other grant", tenant, "grant_type", "password", 400, 70003, "unsupported_grant_type"},
		{"scope without resource", tenant, "scope", "openid", 400, 70011, "invalid_scope"},
		{"two resources", tenant, "scope", "https://a.example/.default https://b.example/.default", 400, 70011, "invalid_scope"},
		{"scope of one permission", tenant, "scope", identity.AudienceGraph + "/User.Read", 400, 1002012, "invalid_scope"},
		{"unknown resource", tenant, "scope", "https://nothing.example/.default", 400, 500011, "invalid_resource"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			form := url.Values{}
			for field, values := range good {
				form[field] = values
			}
			if test.field != "" {
				form.Set(test.field, test.value)
			}
			before := d.Stats()
			resp, err := d.certs.Client().PostForm(d.authority.URL+"/"+test.tenant+"/oauth2/v2.0/token", form)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			var got struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
				Codes       []int  `json:"error_codes"`
				AccessToken string `json:"access_token"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || got.Error != test.oauth {
				t.Errorf("got %s %q (%s), want %d %q", resp.Status, got.Error, got.Description, test.status, test.oauth)
			}
			if test.code == 0 {
				if got.AccessToken == "" {
					t.Error("got no token")
				}
				return
			}
			if diff := cmp.Diff([]int{test.code}, got.Codes); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if strings.Contains(got.Description, secret) {
				t.Errorf("description shows the secret: %s", got.Description)
			}
			after := d.Stats()
			if after.Refused[test.code] != before.Refused[test.code]+1 {
				t.Errorf("refusals of AADSTS%d went from %d to %d", test.code, before.Refused[test.code], after.Refused[test.code])
			}
		})
	}
	if got, want := d.Stats().Issued, map[string]int{identity.AudienceGraph: 3, identity.AudienceVault: 1}; !cmp.Equal(got, want) {
		t.Errorf("tokens issued: got %v, want %v", got, want)
	}
}

func TestAuthority_PublishesTheKeyThatSigns(t *testing.T) {
	d := newDirectory(t)
	resp, err := d.certs.Client().Get(d.authority.URL + "/" + tenant + "/discovery/v2.0/keys")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var set struct {
		Keys []struct{ Kid, Kty, N, E string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 || set.Keys[0].Kty != "RSA" || set.Keys[0].E != "AQAB" || len(set.Keys[0].N) != 342 {
		t.Errorf("got %+v, want one RSA key of 2048 bits", set.Keys)
	}
}

func TestVerify_SaysWhatIsWrong(t *testing.T) {
	d := newDirectory(t)
	const own = "https://127.0.0.1:8443"
	d.RegisterResource(identity.AudienceGraph, own)
	token, err := d.Token(appID, own)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := newDirectory(t).Token(appID, identity.AudienceGraph)
	if err != nil {
		t.Fatal(err)
	}
	start := d.clock
	tests := []struct {
		name          string
		authorization string
		at            time.Duration
		audience      string
		want          error
	}{
		{"good", "Bearer " + token, 0, identity.AudienceGraph, nil},
		{"by alias", "Bearer " + token, 0, own + "/", nil},
		{"scheme in another case", "bearer " + token, 0, identity.AudienceGraph, nil},
		{"without scheme", token, 0, identity.AudienceGraph, nil},
		{"last second", token, time.Hour - 2*time.Second, identity.AudienceGraph, nil},
		{"nothing", "", 0, identity.AudienceGraph, identity.ErrMissing},
		{"scheme alone", "Bearer ", 0, identity.AudienceGraph, identity.ErrMissing},
		{"other scheme", "SharedKey a:b", 0, identity.AudienceGraph, identity.ErrMissing},
		{"not a token", "Bearer hello", 0, identity.AudienceGraph, identity.ErrMalformed},
		{"unsigned", "Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.e30.", 0, identity.AudienceGraph, identity.ErrMalformed},
		{"changed", token[:len(token)-8] + "AAAAAAAA", 0, identity.AudienceGraph, identity.ErrMalformed},
		{"signed elsewhere", foreign, 0, identity.AudienceGraph, identity.ErrMalformed},
		{"ended", token, time.Hour, identity.AudienceGraph, identity.ErrExpired},
		{"not begun", token, -time.Minute, identity.AudienceGraph, identity.ErrExpired},
		{"other audience", token, 0, identity.AudienceDefender, identity.ErrAudience},
		{"unregistered audience", token, 0, "https://nothing.example", identity.ErrAudience},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d.clock = start.Add(test.at)
			_, err := d.Verify(test.authorization, test.audience)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), token[:40]) {
				t.Errorf("error shows the token: %v", err)
			}
		})
	}
}

func TestServer_ChangesApplyToNewTokens(t *testing.T) {
	d := newDirectory(t)
	d.SetTokenLife(2 * time.Minute)
	if err := d.SetRoles(appID, identity.AudienceDefender, "AdvancedQuery.Read.All", "Machine.Read.All"); err != nil {
		t.Fatal(err)
	}
	token, err := d.Token(appID, identity.AudienceDefender)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := d.Verify(token, identity.AudienceDefender)
	if err != nil {
		t.Fatal(err)
	}
	if !claims.HasRole("Machine.Read.All") || claims.Expires-claims.IssuedAt != 120 {
		t.Errorf("got roles %v and a life of %d s", claims.Roles, claims.Expires-claims.IssuedAt)
	}
}

func TestServer_RegistrationIsChecked(t *testing.T) {
	d := newDirectory(t)
	good := identity.Principal{Tenant: tenant, ClientID: "22222222-aaaa-4bbb-8ccc-0000000000ff", ObjectID: appObject}
	tests := []struct {
		name string
		edit func(*identity.Principal)
		want string
	}{
		{"client id", func(p *identity.Principal) { p.ClientID = "me" }, `client id "me"`},
		{"object id", func(p *identity.Principal) { p.ObjectID = "" }, `object id ""`},
		{"tenant", func(p *identity.Principal) { p.Tenant = appID }, "tenant"},
		{"roles", func(p *identity.Principal) { p.Roles = map[string][]string{"https://x.example": nil} }, "https://x.example"},
		{"twice", func(p *identity.Principal) { p.ClientID = appID }, "registered already"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := good
			test.edit(&p)
			if err := d.RegisterApplication(p); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error naming %s", err, test.want)
			}
		})
	}
	if err := d.RegisterManagedIdentity(good, ""); err == nil {
		t.Error("a second system-assigned identity was accepted")
	}
}

// Azurite checks audience, issuer and life of a token for storage.
func TestStorageToken_IsAcceptedByAzurite(t *testing.T) {
	rounds.Long(t)
	d := newDirectory(t)
	a := azuritetest.Start(t, azurite.Options{CertFile: d.certs.CertFile, KeyFile: d.certs.KeyFile})
	credential := d.credential(t, tenant, secret)
	options := azcore.ClientOptions{Transport: d.certs.Client()}

	blobs, err := azblob.NewClient(a.URL(azurite.Blob), credential, &azblob.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.CreateContainer(t.Context(), "container", nil); err != nil {
		t.Error(err)
	}
	queues, err := azqueue.NewServiceClient(a.URL(azurite.Queue), credential, &azqueue.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queues.CreateQueue(t.Context(), "migrations", nil); err != nil {
		t.Error(err)
	}
}

func TestSecret_NeverPrintsItsValue(t *testing.T) {
	text, err := json.Marshal([]string{
		identity.Secret{Value: secret}.String(),
		identity.Secret{Value: secret}.GoString(),
	})
	if err != nil || strings.Contains(string(text), secret) {
		t.Errorf("got %s, %v", text, err)
	}
}

// post sends a token request by hand.
func (d *directory) post(t *testing.T, path, contentType string, form url.Values) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.authority.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := d.certs.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var body map[string]any
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

func TestToken_BothEndpointsAskForNoContentType(t *testing.T) {
	d := newDirectory(t)
	d.RegisterResource(identity.AudienceKusto, "https://127.0.0.1:41013")
	tests := []struct {
		name, path, key, value, audience string
	}{
		{"newer", "/oauth2/v2.0/token", "scope", identity.AudienceGraph + "/.default", identity.AudienceGraph},
		{"older", "/oauth2/token", "resource", identity.AudienceGraph, identity.AudienceGraph},
		{"older, trailing slash", "/oauth2/token", "resource", identity.AudienceGraph + "/", identity.AudienceGraph},
		{"older, the name that scripts use", "/oauth2/token", "resource", "https://api.securitycenter.windows.com", identity.AudienceDefender},
		{"newer, the name that scripts use", "/oauth2/v2.0/token", "scope", "https://api.securitycenter.windows.com/.default", identity.AudienceDefender},
		{"newer, a cluster's address", "/oauth2/v2.0/token", "scope", "https://127.0.0.1:41013/.default", identity.AudienceKusto},
	}
	for _, test := range tests {
		for _, contentType := range []string{"", "application/x-www-form-urlencoded", "text/plain"} {
			t.Run(test.name+" "+contentType, func(t *testing.T) {
				status, body := d.post(t, "/"+tenant+test.path, contentType, url.Values{
					"grant_type": {"client_credentials"}, "client_id": {appID}, "client_secret": {secret}, test.key: {test.value}})
				token, _ := body["access_token"].(string)
				if _, err := d.Verify(token, test.audience); status != http.StatusOK || err != nil {
					t.Errorf("got %d %v: %v", status, body["error_description"], err)
				}
				_, text := body["expires_in"].(string)
				if older := strings.HasPrefix(test.name, "older"); older != text {
					t.Errorf("expires_in %v: want text only of the older endpoint", body["expires_in"])
				}
			})
		}
	}
	status, body := d.post(t, "/"+tenant+"/oauth2/token", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {appID}, "client_secret": {secret}})
	if status != http.StatusBadRequest || !strings.HasPrefix(body["error_description"].(string), "AADSTS900144") {
		t.Errorf("older endpoint without a resource: got %d %v", status, body)
	}
}

func TestToken_TakesARegisteredCertificate(t *testing.T) {
	d := newDirectory(t)
	certificate, key := selfSigned(t)
	stranger, strangerKey := selfSigned(t)
	credential := func(c *x509.Certificate, k *rsa.PrivateKey) error {
		made, err := azidentity.NewClientCertificateCredential(tenant, appID, []*x509.Certificate{c}, k, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: azcore.ClientOptions{
				Transport: d.certs.Client(), Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: d.authority.URL},
				Retry: policy.RetryOptions{MaxRetries: -1},
			},
			DisableInstanceDiscovery: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := made.GetToken(t.Context(), scope(identity.AudienceGraph))
		if err != nil {
			return err
		}
		claims, err := d.Verify(token.Token, identity.AudienceGraph)
		if err == nil && claims.AppIDACR != "2" {
			t.Errorf("got appidacr %s, want 2", claims.AppIDACR)
		}
		return err
	}
	if err := credential(certificate, key); err == nil || !strings.Contains(err.Error(), "AADSTS700027") {
		t.Errorf("not registered: got %v, want AADSTS700027", err)
	}
	if err := d.RegisterCertificate(appID, certificate); err != nil {
		t.Fatal(err)
	}
	if err := credential(certificate, key); err != nil {
		t.Errorf("registered: %v", err)
	}
	if err := credential(stranger, strangerKey); err == nil || !strings.Contains(err.Error(), "AADSTS700027") {
		t.Errorf("another certificate: got %v, want AADSTS700027", err)
	}
	d.clock = d.clock.Add(24 * time.Hour)
	if err := credential(certificate, key); err == nil || !strings.Contains(err.Error(), "AADSTS700024") {
		t.Errorf("an assertion of yesterday: got %v, want AADSTS700024", err)
	}
	d.clock = d.clock.Add(48 * time.Hour)
	if err := credential(certificate, key); err == nil || !strings.Contains(err.Error(), "key used is expired") {
		t.Errorf("a certificate that has ended: got %v, want AADSTS700027", err)
	}
}

func selfSigned(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func TestErrors_EndWithoutANewline(t *testing.T) {
	d := newDirectory(t)
	res, err := d.certs.Client().Post(d.authority.URL+"/"+tenant+"/oauth2/v2.0/token", "", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusBadRequest || !strings.HasSuffix(string(text), "}") {
		t.Errorf("got %d %q", res.StatusCode, text)
	}
}

func TestTrouble_IsTheServicesOwnWith400(t *testing.T) {
	code := 90033
	d := newTroubled(t, func() int { return code })
	_, err := d.credential(t, tenant, secret).GetToken(t.Context(), scope(identity.AudienceGraph))
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse.StatusCode != http.StatusBadRequest || !strings.Contains(err.Error(), "AADSTS90033") {
		t.Errorf("got %v, want 400 with AADSTS90033", err)
	}
	code = 0
	if _, err := d.credential(t, tenant, secret).GetToken(t.Context(), scope(identity.AudienceGraph)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
