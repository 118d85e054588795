package defender

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// record is one row of a counting answer. Values are read as tolerantly as the
// services write them: names in another letter case, numbers and instants as
// text, null or absent for nothing.
type record map[string]json.RawMessage

// parseRecords reads newline-delimited rows.
func parseRecords(lines []byte) ([]record, error) {
	var all []record
	for line := range bytes.Lines(lines) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("row %d is not readable", len(all)+1)
		}
		all = append(all, r)
	}
	return all, nil
}

// text returns a value without quotes; "" for null, for the {} that Graph writes in
// its place, and for absent. A name that matches exactly goes before one that differs in letter case.
func (r record) text(name string) string {
	raw, ok := r[name]
	if !ok {
		for other, value := range r {
			if strings.EqualFold(other, name) {
				raw = value
			}
		}
	}
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "{}" {
		return ""
	}
	var s string
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// count returns a row count; one that is missing is an error.
func (r record) count(name string) (int64, error) {
	n, ok, err := r.number(name)
	if err == nil && (!ok || n < 0) {
		err = fmt.Errorf("%s: want a count, got %q", name, clip(r.text(name), 40))
	}
	return n, err
}

// number returns an integer; false for null and absent.
func (r record) number(name string) (int64, bool, error) {
	text := r.text(name)
	if text == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%s: want an integer, got %q", name, clip(text, 40))
	}
	return n, true, nil
}

// instant returns an instant on the tick; the zero time for null and absent.
func (r record) instant(name string) (time.Time, error) {
	text := r.text(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := plan.ParseStamp(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// clip makes a foreign text fit for an error: one line of at most n bytes, without
// secrets.
func clip(text string, n int) string { return answer.Quote(text, n) }
