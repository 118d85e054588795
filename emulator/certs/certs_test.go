package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/certs"
)

// serve starts a TLS server with the bundle on 127.0.0.1.
func serve(t *testing.T, bundle *certs.Bundle) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	server.TLS = bundle.TLS()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func newBundle(t *testing.T) *certs.Bundle {
	t.Helper()
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func get(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestBundle_ClientTrustsItsServerByEveryLoopbackName(t *testing.T) {
	bundle := newBundle(t)
	server := serve(t, bundle)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost"} {
		got, err := get(bundle.Client(), "https://"+host+port)
		if err != nil || got != "hello" {
			t.Errorf("get from %s: %q, %v", host, got, err)
		}
	}
	leaf := server.Certificate()
	if err := leaf.VerifyHostname("::1"); err != nil {
		t.Errorf("certificate does not name ::1: %v", err)
	}
}

func TestBundle_IsNotTrustedByOtherClients(t *testing.T) {
	server := serve(t, newBundle(t))
	if _, err := get(newBundle(t).Client(), server.URL); err == nil {
		t.Error("client of another bundle accepted the certificate")
	}
}

func TestBundle_FilesServeAndVerify(t *testing.T) {
	bundle := newBundle(t)

	pair, err := tls.LoadX509KeyPair(bundle.CertFile, bundle.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(bundle.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("ca.pem holds no certificate")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots}); err != nil {
		t.Error(err)
	}
	if !leaf.IsCA {
		t.Error("certificate is not an authority: curl and Node refuse it as one")
	}

	text, err := os.ReadFile(bundle.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		t.Errorf("key.pem is not PKCS#8")
	}
	info, err := os.Stat(bundle.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("key.pem has mode %o, want 600", got)
	}
}

func TestNew_ReplacesFilesOfAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	if _, err := certs.New(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	second, err := certs.New(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(second.CertFile, second.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(pair.Certificate[0]), string(second.TLS().Certificates[0].Certificate[0]); got != want {
		t.Error("files on disk are not those of the last bundle")
	}
}

func TestNew_MissingDirectoryIsAnError(t *testing.T) {
	if _, err := certs.New(t.TempDir()+"/absent", time.Now()); err == nil {
		t.Error("got no error")
	}
}
