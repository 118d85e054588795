package stack_test

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	"github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// Any client can be pointed at what `devstack emulators --json` prints, and
// SIGTERM ends all of it.
func TestDevstack_EmulatorsServeOfficialClients(t *testing.T) {
	rounds.Long(t)
	if _, err := azurite.NodeModules(); err != nil {
		azuritetest.SkipNotInstalled(t, err)
	}
	binary := filepath.Join(t.TempDir(), "devstack")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/devstack").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	notice := filepath.Join(t.TempDir(), "stack.json")
	certificate, key := selfSigned(t)
	public := filepath.Join(t.TempDir(), "public.pem")
	must(t, os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600))
	cmd := exec.Command(binary, "emulators", "--json", "--scale", "0.01", "--stack", notice, "--certificate", public)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	var d stack.Description
	must(t, json.Unmarshal([]byte(line), &d))

	authority, err := os.ReadFile(d.CAFile)
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatalf("no certificate in %s", d.CAFile)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	options := azcore.ClientOptions{Transport: client, Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: d.Authority}}
	app, err := azidentity.NewClientSecretCredential(d.TenantID, d.ClientID, d.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	must(t, err)

	t.Run("hunting with a client secret", func(t *testing.T) {
		token, err := app.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
		must(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.Graph+"/v1.0/security/runHuntingQuery", strings.NewReader(`{"Query":"DeviceInfo | count"}`))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+token.Token)
		req.Header.Set("Content-Type", "application/json")
		reply, err := client.Do(req)
		must(t, err)
		defer reply.Body.Close()
		var answer struct{ Results []map[string]any }
		if err := json.NewDecoder(reply.Body).Decode(&answer); err != nil || reply.StatusCode != http.StatusOK || len(answer.Results) != 1 {
			t.Errorf("status %d, %v, %v", reply.StatusCode, answer, err)
		}
	})

	t.Run("a token with the certificate", func(t *testing.T) {
		login, err := azidentity.NewClientCertificateCredential(d.TenantID, d.ClientID, []*x509.Certificate{certificate}, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		must(t, err)
		if _, err := login.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}}); err != nil {
			t.Error(err)
		}
	})

	t.Setenv("IDENTITY_ENDPOINT", d.IdentityEndpoint)
	t.Setenv("IDENTITY_HEADER", d.IdentityHeader)
	own, err := azidentity.NewManagedIdentityCredential(nil)
	must(t, err)
	t.Run("the vault with the managed identity", func(t *testing.T) {
		secrets, err := azsecrets.NewClient(d.KeyVault, own, &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client}, DisableChallengeResourceVerification: true})
		must(t, err)
		got, err := secrets.GetSecret(t.Context(), d.SecretName, "", nil)
		if err != nil || got.Value == nil || *got.Value != d.ClientSecret {
			t.Errorf("the secret is not the application's: %v", err)
		}
	})
	t.Run("Kusto with the managed identity", func(t *testing.T) {
		kusto, err := azkustodata.New(azkustodata.NewConnectionStringBuilder(d.Kusto).WithTokenCredential(own), azkustodata.WithHttpClient(client))
		must(t, err)
		defer kusto.Close()
		if _, err := kusto.Query(t.Context(), d.Database, kql.New("print 1")); err != nil {
			t.Error(err)
		}
		if _, err := kusto.Mgmt(t.Context(), d.Database, kql.New(".create table NotAllowed (A: string)")); err == nil || !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("a command beyond Ingestor and Viewer: %v, want Forbidden", err)
		}
	})
	t.Run("storage with the connection string", func(t *testing.T) {
		blobs, err := azblob.NewClientFromConnectionString(d.Storage, nil)
		must(t, err)
		if _, err := blobs.CreateContainer(t.Context(), "anything", nil); err != nil {
			t.Error(err)
		}
	})

	t.Run("Kusto from another terminal", func(t *testing.T) {
		for text, want := range map[string]string{
			"print Word = 'some text', Number = 7": "Word       Number\nsome text  7\n(1 row)\n",
			".show tables | count":                 "Count\n0\n(1 row)\n",
		} {
			out, err := exec.CommandContext(t.Context(), binary, "query", "--stack", notice, text).CombinedOutput()
			if err != nil || string(out) != want {
				t.Errorf("query %q: %v, printed\n%s\nwant\n%s", text, err, out, want)
			}
		}
		out, err := exec.CommandContext(t.Context(), binary, "query", "--stack", notice, "Nope | take 1").CombinedOutput()
		if want := "devstack: ADX answers 400: Semantic error: SEM0100"; err == nil || !strings.HasPrefix(string(out), want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("a faulty query: %v, printed %q; want one line that begins %q", err, out, want)
		}
		token, err := exec.CommandContext(t.Context(), binary, "token", "--stack", notice).Output()
		must(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.Kusto+"/v1/rest/query", strings.NewReader(`{"db":"`+d.Database+`","csl":"print 1"}`))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		req.Header.Set("Content-Type", "application/json")
		reply, err := client.Do(req)
		must(t, err)
		defer reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			t.Errorf("status %s with the printed token", reply.Status)
		}
	})

	must(t, cmd.Process.Signal(syscall.SIGTERM))
	err = cmd.Wait()
	stopped = true
	if err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if _, err := client.Get(d.Graph); err == nil {
		t.Error("the emulators still answer after SIGTERM")
	}
	if _, err := os.Stat(d.CAFile); !os.IsNotExist(err) {
		t.Errorf("%s was left behind", d.CAFile)
	}
	if _, err := os.Stat(notice); !os.IsNotExist(err) {
		t.Errorf("%s was left behind", notice)
	}
}

func selfSigned(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate, key
}
