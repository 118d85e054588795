// Package identity stands in for Entra ID and for the managed identity endpoint
// of App Service.
//
// It issues access tokens for the client credentials grant, for managed identities, and
// for people who sign in by its pages, as RS256 tokens of Entra's version 1.0 shape signed with a key of
// its own, and refuses what Entra refuses, with Entra's error codes. A second factor
// is not asked for. The other emulators ask
// Verify whom a request comes from: a token is accepted if and only if this
// server signed it, it is within its life, and it is for the asked audience.
package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The audiences that New registers, as tokens carry them. Each is the resource
// identifier to which a client appends "/.default".
const (
	AudienceGraph    = "https://graph.microsoft.com"
	AudienceDefender = "https://api.securitycenter.microsoft.com"
	AudienceXDR      = "https://api.security.microsoft.com" // a resource of its own: not accepted by Defender for Endpoint
	AudienceKusto    = "https://kusto.kusto.windows.net"
	AudienceVault    = "https://vault.azure.net"
	AudienceStorage  = "https://storage.azure.com"
	AudienceExchange = "api://AzureADTokenExchange" // of a managed identity's token that an application trusts

	audienceExchangeUS = "api://AzureADTokenExchangeUSGov"
)

// exchangeAppIDs are what tokens for those two resources carry as their audience. The
// first is as observed; no source names the second, so it is one of our own.
var exchangeAppIDs = map[string]string{
	AudienceExchange:   "fb60f99c-7a34-4190-8149-302f77469936",
	audienceExchangeUS: "fb60f99c-7a34-4190-8149-000000000001",
}

// graphAppID is Graph's own application id, accepted in place of its URI.
// Source: Microsoft Entra documentation, "Verify first-party Microsoft applications".
const graphAppID = "00000003-0000-0000-c000-000000000000"

// defenderOldName is what Defender for Endpoint's documentation called the resource
// for years, and what scripts still ask for.
const defenderOldName = "https://api.securitycenter.windows.com"

// keyBits is the size of the signing key, as Entra's.
const keyBits = 2048

// Options configure a server.
type Options struct {
	// Now is the server's clock. Clients judge a token's end by their own clock,
	// so outside tests it must be the real time.
	Now func() time.Time

	// TokenLife is how long a token is good for; one hour if zero. Clients
	// renew some minutes before the end: a life below five minutes makes some of
	// them ask for every call.
	TokenLife time.Duration

	// Trouble is asked once for each request of the token endpoint, from several
	// goroutines: the number of an AADSTS code that the service has for trouble of
	// its own, such as 90033, which is answered with 400; 0 lets it pass. Nil lets
	// every request pass.
	Trouble func() int
}

// Server holds the directory, the signing key and the counters. Its methods may
// be called while its handlers serve.
type Server struct {
	ownTrouble func() int

	now   func() time.Time
	key   *rsa.PrivateKey
	keyID string

	mu         sync.Mutex
	life       time.Duration
	tenants    map[string]string // lower-case id or domain -> id
	resources  map[string]string // normalized identifier -> audience
	principals map[string]*principal
	users      map[string]*User // lower-case name
	device     map[string]*pass // by device code
	codes      map[string]*pass // by authorization code
	refresh    map[string]*pass // by refresh token
	stats      Stats
}

// Stats counts the requests served so far.
type Stats struct {
	Issued  map[string]int // tokens by audience, from either endpoint
	Refused map[int]int    // refusals of the token endpoint by AADSTS code
}

// New makes a server with an empty directory that knows the audiences above.
func New(opts Options) (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("generate signing key: %w", err)
	}
	s := &Server{
		ownTrouble: opts.Trouble,
		now:        opts.Now,
		key:        key,
		keyID:      uuid.NewString(),
		life:       opts.TokenLife,
		tenants:    make(map[string]string),
		resources:  make(map[string]string),
		principals: make(map[string]*principal),
		users:      make(map[string]*User),
		device:     make(map[string]*pass),
		codes:      make(map[string]*pass),
		refresh:    make(map[string]*pass),
		stats:      Stats{Issued: make(map[string]int), Refused: make(map[int]int)},
	}
	if s.life == 0 {
		s.life = time.Hour
	}
	s.RegisterResource(AudienceGraph, graphAppID)
	s.RegisterResource(AudienceDefender, defenderOldName)
	for _, audience := range []string{AudienceXDR, AudienceKusto, AudienceVault, AudienceStorage, AudienceExchange, audienceExchangeUS} {
		s.RegisterResource(audience)
	}
	return s, nil
}

// SetTokenLife changes the life of the tokens issued from now on.
func (s *Server) SetTokenLife(life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = life
}

// Stats returns the counters as they stand.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Issued: maps.Clone(s.stats.Issued), Refused: maps.Clone(s.stats.Refused)}
}

// RegisterResource makes audience something tokens can be asked for. Aliases are
// other identifiers of the same resource, such as an emulator's own base URL:
// whichever a client names, the token carries audience. Case and a trailing slash
// do not matter. Registering again adds aliases.
func (s *Server) RegisterResource(audience string, aliases ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resources[normalize(audience)] = audience
	for _, alias := range aliases {
		s.resources[normalize(alias)] = audience
	}
}

// resource returns the audience of an identifier. The caller holds mu.
func (s *Server) resource(identifier string) (string, bool) {
	audience, ok := s.resources[normalize(identifier)]
	return audience, ok
}

func normalize(identifier string) string {
	return strings.ToLower(strings.TrimSuffix(identifier, "/"))
}
