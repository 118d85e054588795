package identity

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Principal is what a token speaks for: an application's service principal or a
// managed identity. All three ids are GUIDs.
type Principal struct {
	Tenant   string // directory id; registered with AddTenant
	ClientID string // application id, unique in the server
	ObjectID string // of the service principal; what access is granted to

	// Roles are the application permissions granted, by audience, such as
	// ThreatHunting.Read.All on AudienceGraph. Without any a token is issued all
	// the same and carries no roles: Kusto, Key Vault and storage decide by
	// ObjectID.
	Roles map[string][]string
}

// Secret is one client secret of an application.
type Secret struct {
	Value   string
	Expires time.Time // zero: never
}

// String omits the value.
func (Secret) String() string { return "[redacted]" }

// GoString omits the value.
func (Secret) GoString() string { return "[redacted]" }

// principal is a registered Principal with what it can show for itself.
type principal struct {
	Principal
	secrets    []Secret
	certified  []*x509.Certificate
	trusted    []Federation
	elsewhere  map[string]Principal // an application's service principals in other tenants
	public     bool                 // people may sign in, without a secret of its own
	redirects  []string
	managed    bool
	resourceID string // of a user-assigned managed identity
}

// AddTenant makes a directory known by its id and by its domain names.
func (s *Server) AddTenant(id string, domains ...string) error {
	if _, err := uuid.Parse(id); err != nil {
		return fmt.Errorf("add tenant %q: want a GUID", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants[strings.ToLower(id)] = id
	for _, domain := range domains {
		s.tenants[strings.ToLower(domain)] = id
	}
	return nil
}

// RegisterApplication adds an application with its client secrets, all of which
// are valid side by side.
func (s *Server) RegisterApplication(p Principal, secrets ...Secret) error {
	return s.register(&principal{Principal: p, secrets: slices.Clone(secrets)})
}

// RegisterManagedIdentity adds an identity that the managed identity endpoint
// hands out tokens for. With an empty resourceID it is the system-assigned one, of
// which there can be only one; else a user-assigned one with that Azure resource
// id.
func (s *Server) RegisterManagedIdentity(p Principal, resourceID string) error {
	return s.register(&principal{Principal: p, managed: true, resourceID: resourceID})
}

func (s *Server) register(p *principal) error {
	var problems []error
	if _, err := uuid.Parse(p.ClientID); err != nil {
		problems = append(problems, fmt.Errorf("client id %q: want a GUID", p.ClientID))
	}
	if _, err := uuid.Parse(p.ObjectID); err != nil {
		problems = append(problems, fmt.Errorf("object id %q: want a GUID", p.ObjectID))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants[strings.ToLower(p.Tenant)] != p.Tenant || p.Tenant == "" {
		problems = append(problems, fmt.Errorf("tenant %q is not registered", p.Tenant))
	}
	for audience := range p.Roles {
		if _, ok := s.resource(audience); !ok {
			problems = append(problems, fmt.Errorf("roles on %q: resource is not registered", audience))
		}
	}
	if s.principals[strings.ToLower(p.ClientID)] != nil {
		problems = append(problems, errors.New("client id is registered already"))
	}
	if p.managed && p.resourceID == "" && s.managedIdentity(func(q *principal) bool { return q.resourceID == "" }) != nil {
		problems = append(problems, errors.New("a system-assigned identity is registered already"))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("register principal %s: %w", p.ClientID, err)
	}
	roles := make(map[string][]string, len(p.Roles))
	for identifier, granted := range p.Roles {
		audience, _ := s.resource(identifier)
		roles[audience] = slices.Clone(granted)
	}
	p.Roles = roles
	s.principals[strings.ToLower(p.ClientID)] = p
	return nil
}

// Consent lets an application, registered in one tenant, sign in to another one, as an
// administrator's consent there does. The roles are those granted there.
func (s *Server) Consent(p Principal) error {
	return s.change(p.ClientID, func(known *principal) {
		known.elsewhere = maps.Clone(known.elsewhere)
		if known.elsewhere == nil {
			known.elsewhere = map[string]Principal{}
		}
		p.Roles = maps.Clone(p.Roles)
		known.elsewhere[p.Tenant] = p
	})
}

// in returns what p is in a tenant, with the same proofs; nil where it is unknown.
func (p *principal) in(tenant string) *principal {
	if p.Tenant == tenant {
		return p
	}
	other, ok := p.elsewhere[tenant]
	if !ok {
		return nil
	}
	there := *p
	there.Principal = other
	return &there
}

// AddSecret gives an application one more secret, as the first step of a
// rotation.
func (s *Server) AddSecret(clientID string, secret Secret) error {
	return s.change(clientID, func(p *principal) { p.secrets = append(p.secrets, secret) })
}

// RemoveSecret withdraws a secret. Tokens issued for it stay good until they end.
func (s *Server) RemoveSecret(clientID, value string) error {
	return s.change(clientID, func(p *principal) {
		p.secrets = slices.DeleteFunc(p.secrets, func(secret Secret) bool { return secret.Value == value })
	})
}

// SetRoles replaces a principal's roles on one resource, for tokens issued from
// now on.
func (s *Server) SetRoles(clientID, audience string, roles ...string) error {
	return s.change(clientID, func(p *principal) {
		p.Roles = maps.Clone(p.Roles)
		if known, ok := s.resource(audience); ok {
			audience = known
		}
		p.Roles[audience] = slices.Clone(roles)
	})
}

func (s *Server) change(clientID string, edit func(*principal)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.principals[strings.ToLower(clientID)]
	if p == nil {
		return fmt.Errorf("change principal %s: not registered", clientID)
	}
	edit(p)
	return nil
}

// managedIdentity returns the managed identity that matches, or nil. The caller
// holds mu.
func (s *Server) managedIdentity(match func(*principal) bool) *principal {
	for _, p := range s.principals {
		if p.managed && match(p) {
			return p
		}
	}
	return nil
}

// authenticate tells whether value is a secret of p, and if it is, whether it has
// expired.
func (p *principal) authenticate(value string, now time.Time) (known, expired bool) {
	for _, secret := range p.secrets {
		if subtle.ConstantTimeCompare([]byte(secret.Value), []byte(value)) == 1 {
			return true, !secret.Expires.IsZero() && !now.Before(secret.Expires)
		}
	}
	return false, false
}
