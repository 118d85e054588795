// Package fault names the few kinds of error that decide what happens next.
//
// An adapter attaches a kind where it sees the cause; the pipeline and the host
// answer act on the kind alone and never on an error's text. An error without a
// kind counts as Retry: an unknown fault is repeated by the queue and never
// taken for success.
package fault

import (
	"errors"
	"time"
)

// Kind says what an error asks for.
type Kind uint8

const (
	// None is the kind of a nil error.
	None Kind = iota
	// Retry: throttled, timed out or unreachable; the queue delivers again.
	Retry
	// Unavailable: the source answered 5xx or broke off. Try the same slice twice
	// more after a pause, then split it, then hand it back to the queue.
	Unavailable
	// Split: too much for one query; the slice is divided and each half tried.
	Split
	// Wait: nothing to do before Until; the wake-up is put off.
	Wait
	// Permanent: repeating cannot help; a person must act.
	Permanent
	// Reauthenticate: the service refused a token, which is forgotten by now. One
	// more call, taken from the quota like any, is worth while. It does not leave
	// the adapter: a second refusal in a row is Permanent, or Retry where the token
	// was merely too old.
	Reauthenticate
)

var kindNames = [...]string{"none", "retry", "unavailable", "split", "wait", "permanent", "reauthenticate"}

// String returns the kind's name in lower case, as logs and tests spell it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Error is an error with a kind. Its text is that of the error it carries.
type Error struct {
	Kind  Kind
	Until time.Time // Kind Wait: not before this instant, UTC; otherwise zero
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error that the kind was attached to.
func (e *Error) Unwrap() error { return e.Err }

// As attaches kind to err. A nil err stays nil.
func As(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Err: err}
}

// WaitUntil attaches Kind Wait: err ends at t. A nil err stays nil.
func WaitUntil(t time.Time, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: Wait, Until: t.UTC(), Err: err}
}

// KindOf returns the outermost kind in err's chain: None for nil, Retry for an
// error that carries none.
func KindOf(err error) Kind {
	if err == nil {
		return None
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Retry
}

// Until returns the instant a Wait error names, and false for every other error.
func Until(err error) (time.Time, bool) {
	var e *Error
	if errors.As(err, &e) && e.Kind == Wait {
		return e.Until, true
	}
	return time.Time{}, false
}

// Signature returns what tells a fault of the data from an outage: a fault that
// comes again with the same signature is in the rows themselves, and no pause will
// mend it. "" is an error that has none.
func Signature(err error) string {
	var signed interface{ Signature() string }
	if errors.As(err, &signed) {
		return signed.Signature()
	}
	return ""
}

// ErrNotQueued marks an error of sending a blob after which the blob surely stands
// in no queue: it may be sent again at once. Without the mark it may be queued.
var ErrNotQueued = errors.New("not queued")

// Mark makes errors.Is(err, mark) true and leaves kind and text as they are. A nil
// err stays nil.
func Mark(err, mark error) error {
	if err == nil {
		return nil
	}
	return &marked{err, mark}
}

type marked struct {
	error
	mark error
}

// Unwrap returns the error and then its mark.
func (m *marked) Unwrap() []error { return []error{m.error, m.mark} }
