package hunting

import (
	"strings"
	"time"
)

// Refusal is an answer that a fault forces.
type Refusal uint8

// The answers a fault can force. The texts are those of the API that is asked.
const (
	Unharmed       Refusal = iota
	ThrottleMinute         // 429, the calls of a minute
	ThrottleHour           // 429, the calls of an hour; Graph words both alike
	ThrottleCPU            // 429, processing resources
	TooLarge               // 400, result size
	Preempted              // 400, execution preempted
	ExpiredToken           // 401
	ServerError            // 500, an error without a message
	BadGateway             // 502, a page of HTML
	GatewayTimeout         // 504, an error without a message
	EmptyTimeout           // 504 without a body

	// The wordings of the portal's page of errors, all with 400. Source: Defender XDR,
	// advanced hunting errors.
	QueryTimeout      // "Query exceeded the timeout period."
	ResultLimit       // "Result size limit exceeded."
	ResourcesConsumed // "Query stopped due to excessive resource consumption."
	UnexpectedError   // "Please try again in a few minutes."
	WaitStated        // "You can run queries again in <duration>."

	TooComplex         // 400, a query of too many parts
	MissingPermission  // 401 with AF10001: a missing role in the clothes of a bad token
	ArrivalNotResolved // 400, ingestion_time() is not known; only of a query that has it
)

// Results says what becomes of a result's rows in an answer of 200.
type Results uint8

// The forms of a result that is not there.
const (
	AsTheyAre Results = iota
	EmptyResults
	NullResults
	NoResults // the member is absent
)

// Fault says what goes wrong with one call. The zero Fault lets it pass.
type Fault struct {
	Delay time.Duration   // before anything else
	Hold  <-chan struct{} // then hang until it is closed or the client goes away

	Refuse     Refusal       // answered after the checks of request and token, before the quota counts the call
	RetryAfter *RetryAfter   // of a 429; nil: as the server is set
	Wait       time.Duration // of a forced 429; zero: the rest of its window

	ByteOrderMark bool    // before an answer's text, and before an error's
	Results       Results // with the schema as it is
	DropRow       int     // this row of the result is left out, from 1; zero: none

	// Hash, unless 0, makes hash() another function in this query.
	Hash uint64

	// Cut serves only the first rows of a result that has more, as if it were
	// whole. Nil does not.
	Cut *int

	// ResetAt breaks the connection behind this many bytes of the rows' JSON text;
	// EndAt ends the answer there as if it were complete. Zero does not.
	ResetAt, EndAt int64

	// Drip sends the answer in pieces of DripBytes (zero: 4096 on the wire) with
	// this pause after each.
	Drip      time.Duration
	DripBytes int
}

// Call is what a fault is decided by.
type Call struct {
	API    API
	Number int64  // of the server's calls, from 1
	Table  string // of a list or an export: its short name
	Query  string
	List   bool // no query, but a list or a file export
}

func (f Fault) refusal(l Limits, query string) *refusal {
	wait := func(d time.Duration) time.Duration {
		if f.Wait > 0 {
			return f.Wait
		}
		return d
	}
	switch f.Refuse {
	case ThrottleMinute:
		return tooManyCalls(max(1, l.CallsPerMinute), l.Minute, wait(l.Minute))
	case ThrottleHour:
		return tooManyCalls(max(1, l.CallsPerHour), l.Hour, wait(l.Hour))
	case ThrottleCPU:
		return outOfCPU(wait(12*time.Minute + 34*time.Second))
	case TooLarge:
		return resultTooLarge()
	case Preempted:
		return preempted()
	case ExpiredToken:
		return unauthorized("Lifetime validation failed, the token is expired.")
	case ServerError:
		return internalError()
	case BadGateway:
		return proxyPage(502)
	case GatewayTimeout:
		return gatewayTimeout()
	case QueryTimeout:
		return badRequest("Query exceeded the timeout period. Optimize your query and try again.")
	case ResultLimit:
		return badRequest(`Result size limit exceeded. Use "summarize" to aggregate results, "project" to drop uninteresting columns, or "take" to truncate results.`)
	case ResourcesConsumed:
		return badRequest("Query stopped due to excessive resource consumption. Query performance can be improved.")
	case UnexpectedError:
		return badRequest("An unexpected error occurred during query execution. Please try again in a few minutes.")
	case WaitStated:
		return badRequest("You have exceeded processing resources allocated to this tenant. You can run queries again in " + clockText(wait(12*time.Minute+34*time.Second)) + ".")
	case TooComplex:
		return tooComplex()
	case MissingPermission:
		return &refusal{status: 401, graph: "AF10001", mde: "AF10001", message: "The permission set () sent in the request does not include the expected permission."}
	case ArrivalNotResolved:
		if strings.Contains(query, "ingestion_time()") {
			return badRequest("Failed to resolve scalar expression named 'ingestion_time()'. Fix semantic errors in your query.")
		}
	case Unharmed, EmptyTimeout:
	}
	return nil
}
