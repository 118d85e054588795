package hunting

import "time"

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
)

// Fault says what goes wrong with one call. The zero Fault lets it pass.
type Fault struct {
	Delay time.Duration   // before anything else
	Hold  <-chan struct{} // then hang until it is closed or the client goes away

	Refuse     Refusal       // answered after the checks of request and token, before the quota counts the call
	RetryAfter *RetryAfter   // of a 429; nil: as the server is set
	Wait       time.Duration // of a forced 429; zero: the rest of its window

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
	Number int64 // of the server's calls, from 1
	Table  string
	Query  string
}

func (f Fault) refusal(l Limits) *refusal {
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
	case Unharmed, EmptyTimeout:
	}
	return nil
}
