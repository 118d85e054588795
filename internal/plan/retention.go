package plan

import (
	"fmt"
	"strings"
	"time"
)

const (
	// minRetention keeps a typing mistake from emptying a table; readers of a day's rows
	// need them for a day.
	minRetention = 24 * time.Hour
	// maxRetention is the longest that ADX takes. Source: Kusto retention policy,
	// SoftDeletePeriod of 100 years by default.
	maxRetention = 36500 * 24 * time.Hour
)

// ParseRetention reads the configuration's column: nothing leaves the table's policy
// as it is, which is 0; else how long rows stay, as ParseDuration reads it.
func ParseRetention(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	d, err := ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("Retention: %w, or nothing to leave it as it is, got %q", err, clip(text, 80))
	}
	if d < minRetention || d > maxRetention {
		return 0, fmt.Errorf("Retention: want a day or more and at most 36500 days, got %q", clip(text, 80))
	}
	return d, nil
}
