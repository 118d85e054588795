package credential

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/secret"
)

// identifier is what a tenant (a GUID or a domain) and a client id consist of.
var identifier = regexp.MustCompile(`^[0-9A-Za-z.-]+$`)

func (cfg Config) validate() error {
	kind, ok := kinds[cfg.Kind]
	if !ok {
		var known []string
		for k := range maps.Keys(kinds) {
			known = append(known, string(k))
		}
		slices.Sort(known)
		return fmt.Errorf("credential kind: want one of %s, got %s", strings.Join(known, ", "), secret.Quoted(string(cfg.Kind)))
	}
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("credential %s: "+format, append([]any{cfg.Kind}, args...)...))
	}
	if kind.application {
		if cfg.TenantID == "" {
			problem("the tenant id is missing")
		}
		if cfg.ClientID == "" {
			problem("the client id of the application is missing")
		}
	}
	switch cfg.Kind {
	case KindSecret:
		if cfg.Secret.IsZero() {
			problem("the client secret is missing")
		}
	case KindCertificate:
		if cfg.Certificate.IsZero() {
			problem("the certificate is missing")
		}
	case KindFederated:
		if cfg.IdentityClientID == "" {
			problem("the client id of a user-assigned managed identity is missing: a system-assigned one cannot stand for an application")
		} else if !identifier.MatchString(cfg.IdentityClientID) {
			problem("client id of the managed identity: want a GUID, got %s", secret.Quoted(cfg.IdentityClientID))
		}
		if cfg.ExchangeScope == "" {
			problem("the scope of the exchange is missing")
		}
	case KindWorkloadIdentity:
		if cfg.TokenFile == "" {
			problem("the token file is missing: Kubernetes names it in AZURE_FEDERATED_TOKEN_FILE")
		}
	}
	if cfg.Kind.Delegated() && cfg.Say == nil {
		problem("a person must be at the terminal, which is not so here")
	}
	cfg.validateVault(problem)
	if cfg.TenantID != "" && !identifier.MatchString(cfg.TenantID) {
		problem("tenant id: want a GUID or a domain, got %s", secret.Quoted(cfg.TenantID))
	}
	if cfg.ClientID != "" && !identifier.MatchString(cfg.ClientID) {
		problem("client id: want a GUID, got %s", secret.Quoted(cfg.ClientID))
	}
	if cfg.AuthorityHost != "" && !isHTTPS(cfg.AuthorityHost) {
		problem("authority host: want an https URL such as https://login.microsoftonline.com, got %s", secret.Quoted(cfg.AuthorityHost))
	}
	return errors.Join(problems...)
}

// inVault lists the secrets of this kind that lie in the vault.
func (cfg Config) inVault() []string {
	var refs []secret.Ref
	switch cfg.Kind {
	case KindSecret:
		refs = []secret.Ref{cfg.Secret}
	case KindCertificate:
		refs = []secret.Ref{cfg.Certificate, cfg.CertificateKey, cfg.CertificatePassword}
	}
	var names []string
	for _, ref := range refs {
		if ref.Name != "" {
			names = append(names, ref.Name)
		}
	}
	return names
}

func (cfg Config) validateVault(problem func(string, ...any)) {
	names := cfg.inVault()
	for _, name := range names {
		if !secret.IsVaultName(name) {
			problem("secret name: want 1 to 127 letters, digits and hyphens, got %s", secret.Quoted(name))
		}
	}
	if len(names) == 0 {
		return
	}
	if !isHTTPS(cfg.VaultURL) {
		problem("vault URL: want an https URL such as https://name.vault.azure.net, got %s", secret.Quoted(cfg.VaultURL))
	}
	if cfg.VaultCredential == nil {
		problem("there is no credential for the vault")
	}
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}
