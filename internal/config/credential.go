package config

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Credential is how an instance signs in to Defender, or an application to ADX. Which fields count depends on
// Kind; internal/credential says what each kind is.
type Credential struct {
	Kind        string
	Secret      secret.Ref // client secret
	Certificate secret.Ref // with its key, unless Key holds that
	Key         secret.Ref
	Password    secret.Ref // of Certificate or Key; zero: none
	Identity    string     // client id of the managed identity that federated shows
	TokenFile   string     // of workload-identity
	Username    string     // who signs in by browser; "": chooses there
	TokenCache  string     // name or folder of what outlives a command; "": nothing
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
	kindDeviceCode       = "device-code"
	kindBrowser          = "browser"
)

// delegated kinds ask a person, who must be at the terminal.
var delegated = []string{kindDeviceCode, kindBrowser}

// applicationKinds sign in as an app registration, which needs a client id.
var applicationKinds = []string{kindSecret, kindCertificate, kindFederated, kindWorkloadIdentity, kindDeviceCode, kindBrowser}

// shared are the kinds by which ADX may be signed in to as an application: its own, or the
// one that is shared with Defender.
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
		if errors.Is(err, cloud.ErrUnknown) {
			return fmt.Errorf("%w, got %s", err, secret.Quoted(v))
		}
		return err
	}
}

// own reports whether the setting stands under the own name of the instance, or of ADX; of
// the default instance every one does.
func (s source) own(setting string) bool {
	name, value := s.find(setting)
	return value != "" && strings.HasPrefix(strings.ToUpper(name), s.prefix())
}

// credential settles which of several settings counts and returns what the kind needs
// and does not have. Of two that exclude one another the one under the instance's own
// name wins; what belongs to a certificate comes from where that comes from.
func (s source) credential(i *Instance) (errs []error) {
	c := &i.Defender.Credential
	errs = append(errs, s.person(c)...)
	switch given, named := s.value("DEFENDER_CLIENT_SECRET") != "", s.value("DEFENDER_SECRET_NAME") != ""; {
	case given && named && s.own("DEFENDER_CLIENT_SECRET") == s.own("DEFENDER_SECRET_NAME"):
		if c.Kind == kindSecret {
			value, _ := s.find("DEFENDER_CLIENT_SECRET")
			errs = append(errs, s.fault("DEFENDER_SECRET_NAME", "names another client secret than %s gives: leave one of them out", value))
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
	_, identity := ownIdentity(s.getenv)
	c.Identity = cmp.Or(c.Identity, identity)
	c.TokenFile = cmp.Or(c.TokenFile, strings.TrimSpace(s.getenv("AZURE_FEDERATED_TOKEN_FILE")))
	return append(errs, s.credentialFaults(*i, c.Kind)...)
}

// person settles who signs in where a user name is given: somebody in a browser, or by
// a code where there is none to be seen.
func (s source) person(c *Credential) (errs []error) {
	if c.Username == "" {
		return nil
	}
	proofs := []string{"DEFENDER_CLIENT_SECRET", "DEFENDER_SECRET_NAME", "DEFENDER_CLIENT_CERTIFICATE"}
	if !s.own("DEFENDER_USERNAME") && slices.ContainsFunc(proofs, s.own) {
		c.Username = "" // that of the settings without a name; the instance's own proof wins
		return nil
	}
	for _, proof := range proofs {
		if s.value(proof) != "" && s.own(proof) == s.own("DEFENDER_USERNAME") {
			errs = append(errs, s.fault(proof, "is set beside DEFENDER_USERNAME: either the application signs in by itself, or a person through it; leave one of them out"))
		}
	}
	switch {
	case s.value("DEFENDER_CREDENTIAL") == "" && hasDisplay(s.getenv):
		c.Kind = kindBrowser
	case s.value("DEFENDER_CREDENTIAL") == "":
		c.Kind = kindDeviceCode
	case len(errs) == 0 && !slices.Contains(delegated, c.Kind):
		errs = append(errs, s.fault("DEFENDER_USERNAME", "is for device-code and browser; DEFENDER_CREDENTIAL is %s: leave one of them out", c.Kind))
	}
	return errs
}

// hasDisplay tells whether a browser can be seen here. Elsewhere than on Linux there is
// a desktop.
func hasDisplay(getenv func(string) string) bool {
	return runtime.GOOS != "linux" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// unattended refuses what needs a person where none is.
func (s source) unattended(kind string) error {
	if !slices.Contains(delegated, kind) {
		return nil
	}
	setting := "DEFENDER_CREDENTIAL"
	if s.value(setting) == "" {
		setting = "DEFENDER_USERNAME"
	}
	return s.fault(setting, "a person signs in (%s), and none is there when the Functions host runs the app: choose secret, certificate, federated or managed-identity", kind)
}

// credentialFaults is what the kind needs and the instance does not have.
func (s source) credentialFaults(i Instance, kind string) (errs []error) {
	c := i.Defender.Credential
	if slices.Contains(applicationKinds, kind) && i.Defender.ClientID == "" && !s.untold("DEFENDER_CLIENT_ID") {
		errs = append(errs, s.fault("DEFENDER_CLIENT_ID", "is not set; %s needs the application's id", kind))
	}
	var refs []secret.Ref
	switch kind {
	case kindSecret:
		if !s.untold("DEFENDER_CLIENT_SECRET") {
			refs = []secret.Ref{c.Secret}
		}
	case kindCertificate:
		refs = []secret.Ref{c.Certificate, c.Key, c.Password}
	case kindFederated:
		if c.Identity == "" {
			name, _ := ownIdentity(s.getenv)
			if s.adx {
				name = "DEFENDER_CREDENTIAL_IDENTITY"
			}
			errs = append(errs, s.fault("DEFENDER_CREDENTIAL_IDENTITY", "is not set, nor %s; federated needs the client id of a user-assigned managed identity", name))
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
