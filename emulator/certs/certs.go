// Package certs makes the one certificate that the local stack's TLS servers
// share: a self-signed ECDSA P-256 leaf for localhost and the loopback addresses
// that is its own authority.
//
// The key is made for one run and is worth nothing elsewhere; nothing here adds
// it to a system store. Trust is given per process (SSL_CERT_FILE, which Go
// honours on Linux and the BSDs) or per client (Client).
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	// lifetime stays below 398 days, the longest that Apple's verifier accepts.
	lifetime = 365 * 24 * time.Hour

	// skew is how far a verifier's clock may lag behind ours.
	skew = time.Hour
)

// Bundle is a certificate with its key, in memory and on disk. It is safe for
// concurrent use.
type Bundle struct {
	CertFile string // the certificate, PEM
	KeyFile  string // its private key, PKCS#8 PEM, readable by the owner only
	CAFile   string // what a client must trust, PEM; the same certificate

	certificate tls.Certificate
	roots       *x509.CertPool
}

// New makes a certificate valid from an hour before now for a year and writes
// cert.pem, key.pem and ca.pem to dir, which must exist; files of an earlier
// bundle are replaced. The directory is the caller's to remove.
func New(dir string, now time.Time) (*Bundle, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate P-256 key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Defender2ADX local stack"},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}
	b := &Bundle{
		CertFile:    filepath.Join(dir, "cert.pem"),
		KeyFile:     filepath.Join(dir, "key.pem"),
		CAFile:      filepath.Join(dir, "ca.pem"),
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		roots:       x509.NewCertPool(),
	}
	b.roots.AddCert(leaf)
	return b, b.write(key)
}

func (b *Bundle) write(key *ecdsa.PrivateKey) error {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode private key: %w", err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.certificate.Leaf.Raw})
	files := []struct {
		path string
		text []byte
		mode os.FileMode
	}{
		{b.CertFile, certificate, 0o644},
		{b.CAFile, certificate, 0o644},
		{b.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600},
	}
	for _, file := range files {
		// A file that exists would keep its old mode.
		if err := os.Remove(file.path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("replace certificate file: %w", err)
		}
		if err := os.WriteFile(file.path, file.text, file.mode); err != nil {
			return fmt.Errorf("write certificate file: %w", err)
		}
	}
	return nil
}

// TLS returns a configuration that serves the certificate and, used by a client,
// trusts it and nothing else.
func (b *Bundle) TLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{b.certificate},
		RootCAs:      b.roots,
		MinVersion:   tls.VersionTLS12,
	}
}

// Client returns a client that trusts the certificate and nothing else, on a
// transport of its own and without a proxy or a timeout.
func (b *Bundle) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: b.roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   30 * time.Second,
	}}
}
