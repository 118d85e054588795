package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
)

// A file of five sections becomes settings with which the handler starts. Four are
// complete; the fifth is of a person, which the Functions host cannot be. No secret is
// printed.
func TestImport_TheHandlerStartsWithWhatWasPrinted(t *testing.T) {
	env := map[string]string{"MDE_CLIENT": "11111111-2222-3333-4444-555555555504", "MDE_KEY_PASSWORD": "confidential"}
	out, err := runWith(t, env, "import", "testdata/msticpyconfig.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "confidential"} {
		if strings.Contains(out, secret) {
			t.Errorf("a secret is printed:\n%s", out)
		}
	}
	for _, want := range []string{
		"'testdata/msticpyconfig.yaml' 'MicrosoftDefender' ClientSecret | az keyvault secret set --vault-name contoso-vault --name defender-client-secret --file /dev/stdin --encoding utf-8 --output none",
		"cat '/home/ana/key.pem' | az keyvault secret set --vault-name contoso-vault --name defender-client-certificate-key-euwest2 ",
		`printf %s "$MDE_KEY_PASSWORD" | az keyvault secret set `,
		"# is called EUWest2: ", "# Region is not read\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not printed:\n%s", want, out)
		}
	}

	printed := map[string]string{
		"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "db", "MIGRATION_QUEUE": "migrations",
		"MIGRATION_SCHEDULE": "0 0 * * * *", "AzureWebJobsStorage": "UseDevelopmentStorage=true",
	}
	var environ []string
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			printed[name] = value
			environ = append(environ, name+"="+value)
		}
	}
	getenv := func(name string) string { return printed[name] }
	cfg, err := config.Read(getenv)
	if err != nil {
		t.Fatal(err)
	}
	if unknown := config.Unknown(environ); len(unknown) > 0 {
		t.Errorf("printed what is no setting: %q", unknown)
	}
	got := map[string]string{}
	for _, i := range cfg.Instances {
		d := i.Defender
		name := d.Credential.Secret.Name
		if d.Credential.Kind == "certificate" {
			name = d.Credential.Certificate.Name
		}
		got[i.Name] = strings.Join([]string{d.TenantID[35:], d.ClientID[35:], d.Cloud, d.Region, d.Credential.Kind, name, i.KeyVault, d.TablePrefix}, " ")
		if (i.Fault != nil) != (i.Name == "Tenant2") {
			t.Errorf("instance %s: %v", i.Name, i.Fault)
		}
	}
	const vault = " https://contoso-vault.vault.azure.net "
	want := map[string]string{
		"":              "1 1 gcchigh  secret defender-client-secret" + vault,
		"Tenant1":       "2 2 global  secret DataProviders-MicrosoftDefender-Tenant1-Args-ClientSecret" + vault + "Tenant1_",
		"EUWest2":       "4 4 global eu certificate defender-client-certificate-euwest2" + vault + "EUWest2_",
		"TenantDefault": "5 5 global  secret mde-secret https://other-vault.vault.azure.net TenantDefault_",
	}
	delete(got, "Tenant2")
	if !maps.Equal(got, want) {
		t.Errorf("instances\n%q\nwant\n%q", got, want)
	}
	program, err := app.New(cfg, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil {
		t.Error(err)
	}
}

func TestImport_SaysWhatTheFileDoesNot(t *testing.T) {
	for _, tt := range []struct{ name, text, says string }{
		{"nothing", "", "it has no section MicrosoftDefender"},
		{"no YAML", "a: [", "it is no YAML"},
		{"no section", "DataProviders:\n  Splunk:\n    Args: {x: y}\n", "it has no section MicrosoftDefender"},
		{"no arguments", "DataProviders:\n  MicrosoftDefender: {}\n", "section MicrosoftDefender (line 2): want Args"},
		{"a list", "DataProviders:\n  MicrosoftDefender:\n    Args:\n      ClientId: [hunter2]\n", "ClientId (line 4): want a text, KeyVault: or EnvironmentVar:"},
		{"a variable that is not set", "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: {EnvironmentVar: NOT_SET}, TenantId: t, ClientSecret: {KeyVault: v/hunter2name}}\n", "section MicrosoftDefender: ClientId: the variable NOT_SET is not set here"},
		{"no way to sign in", "DataProviders:\n  MicrosoftDefender-A:\n    Args: {ClientId: c, TenantId: t}\n", "section MicrosoftDefender-A: want ClientSecret, Certificate or UserName"},
		{"no vault", "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: c, TenantId: t, ClientSecret: hunter2}\n", "give --vault"},
		{"a secret in the place of its name", "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: c, TenantId: t, ClientSecret: {KeyVault: \"a~hunter2]\"}}\n", "want the name of a secret"},
		{"a variable that a shell would run", "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: c, TenantId: t, ClientSecret: {EnvironmentVar: \"X;hunter2]\"}}\n", "want the name of a variable"},
		{"a line too many", "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: \"c\\nDEFENDER_AUTHORITY=https://hunter2]\", TenantId: t, ClientSecret: {KeyVault: n}}\n", "want one line"},
		{"no tenant", "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: c, ClientSecret: {KeyVault: v/n}}\n", "TenantId is missing"},
	} {
		path := filepath.Join(t.TempDir(), "msticpyconfig.yaml")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := runWith(t, nil, "import", path)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(out+err.Error(), "hunter2\"") || strings.Contains(out+err.Error(), "hunter2]") {
			t.Errorf("%s: %v, want %q\n%s", tt.name, err, tt.says, out)
		}
	}
	path := filepath.Join(t.TempDir(), "msticpyconfig.yaml")
	const plain = "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: c, TenantId: t, ClientSecret: hunter2}\n"
	if err := os.WriteFile(path, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := runWith(t, nil, "import", "--vault", "https://v.vault.usgovcloudapi.net/", path); err != nil ||
		!strings.Contains(out, "KEY_VAULT_URL=https://v.vault.usgovcloudapi.net\n") || !strings.Contains(out, "--vault-name v ") {
		t.Errorf("a vault by its URL: %v\n%s", err, out)
	}
}

// A vault is in the cloud that the file says, or that all of its connections are of; of
// a token cache, a file, the folder is taken.
func TestImport_VaultsAndTokenCaches(t *testing.T) {
	const args = "    Args: {ClientId: c, TenantId: t, Cloud: %s, ClientSecret: {KeyVault: n}}\n"
	section := func(name, cloud string) string { return "  " + name + ":\n" + strings.Replace(args, "%s", cloud, 1) }
	person := func(path string) string {
		return "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: c, TenantId: t, UserName: a@b.example, TokenCachePath: '" + path + "'}\n"
	}
	const vault = "KeyVault: {VaultName: v}\nDataProviders:\n"
	for _, tt := range []struct{ text, says string }{
		{vault + section("MicrosoftDefender", "gcc-high"), "KEY_VAULT_URL=https://v.vault.usgovcloudapi.net\n"},
		{vault + section("MicrosoftDefender", "gcc-high") + section("MicrosoftDefender-B", "dod"), "KEY_VAULT_URL=https://v.vault.usgovcloudapi.net\n"},
		{vault + section("MicrosoftDefender", "gcc-high") + section("MicrosoftDefender-B", "eu"), "KEY_VAULT_URL=https://v.vault.azure.net\n"},
		{vault + section("MicrosoftDefender", "gcc"), "KEY_VAULT_URL=https://v.vault.azure.net\n"},
		{"KeyVault: {VaultName: v, Authority: global}\nDataProviders:\n" + section("MicrosoftDefender", "gcc-high"), "KEY_VAULT_URL=https://v.vault.azure.net\n"},
		{"Azure: {cloud: usgov}\n" + vault + section("MicrosoftDefender", "gcc"), "KEY_VAULT_URL=https://v.vault.usgovcloudapi.net\n"},
		{person("/home/ana/.msticpy/token_cache.bin"), "\nDEFENDER_TOKEN_CACHE=/home/ana/.msticpy/\n"},
		{person(`C:\Users\ana\cache.bin`), "\nDEFENDER_TOKEN_CACHE=C:\\Users\\ana\\\n"},
		{person("/home/ana/cache/"), "\nDEFENDER_TOKEN_CACHE=/home/ana/cache/\n"},
		{person("mine"), "\nDEFENDER_TOKEN_CACHE=mine\n"},
	} {
		path := filepath.Join(t.TempDir(), "msticpyconfig.yaml")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := runWith(t, nil, "import", path); err != nil || !strings.Contains(out, tt.says) {
			t.Errorf("%s\n%v, want %q\n%s", tt.text, err, tt.says, out)
		}
	}
}

// What stands in the place of a certificate's path and is none is not shown.
func TestImport_ShowsNoCertificateThatIsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "msticpyconfig.yaml")
	const text = "DataProviders:\n  MicrosoftDefender:\n    Args: {ClientId: c, TenantId: t, Certificate: MIIJzwIBAzCCCYUGCSqGSIb3}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := runWith(t, nil, "import", "--vault", "v", path); strings.Contains(out, "MIIJ") || err != nil || !strings.Contains(out, "keyvault secret set") {
		t.Errorf("%v\n%s", err, out)
	}
}
