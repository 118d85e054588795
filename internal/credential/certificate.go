package credential

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/defender2adx/defender2adx/internal/secret"
)

// newCertificate makes the credential of an application with a certificate, which is
// PFX or PEM, in one part or with the key in a second one.
func newCertificate(cfg Config) (azcore.TokenCredential, error) {
	options := &azidentity.ClientCertificateCredentialOptions{ClientOptions: cfg.clientOptions(), DisableInstanceDiscovery: cfg.ownAuthority()}
	refs := []secret.Ref{cfg.Certificate, cfg.CertificateKey, cfg.CertificatePassword}
	return newRotating(cfg, refs, "the certificate", func(s []secret.String) (azcore.TokenCredential, error) {
		certificates, key, err := parseCertificate(s[0].Reveal(), s[1].Reveal(), strings.TrimRight(s[2].Reveal(), "\r\n"))
		if err != nil {
			return nil, err
		}
		if err := inTime(certificates, key, cfg.Now()); err != nil {
			return nil, err
		}
		return azidentity.NewClientCertificateCredential(cfg.TenantID, cfg.ClientID, certificates, key, options)
	})
}

// parseCertificate reads the certificates and the one private key among them. keyText is
// the second part, "" where the first one holds all; password opens a PFX or a PEM key.
// The SDK's own parser reads only PFX files of the old encryption, and no PEM with a
// password. No error quotes what it could not read.
func parseCertificate(text, keyText, password string) ([]*x509.Certificate, *rsa.PrivateKey, error) {
	if secret.IsPEM(text) {
		return parsePEM(text+"\n"+keyText, password)
	}
	if keyText != "" {
		return nil, nil, errors.New("has a key of its own in the settings, which only a PEM certificate can have: leave the key out, or give the certificate as PEM")
	}
	return parsePFX(text, password)
}

func parsePFX(text, password string) ([]*x509.Certificate, *rsa.PrivateKey, error) {
	content := []byte(text)
	if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		content = decoded // as Key Vault gives it
	}
	key, leaf, chain, err := pkcs12.DecodeChain(content, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return nil, nil, errors.New("is a PFX with a password, which is not set")
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, errors.New("is a PFX that the password does not open")
	case err != nil:
		return nil, nil, errors.New("is neither PEM nor a PFX with one certificate and its private key")
	}
	rsaKey, err := asRSA(key)
	return append([]*x509.Certificate{leaf}, chain...), rsaKey, err
}

func parsePEM(text, password string) ([]*x509.Certificate, *rsa.PrivateKey, error) {
	var certificates []*x509.Certificate
	var key *rsa.PrivateKey
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, errors.New("holds a PEM block CERTIFICATE that is no certificate")
			}
			certificates = append(certificates, c)
			continue
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // of another use, as key parameters
		}
		if key != nil {
			return nil, nil, errors.New("has more than one private key")
		}
		var err error
		if key, err = parseKey(block, password); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case len(certificates) == 0:
		return nil, nil, errors.New("holds no certificate, only other PEM blocks")
	case key == nil:
		return nil, nil, errors.New("has no private key: append it, or name it in the setting of the certificate's key")
	}
	return certificates, key, nil
}

func parseKey(block *pem.Block, password string) (*rsa.PrivateKey, error) {
	switch {
	case block.Headers["DEK-Info"] != "":
		return nil, errors.New("has a private key in the old encryption of OpenSSL: convert it with openssl pkcs8 -topk8")
	case block.Type == "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("has a private key that cannot be read")
		}
		return key, nil
	case block.Type == "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("has a private key that cannot be read")
		}
		return asRSA(key)
	case block.Type == "ENCRYPTED PRIVATE KEY" && password == "":
		return nil, errors.New("has a private key with a password, which is not set")
	case block.Type == "ENCRYPTED PRIVATE KEY":
		key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
		if err != nil {
			return nil, errors.New("has a private key that the password does not open")
		}
		return asRSA(key)
	}
	return asRSA(nil)
}

func asRSA(key any) (*rsa.PrivateKey, error) {
	if k, ok := key.(*rsa.PrivateKey); ok {
		return k, nil
	}
	return nil, errors.New("has no RSA key: Entra ID takes no other from an application")
}

// inTime tells what is wrong with the certificate that belongs to the key: there is
// none, or its time is not now.
func inTime(certificates []*x509.Certificate, key *rsa.PrivateKey, now time.Time) error {
	for _, c := range certificates {
		if !key.PublicKey.Equal(c.PublicKey) {
			continue
		}
		const day = "2006-01-02 15:04 UTC"
		switch {
		case now.After(c.NotAfter):
			return fmt.Errorf("ended on %s: store a new one, and register its public part on the application", c.NotAfter.UTC().Format(day))
		case now.Before(c.NotBefore):
			return fmt.Errorf("begins only on %s: check the clock", c.NotBefore.UTC().Format(day))
		}
		return nil
	}
	return errors.New("has a private key of another certificate")
}
