package hunting

import (
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/identity"
)

// API is one of the three hunting interfaces.
type API string

// The hunting interfaces.
const (
	Graph API = "graph" // POST /v1.0/security/runHuntingQuery, also under /beta
	MDE   API = "mde"   // POST /api/advancedqueries/run of Defender for Endpoint
	XDR   API = "xdr"   // POST /api/advancedhunting/run
)

// apiOf tells which API a path belongs to.
func apiOf(path string) (API, bool) {
	switch strings.TrimSuffix(path, "/") {
	case "/v1.0/security/runHuntingQuery", "/beta/security/runHuntingQuery",
		"/v1.0/security/microsoft.graph.security.runHuntingQuery", "/beta/security/microsoft.graph.security.runHuntingQuery":
		return Graph, true
	case "/api/advancedqueries/run":
		return MDE, true
	case "/api/advancedhunting/run":
		return XDR, true
	}
	return "", false
}

// audience is what a token must be for.
func (a API) audience() string {
	switch a {
	case MDE:
		return identity.AudienceDefender
	case XDR:
		return identity.AudienceXDR
	}
	return identity.AudienceGraph
}

// role is the app role that a token must carry.
func (a API) role() string {
	switch a {
	case MDE:
		return "AdvancedQuery.Read.All"
	case XDR:
		return "AdvancedHunting.Read.All"
	}
	return "ThreatHunting.Read.All"
}

// scope is the delegated permission in place of a role. Source: the APIs' reference
// pages, permissions.
func (a API) scope(role string) string {
	if a == Graph {
		return role
	}
	return strings.TrimSuffix(role, ".All")
}

// serves reports whether the API knows the table. Defender for Endpoint has only
// its own tables.
func (a API) serves(table string) bool { return a != MDE || strings.HasPrefix(table, "Device") }

// Limits are the quotas of one API. Zero means no limit, save where noted.
type Limits struct {
	Rows       int   // of one result
	RefuseRows bool  // answer a result with more rows with 400; otherwise it is cut without a word
	Bytes      int64 // of one result's JSON text; at most and by default 256 MiB

	CallsPerMinute int
	CallsPerHour   int
	Minute, Hour   time.Duration // lengths of the two windows; zero is what they are called

	QueryTime time.Duration // of one query

	Branches int   // of one union; more is a query too complex
	Request  int64 // bytes of a request's body; at most and by default 1 MiB

	// CPU is the budget of a quarter of an hour. A query costs CPUPerRow for each
	// row that it reads, whatever it really took; zero is 10 microseconds.
	CPU, CPUPerRow time.Duration
}

// Defaults returns an API's published limits: 100,000 rows, 50 MB, 45 calls a
// minute, three minutes a query, and for Defender for Endpoint 1,500 calls an hour
// and 200 seconds a query. The CPU budget depends on the tenant's size and is not
// published: none. Whether too many rows are cut or refused is not either: cut.
// Source: Graph security API overview; Defender for Endpoint run-advanced-query-api
// (revisions up to 2025 say 124 MB); api-advanced-hunting.
func Defaults(a API) Limits {
	l := Limits{
		Rows: 100_000, Bytes: 50_000_000, CallsPerMinute: 45, Minute: time.Minute, Hour: time.Hour,
		QueryTime: 3 * time.Minute, CPUPerRow: 10 * time.Microsecond,
	}
	if a == MDE {
		l.CallsPerHour, l.QueryTime = 1500, 200*time.Second
	}
	return l
}
