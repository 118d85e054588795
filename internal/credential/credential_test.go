package credential

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/secret"
)

func TestNew_NamesEveryProblem(t *testing.T) {
	named := secret.Ref{Name: "defender"}
	tests := []struct {
		name string
		cfg  Config
		want []string
	}{
		{"no kind", Config{}, []string{"want one of azure-cli, browser, certificate, device-code, federated, managed-identity, secret, workload-identity"}},
		{"unknown kind", Config{Kind: "password"}, []string{`got "password"`}},
		{"secret without anything", Config{Kind: KindSecret},
			[]string{"tenant id is missing", "client id of the application is missing", "client secret is missing"}},
		{"bad vault", Config{Kind: KindSecret, TenantID: tenant, ClientID: app, VaultCredential: tokenFunc(vaultToken),
			VaultURL: "http://name.vault.azure.net", Secret: secret.Ref{Name: "a/b"}},
			[]string{"vault URL: want an https URL", "secret name: want 1 to 127"}},
		{"secret in a vault that nobody signs in to", Config{Kind: KindSecret, TenantID: tenant, ClientID: app, Secret: named, VaultURL: "https://name.vault.azure.net"},
			[]string{"no credential for the vault"}},
		{"certificate whose password lies in no vault", Config{Kind: KindCertificate, TenantID: tenant, ClientID: app, CertificatePassword: named},
			[]string{"certificate is missing", "vault URL: want", "no credential for the vault"}},
		{"federated without an identity", Config{Kind: KindFederated, TenantID: tenant, ClientID: app},
			[]string{"a system-assigned one cannot", "scope of the exchange is missing"}},
		{"workload identity outside of Kubernetes", Config{Kind: KindWorkloadIdentity, ClientID: app},
			[]string{"tenant id is missing", "AZURE_FEDERATED_TOKEN_FILE"}},
		{"bad ids and authority", Config{Kind: KindSecret, TenantID: "a b", ClientID: "1:2", VaultCredential: tokenFunc(vaultToken),
			VaultURL: "https://name.vault.azure.net", Secret: named, AuthorityHost: "login"},
			[]string{`tenant id: want a GUID or a domain, got something else`, `client id: want a GUID, got "1:2"`, "authority host: want an https URL"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

// What was pasted into the wrong setting stands in no error, in whatever field it comes.
func TestNew_QuotesNothingThatWasPasted(t *testing.T) {
	const mark = "pAsTeD9"
	for _, pasted := range []string{
		"abc8Q~" + mark + ".x_yz-1234567890abcdefghij",
		mark + "Y29uZmlkZW50aWFsIGFuZCBsb25nIGVub3VnaCB0byBiZSBhIGtleQ==",
		"https://user:" + mark + "@host.example", "http://" + mark + ".example/?sig=" + mark,
	} {
		for kind := range kinds {
			whole := Config{
				Kind: kind, TenantID: tenant, ClientID: app, IdentityClientID: app, ExchangeScope: "api://AzureADTokenExchange/.default", TokenFile: "/t",
				Secret: secret.Ref{Name: "s"}, Certificate: secret.Ref{Name: "c"}, VaultURL: "https://name.vault.azure.net", VaultCredential: tokenFunc(vaultToken), Say: func(string) {},
			}
			fields := reflect.TypeFor[Config]()
			for i := range fields.NumField() {
				cfg := whole
				at := reflect.ValueOf(&cfg).Elem().Field(i)
				if at.Type() == reflect.TypeFor[secret.Ref]() {
					at = at.FieldByName("Name")
				}
				if at.Kind() != reflect.String || fields.Field(i).Name == "TokenCache" { // which opens what it names
					continue
				}
				at.SetString(pasted)
				if _, err := New(cfg); err != nil && strings.Contains(err.Error(), mark) {
					t.Errorf("%s of %s: %v", fields.Field(i).Name, kind, err)
				}
			}
		}
	}
}

// The SDK keeps managed-identity tokens per process and resource, hence a
// resource of its own for each case and repetition.
func TestManagedIdentity_SignsInOrSaysWhatToDo(t *testing.T) {
	tests := []struct {
		name, clientID string
		status         int
		kind           fault.Kind
		want           string // in the error
	}{
		{"system-assigned", "", 200, fault.None, ""},
		{"user-assigned", app, 200, fault.None, ""},
		{"not assigned", app, 400, fault.Permanent, "managed identity " + app},
		{"busy", "", 503, fault.Retry, "HTTP 503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requests := 0
			resource := fmt.Sprintf("https://%d.example", time.Now().UnixNano())
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				q := r.URL.Query()
				if r.Header.Get("X-Identity-Header") != "proof" || q.Get("resource") != resource || q.Get("client_id") != tt.clientID {
					t.Errorf("unexpected request %s", r.URL)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_ = json.NewEncoder(w).Encode(map[string]string{
					"access_token": "mi", "expires_on": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
					"resource": resource, "token_type": "Bearer",
				})
			}))
			defer server.Close()
			t.Setenv("IDENTITY_ENDPOINT", server.URL+"/msi/token")
			t.Setenv("IDENTITY_HEADER", "proof")
			cred, err := New(Config{Kind: KindManagedIdentity, ClientID: tt.clientID, retry: policy.RetryOptions{MaxRetries: -1}})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{resource + "/.default"}})
				if got := fault.KindOf(err); got != tt.kind {
					t.Fatalf("kind: got %v, want %v (%v)", got, tt.kind, err)
				}
				if err == nil && token.Token != "mi" {
					t.Errorf("got token %q", token.Token)
				}
				if err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %q lacks %q", err, tt.want)
				}
			}
			if tt.kind == fault.None && requests != 1 {
				t.Errorf("got %d requests, want 1", requests)
			}
		})
	}
}

func skipWithoutShell(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in is a shell script")
	}
}

// fakeAzureCLI puts a program named az before everything else on the path.
func fakeAzureCLI(t *testing.T, script string) {
	t.Helper()
	skipWithoutShell(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "az"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestAzureCLI_IsAskedOncePerAudience(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	fakeAzureCLI(t, `echo "$@" >> `+calls+`
echo '{"accessToken":"cli","expires_on":`+fmt.Sprint(time.Now().Add(time.Hour).Unix())+`}'`)
	cred, err := New(Config{Kind: KindAzureCLI, TenantID: tenant})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph}})
		if err != nil || token.Token != "cli" {
			t.Fatalf("got %q, %v", token.Token, err)
		}
	}
	log, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(log), "\n"); got != 1 || !strings.Contains(string(log), "--tenant "+tenant) {
		t.Errorf("az was called %d times:\n%s", got, log)
	}
}

func TestAzureCLI_WithoutSignInSaysWhatToDo(t *testing.T) {
	fakeAzureCLI(t, `echo "ERROR: Please run 'az login' to setup account." >&2; exit 1`)
	cred, err := New(Config{Kind: KindAzureCLI})
	if err != nil {
		t.Fatal(err)
	}
	_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph}})
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "run az login") {
		t.Errorf("got %v of kind %v", err, fault.KindOf(err))
	}
}
