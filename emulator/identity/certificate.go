package identity

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// assertionType is the only client assertion there is.
// Source: RFC 7523, section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// RegisterCertificate lets an application sign in with a certificate; several are
// valid side by side, as secrets are.
func (s *Server) RegisterCertificate(clientID string, certificate *x509.Certificate) error {
	return s.change(clientID, func(p *principal) { p.certified = append(p.certified, certificate) })
}

// asserted checks an assertion that a client signed with its certificate. endpoint
// is the address it was sent to.
func (p *principal) asserted(assertion, endpoint, tenant string, now time.Time) *refusal {
	claims := new(jwt.RegisteredClaims)
	_, err := jwt.ParseWithClaims(assertion, claims, func(token *jwt.Token) (any, error) {
		for _, c := range p.certified {
			switch {
			case !signedWith(token.Header, c):
			case now.Before(c.NotBefore) || now.After(c.NotAfter):
				return nil, errExpiredCertificate
			default:
				return c.PublicKey, nil
			}
		}
		return nil, errUnknownCertificate
	}, jwt.WithValidMethods([]string{"RS256", "PS256"}), jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithLeeway(clockSkew), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, errUnknownCertificate):
		return unknownCertificate()
	case errors.Is(err, errExpiredCertificate):
		return expiredCertificate()
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return wrongSignature()
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return assertionOutOfTime()
	case err != nil:
		return malformedAssertion()
	case !strings.EqualFold(claims.Subject, p.ClientID) || !strings.EqualFold(claims.Issuer, p.ClientID):
		return assertionIssuer()
	}
	for _, audience := range claims.Audience {
		if strings.EqualFold(audience, endpoint) || audience == issuer(tenant) {
			return nil
		}
	}
	return assertionAudience()
}

var (
	errUnknownCertificate = errors.New("certificate is not registered")
	errExpiredCertificate = errors.New("certificate is not valid now")
)

// signedWith compares the thumbprint that an assertion's head names. Clients write it
// in either alphabet of base64.
func signedWith(header map[string]any, c *x509.Certificate) bool {
	named, ok := header["x5t#S256"].(string)
	sum := sha256.Sum256(c.Raw)
	want := sum[:]
	if !ok {
		named, _ = header["x5t"].(string)
		old := sha1.Sum(c.Raw) // what the protocol has
		want = old[:]
	}
	got, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(named))
	return err == nil && bytes.Equal(got, want)
}

// clockSkew is how far Entra lets the clocks of those who sign differ from its own.
const clockSkew = 5 * time.Minute

// unverifiedSubject is whom an assertion claims to speak for, if it can be read.
func unverifiedSubject(assertion string) string {
	claims := new(jwt.RegisteredClaims)
	if _, _, err := jwt.NewParser().ParseUnverified(assertion, claims); err != nil {
		return ""
	}
	return claims.Subject
}
