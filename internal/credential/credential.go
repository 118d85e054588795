// Package credential turns a configured kind of identity into something that
// hands out tokens: a client secret kept in Key Vault, a managed identity, or the
// Azure CLI's user on a developer's machine.
//
// It stores nothing outside of memory and grants nothing. No secret and no token
// ever appears in an error or in what its types print.
//
// For each audience there is at most one token request per life of a token, how
// many callers there ever are, and a client secret that was replaced in the vault
// is taken up without a restart.
package credential

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Kind says how an identity proves itself, as settings spell it.
type Kind string

const (
	// KindSecret is an application with a client secret in Key Vault.
	KindSecret Kind = "secret"
	// KindManagedIdentity is the identity that Azure gives to the app itself.
	KindManagedIdentity Kind = "managed-identity"
	// KindAzureCLI is whoever has signed in with `az login`.
	KindAzureCLI Kind = "azure-cli"
)

// Config describes an identity. Kind decides which other fields count.
type Config struct {
	Kind Kind
	// TenantID is the directory of the application; required for KindSecret,
	// optional for KindAzureCLI.
	TenantID string
	// ClientID is the application for KindSecret, a user-assigned identity for
	// KindManagedIdentity; "" there means the system-assigned one.
	ClientID string
	// AuthorityHost is the Entra ID endpoint of the cloud; "" is the public one.
	AuthorityHost string
	// Vault is where KindSecret finds its secret.
	Vault *VaultRef
	// VaultCredential signs in to the vault for KindSecret.
	VaultCredential azcore.TokenCredential
	// Loopback allows what stand-ins on the developer's machine need: an authority
	// or a vault that is a loopback address is taken at its word. It changes
	// nothing for any other address.
	Loopback bool
	// Transport carries the requests; nil is the SDK's own. An *http.Client will do.
	Transport policy.Transporter
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	retry policy.RetryOptions // zero is the SDK's own
}

// VaultRef names one secret in Key Vault.
type VaultRef struct {
	URL    string // https, without a path
	Secret string // name only; the newest version counts
}

func (v VaultRef) String() string {
	return fmt.Sprintf("secret %q in vault %s", v.Secret, v.host())
}

func (v VaultRef) host() string {
	if u, err := url.Parse(v.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return "without a valid URL"
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
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var source azcore.TokenCredential
	var err error
	switch cfg.Kind {
	case KindSecret:
		source, err = newRotating(cfg)
	case KindManagedIdentity:
		source, err = newManagedIdentity(cfg)
	case KindAzureCLI:
		source, err = newAzureCLI(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", cfg.Kind, err)
	}
	return newCache(source, cfg.Now), nil
}

// vaultSecretName is what Key Vault allows. Source: Key Vault documentation,
// object names.
var vaultSecretName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// identifier is what a tenant (a GUID or a domain) and a client id consist of.
var identifier = regexp.MustCompile(`^[0-9A-Za-z.-]+$`)

func (cfg Config) validate() error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("credential %s: "+format, append([]any{cfg.Kind}, args...)...))
	}
	switch cfg.Kind {
	case KindSecret:
		if cfg.TenantID == "" {
			problem("the tenant id is missing")
		}
		if cfg.ClientID == "" {
			problem("the client id of the application is missing")
		}
		if cfg.Vault == nil {
			problem("the vault of the client secret is missing")
		} else {
			if !isHTTPS(cfg.Vault.URL) {
				problem("vault URL: want an https URL such as https://name.vault.azure.net, got %.80q", cfg.Vault.URL)
			}
			if !vaultSecretName.MatchString(cfg.Vault.Secret) {
				problem("secret name: want 1 to 127 letters, digits and hyphens, got %.80q", cfg.Vault.Secret)
			}
		}
		if cfg.VaultCredential == nil {
			problem("there is no credential for the vault")
		}
	case KindManagedIdentity, KindAzureCLI:
	default:
		return fmt.Errorf("credential kind: want %s, %s or %s, got %.40q", KindSecret, KindManagedIdentity, KindAzureCLI, string(cfg.Kind))
	}
	if cfg.TenantID != "" && !identifier.MatchString(cfg.TenantID) {
		problem("tenant id: want a GUID or a domain, got %.80q", cfg.TenantID)
	}
	if cfg.ClientID != "" && !identifier.MatchString(cfg.ClientID) {
		problem("client id: want a GUID, got %.80q", cfg.ClientID)
	}
	if cfg.AuthorityHost != "" && !isHTTPS(cfg.AuthorityHost) {
		problem("authority host: want an https URL such as https://login.microsoftonline.com, got %.80q", cfg.AuthorityHost)
	}
	return errors.Join(problems...)
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

func (cfg Config) clientOptions() azcore.ClientOptions {
	o := azcore.ClientOptions{Transport: cfg.Transport, Retry: cfg.retry}
	if cfg.AuthorityHost != "" {
		o.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: cfg.AuthorityHost}
	}
	return o
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
