// Package secret holds a string that does not print: a client secret, a
// connection string.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is text that does not print. It prints [redacted] through fmt with
// any verb, in logs and as JSON or text, and an address when fmt looks at it
// inside the unexported field of another type.
type String struct {
	value *string
}

// New returns a String that holds value.
func New(value string) String { return String{&value} }

// Reveal returns the value itself, "" for the zero String. It is the only way to
// it, which makes its uses easy to find.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero tells whether it holds nothing.
func (s String) IsZero() bool { return s.Reveal() == "" }

// Equal tells whether both hold the same value.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns [redacted].
func (String) String() string { return redacted }

// GoString returns [redacted].
func (String) GoString() string { return redacted }

// Format writes [redacted] for every verb.
func (String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [redacted].
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted].
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
