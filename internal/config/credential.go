package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Credential is how an instance signs in to Defender. Which fields count depends on
// Kind; internal/credential says what each kind is.
type Credential struct {
	Kind        string
	Secret      secret.Ref // client secret
	Certificate secret.Ref // with its key, unless Key holds that
	Key         secret.Ref
	Password    secret.Ref // of Certificate or Key; zero: none
	Identity    string     // client id of the managed identity that federated shows
	TokenFile   string     // of workload-identity
	secretName  string     // in the vault, where Secret is not given
}

// Kinds of credential, as the settings have them.
const (
	kindSecret           = "secret"
	kindCertificate      = "certificate"
	kindManagedIdentity  = "managed-identity"
	kindFederated        = "federated"
	kindWorkloadIdentity = "workload-identity"
	kindAzureCLI         = "azure-cli"
)

// applicationKinds sign in as an app registration, which needs a client id.
var applicationKinds = []string{kindSecret, kindCertificate, kindFederated, kindWorkloadIdentity}

// shared are the kinds by which ADX may be signed in to as the Defender application.
var shared = []string{kindSecret, kindCertificate, kindFederated}

// secretRef reads a secret value, or where it lies.
func secretRef(to *secret.Ref) func(string) error {
	return func(v string) (err error) {
		*to, err = secret.ParseRef(v)
		return err
	}
}

// fileRef reads a certificate or key, or where it lies.
func fileRef(to *secret.Ref) func(string) error {
	return func(v string) (err error) {
		*to, err = secret.ParseFileRef(v)
		return err
	}
}

func vaultName(to *string) func(string) error {
	return func(v string) error {
		if !secret.IsVaultName(v) {
			return fmt.Errorf("want the name of a secret in Key Vault, 1 to 127 letters, digits and hyphens")
		}
		*to = v
		return nil
	}
}

// cloudName reads a cloud, or a region of the global one.
func cloudName(d *Defender) func(string) error {
	return func(v string) error {
		c, err := cloud.Parse(v)
		d.Cloud, d.Region = c.Name, c.Region
		return err
	}
}

// own reports whether the setting stands under the instance's own name; of the default
// instance every one does.
func (s source) own(setting string) bool {
	name, value := s.find(setting)
	return value != "" && (s.instance == "" || name != setting)
}

// credential settles which of several settings counts and returns what the kind needs
// and does not have. Of two that exclude one another the one under the instance's own
// name wins; what belongs to a certificate comes from where that comes from.
func (s source) credential(i *Instance) (errs []error) {
	c := &i.Defender.Credential
	switch given, named := s.value("DEFENDER_CLIENT_SECRET") != "", s.value("DEFENDER_SECRET_NAME") != ""; {
	case given && named && s.own("DEFENDER_CLIENT_SECRET") == s.own("DEFENDER_SECRET_NAME"):
		if c.Kind == kindSecret {
			errs = append(errs, s.fault("DEFENDER_SECRET_NAME", "names another client secret than DEFENDER_CLIENT_SECRET gives: leave one of them out"))
		}
	case !given, named && s.own("DEFENDER_SECRET_NAME"):
		c.Secret = secret.Ref{Name: c.secretName}
	}
	if s.own("DEFENDER_CLIENT_CERTIFICATE") {
		if !s.own("DEFENDER_CLIENT_CERTIFICATE_KEY") {
			c.Key = secret.Ref{}
		}
		if !s.own("DEFENDER_CLIENT_CERTIFICATE_PASSWORD") {
			c.Password = secret.Ref{}
		}
	}
	c.Identity = cmp.Or(c.Identity, strings.TrimSpace(s.getenv("ADX_CLIENT_ID")))
	c.TokenFile = cmp.Or(c.TokenFile, strings.TrimSpace(s.getenv("AZURE_FEDERATED_TOKEN_FILE")))
	return append(errs, s.credentialFaults(*i, c.Kind)...)
}

// credentialFaults is what the kind needs and the instance does not have.
func (s source) credentialFaults(i Instance, kind string) (errs []error) {
	c := i.Defender.Credential
	if slices.Contains(applicationKinds, kind) && i.Defender.ClientID == "" {
		errs = append(errs, s.fault("DEFENDER_CLIENT_ID", "is not set; %s needs the application's id", kind))
	}
	var refs []secret.Ref
	switch kind {
	case kindSecret:
		refs = []secret.Ref{c.Secret}
	case kindCertificate:
		refs = []secret.Ref{c.Certificate, c.Key, c.Password}
	case kindFederated:
		if c.Identity == "" {
			errs = append(errs, s.fault("DEFENDER_CREDENTIAL_IDENTITY", "is not set, nor ADX_CLIENT_ID; federated needs the client id of a user-assigned managed identity"))
		}
	case kindWorkloadIdentity:
		if c.TokenFile == "" {
			errs = append(errs, s.fault("DEFENDER_CREDENTIAL_TOKEN_FILE", "is not set, nor AZURE_FEDERATED_TOKEN_FILE, which Kubernetes sets where workload identity is switched on for the pod"))
		}
	}
	if s.value(vaultSetting) == "" && slices.ContainsFunc(refs, func(r secret.Ref) bool { return r.Name != "" }) {
		errs = append(errs, s.fault(vaultSetting, "is not set; what %s needs is read from a Key Vault", kind))
	}
	return errs
}

// adxFaults fills in what ADX_CREDENTIAL takes from elsewhere and returns what it needs
// and does not find there.
func (c *Config) adxFaults(getenv func(string) string) (errs []error) {
	kind := c.ADX.Credential
	switch {
	case kind == kindWorkloadIdentity:
		for _, from := range []struct {
			to   *string
			name string
		}{{&c.ADX.ClientID, "AZURE_CLIENT_ID"}, {&c.ADX.TenantID, "AZURE_TENANT_ID"}, {&c.ADX.TokenFile, "AZURE_FEDERATED_TOKEN_FILE"}} {
			if *from.to = cmp.Or(*from.to, strings.TrimSpace(getenv(from.name))); *from.to == "" {
				errs = append(errs, fmt.Errorf("%s: is not set; Kubernetes sets it where workload identity, which ADX_CREDENTIAL asks for, is switched on for the pod", from.name))
			}
		}
	case slices.Contains(shared, kind):
		i, err := c.Instance("")
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("ADX_CREDENTIAL: %s is that of the instance without a name: set DEFENDER_TENANT_ID and what it needs, or choose managed-identity", kind))
		case i.Fault != nil:
			errs = append(errs, i.Fault)
		default:
			errs = append(errs, source{getenv, ""}.credentialFaults(i, kind)...)
		}
	}
	return errs
}
