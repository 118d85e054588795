package defender

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultWait follows a 429 that does not say how long, with up to
	// defaultJitter on top. Quotas of calls are by the minute.
	defaultWait   = time.Minute
	defaultJitter = 15 * time.Second
	// cycle is the time after which a tenant's processor time is given anew.
	// Source: Graph security API overview, hunting quotas.
	cycle = 15 * time.Minute
	// longestWait bounds what is believed: no limit that the service documents counts
	// over more than a day.
	longestWait = 24 * time.Hour
)

// retryAt returns when a refused call may be repeated: as the header says, else as
// the message says. A throttled call waits in any case, until the next cycle if the
// tenant's processor time is used up, else about a minute; false: nobody stated a
// wait. The instant is always after now, by a day at most.
func retryAt(header http.Header, message string, now time.Time, throttled bool) (time.Time, bool) {
	sent := now // by the service's clock, which a date is of
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		sent = date
	}
	wait, ok := headerWait(header.Get("Retry-After"), sent)
	if !ok {
		wait, ok = statedWait(message)
	}
	if !ok && throttled {
		wait, ok = throttleWait(message, now), true
	}
	return now.Add(min(max(wait, time.Second), longestWait)), ok
}

// headerWait reads Retry-After of an answer sent at that time: seconds or an HTTP
// date.
func headerWait(value string, sent time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, longestWait.Seconds()) * float64(time.Second)), true
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(sent), true
	}
	return 0, false
}

// How texts spell a duration: 1.02:03:04, PT5M, "an hour", "2 minutes and 5 seconds".
const (
	spanForm     = `(?:\d{1,3}\.)?\d{1,3}:\d{2}:\d{2}`
	isoForm      = `PT?\d[\dDHMST.]*`
	unitForm     = `(?:\d{1,9}(?:\.\d{1,9})? ?|(?:an?|one) )(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\b`
	durationForm = `(` + spanForm + `|` + isoForm + `|` + unitForm + `(?:(?:,| and|, and)? ` + unitForm + `)*)`
)

var (
	// A wait that is told as one: "You can run queries again in 00:12:34", "Please
	// retry after 30 seconds", "wait 5 minutes".
	waitStated = regexp.MustCompile(`(?i)\b(?:(?:again|retr\w+|wait\w*)\b[^.;]{0,60}?\b(?:in|after|for)|wait)\s+(?:about |at least |another |up to )?` + durationForm)
	// In the text of a throttle any duration is a wait, and the window of the quota
	// is one too: "maximum allowed 1500 per 01:00:00".
	waitIn    = regexp.MustCompile(`(?i)\bin ` + durationForm)
	waitUnits = regexp.MustCompile(`(?i)\b(\d{1,6} ?(?:second|sec|minute|min|hour)s?)\b`)
	quotaSpan = regexp.MustCompile(`(?i)\bper (` + spanForm + `)`)

	spanParts = regexp.MustCompile(`^(?:(\d+)\.)?(\d+):(\d+):(\d+)$`)
	unitParts = regexp.MustCompile(`(?i)(?:(\d+(?:\.\d+)?) ?|\b(?:an?|one) )(milli|ms|[smhd])[a-z]*`)

	unitSeconds = map[string]float64{"milli": 0.001, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
)

// statedWait reads the wait that a message names as such.
func statedWait(message string) (time.Duration, bool) {
	if m := waitStated.FindStringSubmatch(message); m != nil {
		return duration(m[1]), true
	}
	return 0, false
}

// throttleWait is the wait after a throttle without a word about when.
func throttleWait(message string, now time.Time) time.Duration {
	for _, form := range []*regexp.Regexp{waitIn, waitUnits, quotaSpan} {
		if m := form.FindStringSubmatch(message); m != nil {
			return duration(m[1])
		}
	}
	text := strings.ToLower(message)
	if strings.Contains(text, "processing resources") || strings.Contains(text, "cpu") {
		return now.Truncate(cycle).Add(cycle).Sub(now)
	}
	return defaultWait + rand.N(defaultJitter)
}

// duration reads a text that durationForm has found; at most longestWait.
func duration(text string) time.Duration {
	if m := spanParts.FindStringSubmatch(text); m != nil {
		return time.Duration(number(m[1]))*24*time.Hour + time.Duration(number(m[2]))*time.Hour +
			time.Duration(number(m[3]))*time.Minute + time.Duration(number(m[4]))*time.Second
	}
	var sum float64 // seconds
	for _, m := range unitParts.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			n = 1 // a, an, one
		}
		sum += n * unitSeconds[strings.ToLower(m[2])]
	}
	return time.Duration(min(sum, longestWait.Seconds()) * float64(time.Second))
}

// number reads digits that a pattern has found; none are 0.
func number(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
