package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// Why Verify refused. A service answers the first three with 401; what it makes
// of a good token for somebody else differs (Defender for Endpoint: 403).
var (
	ErrMissing   = errors.New("no bearer token")
	ErrMalformed = errors.New("token is malformed or was not signed here")
	ErrExpired   = errors.New("token is outside its life")
	ErrAudience  = errors.New("token is for another audience")
)

// Claims is what a token says. It marshals to the token's own JSON.
type Claims struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"` // https://sts.windows.net/<tenant>/
	IssuedAt  int64    `json:"iat"` // seconds since 1970, as the next two
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	AppID     string   `json:"appid,omitempty"`
	Party     string   `json:"azp,omitempty"` // what version 2.0 has in place of appid
	AppIDACR  string   `json:"appidacr"`      // "1" client secret, "2" certificate or managed identity
	IDP       string   `json:"idp"`
	IDType    string   `json:"idtyp"`
	ObjectID  string   `json:"oid"`
	Roles     []string `json:"roles,omitempty"`
	Scopes    string   `json:"scp,omitempty"` // delegated permissions, with blanks between them
	UserName  string   `json:"upn,omitempty"` // the person, where there is one
	Subject   string   `json:"sub"`
	TenantID  string   `json:"tid"`
	TokenID   string   `json:"uti"`
	Version   string   `json:"ver"`
}

// HasRole tells whether the token carries the application permission.
func (c *Claims) HasRole(role string) bool { return slices.Contains(c.Roles, role) }

// HasScope tells whether the token carries the delegated permission.
func (c *Claims) HasScope(scope string) bool {
	return slices.Contains(strings.Fields(c.Scopes), scope)
}

// How a caller proved who it is, as appidacr tells.
const (
	byNobody      = "0"
	bySecret      = "1"
	byCertificate = "2"
)

// issuerV1 begins the issuer of tokens of version 1.0; the tenant follows.
const issuerV1 = "https://sts.windows.net/"

func issuer(tenant string) string { return issuerV1 + tenant + "/" }

func issuerV2(tenant string) string { return "https://login.microsoftonline.com/" + tenant + "/v2.0" }

// issue signs a token for p, which proved itself in the way how. The caller holds mu and has resolved audience.
func (s *Server) issue(p *principal, audience, how string) (string, *Claims, error) {
	claims := s.claims(p, audience, how)
	signed, err := s.sign(claims)
	if err != nil {
		return "", nil, fmt.Errorf("sign token for %s: %w", audience, err)
	}
	return signed, claims, nil
}

// claims are what a token of p says. The caller holds mu.
func (s *Server) claims(p *principal, audience, how string) *Claims {
	now := s.now()
	issuer := issuer(p.Tenant)
	claims := &Claims{
		Audience:  audience,
		Issuer:    issuer,
		IssuedAt:  now.Unix(),
		NotBefore: now.Unix(),
		Expires:   now.Add(s.life).Unix(),
		AppID:     p.ClientID,
		AppIDACR:  how,
		IDP:       issuer,
		IDType:    "app",
		ObjectID:  p.ObjectID,
		Roles:     p.Roles[audience],
		Subject:   p.ObjectID,
		TenantID:  p.Tenant,
		TokenID:   uuid.NewString(),
		Version:   "1.0",
	}
	if p.managed {
		claims.AppIDACR = byCertificate
	}
	if audience == AudienceExchange || audience == audienceExchangeUS {
		claims.Version, claims.Issuer, claims.Audience = "2.0", issuerV2(p.Tenant), exchangeAppIDs[audience]
		claims.AppID, claims.Party = "", p.ClientID
	}
	return claims
}

// sign makes a token of claims.
func (s *Server) sign(claims jwt.Claims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = s.keyID
	return token.SignedString(s.key)
}

// Token issues a token without a request: for a test of another emulator that
// needs a caller. It is not counted.
func (s *Server) Token(clientID, audience string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.principals[strings.ToLower(clientID)]
	if p == nil {
		return "", fmt.Errorf("issue token: principal %s is not registered", clientID)
	}
	resource, ok := s.resource(audience)
	if !ok {
		return "", fmt.Errorf("issue token: resource %q is not registered", audience)
	}
	signed, _, err := s.issue(p, resource, bySecret)
	return signed, err
}

// Verify checks a token that a request brought. authorization is the value of
// the Authorization header; the scheme may be left out. The token must be for one
// of the audiences, each named by any identifier of its resource. The error is one
// of this package's, wrapped with detail that never includes the token. With
// ErrAudience the claims are returned too, for they are genuine.
func (s *Server) Verify(authorization string, audiences ...string) (*Claims, error) {
	raw := authorization
	if scheme, rest, ok := strings.Cut(authorization, " "); ok {
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, fmt.Errorf("%w: scheme %q", ErrMissing, scheme)
		}
		raw = strings.TrimSpace(rest)
	}
	if raw == "" || strings.EqualFold(raw, "Bearer") {
		return nil, ErrMissing
	}
	claims := new(Claims)
	_, err := jwt.ParseWithClaims(raw, claims,
		func(*jwt.Token) (any, error) { return s.key.Public(), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Name}),
		jwt.WithTimeFunc(s.now),
		jwt.WithExpirationRequired(),
	)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, fmt.Errorf("%w: it ended at %s", ErrExpired, time.Unix(claims.Expires, 0).UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, fmt.Errorf("%w: it begins at %s", ErrExpired, time.Unix(claims.NotBefore, 0).UTC().Format(time.RFC3339))
	case err != nil:
		return nil, ErrMalformed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, identifier := range audiences {
		if audience, ok := s.resource(identifier); ok && (audience == claims.Audience || exchangeAppIDs[audience] == claims.Audience) {
			return claims, nil
		}
	}
	return claims, fmt.Errorf("%w: %s", ErrAudience, claims.Audience)
}

// The methods below make Claims a jwt.Claims. The library's own claims write the
// audience as a list, which Entra does not and Azurite refuses.

// GetExpirationTime implements jwt.Claims.
func (c *Claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.Expires), nil }

// GetIssuedAt implements jwt.Claims.
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt), nil }

// GetNotBefore implements jwt.Claims.
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore), nil }

// GetIssuer implements jwt.Claims.
func (c *Claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements jwt.Claims.
func (c *Claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience implements jwt.Claims.
func (c *Claims) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings{c.Audience}, nil }

func date(seconds int64) *jwt.NumericDate {
	if seconds == 0 {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0))
}
