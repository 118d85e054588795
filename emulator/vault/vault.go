// Package vault stands in for the secrets of an Azure Key Vault: reading and listing
// them, as an application does, over https and with a token.
//
// It challenges a request without a token, tells missing, disabled and forbidden
// secrets apart as Key Vault does, and can be made unreachable or throttled. Who
// may read is decided by the caller's object id, as with role assignments on a
// vault. Secrets are set through the Go methods only; there is no key, no
// certificate and no soft delete.
package vault

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/emulator/identity"
)

// Verifier tells whom a token speaks for. Its errors are those of
// identity.Server.Verify.
type Verifier interface {
	Verify(authorization string, audiences ...string) (*identity.Claims, error)
}

// Condition is how the vault treats every request, whoever sends it.
type Condition int

// The conditions.
const (
	Healthy     Condition = iota
	Throttled             // 429 with Retry-After
	Unreachable           // the connection is closed without an answer
)

// Options configure a vault.
type Options struct {
	Identity Verifier

	// Authority is where a caller gets its token: https://<host>/<tenant>. Clients
	// refuse a challenge without the tenant, and tokens of other tenants are
	// refused here.
	Authority string

	// Now stamps the versions of secrets.
	Now func() time.Time
}

// Server is one vault. Its methods may be called while its handler serves.
type Server struct {
	identity  Verifier
	authority string
	tenant    string
	now       func() time.Time
	routes    *http.ServeMux

	mu         sync.Mutex
	secrets    map[string]*secret // by lower-case name
	readers    map[string]bool    // object ids
	condition  Condition
	retryAfter time.Duration
	reads      map[string]int
}

// secret is a name with its versions, the newest last.
type secret struct {
	name     string
	versions []version
}

type version struct {
	id      string
	value   string
	enabled bool
	created time.Time
}

// secretName is what Key Vault takes for a name.
// Source: Key Vault documentation, "Object identifiers".
var secretName = regexp.MustCompile(`^[0-9a-zA-Z-]{1,127}$`)

// New makes an empty, healthy vault that nobody may read.
func New(opts Options) (*Server, error) {
	host, tenant, ok := strings.Cut(strings.TrimPrefix(opts.Authority, "https://"), "/")
	if !strings.HasPrefix(opts.Authority, "https://") || !ok || host == "" || tenant == "" || strings.Contains(tenant, "/") {
		return nil, fmt.Errorf("vault authority %q: want https://<host>/<tenant>", opts.Authority)
	}
	s := &Server{
		identity:  opts.Identity,
		authority: opts.Authority,
		tenant:    tenant,
		now:       opts.Now,
		secrets:   make(map[string]*secret),
		readers:   make(map[string]bool),
		reads:     make(map[string]int),
		routes:    http.NewServeMux(),
	}
	for _, path := range []string{"/secrets/{name}", "/secrets/{name}/{$}", "/secrets/{name}/{version}"} {
		s.routes.HandleFunc("GET "+path, s.get)
	}
	s.routes.HandleFunc("GET /secrets", s.list)
	s.routes.HandleFunc("GET /secrets/{name}/versions", s.list)
	return s, nil
}

// Set gives a secret a new value, which makes the secret or a new, enabled version
// of it, and returns the version. Older versions can still be read by theirs.
func (s *Server) Set(name, value string) (string, error) {
	if !secretName.MatchString(name) {
		return "", fmt.Errorf("set secret %q: want 1 to 127 letters, digits and hyphens", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.secrets[strings.ToLower(name)]
	if entry == nil {
		entry = &secret{name: name}
		s.secrets[strings.ToLower(name)] = entry
	}
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	entry.versions = append(entry.versions, version{id: id, value: value, enabled: true, created: s.now()})
	return id, nil
}

// SetEnabled switches one version of a secret on or off; an empty version is the
// newest.
func (s *Server) SetEnabled(name, versionID string, enabled bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, v := s.find(name, versionID)
	if v == nil {
		return fmt.Errorf("switch secret %s version %q: not found", name, versionID)
	}
	v.enabled = enabled
	return nil
}

// Delete removes a secret with all its versions.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, strings.ToLower(name))
}

// Grant lets a principal, named by its object id, read every secret.
func (s *Server) Grant(objectID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[strings.ToLower(objectID)] = true
}

// Revoke takes the right back.
func (s *Server) Revoke(objectID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, strings.ToLower(objectID))
}

// SetCondition changes how requests are treated from now on. retryAfter is what a
// throttled answer asks for, in whole seconds; zero leaves the header out.
func (s *Server) SetCondition(condition Condition, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.condition, s.retryAfter = condition, retryAfter
}

// Reads returns how often each secret's value has been given out, by name as set.
func (s *Server) Reads() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.reads)
}

// find returns a secret and one of its versions, the newest if versionID is empty;
// both nil if there is none. The caller holds mu.
func (s *Server) find(name, versionID string) (*secret, *version) {
	entry := s.secrets[strings.ToLower(name)]
	if entry == nil {
		return nil, nil
	}
	i := len(entry.versions) - 1
	if versionID != "" {
		i = slices.IndexFunc(entry.versions, func(v version) bool { return v.id == versionID })
	}
	if i < 0 {
		return nil, nil
	}
	return entry, &entry.versions[i]
}

// authorize returns why a request is refused, or nil.
func (s *Server) authorize(r *http.Request) *refusal {
	claims, err := s.identity.Verify(r.Header.Get("Authorization"), identity.AudienceVault)
	switch {
	case errors.Is(err, identity.ErrMissing):
		return unauthorized("AKV10000: Request is missing a Bearer or PoP token.")
	case errors.Is(err, identity.ErrExpired):
		return unauthorized("[TokenExpired] Error validating token: the token is outside its life.")
	case errors.Is(err, identity.ErrAudience):
		return unauthorized(fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", identity.AudienceVault, claims.Audience))
	case err != nil:
		return unauthorized("AKV10001: Token is malformed or its signature is invalid.")
	case !strings.EqualFold(claims.TenantID, s.tenant):
		return unauthorized(fmt.Sprintf("AKV10032: Invalid issuer. Expected https://sts.windows.net/%s/, found %s.", s.tenant, claims.Issuer))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.readers[strings.ToLower(claims.ObjectID)] {
		return forbidden("ForbiddenByRbac", fmt.Sprintf("Caller is not authorized to perform action on resource.\r\n"+
			"If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\n"+
			"Caller: appid=%s;oid=%s;iss=%s\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n"+
			"Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null", claims.AppID, claims.ObjectID, claims.Issuer))
	}
	return nil
}
