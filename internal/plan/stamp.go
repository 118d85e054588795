package plan

import (
	"fmt"
	"strings"
	"time"
)

// Tick is the resolution of a Kusto datetime.
const Tick = 100 * time.Nanosecond

// Stamp is how a watermark is written: UTC, seven decimals, Z.
const stampLayout = "2006-01-02T15:04:05.0000000Z"

// Ticks returns t in UTC, cut to whole ticks.
func Ticks(t time.Time) time.Time {
	t = t.UTC()
	return t.Add(-time.Duration(t.Nanosecond() % int(Tick)))
}

// Stamp formats t as LastRefreshedTimeInString holds it, for example
// 2026-01-02T03:04:05.1234567Z.
func Stamp(t time.Time) string { return Ticks(t).Format(stampLayout) }

// ParseStamp reads a watermark as people and Kusto write it: ISO 8601 with 0 to
// 7 decimals (finer ones are cut), T or a blank between date and time, Z, an
// offset or nothing (UTC), or a date alone. Years 1 to 9999.
func ParseStamp(text string) (time.Time, error) {
	s := strings.TrimSpace(text)
	if len(s) > 64 {
		return time.Time{}, fmt.Errorf("parse instant: %d characters are too long", len(s))
	}
	layouts := []string{
		"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07:00",
		"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		t = Ticks(t)
		if t.Year() < 1 || t.Year() > 9999 {
			return time.Time{}, fmt.Errorf("parse instant %q: the year lies outside 1 to 9999", text)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("parse instant %q: want ISO 8601 such as 2026-01-02T03:04:05.1234567Z", text)
}
