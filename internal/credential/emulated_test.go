package credential

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/golang-jwt/jwt/v5"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/secret"
)

const (
	home       = "aaaaaaaa-0000-4000-8000-000000000001" // of the app's identity and of the app registration
	siteID     = "aaaaaaaa-0000-4000-8000-000000000002"
	siteObject = "aaaaaaaa-0000-4000-8000-000000000003"
	userID     = "aaaaaaaa-0000-4000-8000-000000000004"
	userObject = "aaaaaaaa-0000-4000-8000-000000000005"
)

// directory is the Entra emulator with the application of two tenants, its own and the
// one whose data is copied, and with the app's managed identities.
type directory struct {
	*identity.Server
	server *httptest.Server
}

func newDirectory(t *testing.T) *directory {
	t.Helper()
	s, err := identity.New(identity.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	hunter := map[string][]string{identity.AudienceGraph: {"ThreatHunting.Read.All"}}
	const object = "aaaaaaaa-0000-4000-8000-000000000009"
	for _, err := range []error{
		s.AddTenant(home), s.AddTenant(tenant),
		s.RegisterApplication(identity.Principal{Tenant: home, ClientID: app, ObjectID: object}, identity.Secret{Value: "s1"}),
		s.Consent(identity.Principal{Tenant: tenant, ClientID: app, ObjectID: object, Roles: hunter}),
		s.RegisterManagedIdentity(identity.Principal{Tenant: home, ClientID: siteID, ObjectID: siteObject, Roles: hunter}, ""),
		s.RegisterManagedIdentity(identity.Principal{Tenant: home, ClientID: userID, ObjectID: userObject, Roles: hunter}, "/subscriptions/s/u"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d := &directory{s, httptest.NewTLSServer(s.Authority())}
	t.Cleanup(d.server.Close)
	endpoint := httptest.NewServer(s.ManagedIdentity("proof"))
	t.Cleanup(endpoint.Close)
	t.Setenv("IDENTITY_ENDPOINT", endpoint.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "proof")
	return d
}

// config is that of the application in the tenant whose data is copied.
func (d *directory) config(kind Kind) Config {
	return Config{Kind: kind, TenantID: tenant, ClientID: app, AuthorityHost: d.server.URL, Loopback: true,
		Transport: d.server.Client(), retry: policy.RetryOptions{MaxRetries: -1}}
}

// signIn gets a token for Graph and returns what it says.
func (d *directory) signIn(t *testing.T, cfg Config) (*identity.Claims, error) {
	t.Helper()
	cred, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph}})
	if err != nil {
		return nil, err
	}
	return d.Verify(token.Token, identity.AudienceGraph)
}

// Every kind of credential that an app may have, through the official SDK, against an
// authority that checks what it is shown.
func TestEmulated_EachServiceKindGetsAToken(t *testing.T) {
	d := newDirectory(t)
	own := newCertified(t)
	if err := d.RegisterCertificate(app, own.certificate); err != nil {
		t.Fatal(err)
	}
	cluster, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const issuer, account = "https://oidc.example/cluster/", "system:serviceaccount:soc:defender2adx"
	for _, f := range []identity.Federation{
		{Issuer: identity.Issuer(home), Subject: userObject, Audience: identity.AudienceExchange},
		{Issuer: issuer, Subject: account, Audience: identity.AudienceExchange, Key: cluster.Public()},
	} {
		if err := d.Federate(app, f); err != nil {
			t.Fatal(err)
		}
	}
	pod, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": issuer, "sub": account, "aud": []string{identity.AudienceExchange}, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(cluster)
	if err != nil {
		t.Fatal(err)
	}
	cli, err := d.Token(userID, identity.AudienceGraph)
	if err != nil {
		t.Fatal(err)
	}
	fakeAzureCLI(t, `echo '{"accessToken":"`+cli+`","expires_on":`+"4102444800"+`}'`)

	tests := []struct {
		kind   Kind
		change func(*Config)
		appID  string
		tenant string
	}{
		{KindSecret, func(c *Config) { c.Secret = secret.Ref{Value: secret.New("s1")} }, app, tenant},
		{KindCertificate, func(c *Config) { c.Certificate = file(t, own.pem+own.key) }, app, tenant},
		{KindManagedIdentity, func(c *Config) { c.ClientID = "" }, siteID, home},
		{KindManagedIdentity, func(c *Config) { c.ClientID = userID }, userID, home},
		{KindFederated, func(c *Config) { c.IdentityClientID = userID }, app, tenant},
		{KindWorkloadIdentity, func(c *Config) { c.TokenFile = file(t, pod).File }, app, tenant},
		{KindAzureCLI, func(*Config) {}, userID, home},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind)+" "+tt.appID, func(t *testing.T) {
			cfg := d.config(tt.kind)
			cfg.ExchangeScope = cloud.Cloud{Name: cloud.Global}.ExchangeScope()
			tt.change(&cfg)
			got, err := d.signIn(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got.AppID != tt.appID || got.TenantID != tt.tenant || !got.HasRole("ThreatHunting.Read.All") {
				t.Errorf("token of %s in %s with %v; want one of %s in %s", got.AppID, got.TenantID, got.Roles, tt.appID, tt.tenant)
			}
		})
	}
}

// What an app registration does not trust says what to change, and is no fault that
// passes by itself.
func TestEmulated_RefusalsSayWhatToChange(t *testing.T) {
	d := newDirectory(t)
	stranger := newCertified(t)
	exchange := cloud.Cloud{Name: cloud.Global}.ExchangeScope()
	tests := []struct {
		name string
		kind Kind
		with func(*Config)
		want string
	}{
		{"certificate that is not registered", KindCertificate, func(c *Config) { c.Certificate = file(t, stranger.pem+stranger.key) }, "is not registered on the application"},
		{"certificate without a file", KindCertificate, func(c *Config) { c.Certificate = secret.Ref{File: "/no/such.pem"} }, "read file /no/such.pem: no such file or directory: check path and rights"},
		{"federated without trust", KindFederated, func(c *Config) { c.IdentityClientID, c.ExchangeScope = userID, exchange }, "trusts no such identity: add a federated credential"},
		{"federated without the identity", KindFederated, func(c *Config) { c.IdentityClientID, c.ExchangeScope = app, exchange }, "check that the identity is assigned to this app"},
		{"workload identity without a file", KindWorkloadIdentity, func(c *Config) { c.TokenFile = "/no/such/token" }, "read the token: no such file or directory: check the file and its mount"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := d.config(tt.kind)
			tt.with(&cfg)
			_, err := d.signIn(t, cfg)
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v (%v), want one line with %q", err, fault.KindOf(err), tt.want)
			}
		})
	}
}

// anyServer reaches every stand-in, whose certificates differ.
func anyServer() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // of this test alone
}

// certified is a certificate with its key, as PEM.
type certified struct {
	certificate *x509.Certificate
	private     *rsa.PrivateKey
	pem, key    string
}

func newCertified(t *testing.T) certified {
	t.Helper()
	return newCertifiedUntil(t, time.Now().Add(time.Hour))
}

func newCertifiedUntil(t *testing.T, end time.Time) certified {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.Add(-24 * time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certified{certificate, key, block("CERTIFICATE", der), block("PRIVATE KEY", plain)}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func file(t *testing.T, content string) secret.Ref {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return secret.Ref{File: path}
}

// The forms in which certificates come, each shown to the authority.
func TestCertificate_EveryForm(t *testing.T) {
	d := newDirectory(t)
	own := newCertified(t)
	if err := d.RegisterCertificate(app, own.certificate); err != nil {
		t.Fatal(err)
	}
	locked, err := pkcs8.MarshalPrivateKey(own.private, []byte("opensesame"), nil)
	if err != nil {
		t.Fatal(err)
	}
	pfx := func(e *pkcs12.Encoder, password string) []byte {
		out, err := e.Encode(own.private, own.certificate, nil, password)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	inVault := base64.StdEncoding.EncodeToString(pfx(pkcs12.Modern, ""))
	v := newKeyVault(t, inVault, d.server.URL)
	password := secret.Ref{Value: secret.New("opensesame")}
	tests := []struct {
		name string
		with func(*Config)
	}{
		{"PEM in one file", func(c *Config) { c.Certificate = file(t, own.key+own.pem) }},
		{"PEM in two files", func(c *Config) { c.Certificate, c.CertificateKey = file(t, own.pem), file(t, own.key) }},
		{"PEM with a key of the older form", func(c *Config) {
			c.Certificate = file(t, own.pem+block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(own.private)))
		}},
		{"PEM with a password", func(c *Config) {
			c.Certificate, c.CertificatePassword = file(t, own.pem+block("ENCRYPTED PRIVATE KEY", locked)), password
		}},
		{"PFX of today's encryption", func(c *Config) {
			c.Certificate, c.CertificatePassword = file(t, string(pfx(pkcs12.Modern, "opensesame"))), password
		}},
		{"PFX of the older encryption", func(c *Config) {
			c.Certificate, c.CertificatePassword = file(t, string(pfx(pkcs12.LegacyDES, "opensesame"))), password
		}},
		{"PFX in the settings, by a reference of the platform", func(c *Config) { c.Certificate = secret.Ref{Value: secret.New(inVault)} }},
		{"PFX in Key Vault", func(c *Config) { c.Certificate = secret.Ref{Name: "defender"} }},
		{"PFX whose password lies in Key Vault", func(c *Config) {
			v.set(func() { v.secret = "opensesame" })
			c.Certificate, c.CertificatePassword = file(t, string(pfx(pkcs12.Modern, "opensesame"))), secret.Ref{Name: "defender"}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := d.config(KindCertificate)
			cfg.VaultURL, cfg.VaultCredential = v.url, tokenFunc(vaultToken)
			tt.with(&cfg)
			if cfg.Certificate.Name != "" || cfg.CertificatePassword.Name != "" {
				cfg.Transport = anyServer()
			}
			if got, err := d.signIn(t, cfg); err != nil || got.AppIDACR != "2" {
				t.Errorf("got %+v, %v; want a token by certificate", got, err)
			}
		})
	}
}

// What is wrong with a certificate is said before anybody is asked, and quotes nothing.
func TestCertificate_SaysWhatIsWrong(t *testing.T) {
	own, other := newCertified(t), newCertified(t)
	ended := newCertifiedUntil(t, time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC))
	locked, err := pkcs8.MarshalPrivateKey(own.private, []byte("opensesame"), nil)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := own.pem + block("ENCRYPTED PRIVATE KEY", locked)
	pfx, err := pkcs12.Modern.Encode(own.private, own.certificate, nil, "opensesame")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, certificate, key, password string
		want                             string
	}{
		{"no key", own.pem, "", "", "has no private key"},
		{"no certificate", own.key, "", "", "holds no certificate"},
		{"key of another", own.pem, other.key, "", "private key of another certificate"},
		{"two keys", own.pem + own.key, own.key, "", "more than one private key"},
		{"ended", ended.pem + ended.key, "", "", "ended on 2026-01-02 03:04 UTC"},
		{"password missing", encrypted, "", "", "a password, which is not set"},
		{"wrong password", encrypted, "", "SECRET", "the password does not open"},
		{"PFX without password", string(pfx), "", "", "PFX with a password, which is not set"},
		{"PFX with a wrong password", string(pfx), "", "SECRET", "PFX that the password does not open"},
		{"PFX with a key beside it", string(pfx), own.key, "opensesame", "only a PEM certificate can have"},
		{"something else", "SECRET", "", "", "neither PEM nor a PFX"},
		{"garbage in PEM", block("CERTIFICATE", []byte("SECRET")), "", "", "no certificate"},
		{"old OpenSSL", own.pem + "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nU0VDUkVU\n-----END RSA PRIVATE KEY-----\n", "", "SECRET", "openssl pkcs8 -topk8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Kind: KindCertificate, TenantID: tenant, ClientID: app, AuthorityHost: "https://127.0.0.1:1", Loopback: true,
				Certificate: file(t, tt.certificate), CertificatePassword: secret.Ref{Value: secret.New(tt.password)}}
			if tt.key != "" {
				cfg.CertificateKey = file(t, tt.key)
			}
			cred, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph}})
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got %v (%v), want %q", err, fault.KindOf(err), tt.want)
			}
		})
	}
}

// A certificate that was replaced in its place is taken up when Entra ID refuses the
// one that is held.
func TestCertificate_TakesUpANewOne(t *testing.T) {
	d := newDirectory(t)
	old, next := newCertified(t), newCertified(t)
	if err := d.RegisterCertificate(app, next.certificate); err != nil {
		t.Fatal(err)
	}
	at := file(t, old.pem+old.key)
	now := &clock{now: time.Now()}
	cfg := d.config(KindCertificate)
	cfg.Certificate, cfg.Now = at, now.Now
	cred, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph}})
		return err
	}
	if err := ask(); fault.KindOf(err) != fault.Permanent {
		t.Fatalf("with the old one: %v", err)
	}
	if err := os.WriteFile(at.File, []byte(next.pem+next.key), 0o600); err != nil {
		t.Fatal(err)
	}
	now.advance(readAgain)
	if err := ask(); err != nil {
		t.Errorf("with the new one: %v", err)
	}
}
