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
	// longestWait bounds what is believed.
	longestWait = 24 * time.Hour
)

// retryAt returns when a throttled call may be repeated: as the header says,
// else as the message says, else at the next cycle if the tenant's processor
// time is used up, else in about a minute. Always after now, at most a day.
func retryAt(header http.Header, message string, now time.Time) time.Time {
	sent := now // by the service's clock, which a date is of
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		sent = date
	}
	wait, ok := headerWait(header.Get("Retry-After"), sent)
	if !ok {
		wait, ok = messageWait(message)
	}
	if !ok {
		text := strings.ToLower(message)
		if strings.Contains(text, "processing resources") || strings.Contains(text, "cpu") {
			wait = now.Truncate(cycle).Add(cycle).Sub(now)
		} else {
			wait = defaultWait + rand.N(defaultJitter)
		}
	}
	return now.Add(min(max(wait, time.Second), longestWait))
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

// How messages state a wait, best first: "again in 00:12:34", "in 8 seconds",
// "30 seconds"; and, as the window of the quota, "1500 per 01:00:00".
var (
	waitSpan  = regexp.MustCompile(`(?i)\bin (?:(\d{1,3})\.)?(\d{1,3}):(\d{2}):(\d{2})`)
	waitUnits = regexp.MustCompile(`(?i)\b(\d{1,6}) ?(second|sec|minute|min|hour)s?\b`)
	quotaSpan = regexp.MustCompile(`(?i)\bper (?:(\d{1,3})\.)?(\d{1,3}):(\d{2}):(\d{2})`)
)

// messageWait reads the wait that a message states.
func messageWait(message string) (time.Duration, bool) {
	if m := waitSpan.FindStringSubmatch(message); m != nil {
		return span(m), true
	}
	if m := waitUnits.FindStringSubmatch(message); m != nil {
		unit := time.Second
		switch strings.ToLower(m[2])[0] {
		case 'm':
			unit = time.Minute
		case 'h':
			unit = time.Hour
		}
		return min(time.Duration(number(m[1]))*unit, longestWait), true
	}
	if m := quotaSpan.FindStringSubmatch(message); m != nil {
		return span(m), true
	}
	return 0, false
}

// span reads [d.]hh:mm:ss out of a match.
func span(m []string) time.Duration {
	return time.Duration(number(m[1]))*24*time.Hour + time.Duration(number(m[2]))*time.Hour +
		time.Duration(number(m[3]))*time.Minute + time.Duration(number(m[4]))*time.Second
}

// number reads digits that a pattern has found; none are 0.
func number(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
