// Package queue writes wake-ups as messages, reads them back and sends them.
//
// It receives nothing: the Functions host does. A wake-up carries no run and no
// state, so losing or repeating one is harmless and no caller needs to know
// whether a message with the same content waits already.
package queue

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
	w := wire{Instance: up.Key.Instance, Table: up.Key.Source, Trigger: up.Trigger, Again: up.Again, PutOff: up.PutOff, Failures: up.Failures}
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
	return plan.WakeUp{Key: plan.Key{Instance: w.Instance, Source: w.Table}, Trigger: w.Trigger, Again: w.Again, PutOff: w.PutOff, Failures: w.Failures}, nil
}

func parse(text string) (wire, error) {
	if len(text) > maxWakeUpBytes {
		return wire{}, fmt.Errorf("over %d bytes", maxWakeUpBytes)
	}
	var w *wire
	err := json.Unmarshal([]byte(text), &w)
	// The decoder's own words may quote the text; its place and kind do not.
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case err == nil && w == nil:
		return wire{}, errors.New("null, want an object")
	case err == nil:
		return *w, nil
	case errors.Is(err, jsontext.ErrDuplicateName):
		return wire{}, errors.New("repeated member")
	case errors.As(err, &syntax):
		return wire{}, fmt.Errorf("not JSON at byte %d", syntax.ByteOffset)
	case errors.As(err, &meaning):
		return wire{}, fmt.Errorf("unexpected JSON %s at byte %d", meaning.JSONKind, meaning.ByteOffset)
	default:
		return wire{}, errors.New("not JSON")
	}
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
