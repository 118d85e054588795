package plan

import (
	"errors"
	"regexp"
	"strconv"
	"time"
)

var (
	daysForm  = regexp.MustCompile(`^(\d+)d(.*)$`)
	clockForm = regexp.MustCompile(`^(?:(\d+)\.)?(\d+):([0-5]\d):([0-5]\d)(?:\.(\d{1,7}))?$`)
	isoForm   = regexp.MustCompile(`^P(?:(\d+)W)?(?:(\d+)D)?(T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,9})?)S)?)?$`)
)

// DurationForms is what ParseDuration reads, for whoever must say so.
const DurationForms = "a duration such as 90s, 15m, 30d, 01:30:00, 1.12:00:00 or PT15M"

// ParseDuration reads a duration as an operator may know it: of Go and of Kusto
// (90s, 1h30m, 30d, 1d12h), of Azure's settings and of a Kusto timespan
// (01:30:00, 1.12:00:00), and of ISO 8601 up to weeks (PT15M, P1DT12H). A day has
// 24 hours. A negative one is refused.
func ParseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if m := daysForm.FindStringSubmatch(text); m != nil {
		d, err = sum(part{m[1], 24 * time.Hour})
		if err == nil && m[2] != "" {
			var rest time.Duration
			rest, err = time.ParseDuration(m[2])
			d = plus(d, rest)
		}
	} else if m := clockForm.FindStringSubmatch(text); m != nil {
		d, err = sum(part{m[1], 24 * time.Hour}, part{m[2], time.Hour}, part{m[3], time.Minute}, part{m[4], time.Second})
		if err == nil && m[5] != "" {
			var fraction time.Duration
			fraction, err = time.ParseDuration("0." + m[5] + "s")
			d = plus(d, fraction)
		}
	} else if m := isoForm.FindStringSubmatch(text); m != nil && text != "P" && m[3] != "T" {
		d, err = sum(part{m[1], 7 * 24 * time.Hour}, part{m[2], 24 * time.Hour}, part{m[4], time.Hour}, part{m[5], time.Minute})
		if err == nil && m[6] != "" {
			var seconds time.Duration
			seconds, err = time.ParseDuration(m[6] + "s")
			d = plus(d, seconds)
		}
	}
	if err != nil || d < 0 {
		return 0, errors.New("want " + DurationForms)
	}
	return d, nil
}

// part is a number of units; "" is none.
type part struct {
	number string
	unit   time.Duration
}

// sum adds parts up; -1 where the sum is more than a Duration holds.
func sum(parts ...part) (total time.Duration, err error) {
	for _, p := range parts {
		if p.number == "" {
			continue
		}
		n, err := strconv.ParseInt(p.number, 10, 64)
		if err != nil {
			return 0, err
		}
		if n > int64(maxDuration/p.unit) {
			return -1, nil
		}
		total = plus(total, time.Duration(n)*p.unit)
	}
	return total, nil
}

const maxDuration = time.Duration(1<<63 - 1)

// plus adds two durations; -1 where one is negative or the sum too long.
func plus(a, b time.Duration) time.Duration {
	if a < 0 || b < 0 || a > maxDuration-b {
		return -1
	}
	return a + b
}
