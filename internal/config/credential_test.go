package config_test

import (
	"maps"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Which of several settings counts, and where it is found.
func TestRead_WhereSecretsLie(t *testing.T) {
	const pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
	inVault := func(name string) secret.Ref { return secret.Ref{Name: name} }
	tests := []struct {
		name     string
		settings map[string]string
		instance string
		want     func(config.Credential) bool
	}{
		{"secret by name, as ever", nil, "",
			func(c config.Credential) bool { return c.Secret == inVault("defender-client-secret") }},
		{"secret given", map[string]string{"DEFENDER_CLIENT_SECRET": "s3cret", "KEY_VAULT_URL": ""}, "",
			func(c config.Credential) bool { return c.Secret.Value.Reveal() == "s3cret" }},
		{"secret by reference", map[string]string{"DEFENDER_CLIENT_SECRET": "KeyVault: other"}, "",
			func(c config.Credential) bool { return c.Secret == inVault("other") }},
		{"an instance's own name against a secret for all", map[string]string{"DEFENDER_INSTANCES": "b", "DEFENDER_B_TENANT_ID": "11111111-2222-3333-4444-666666666666", "DEFENDER_CLIENT_SECRET": "s3cret", "DEFENDER_B_SECRET_NAME": "of-b"}, "b",
			func(c config.Credential) bool { return c.Secret == inVault("of-b") }},
		{"an instance's own secret against a name for all", map[string]string{"DEFENDER_INSTANCES": "b", "DEFENDER_B_TENANT_ID": "11111111-2222-3333-4444-666666666666", "DEFENDER_SECRET_NAME": "of-all", "DEFENDER_B_CLIENT_SECRET": "s3cret"}, "b",
			func(c config.Credential) bool { return c.Secret.Value.Reveal() == "s3cret" }},
		{"certificate by its usual name", map[string]string{"DEFENDER_CREDENTIAL": "certificate"}, "",
			func(c config.Credential) bool { return c.Certificate == inVault("defender-client-certificate") }},
		{"certificate in two files without a vault", map[string]string{"DEFENDER_CREDENTIAL": "certificate", "KEY_VAULT_URL": "", "DEFENDER_CLIENT_CERTIFICATE": "/c.pem", "DEFENDER_CLIENT_CERTIFICATE_KEY": "/k.pem"}, "",
			func(c config.Credential) bool { return c.Certificate.File == "/c.pem" && c.Key.File == "/k.pem" }},
		{"certificate itself", map[string]string{"DEFENDER_CREDENTIAL": "certificate", "DEFENDER_CLIENT_CERTIFICATE": pem}, "",
			func(c config.Credential) bool { return c.Certificate.Value.Reveal() == pem }},
		{"an instance's own certificate needs no password of another", map[string]string{"DEFENDER_INSTANCES": "b", "DEFENDER_B_TENANT_ID": "11111111-2222-3333-4444-666666666666", "DEFENDER_CREDENTIAL": "certificate",
			"DEFENDER_CLIENT_CERTIFICATE_PASSWORD": "KeyVault:p", "DEFENDER_CLIENT_CERTIFICATE_KEY": "/k.pem", "DEFENDER_B_CLIENT_CERTIFICATE": "/b.pem"}, "b",
			func(c config.Credential) bool {
				return c.Certificate.File == "/b.pem" && c.Password.IsZero() && c.Key.IsZero()
			}},
		{"federated by the app's identity", map[string]string{"DEFENDER_CREDENTIAL": "federated", "KEY_VAULT_URL": "", "ADX_CLIENT_ID": "u"}, "",
			func(c config.Credential) bool { return c.Identity == "u" }},
		{"workload identity by what Kubernetes sets", map[string]string{"DEFENDER_CREDENTIAL": "workload-identity", "KEY_VAULT_URL": "", "AZURE_FEDERATED_TOKEN_FILE": "/var/t"}, "",
			func(c config.Credential) bool { return c.TokenFile == "/var/t" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Read(getenv(tt.settings))
			if err != nil {
				t.Fatal(err)
			}
			i, err := c.Instance(tt.instance)
			if err != nil || i.Fault != nil || !tt.want(i.Defender.Credential) {
				t.Errorf("got %+v, %v, %v", i.Defender.Credential, i.Fault, err)
			}
		})
	}
}

func TestRead_SaysWhatACredentialLacks(t *testing.T) {
	tests := []struct {
		name     string
		settings map[string]string
		want     string
	}{
		{"two secrets", map[string]string{"DEFENDER_CLIENT_SECRET": "SECRET", "DEFENDER_SECRET_NAME": "n"}, "DEFENDER_SECRET_NAME: names another client secret than DEFENDER_CLIENT_SECRET gives"},
		{"unresolved reference", map[string]string{"DEFENDER_CLIENT_SECRET": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/SECRET)"}, "DEFENDER_CLIENT_SECRET: the platform has not resolved this @Microsoft.KeyVault reference"},
		{"unresolved certificate", map[string]string{"DEFENDER_CREDENTIAL": "certificate", "DEFENDER_CLIENT_CERTIFICATE": "@Microsoft.KeyVault(VaultName=v;SecretName=SECRET)"}, "DEFENDER_CLIENT_CERTIFICATE: the platform has not resolved"},
		{"no name", map[string]string{"DEFENDER_CLIENT_SECRET": "KeyVault:SECRET_1"}, "DEFENDER_CLIENT_SECRET: want KeyVault:<name>"},
		{"certificate without a vault", map[string]string{"DEFENDER_CREDENTIAL": "certificate", "KEY_VAULT_URL": ""}, "KEY_VAULT_URL: is not set; what certificate needs"},
		{"password without a vault", map[string]string{"DEFENDER_CREDENTIAL": "certificate", "KEY_VAULT_URL": "", "DEFENDER_CLIENT_CERTIFICATE": "/c", "DEFENDER_CLIENT_CERTIFICATE_PASSWORD": "KeyVault:p"}, "KEY_VAULT_URL: is not set"},
		{"certificate without an application", map[string]string{"DEFENDER_CREDENTIAL": "certificate", "DEFENDER_CLIENT_ID": ""}, "DEFENDER_CLIENT_ID: is not set; certificate needs the application's id"},
		{"federated without an identity", map[string]string{"DEFENDER_CREDENTIAL": "federated"}, "DEFENDER_CREDENTIAL_IDENTITY: is not set, nor ADX_CLIENT_ID"},
		{"workload identity elsewhere", map[string]string{"DEFENDER_CREDENTIAL": "workload-identity"}, "DEFENDER_CREDENTIAL_TOKEN_FILE: is not set, nor AZURE_FEDERATED_TOKEN_FILE"},
		{"ADX by a workload identity elsewhere", map[string]string{"ADX_CREDENTIAL": "workload-identity", "ADX_CLIENT_ID": "c", "AZURE_FEDERATED_TOKEN_FILE": "/t"}, "AZURE_TENANT_ID: is not set; Kubernetes sets it"},
		{"ADX as an application that has no certificate", map[string]string{"ADX_CREDENTIAL": "certificate", "DEFENDER_CREDENTIAL": "azure-cli", "KEY_VAULT_URL": ""}, "KEY_VAULT_URL: is not set; what certificate needs"},
		{"China", map[string]string{"DEFENDER_CLOUD": "china"}, "DEFENDER_CLOUD: hunting is not offered in China (21Vianet)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Read(getenv(tt.settings))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "SECRET)") || strings.Contains(err.Error(), "SECRET_1") {
				t.Errorf("got %v, want one line with %q", err, tt.want)
			}
		})
	}
}

// How ADX is signed in to is chosen beside how Defender is: each pair works, or the error
// says what to choose.
func TestRead_EachPairOfCredentialsWorksOrSaysWhy(t *testing.T) {
	own := map[string]string{ // what each kind needs by itself
		"DEFENDER_CLIENT_SECRET": "hunter2", "DEFENDER_CLIENT_CERTIFICATE": "/c.pem", "ADX_CLIENT_ID": "41111111-2222-3333-4444-555555555555",
		"AZURE_FEDERATED_TOKEN_FILE": "/t", "AZURE_TENANT_ID": "51111111-2222-3333-4444-555555555555", "AZURE_CLIENT_ID": "61111111-2222-3333-4444-555555555555", "KEY_VAULT_URL": "",
	}
	kinds := []string{"secret", "certificate", "managed-identity", "federated", "workload-identity", "azure-cli", "device-code", "browser"}
	for _, source := range kinds {
		for _, adx := range kinds {
			env := maps.Clone(own)
			env["DEFENDER_CREDENTIAL"], env["ADX_CREDENTIAL"] = source, adx
			person := source == "device-code" || source == "browser" || adx == "device-code" || adx == "browser"
			none := source == "managed-identity" && (adx == "secret" || adx == "certificate" || adx == "federated")
			c, err := config.ReadAttended(getenv(env))
			if none != (err != nil) || none && !strings.Contains(err.Error(), "choose managed-identity for both") {
				t.Errorf("Defender by %s, ADX by %s: %v", source, adx, err)
			}
			if err == nil && (c.ADX.Credential != adx || c.Instances[0].Defender.Credential.Kind != source) {
				t.Errorf("Defender by %s, ADX by %s: read as %s and %s", source, adx, c.Instances[0].Defender.Credential.Kind, c.ADX.Credential)
			}
			if _, err := config.Read(getenv(env)); (err != nil) != (none || person) || err != nil && strings.Contains(err.Error(), "\n") && !person {
				t.Errorf("the app, Defender by %s, ADX by %s: %v", source, adx, err)
			}
			withOwnApplication(t, env)
			// Without what the kind needs each line names a setting.
			bare := map[string]string{"DEFENDER_CREDENTIAL": source, "ADX_CREDENTIAL": adx, "KEY_VAULT_URL": "", "DEFENDER_CLIENT_ID": ""}
			if _, err := config.Read(getenv(bare)); err != nil {
				for line := range strings.Lines(err.Error()) {
					if name, _, _ := strings.Cut(line, ":"); !settingName.MatchString(name) {
						t.Errorf("nothing given, Defender by %s, ADX by %s: %s", source, adx, line)
					}
				}
			}
		}
	}
}

// withOwnApplication reads a pair with an application of ADX's own: each works, and
// Defender is signed in to as before.
func withOwnApplication(t *testing.T, pair map[string]string) {
	t.Helper()
	env := maps.Clone(pair)
	maps.Copy(env, map[string]string{"ADX_TENANT_ID": adxTenant, "ADX_CLIENT_ID": adxClient, "ADX_CLIENT_SECRET": "hunter3", "ADX_CLIENT_CERTIFICATE": "/a.pem", "ADX_CREDENTIAL_IDENTITY": appIdentity})
	c, err := config.ReadAttended(getenv(env))
	if err != nil {
		t.Errorf("Defender by %s, ADX by %s of its own: %v", env["DEFENDER_CREDENTIAL"], env["ADX_CREDENTIAL"], err)
		return
	}
	source, adx := c.Instances[0].Defender, c.ADX.Application.Defender
	if source.TenantID != complete["DEFENDER_TENANT_ID"] || source.ClientID != complete["DEFENDER_CLIENT_ID"] || source.Credential.Kind != env["DEFENDER_CREDENTIAL"] {
		t.Errorf("Defender by %s, ADX by %s of its own: Defender is signed in to as %s in %s", env["DEFENDER_CREDENTIAL"], c.ADX.Credential, source.ClientID, source.TenantID)
	}
	whole := true
	switch c.ADX.Credential {
	case "secret", "certificate", "federated":
		whole = adx.TenantID == adxTenant && adx.ClientID == adxClient && c.ADX.ClientID == appIdentity
	case "workload-identity", "device-code", "browser":
		whole = c.ADX.TenantID == adxTenant && c.ADX.ClientID == adxClient
	}
	if !whole {
		t.Errorf("Defender by %s, ADX by %s of its own: read as %+v", source.Credential.Kind, c.ADX.Credential, c.ADX)
	}
}

var settingName = regexp.MustCompile(`^[A-Z][A-Z_]+$`)

// A user name chooses a person's sign-in, which a command may ask for and the app may
// not: nobody sits at the Functions host.
func TestRead_APersonSignsInAtATerminalOnly(t *testing.T) {
	person := map[string]string{"DEFENDER_USERNAME": "ana@contoso.com", "KEY_VAULT_URL": ""}
	with := func(more map[string]string) func(string) string {
		all := maps.Clone(person)
		maps.Copy(all, more)
		return getenv(all)
	}
	for _, tt := range []struct {
		name     string
		settings map[string]string
		kind     string // on Linux
		refused  string // of the command, too
	}{
		{"without a display", nil, "device-code", ""},
		{"with a display", map[string]string{"DISPLAY": ":0"}, "browser", ""},
		{"as chosen", map[string]string{"DISPLAY": ":0", "DEFENDER_CREDENTIAL": "device-code"}, "device-code", ""},
		{"beside a secret", map[string]string{"DEFENDER_CLIENT_SECRET": "hunter2"}, "", "DEFENDER_CLIENT_SECRET: is set beside DEFENDER_USERNAME"},
		{"beside the name of a secret", map[string]string{"DEFENDER_SECRET_NAME": "n"}, "", "DEFENDER_SECRET_NAME: is set beside DEFENDER_USERNAME"},
		{"beside a certificate", map[string]string{"DEFENDER_CLIENT_CERTIFICATE": "/c.pem"}, "", "DEFENDER_CLIENT_CERTIFICATE: is set beside DEFENDER_USERNAME"},
		{"beside another kind", map[string]string{"DEFENDER_CREDENTIAL": "managed-identity"}, "", "DEFENDER_USERNAME: is for device-code and browser"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, i, err := config.ReadInstance(with(tt.settings), "")
			if tt.refused != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.refused) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v, want %q", err, tt.refused)
				}
				return
			}
			if err != nil || runtime.GOOS == "linux" && i.Defender.Credential.Kind != tt.kind {
				t.Errorf("got %s, %v; want %s", i.Defender.Credential.Kind, err, tt.kind)
			}
			if _, err := config.Read(with(tt.settings)); err == nil || !strings.Contains(err.Error(), "none is there when the Functions host runs the app") {
				t.Errorf("the app reads it: %v", err)
			}
			if c, err := config.ReadAttended(with(tt.settings)); err != nil || c.Instances[0].Defender.Credential.Kind != i.Defender.Credential.Kind {
				t.Errorf("a person's command reads it: %v", err)
			}
		})
	}
	if _, err := config.Read(getenv(map[string]string{"ADX_CREDENTIAL": "browser", "AZURE_TENANT_ID": "t"})); err == nil || !strings.Contains(err.Error(), "ADX_CREDENTIAL: browser is for a person") {
		t.Errorf("the app signs in to ADX by browser: %v", err)
	}
	if c, err := config.ReadAttended(getenv(map[string]string{"ADX_CREDENTIAL": "browser", "AZURE_TENANT_ID": "t"})); err != nil || c.ADX.Credential != "browser" {
		t.Errorf("a person signs in to ADX by browser: %v", err)
	}
	if c, err := config.ReadADX(getenv(map[string]string{"ADX_CREDENTIAL": "browser"})); err != nil || c.ADX.TenantID == "" {
		t.Errorf("setup by browser: tenant %q, %v", c.ADX.TenantID, err)
	}
}

// Regions, other spellings and pasted addresses.
func TestRead_CloudsAndAddresses(t *testing.T) {
	c, err := config.Read(getenv(map[string]string{
		"DEFENDER_CLOUD": "EU", "DEFENDER_BASE_URL_GRAPH": "https://graph.example/beta/", "DEFENDER_BASE_URL_MDE": "https://mde.example/api",
		"DEFENDER_SCOPE_GRAPH": "g/.default", "DEFENDER_SCOPE_MDE": "m/.default",
	}))
	if err != nil {
		t.Fatal(err)
	}
	d := c.Defender
	if d.Cloud != "global" || d.Region != "eu" || d.GraphVersion != "beta" || d.Graph != (config.Endpoint{BaseURL: "https://graph.example", Scope: "g/.default"}) ||
		d.MDE != (config.Endpoint{BaseURL: "https://mde.example", Scope: "m/.default"}) {
		t.Errorf("got %+v", d)
	}
}
