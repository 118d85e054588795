package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// maxEnvelopeBytes bounds the body of one invocation. A queue message holds
// 64 KiB; encoded twice and with its members repeated in Metadata it stays well
// below.
const maxEnvelopeBytes = 1 << 20

// envelope is the body of an invocation. Binding and metadata names compare
// without regard to case, as in the host.
type envelope struct {
	Data     members
	Metadata members
}

// members is a JSON object by member name. It decodes to nothing from any other
// value, so that metadata in an odd shape cannot fail an invocation.
type members map[string]json.RawMessage

func (m *members) UnmarshalJSON(text []byte) error {
	object := map[string]json.RawMessage{}
	if text[0] == '{' {
		if err := json.Unmarshal(text, &object); err != nil {
			return err
		}
	}
	*m = object
	return nil
}

// member returns the value of a name: the exact spelling if there is one, else
// the first in byte order of those that differ in case only, else nil.
func (m members) member(name string) json.RawMessage {
	if v, ok := m[name]; ok {
		return v
	}
	for _, other := range m.names() {
		if strings.EqualFold(other, name) {
			return m[other]
		}
	}
	return nil
}

func (m members) names() []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func decodeEnvelope(body []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return envelope{}, fmt.Errorf("decode invocation (%d bytes): %w", len(body), withoutContent(err))
	}
	return e, nil
}

// binding returns the value of one trigger binding.
func (e envelope) binding(name string) (json.RawMessage, error) {
	value := e.Data.member(name)
	if value == nil {
		return nil, fmt.Errorf("decode invocation: no binding %q among the %d in Data; function.json names it", name, len(e.Data))
	}
	return value, nil
}

// withoutContent keeps the position of a JSON error and drops the piece of the
// body that its text may quote.
func withoutContent(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("unexpected JSON %s at byte %d, want %s", kindOf(kind.Value), kind.Offset, kind.Type)
	}
	return errors.New("not JSON of the expected form")
}

// kindOf cuts what encoding/json says about a value, "number 12", to its kind.
func kindOf(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	return kind
}

// text returns the text of a string binding. The host encodes such a value
// twice; hosts and tools that encode once, or send an object for a JSON message,
// are understood as well. One extra level is removed and never more, since a
// message may itself be a JSON string.
func text(value json.RawMessage) string {
	var once string
	if json.Unmarshal(value, &once) != nil {
		return string(value) // an object, array, number or bool: its own JSON text
	}
	var twice string
	if isString([]byte(once)) && json.Unmarshal([]byte(once), &twice) == nil {
		return twice
	}
	return once
}

// object returns the JSON text of an object binding, which some hosts send
// inside a string. It may be null.
func object(value json.RawMessage) json.RawMessage {
	if isString(value) {
		return json.RawMessage(text(value))
	}
	return value
}

func isString(value []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte{'"'})
}

// integer reads 3, "3" and "\"3\"". Anything else is 0.
func integer(value json.RawMessage) int {
	n, err := strconv.Atoi(strings.TrimSpace(text(value)))
	if err != nil {
		return 0
	}
	return n
}

// clockLayouts are the forms in which the host writes an instant. The last two
// carry no zone: the host has read such a time back from storage, in UTC.
var clockLayouts = [...]string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999",
}

// instant reads a time in UTC. Year 1, which stands for "never", and anything
// that is not a time are the zero time.
func instant(value json.RawMessage) time.Time {
	s := strings.TrimSpace(text(value))
	for _, layout := range clockLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			if t.Year() <= 1 {
				return time.Time{}
			}
			return t.UTC()
		}
	}
	return time.Time{}
}

// boolean reads true, "true" and "True". Anything else is false.
func boolean(value json.RawMessage) bool {
	return strings.EqualFold(strings.TrimSpace(text(value)), "true")
}
