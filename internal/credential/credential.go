// Package credential turns a configured kind of identity into something that
// hands out tokens: an application with a secret, a certificate or the trust it has in
// another identity, a managed identity, or a person at a terminal.
//
// It stores nothing outside of memory, but for the tokens of a person who asks for it,
// and grants nothing. No secret and no token
// ever appears in an error or in what its types print.
//
// For each audience there is at most one token request per life of a token, how
// many callers there ever are, and a client secret or a certificate that was replaced
// in the vault is taken up without a restart.
package credential

import (
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Kind says how an identity proves itself, as settings spell it.
type Kind string

const (
	// KindSecret is an application with a client secret.
	KindSecret Kind = "secret"
	// KindCertificate is an application with a certificate.
	KindCertificate Kind = "certificate"
	// KindManagedIdentity is the identity that Azure gives to the app itself.
	KindManagedIdentity Kind = "managed-identity"
	// KindFederated is an application, of any tenant, that trusts a user-assigned
	// managed identity.
	KindFederated Kind = "federated"
	// KindWorkloadIdentity is an application that trusts a Kubernetes service account.
	KindWorkloadIdentity Kind = "workload-identity"
	// KindAzureCLI is whoever has signed in with `az login`.
	KindAzureCLI Kind = "azure-cli"
	// KindDeviceCode is a person who signs in on any device by a code.
	KindDeviceCode Kind = "device-code"
	// KindBrowser is a person who signs in in this machine's browser.
	KindBrowser Kind = "browser"
)

// DeveloperClientID is the application by which people sign in to Azure from their
// machines, known in every tenant: that of the Azure CLI.
// Source: Microsoft Entra documentation, "Verify first-party Microsoft applications".
const DeveloperClientID = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// Delegated tells whether a person signs in, who must be at the terminal.
func (k Kind) Delegated() bool { return k == KindDeviceCode || k == KindBrowser }

// Config describes an identity. Kind decides which other fields count.
type Config struct {
	Kind Kind
	// TenantID is the directory to sign in to; optional for KindAzureCLI, without
	// meaning for KindManagedIdentity.
	TenantID string
	// ClientID is the application, or a user-assigned identity for
	// KindManagedIdentity; "" there means the system-assigned one.
	ClientID string
	// AuthorityHost is the Entra ID endpoint of the cloud; "" is the public one.
	AuthorityHost string

	// Secret is that of KindSecret.
	Secret secret.Ref
	// Certificate of KindCertificate holds the private key too, unless CertificateKey
	// does. CertificatePassword opens either.
	Certificate, CertificateKey, CertificatePassword secret.Ref
	// IdentityClientID is the managed identity that KindFederated shows.
	IdentityClientID string
	// ExchangeScope is what that identity asks a token for.
	ExchangeScope string
	// TokenFile is where Kubernetes writes the token of KindWorkloadIdentity.
	TokenFile string

	// Username is the account to be offered by KindBrowser; "" lets the person choose.
	Username string
	// TokenCache is the name or the folder of what a delegated kind keeps between two
	// starts; "" is nothing.
	TokenCache string
	// Say tells the person what to do, and what to know; required for delegated kinds.
	Say func(string)

	// VaultURL is the Key Vault of secrets that lie in one; https, without a path.
	VaultURL string
	// VaultCredential signs in to that vault.
	VaultCredential azcore.TokenCredential
	// Loopback allows what stand-ins on the developer's machine need: an authority
	// or a vault that is a loopback address is taken at its word. It changes
	// nothing for any other address.
	Loopback bool
	// Transport carries the requests; nil is the SDK's own. An *http.Client will do.
	Transport policy.Transporter
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	retry     policy.RetryOptions                    // zero is the SDK's own
	openCache func(string) (azidentity.Cache, error) // nil is the SDK's own
}

// kinds say how each credential is made, what it needs and which fields it reads, as
// far as that differs.
var kinds = map[Kind]struct {
	make        func(Config) (azcore.TokenCredential, error)
	application bool // needs a tenant and a client id
}{
	KindSecret:           {newSecret, true},
	KindCertificate:      {newCertificate, true},
	KindManagedIdentity:  {newManagedIdentity, false},
	KindFederated:        {newFederated, true},
	KindWorkloadIdentity: {newWorkloadIdentity, true},
	KindAzureCLI:         {newAzureCLI, false},
	KindDeviceCode:       {newDeviceCode, true},
	KindBrowser:          {newBrowser, true},
}

// New returns the credential that cfg describes. It does no I/O. Its errors name
// every problem at once.
//
// Errors of the credential carry a fault kind: fault.Permanent when a person must
// act (a wrong or missing secret, no role on the vault), else fault.Retry (no
// network, 429, 5xx). A caller whose own context ends gets that context's error.
func New(cfg Config) (azcore.TokenCredential, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.openCache == nil {
		cfg.openCache = openCache
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	source, err := kinds[cfg.Kind].make(cfg)
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", cfg.Kind, err)
	}
	out := newCache(source, cfg.Now)
	if cfg.Kind.Delegated() {
		out.timeout = signInTimeout
	}
	return out, nil
}

func (cfg Config) clientOptions() azcore.ClientOptions {
	o := azcore.ClientOptions{Transport: cfg.Transport, Retry: cfg.retry}
	if cfg.AuthorityHost != "" {
		o.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: cfg.AuthorityHost}
	}
	return o
}

// ownAuthority tells whether the authority is a stand-in, which the public directory of
// authorities does not know.
func (cfg Config) ownAuthority() bool {
	return cfg.Loopback && address.IsLoopbackURL(cfg.AuthorityHost)
}

// application names the application in messages.
func (cfg Config) application() string {
	return fmt.Sprintf("application %s in tenant %s", cfg.ClientID, cfg.TenantID)
}

func newManagedIdentity(cfg Config) (azcore.TokenCredential, error) {
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: cfg.clientOptions()}
	who := "the system-assigned managed identity"
	if cfg.ClientID != "" {
		options.ID = azidentity.ClientID(cfg.ClientID)
		who = "managed identity " + cfg.ClientID
	}
	inner, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return nil, err
	}
	return &managedIdentity{asked: map[string]int{}, explained: explained{inner, signIn{who: who, remedy: "check that the identity is assigned to this app", managed: true}}}, nil
}

func newAzureCLI(cfg Config) (azcore.TokenCredential, error) {
	inner, err := azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: cfg.TenantID})
	if err != nil {
		return nil, err
	}
	return explained{inner, signIn{who: "the Azure CLI's user", remedy: "run az login", local: true}}, nil
}
