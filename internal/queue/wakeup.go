// Package queue holds the wake-up, the message that asks for one table to be
// migrated, and sends it.
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
)

// What made somebody send a wake-up.
const (
	// Scheduled comes from the timer. It may be dropped while another worker holds
	// the table: that worker or the next tick does the work.
	Scheduled = "scheduled"
	// Manual comes from a person, who waits for it. It is put off, never dropped.
	Manual = "manual"
	// Forced is Manual for a table that is switched off.
	Forced = "forced"
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

// WakeUp asks for one table to be migrated. Its member names keep clear of the
// metadata of a queue trigger (id, dequeueCount, sys, ...), which the host
// replaces by members of the same name.
type WakeUp struct {
	Instance string `json:"instance"`       // "" is the default instance
	Table    string `json:"table"`          // source table, spelled as in the configuration
	Trigger  string `json:"trigger"`        // Scheduled, Manual or Forced
	Again    int    `json:"again,omitzero"` // times put off because another worker held the table
}

// Validate says what keeps w from being sent.
func (w WakeUp) Validate() error {
	switch {
	case w.Table == "":
		return errors.New("no table")
	case len(w.Table) > maxNameBytes:
		return fmt.Errorf("table name of %d bytes, over %d", len(w.Table), maxNameBytes)
	case len(w.Instance) > maxNameBytes:
		return fmt.Errorf("instance name of %d bytes, over %d", len(w.Instance), maxNameBytes)
	case !utf8.ValidString(w.Table) || !utf8.ValidString(w.Instance):
		return errors.New("name is not UTF-8")
	case w.Trigger != Scheduled && w.Trigger != Manual && w.Trigger != Forced:
		return fmt.Errorf("trigger %q, want %s, %s or %s", shown(w.Trigger), Scheduled, Manual, Forced)
	case w.Again < 0:
		return fmt.Errorf("put off %d times", w.Again)
	}
	return nil
}

// Text returns w as the text of a message.
func (w WakeUp) Text() (string, error) {
	if err := w.Validate(); err != nil {
		return "", fmt.Errorf("write wake-up: %w", err)
	}
	text, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("write wake-up for table %q: %w", w.Table, err)
	}
	return string(text), nil
}

// ParseWakeUp reads the text of a message. It is strict, for a message that is
// not exactly a wake-up was not sent by us: unknown, repeated and differently
// spelled members are refused. No repetition makes such a text a wake-up, so an
// error is final. It quotes the first characters of the text only.
func ParseWakeUp(text string) (WakeUp, error) {
	w, err := parse(text)
	if err == nil {
		err = w.Validate()
	}
	if err != nil {
		return WakeUp{}, fmt.Errorf("read wake-up (%d bytes beginning %q): %w", len(text), shown(text), err)
	}
	return w, nil
}

func parse(text string) (WakeUp, error) {
	if len(text) > maxWakeUpBytes {
		return WakeUp{}, fmt.Errorf("over %d bytes", maxWakeUpBytes)
	}
	var w *WakeUp
	err := json.Unmarshal([]byte(text), &w, json.RejectUnknownMembers(true))
	// The decoder's own words may quote the text; its place and kind do not.
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case err == nil && w == nil:
		return WakeUp{}, errors.New("null, want an object")
	case err == nil:
		return *w, nil
	case errors.Is(err, json.ErrUnknownName):
		return WakeUp{}, errors.New("unknown member, want instance, table, trigger and again")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return WakeUp{}, errors.New("repeated member")
	case errors.As(err, &syntax):
		return WakeUp{}, fmt.Errorf("not JSON at byte %d", syntax.ByteOffset)
	case errors.As(err, &meaning):
		return WakeUp{}, fmt.Errorf("unexpected JSON %s at byte %d", meaning.JSONKind, meaning.ByteOffset)
	default:
		return WakeUp{}, errors.New("not JSON")
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
