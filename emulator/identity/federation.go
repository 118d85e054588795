package identity

import (
	"crypto"
	"errors"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Federation is a federated identity credential of an app registration: whose tokens
// it takes in place of a secret. As in Entra, wrong values are taken here and fail at
// the exchange.
type Federation struct {
	Issuer   string           // as the token has it, such as https://login.microsoftonline.com/<tenant>/v2.0
	Subject  string           // a managed identity's object id, a Kubernetes service account
	Audience string           // such as AudienceExchange
	Key      crypto.PublicKey // of the issuer; nil for this server's own tokens
}

// Federate lets an application be signed in to by the tokens that f describes.
func (s *Server) Federate(clientID string, f Federation) error {
	return s.change(clientID, func(p *principal) { p.trusted = append(p.trusted, f) })
}

// Issuer is the issuer of the tokens that managed identities of a tenant get for
// AudienceExchange.
func Issuer(tenant string) string { return issuerV2(tenant) }

// isForeign tells whether an assertion was signed by somebody else than the client
// itself, which names itself as its issuer.
func isForeign(assertion string) bool {
	claims := new(jwt.RegisteredClaims)
	token, _, err := jwt.NewParser().ParseUnverified(assertion, claims)
	if err != nil {
		return false // refused as malformed, as the client's own
	}
	_, x5t := token.Header["x5t"]
	_, x5t256 := token.Header["x5t#S256"]
	return !x5t && !x5t256 && claims.Issuer != claims.Subject
}

// exchanged checks the token of another identity, shown in place of a secret. The
// caller holds mu.
func (s *Server) exchanged(p *principal, assertion string) *refusal {
	claims := new(jwt.RegisteredClaims)
	if _, _, err := jwt.NewParser().ParseUnverified(assertion, claims); err != nil {
		return malformedAssertion()
	}
	left := slices.Clone(p.trusted)
	narrow := func(fits func(Federation) bool) bool {
		left = slices.DeleteFunc(left, func(f Federation) bool { return !fits(f) })
		return len(left) > 0
	}
	var audience string
	if len(claims.Audience) == 1 {
		audience = claims.Audience[0]
	}
	if tenant, ok := strings.CutPrefix(claims.Issuer, issuerV1); ok {
		return notExchangeable(strings.TrimSuffix(tenant, "/")) // a token for another use
	}
	switch {
	case !narrow(func(f Federation) bool { return f.Issuer == claims.Issuer }):
		return noFederation(700211, "issuer", claims.Issuer)
	case !narrow(func(f Federation) bool { return f.Subject == claims.Subject }):
		return noFederation(700213, "subject", claims.Subject)
	case !narrow(func(f Federation) bool { return f.Audience == audience || exchangeAppIDs[f.Audience] == audience }):
		return noFederation(700212, "audience", audience)
	}
	key := left[0].Key
	if key == nil {
		key = s.key.Public()
		// Entra's own tokens: only those of user-assigned identities of the tenant that
		// the application is registered in.
		shown := s.managedIdentity(func(q *principal) bool { return q.ObjectID == claims.Subject && q.resourceID != "" })
		if shown == nil || shown.Tenant != p.Tenant {
			return notExchangeable(p.Tenant)
		}
	}
	_, err := jwt.Parse(assertion, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(s.now), jwt.WithLeeway(clockSkew), jwt.WithExpirationRequired())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return assertionOutOfTime()
	}
	return wrongSignature()
}
