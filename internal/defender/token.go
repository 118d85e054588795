package defender

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// forgetter is a credential that can drop a token it keeps, so that the next
// one asked for is new.
type forgetter interface{ Forget(scopes ...string) }

// managed is a credential that may be a managed identity, whose tokens the
// platform keeps and whose roles no consent in a portal gives.
type managed interface{ ManagedIdentity() bool }

// tokens gets the tokens for the calls and remembers what became of them. Many
// calls are in flight with one token: when it is refused it is forgotten once, and
// the calls that were sent with it are each worth another try.
type tokens struct {
	source azcore.TokenCredential
	scope  string

	mu      sync.Mutex
	round   int    // of tokens; each forgetting begins one
	onTrial bool   // this round began with a refusal, and no call has passed yet
	failed  int    // the last round that was refused right after another one
	claims  string // that the service wants in the next token; "": none
}

// token is one that a call was sent with.
type token struct {
	text  string
	round int
}

// get returns a token for a call. The credential knows best what its error asks
// for.
func (s *tokens) get(ctx context.Context) (token, error) {
	s.mu.Lock()
	round, claims := s.round, s.claims
	s.mu.Unlock()
	got, err := s.source.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{s.scope}, Claims: claims})
	if err != nil {
		return token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.round == round {
		s.claims = ""
	}
	return token{got.Token, round}, nil
}

// passed notes that the service took the token.
func (s *tokens) passed(t token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.round == s.round {
		s.onTrial = false
	}
}

// refused notes that the service did not take the token, and forgets it unless
// that was done since the call was sent. It reports whether a call with a new one
// is worth while: not where this token had already replaced one that was refused.
func (s *tokens) refused(t token, claims string) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.round != s.round {
		return t.round != s.failed
	}
	again = !s.onTrial
	if !again {
		s.failed = s.round
	}
	s.round++
	s.onTrial = again // after a failure the next run begins anew
	s.claims = claims
	if f, ok := s.source.(forgetter); ok {
		f.Forget(s.scope)
	}
	return again
}

// forget drops the token without a judgement on it: its rights may have changed.
func (s *tokens) forget() {
	if f, ok := s.source.(forgetter); ok {
		f.Forget(s.scope)
	}
}

// managedIdentity reports whether the tokens are those of a managed identity.
func (s *tokens) managedIdentity() bool {
	m, ok := s.source.(managed)
	return ok && m.ManagedIdentity()
}

// tokenClaims is what a token says of itself.
type tokenClaims struct {
	Audience string   `json:"aud"`
	Roles    []string `json:"roles"` // of an application
	Scopes   string   `json:"scp"`   // delegated by a person, with blanks between them
}

// parseToken reads a token's claims without verifying them; false for a token
// that is opaque.
func parseToken(token string) (tokenClaims, bool) {
	var said tokenClaims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return said, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return said, false
	}
	return said, json.Unmarshal(payload, &said) == nil
}

var claimsParameter = regexp.MustCompile(`(?i)\bclaims="([^"]+)"`)

// challenge returns the claims that a refused token must be replaced with, as
// JSON; "" when the service named none.
func challenge(header http.Header) string {
	for _, value := range header.Values("WWW-Authenticate") {
		found := claimsParameter.FindStringSubmatch(value)
		if found == nil {
			continue
		}
		encoded := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(found[1]), "=")
		if text, err := base64.RawStdEncoding.DecodeString(encoded); err == nil && json.Valid(text) {
			return string(text)
		}
	}
	return ""
}
