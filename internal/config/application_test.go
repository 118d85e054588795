package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/secret"
)

const (
	adxTenant   = "71111111-2222-3333-4444-555555555555"
	adxClient   = "81111111-2222-3333-4444-555555555555"
	appIdentity = "91111111-2222-3333-4444-555555555555"
)

// Which application signs in to ADX: each part is its own or, where that is absent, the
// default instance's; and whose identity the app has besides.
func TestRead_TheApplicationOfADX(t *testing.T) {
	const defenderTenant, defenderClient = "11111111-2222-3333-4444-555555555555", "c"
	inVault := func(name string) secret.Ref { return secret.Ref{Name: name} }
	given := func(value string) secret.Ref { return secret.Ref{Value: secret.New(value)} }
	type want struct {
		tenant, client, identity string // identity is that of the app
		credential               config.Credential
	}
	for _, tt := range []struct {
		name string
		kind string
		env  map[string]string
		want want
	}{
		{"as ever that of Defender, beside the app's identity", "secret", map[string]string{"ADX_CLIENT_ID": appIdentity},
			want{defenderTenant, defenderClient, appIdentity, config.Credential{Secret: inVault("defender-client-secret")}}},
		{"as ever, federated", "federated", map[string]string{"ADX_CLIENT_ID": appIdentity},
			want{defenderTenant, defenderClient, appIdentity, config.Credential{Identity: appIdentity}}},
		{"what its kind does not read makes it none of its own", "secret", map[string]string{"ADX_CLIENT_ID": appIdentity, "ADX_CLIENT_CERTIFICATE": "/a.pem"},
			want{defenderTenant, defenderClient, appIdentity, config.Credential{Secret: inVault("defender-client-secret")}}},
		{"in another tenant, with another secret", "secret", map[string]string{"ADX_TENANT_ID": adxTenant, "ADX_CLIENT_ID": adxClient, "ADX_CLIENT_SECRET": "KeyVault:adx", "ADX_CREDENTIAL_IDENTITY": appIdentity},
			want{adxTenant, adxClient, appIdentity, config.Credential{Secret: inVault("adx"), Identity: appIdentity}}},
		{"the name of a secret, against a secret of Defender", "secret", map[string]string{"ADX_CLIENT_ID": adxClient, "ADX_SECRET_NAME": "adx", "DEFENDER_CLIENT_SECRET": "hunter2"},
			want{defenderTenant, adxClient, "", config.Credential{Secret: inVault("adx")}}},
		{"a secret, against the name of Defender's", "secret", map[string]string{"ADX_CLIENT_ID": adxClient, "ADX_CLIENT_SECRET": "s3cret", "DEFENDER_SECRET_NAME": "of-defender"},
			want{defenderTenant, adxClient, "", config.Credential{Secret: given("s3cret")}}},
		{"the same application in another tenant", "secret", map[string]string{"ADX_TENANT_ID": adxTenant},
			want{adxTenant, defenderClient, "", config.Credential{Secret: inVault("defender-client-secret")}}},
		{"parts that stand in Defender's connection string", "secret", map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_CLIENT_ID": "", "DEFENDER_CONNECTION": "tenant_id=" + defenderTenant + "; client_id=c; client_secret=hunter2", "ADX_TENANT_ID": adxTenant},
			want{adxTenant, "c", "", config.Credential{Secret: given("hunter2")}}},
		{"a certificate needs no key and password of another", "certificate", map[string]string{"ADX_CLIENT_ID": adxClient, "ADX_CLIENT_CERTIFICATE": "/a.pem", "DEFENDER_CLIENT_CERTIFICATE": "/c.pem",
			"DEFENDER_CLIENT_CERTIFICATE_KEY": "/k.pem", "DEFENDER_CLIENT_CERTIFICATE_PASSWORD": "KeyVault:p"},
			want{defenderTenant, adxClient, "", config.Credential{Certificate: secret.Ref{File: "/a.pem"}}}},
		{"a certificate with its own", "certificate", map[string]string{"ADX_CLIENT_ID": adxClient, "ADX_CLIENT_CERTIFICATE": "/a.pem", "ADX_CLIENT_CERTIFICATE_KEY": "/ak.pem", "ADX_CLIENT_CERTIFICATE_PASSWORD": "KeyVault:ap"},
			want{defenderTenant, adxClient, "", config.Credential{Certificate: secret.Ref{File: "/a.pem"}, Key: secret.Ref{File: "/ak.pem"}, Password: inVault("ap")}}},
		{"federated", "federated", map[string]string{"ADX_CLIENT_ID": adxClient, "ADX_CREDENTIAL_IDENTITY": appIdentity, "DEFENDER_CREDENTIAL_IDENTITY": "other"},
			want{defenderTenant, adxClient, appIdentity, config.Credential{Identity: appIdentity}}},
		{"a faulty Defender does not stop it", "secret", map[string]string{"ADX_TENANT_ID": adxTenant, "ADX_CLIENT_ID": adxClient, "ADX_CLIENT_SECRET": "s3cret", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": adxTenant,
			"DEFENDER_WEST_CLIENT_ID": "w", "DEFENDER_WEST_CLIENT_SECRET": "w", "DEFENDER_TENANT_ID": "contoso", "DEFENDER_CLIENT_ID": "no id", "DEFENDER_CLIENT_SECRET": "@Microsoft.KeyVault(x)", "DEFENDER_CLIENT_CERTIFICATE": "?",
			"DEFENDER_AUTHORITY": "ftp://x", "DEFENDER_WEST_AUTHORITY": "https://login.microsoftonline.com", "DEFENDER_WEST_CLIENT_CERTIFICATE": "/c.pem"},
			want{adxTenant, adxClient, "", config.Credential{Secret: given("s3cret")}}},
		{"nor where there is no Defender without a name", "secret", map[string]string{"ADX_TENANT_ID": adxTenant, "ADX_CLIENT_ID": adxClient, "ADX_CLIENT_SECRET": "s3cret", "DEFENDER_TENANT_ID": "", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": adxTenant},
			want{adxTenant, adxClient, "", config.Credential{Secret: given("s3cret")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{"ADX_CREDENTIAL": tt.kind}
			maps.Copy(env, tt.env)
			c, err := config.Read(getenv(env))
			if err != nil {
				t.Fatal(err)
			}
			d := c.ADX.Application.Defender
			got := d.Credential
			same := map[string]bool{
				"secret":      sameSecret(got.Secret, tt.want.credential.Secret),
				"certificate": got.Certificate == tt.want.credential.Certificate && got.Key == tt.want.credential.Key && got.Password == tt.want.credential.Password,
				"federated":   got.Identity == tt.want.credential.Identity,
			}
			if d.TenantID != tt.want.tenant || d.ClientID != tt.want.client || c.ADX.ClientID != tt.want.identity || got.Kind != tt.kind || !same[tt.kind] {
				t.Errorf("tenant %s, client %s, credential %+v, the app's identity %q; want %+v", d.TenantID, d.ClientID, got, c.ADX.ClientID, tt.want)
			}
			if one, _, err := config.ReadInstance(getenv(env), tt.env["DEFENDER_INSTANCES"]); err != nil || one.ADX.ClientID != tt.want.identity {
				t.Errorf("a command on one instance: the app's identity is %q, %v", one.ADX.ClientID, err)
			}
		})
	}
}

func sameSecret(a, b secret.Ref) bool {
	return a.Name == b.Name && a.File == b.File && a.Value.Reveal() == b.Value.Reveal()
}

// Where ADX's own application signs in: in its own cloud, else in the cluster's.
func TestRead_TheApplicationOfADXIsNearTheCluster(t *testing.T) {
	const public, us = "https://login.microsoftonline.com", "https://login.microsoftonline.us"
	const usCluster = "https://c.usgovvirginia.kusto.usgovcloudapi.net"
	for _, tt := range []struct {
		name             string
		env              map[string]string
		authority, cloud string
	}{
		{"as the cluster", nil, public, "global"},
		{"a cluster of the US government", map[string]string{"ADX_CLUSTER_URL": usCluster}, us, "gcchigh"},
		{"Defender in another cloud", map[string]string{"DEFENDER_CLOUD": "dod"}, public, "global"},
		{"Defender's authority of another cloud", map[string]string{"DEFENDER_AUTHORITY": us}, public, "global"},
		{"a proxy for all", map[string]string{"DEFENDER_AUTHORITY": "https://entra.contoso.com"}, "https://entra.contoso.com", "global"},
		{"its own", map[string]string{"ADX_AUTHORITY": us}, us, "gcchigh"},
		{"its own against Defender's", map[string]string{"ADX_AUTHORITY": us, "DEFENDER_AUTHORITY": public}, us, "gcchigh"},
		{"its own token URL against Defender's authority", map[string]string{"ADX_TENANT_ID": us + "/" + adxTenant + "/oauth2/v2.0/token", "DEFENDER_AUTHORITY": public}, us, "gcchigh"},
	} {
		env := map[string]string{"ADX_CREDENTIAL": "secret", "ADX_TENANT_ID": adxTenant, "ADX_CLIENT_ID": adxClient, "ADX_CLIENT_SECRET": "s3cret"}
		maps.Copy(env, tt.env)
		c, err := config.Read(getenv(env))
		if d := c.ADX.Application.Defender; err != nil || strings.TrimSuffix(d.Authority, "/") != tt.authority || d.Cloud != tt.cloud || d.TenantID != adxTenant {
			t.Errorf("%s: %s of %s, tenant %s, %v; want %s of %s", tt.name, d.Authority, d.Cloud, d.TenantID, err, tt.authority, tt.cloud)
		}
	}
}

// What ADX's own application lacks, or says twice, is told under the names of ADX.
func TestRead_SaysWhatTheApplicationOfADXLacks(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind string
		env  map[string]string
		want string
	}{
		{"two secrets", "secret", map[string]string{"ADX_CLIENT_SECRET": "SECRET", "ADX_SECRET_NAME": "n"}, "ADX_SECRET_NAME: names another client secret than ADX_CLIENT_SECRET gives"},
		{"unresolved reference", "secret", map[string]string{"ADX_CLIENT_SECRET": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/SECRET)"}, "ADX_CLIENT_SECRET: the platform has not resolved this @Microsoft.KeyVault reference"},
		{"unresolved reference of what is not read", "managed-identity", map[string]string{"ADX_CLIENT_SECRET": "@Microsoft.KeyVault(VaultName=v;SecretName=SECRET)"}, "ADX_CLIENT_SECRET: the platform has not resolved"},
		{"no name", "secret", map[string]string{"ADX_CLIENT_SECRET": "KeyVault:SECRET_1"}, "ADX_CLIENT_SECRET: want KeyVault:<name>"},
		{"no id", "secret", map[string]string{"ADX_TENANT_ID": "contoso"}, "ADX_TENANT_ID: want an id"},
		{"no vault", "certificate", map[string]string{"ADX_CLIENT_CERTIFICATE": "KeyVault:a", "KEY_VAULT_URL": "", "DEFENDER_CREDENTIAL": "azure-cli"}, "KEY_VAULT_URL: is not set; what certificate needs"},
		{"no tenant at all", "secret", map[string]string{"ADX_CLIENT_SECRET": "s", "DEFENDER_TENANT_ID": "", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": adxTenant}, "ADX_TENANT_ID: is not set, nor DEFENDER_TENANT_ID"},
		{"no application at all", "secret", map[string]string{"ADX_CLIENT_ID": "", "ADX_TENANT_ID": adxTenant, "DEFENDER_CLIENT_ID": "", "DEFENDER_CREDENTIAL": "azure-cli"}, "ADX_CLIENT_ID: is not set; secret needs the application's id"},
		{"an identity of Defender's is no application", "secret", map[string]string{"ADX_CLIENT_ID": "", "ADX_CLIENT_SECRET": "s", "DEFENDER_CREDENTIAL": "managed-identity"}, "ADX_CLIENT_ID: is not set; secret needs the application's id, and with DEFENDER_CREDENTIAL=managed-identity"},
		{"the app's identity is none either", "secret", map[string]string{"ADX_CLIENT_SECRET": "s", "AzureWebJobsStorage__clientId": adxClient}, "ADX_CLIENT_ID: is the managed identity of AzureWebJobsStorage__clientId"},
		{"federated without an identity", "federated", map[string]string{"ADX_TENANT_ID": adxTenant}, "ADX_CREDENTIAL_IDENTITY: is not set, nor DEFENDER_CREDENTIAL_IDENTITY"},
		{"federated for both without an identity", "secret", map[string]string{"ADX_CLIENT_SECRET": "s", "DEFENDER_CREDENTIAL": "federated"}, "DEFENDER_CREDENTIAL_IDENTITY: is not set, nor ADX_CREDENTIAL_IDENTITY"},
	} {
		env := map[string]string{"ADX_CREDENTIAL": tt.kind, "ADX_CLIENT_ID": adxClient}
		maps.Copy(env, tt.env)
		if _, err := config.Read(getenv(env)); err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "SECRET)") || strings.Contains(err.Error(), "SECRET_1") {
			t.Errorf("%s: %v, want one line with %q", tt.name, err, tt.want)
		}
	}
}

// A part of an application that ADX_CREDENTIAL does not read is named, and nothing else.
func TestWarnings_OfWhatADXDoesNotRead(t *testing.T) {
	all := map[string]string{"MIGRATION_SCHEDULE": "0 0 * * * *", "ADX_TENANT_ID": adxTenant, "ADX_CLIENT_ID": adxClient, "ADX_SECRET_NAME": "SECRET", "ADX_CLIENT_SECRET": "SECRET", "ADX_CLIENT_CERTIFICATE": "/SECRET.pem",
		"ADX_CLIENT_CERTIFICATE_KEY": "/SECRET.pem", "ADX_CLIENT_CERTIFICATE_PASSWORD": "SECRET", "ADX_CREDENTIAL_IDENTITY": appIdentity, "ADX_AUTHORITY": "https://login.microsoftonline.com"}
	certificate := []string{"ADX_CLIENT_CERTIFICATE", "ADX_CLIENT_CERTIFICATE_KEY", "ADX_CLIENT_CERTIFICATE_PASSWORD"}
	secrets := []string{"ADX_CLIENT_SECRET", "ADX_SECRET_NAME"}
	person := slices.Concat(certificate, secrets, []string{"ADX_CREDENTIAL_IDENTITY"})
	nobody := slices.Concat(person, []string{"ADX_AUTHORITY", "ADX_TENANT_ID"})
	for kind, want := range map[string][]string{
		"": nobody, "managed-identity": nobody, "azure-cli": nobody, "workload-identity": person, "browser": person, "device-code": person,
		"secret": certificate, "Certificate": secrets, "federated": slices.Concat(certificate, secrets), "pasted": nil,
	} {
		env := maps.Clone(all)
		env["ADX_CREDENTIAL"] = kind
		var got []string
		for _, warning := range config.Warnings(getenv(env), nil) {
			name, text, _ := strings.Cut(warning, ": ")
			if got = append(got, name); !strings.HasPrefix(text, "is not read with ADX_CREDENTIAL=") || strings.Contains(warning, "SECRET.") {
				t.Errorf("%s: warned %q", kind, warning)
			}
		}
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("ADX_CREDENTIAL=%s: warned of %q, want %q", kind, got, want)
		}
	}
}
