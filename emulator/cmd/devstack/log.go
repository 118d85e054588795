package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/defender2adx/defender2adx/internal/prose"
)

// readable is a line of the handler's log for a terminal of so many columns: the time
// (UTC), the message and what stands beside it, in that order. A warning or an error is
// folded, anything else is cut. Without a terminal, width 0, a line stays as it is, and
// so does one that is no record.
func readable(line string, width int) string {
	var r struct{ Time, Level, Msg string }
	if width == 0 || json.Unmarshal([]byte(line), &r) != nil || len(r.Time) < len("2006-01-02T15:04:05") {
		return line
	}
	var b strings.Builder
	b.WriteString(r.Time[len("2006-01-02T"):len("2006-01-02T15:04:05")])
	if r.Level != "INFO" {
		b.WriteString(" " + r.Level)
	}
	b.WriteString(" " + r.Msg)
	dec := json.NewDecoder(strings.NewReader(line))
	if _, err := dec.Token(); err != nil { // the opening brace
		return line
	}
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			return line
		}
		switch key {
		case "time", "level", "msg", "function", "invocation_id", "trigger":
			continue
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(bytes.TrimSpace(value))
		}
		fmt.Fprintf(&b, " %s=%s", key, text)
	}
	if r.Level == "INFO" {
		return cut(b.String(), width)
	}
	return prose.Folded(b.String(), width, "  ")
}
