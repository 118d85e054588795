package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// User is a person of a directory, who signs in by a page and never by a request.
type User struct {
	Tenant   string
	Name     string // user principal name, such as ana@contoso.onmicrosoft.com
	Password string
	ObjectID string

	// Scopes are the delegated permissions that the person or an administrator consented
	// to, by audience, such as ThreatHunting.Read.All on AudienceGraph.
	Scopes map[string][]string
}

// String omits the password.
func (u User) String() string { return u.Name }

// AddUser makes a person known.
func (s *Server) AddUser(u User) error {
	if _, err := uuid.Parse(u.ObjectID); err != nil {
		return fmt.Errorf("add user %s: object id %q: want a GUID", u.Name, u.ObjectID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants[strings.ToLower(u.Tenant)] != u.Tenant || u.Tenant == "" {
		return fmt.Errorf("add user %s: tenant %q is not registered", u.Name, u.Tenant)
	}
	scopes := make(map[string][]string)
	for identifier, granted := range u.Scopes {
		audience, ok := s.resource(identifier)
		if !ok {
			return fmt.Errorf("add user %s: scopes on %q: resource is not registered", u.Name, identifier)
		}
		scopes[audience] = slices.Clone(granted)
	}
	u.Scopes = scopes
	s.users[strings.ToLower(u.Name)] = &u
	return nil
}

// AllowPublicClient lets people sign in to an application that has no secret, as the
// switch of that name in an app registration does; in a browser they come back to one
// of the redirect addresses.
func (s *Server) AllowPublicClient(clientID string, redirects ...string) error {
	return s.change(clientID, func(p *principal) { p.public, p.redirects = true, slices.Clone(redirects) })
}

// redirectsTo tells whether the application may send people back to an address. The
// port of this machine does not matter. Source: Microsoft Entra documentation,
// redirect URI restrictions, localhost exceptions.
func (p *principal) redirectsTo(address string) bool {
	asked, err := url.Parse(address)
	return err == nil && slices.ContainsFunc(p.redirects, func(registered string) bool {
		u, err := url.Parse(registered)
		return err == nil && (registered == address || u.Hostname() == "localhost" && asked.Hostname() == "localhost" && u.Scheme == asked.Scheme && u.Path == asked.Path)
	})
}

// codeLife is how long a code waits to be used. Sources: device authorization, expires_in
// of Entra's answers; authorization codes "about 10 minutes".
const (
	deviceCodeLife = 15 * time.Minute
	authCodeLife   = 10 * time.Minute
	refreshLife    = 90 * 24 * time.Hour
)

// pass is a code or a refresh token: who signed in, to what.
type pass struct {
	clientID, tenant string
	user             *User // nil: nobody yet
	refused          bool  // the person said no
	used             bool
	expires          time.Time

	// Of an authorization code.
	redirect, challenge string
	// Of a device code: what the person types.
	userCode string
}

func newCode() string { return rand.Text() + rand.Text() }

// newUserCode is nine letters and digits, as Entra's.
func newUserCode() string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // never fails
	return base32.StdEncoding.EncodeToString(raw)[:9]
}

// client finds an application that people may sign in to in a tenant. The caller holds
// mu.
func (s *Server) client(clientID, tenantName string) (*principal, string, *refusal) {
	tenant, ok := s.tenants[strings.ToLower(tenantName)]
	if !ok {
		return nil, "", unknownTenant(tenantName)
	}
	p := s.principals[strings.ToLower(clientID)]
	if p == nil || p.managed || p.in(tenant) == nil {
		return nil, "", unknownClient(clientID, tenantName)
	}
	return p.in(tenant), tenant, nil
}

var errWrongPassword = errors.New("AADSTS50126: Error validating credentials due to invalid username or password.")

// person checks name and password. The caller holds mu.
func (s *Server) person(tenant, name, password string) (*User, error) {
	u := s.users[strings.ToLower(name)]
	if u == nil || subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) != 1 {
		return nil, errWrongPassword
	}
	if u.Tenant != tenant {
		return nil, fmt.Errorf("AADSTS50020: User account '%s' from identity provider '%s' does not exist in tenant '%s'.", u.Name, issuer(u.Tenant), tenant)
	}
	return u, nil
}

// Withdraw ends what a person has signed in to: refresh tokens are refused from now on,
// as after a change of the password.
func (s *Server) Withdraw(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.refresh, func(_ string, p *pass) bool { return strings.EqualFold(p.user.Name, name) })
}
