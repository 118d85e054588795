// Package hunting stands in for Defender's APIs. Three answer hunting queries: Graph's
// runHuntingQuery, Defender for Endpoint's advancedqueries/run and Defender XDR's
// advancedhunting/run. Beside them stand lists, of Defender for Endpoint and of Graph,
// and file exports with the storage that holds their files. It is an http.Handler; the
// caller listens, over TLS.
//
// It refuses what the services refuse: bad tokens and missing roles, malformed
// requests, unknown tables and columns, calls beyond a quota, results beyond a
// limit. KQL that its evaluator does not know is refused with 400, by name.
//
// A result is complete in memory, compressed if the client takes that, before its
// first byte is sent: an answer of 200 is never followed by an error, save those a
// Fault asks for. A row that a query leaves as it is goes out byte for byte as the
// tenant holds it.
package hunting

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// Options describe a server. Only Tenant is required.
type Options struct {
	Tenant *tenant.Tenant

	// Verify checks the Authorization header, as identity.Server.Verify does. Nil
	// asks for no token.
	Verify func(authorization string, audiences ...string) (*identity.Claims, error)

	// Now is the service's clock: the answer of now(), and what the look-back is
	// counted from. Nil is the tenant's.
	Now func() time.Time

	// Wall is the clock of quotas and log. Nil is the machine's.
	Wall func() time.Time

	// Limits replace an API's Defaults.
	Limits map[API]Limits

	// LookBack hides rows that arrived earlier. Zero is 30 days. Source: Graph
	// security API overview.
	LookBack time.Duration

	// Latency is added to each query, in real time.
	Latency time.Duration

	// Whole renders rows by the answer's schema, as the services do: each value is of its
	// column's type, and what a row of the tenant lacks is null, or an empty string.
	// Off, a row is the tenant's own text.
	Whole bool

	RetryAfter RetryAfter
	Awkward    Awkward

	// REST are the switches of lists and file exports.
	REST REST

	// Fault is asked once for each call with a good token and a readable request,
	// from several goroutines. Nil lets every call pass.
	Fault func(Call) Fault
}

// Server is the handler. Its methods may be called from several goroutines.
type Server struct {
	o        Options
	counters counters
	quotas   map[API]*quota
	rest     rest

	mu     sync.RWMutex
	limits map[API]Limits
	fault  func(Call) Fault
}

// New makes a server.
func New(o Options) (*Server, error) {
	if o.Tenant == nil {
		return nil, errors.New("make hunting server: no tenant")
	}
	if o.Now == nil {
		o.Now = o.Tenant.Now
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.LookBack <= 0 {
		o.LookBack = 30 * 24 * time.Hour
	}
	s := &Server{o: o, quotas: map[API]*quota{Graph: {}, MDE: {}, XDR: {}}, limits: make(map[API]Limits), fault: o.Fault}
	s.rest = rest{o: o.REST, exports: map[string]*generation{}, turned: map[string]int{}, key: newKey(),
		quotas: map[Quota]*quota{QuotaLists: {}, QuotaAssessments: {}, QuotaFiles: {}, QuotaGraph: {}}}
	for _, api := range []API{Graph, MDE, XDR} {
		l, ok := o.Limits[api]
		if !ok {
			l = Defaults(api)
		}
		s.SetLimits(api, l)
	}
	return s, nil
}

// SetLimits replaces an API's limits from the next call on.
func (s *Server) SetLimits(api API, l Limits) {
	if l.Minute <= 0 {
		l.Minute = time.Minute
	}
	if l.Hour <= 0 {
		l.Hour = time.Hour
	}
	if l.CPUPerRow <= 0 {
		l.CPUPerRow = 10 * time.Microsecond
	}
	if l.Bytes <= 0 || l.Bytes > maxResultBytes {
		l.Bytes = maxResultBytes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits[api] = l
}

// SetFault replaces Options.Fault from the next call on.
func (s *Server) SetFault(decide func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = decide
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, filesPrefix) {
		s.serveFile(w, r)
		return
	}
	c := &call{s: s, w: w, r: r, requestID: uuid.NewString(), retryAfter: s.o.RetryAfter}
	w.Header().Set("request-id", c.requestID)
	w.Header().Set("client-request-id", c.clientRequestID())
	if list, ok := routeOf(r.URL.Path); ok {
		c.api = list.api
		s.mu.RLock()
		c.decide = s.fault
		s.mu.RUnlock()
		s.serveREST(c, list)
		return
	}
	api, ok := apiOf(r.URL.Path)
	c.api = api
	switch {
	case !ok:
		c.api = MDE
		if strings.HasPrefix(r.URL.Path, "/v1.0/") || strings.HasPrefix(r.URL.Path, "/beta/") {
			c.api = Graph
		}
		segment := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		c.refuse(&refusal{status: http.StatusNotFound, graph: "BadRequest", mde: "ResourceNotFound", message: "Resource not found for the segment '" + segment + "'."})
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		c.refuse(&refusal{status: http.StatusMethodNotAllowed, graph: "Request_BadRequest", mde: "BadRequest", message: "Specified HTTP method is not allowed for the request target."})
		return
	}
	s.mu.RLock()
	c.limits, c.decide = s.limits[api], s.fault
	s.mu.RUnlock()

	number := s.counters.begin()
	begun := s.o.Wall()
	c.entry = Entry{At: begun, API: api}
	defer func() { // also when a fault breaks the connection
		c.entry.Took = s.o.Wall().Sub(begun)
		s.counters.end(c.entry, c.quotaRefused)
	}()
	c.serve(number)
}
