package funchost

import (
	"fmt"
	"time"
)

// EventKind names what an Event tells.
type EventKind int

const (
	HandlerStarted      EventKind = iota + 1 // PID, Restart
	HandlerReady                             // PID, Duration since the start
	HandlerExited                            // PID, ExitCode (-1: killed by a signal)
	InvocationStarted                        // Invocation
	InvocationSucceeded                      // Invocation, Duration
	InvocationFailed                         // Invocation, Duration, Err
	InvocationTimedOut                       // Invocation; InvocationFailed follows after the grace
	MessageDeleted                           // Invocation; the message is done with
	MessageReleased                          // Invocation; the message shows again after visibilityTimeout
	MessagePoisoned                          // Invocation, Err; ID is empty if the message was never handed out
	CompletionLost                           // Invocation, Err; neither deleted nor released
	QueueUnavailable                         // Invocation.Function, Err
	FunctionRefused                          // Invocation.Function, Err: the function was not loaded
)

var eventNames = [...]string{
	"handler started", "handler ready", "handler exited", "invocation started", "invocation succeeded",
	"invocation failed", "invocation timed out", "message deleted", "message released", "message poisoned",
	"completion lost", "queue unavailable", "function refused",
}

func (k EventKind) String() string {
	if k < 1 || int(k) > len(eventNames) {
		return fmt.Sprintf("event %d", int(k))
	}
	return eventNames[k-1]
}

// Event is something that happened in the host. Which fields are set depends on
// the kind; Time always is.
type Event struct {
	Time       time.Time
	Kind       EventKind
	Invocation Invocation
	Duration   time.Duration
	Err        error
	PID        int
	ExitCode   int
	Restart    bool // HandlerStarted: not the first start
}

// Invocation is one call of a function.
type Invocation struct {
	ID       string // as in X-Azure-Functions-InvocationId
	Function string
	Manual   bool // through Invoke or the admin API

	// Of queue functions only, and empty in manual runs:
	MessageID string
	Dequeues  int64
	Body      []byte // the decoded message; for hooks, never logged
}

// Stats counts since the start of the host.
type Stats struct {
	Invocations int // begun
	Succeeded   int
	Failed      int
	Timeouts    int // contained in Failed
	Starts      int // of the handler process
	Restarts    int // contained in Starts
	Poisoned    int // messages moved to a poison queue
}

func (s *Stats) count(e Event) {
	switch e.Kind {
	case HandlerStarted:
		s.Starts++
		if e.Restart {
			s.Restarts++
		}
	case InvocationStarted:
		s.Invocations++
	case InvocationSucceeded:
		s.Succeeded++
	case InvocationFailed:
		s.Failed++
	case InvocationTimedOut:
		s.Timeouts++
	case MessagePoisoned:
		s.Poisoned++
	}
}
