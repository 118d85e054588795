// Package queue writes wake-ups as messages, reads them back and sends them.
//
// It receives nothing: the Functions host does. A wake-up carries no run and no
// state, so losing or repeating one is harmless and no caller needs to know
// whether a message with the same content waits already.
package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/internal/plan"
)

const (
	// maxWakeUpBytes bounds a message text, far under the 48 KiB that a queue
	// message holds in base64: two names fit many times over.
	maxWakeUpBytes = 4 << 10
	// maxNameBytes bounds the instance and the table. Kusto allows 1,024
	// characters for an entity; the longest source is an API path of under 100.
	maxNameBytes = 1024
	// shownRunes is how much of a malformed message an error quotes.
	shownRunes = 40
)

// wire is a wake-up as it is written. Its member names keep clear of the
// metadata of a queue trigger (id, dequeueCount, sys, ...), which the host
// replaces by members of the same name. They never change, and a new one is left
// out when zero: messages outlive the program that sent them.
type wire struct {
	Instance string `json:"instance"`       // "" is the default instance
	Table    string `json:"table"`          // source table, spelled as in the configuration
	Trigger  string `json:"trigger"`        // one of plan's triggers
	Again    int    `json:"again,omitzero"` // times put off because another worker held the table
	PutOff   int64  `json:"putOff,omitzero"`
	Failures int    `json:"failures,omitzero"`
}

// validate says what keeps w from being sent.
func (w wire) validate() error {
	switch {
	case w.Table == "":
		return errors.New("no table")
	case len(w.Table) > maxNameBytes:
		return fmt.Errorf("table name of %d bytes, over %d", len(w.Table), maxNameBytes)
	case len(w.Instance) > maxNameBytes:
		return fmt.Errorf("instance name of %d bytes, over %d", len(w.Instance), maxNameBytes)
	case !utf8.ValidString(w.Table) || !utf8.ValidString(w.Instance):
		return errors.New("name is not UTF-8")
	case w.Trigger != plan.Scheduled && w.Trigger != plan.Manual && w.Trigger != plan.Forced:
		return fmt.Errorf("trigger %q, want %s, %s or %s", shown(w.Trigger), plan.Scheduled, plan.Manual, plan.Forced)
	case w.Again < 0 || w.PutOff < 0 || w.Failures < 0:
		return fmt.Errorf("put off %d times, as number %d after %d failures", w.Again, w.PutOff, w.Failures)
	}
	return nil
}

// Text returns a wake-up as the text of a message.
func Text(up plan.WakeUp) (string, error) {
	w := wire{Instance: up.Key.Instance, Table: up.Key.Short().Source, Trigger: up.Trigger, Again: up.Again, PutOff: up.PutOff, Failures: up.Failures}
	if err := w.validate(); err != nil {
		return "", fmt.Errorf("write wake-up: %w", err)
	}
	text, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("write wake-up for table %q: %w", w.Table, err)
	}
	return string(text), nil
}

// ParseWakeUp reads the text of a message. Unknown members are passed over: a newer
// version of the program sent them, and an older one does what it knows. Repeated
// members are refused, and members spelled differently are unknown ones. No
// repetition makes such a text a wake-up, so an error is final. It quotes the first
// characters of the text only.
func ParseWakeUp(text string) (plan.WakeUp, error) {
	w, err := parse(text)
	if err == nil {
		err = w.validate()
	}
	if err != nil {
		return plan.WakeUp{}, fmt.Errorf("read wake-up (%d bytes beginning %q): %w", len(text), shown(text), err)
	}
	return plan.WakeUp{Key: plan.Key{Instance: w.Instance, Source: plan.TodaysName(w.Table)}.Full(), Trigger: w.Trigger, Again: w.Again, PutOff: w.PutOff, Failures: w.Failures}, nil
}

func parse(text string) (w wire, err error) {
	if len(text) > maxWakeUpBytes {
		return wire{}, fmt.Errorf("over %d bytes", maxWakeUpBytes)
	}
	given, err := members(text)
	if err != nil {
		return wire{}, err
	}
	for _, member := range []struct {
		name string
		to   any
	}{
		{"instance", &w.Instance}, {"table", &w.Table}, {"trigger", &w.Trigger},
		{"again", &w.Again}, {"putOff", &w.PutOff}, {"failures", &w.Failures},
	} {
		value, ok := given[member.name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(value, member.to); err != nil {
			return wire{}, fmt.Errorf("unexpected %s as %s", kindOf(err), member.name)
		}
	}
	return w, nil
}

// members reads a JSON object strictly, by names as they are spelled: decoded into a
// structure, the last of repeated members would count, and one in another case.
func members(text string) (map[string]json.RawMessage, error) {
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return nil, fmt.Errorf("not JSON at byte %d", i)
		}
	}
	// The decoder's own words may quote the text; its place does not.
	if err := json.Unmarshal([]byte(text), new(json.RawMessage)); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			return nil, errors.New("not JSON")
		}
		return nil, fmt.Errorf("not JSON at byte %d", max(0, syntax.Offset-1))
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return nil, fmt.Errorf("unexpected %s, want an object", kindOf(err))
	}
	if object == nil {
		return nil, errors.New("null, want an object")
	}
	clear(object)
	decoder := json.NewDecoder(strings.NewReader(text))
	_, err := decoder.Token() // the brace
	for err == nil && decoder.More() {
		var name json.Token
		if name, err = decoder.Token(); err != nil {
			break
		}
		key, _ := name.(string) // nothing else names a member
		if _, repeated := object[key]; repeated {
			return nil, errors.New("repeated member")
		}
		var value json.RawMessage
		err = decoder.Decode(&value)
		object[key] = value
	}
	if err != nil {
		return nil, errors.New("not JSON")
	}
	return object, nil
}

// kindOf names the JSON that a decoder did not expect. A number's digits are left out.
func kindOf(err error) string {
	var unexpected *json.UnmarshalTypeError
	if !errors.As(err, &unexpected) {
		return "JSON"
	}
	kind, _, _ := strings.Cut(unexpected.Value, " ")
	return "JSON " + kind
}

// shown cuts a text to what an error may quote.
func shown(text string) string {
	n := 0
	for i := range text {
		if n == shownRunes {
			return text[:i]
		}
		n++
	}
	return text
}
