package engine

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// datetimeLayouts are the forms besides ISO 8601 that todatetime takes.
func datetimeLayouts() []string {
	return []string{
		time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC,
		"2006/1/2", "2006/1/2 15:04:05", "2006/1/2 15:04",
		"1-2-2006", "1-2-2006 15:04:05", "1/2/2006", "1/2/2006 15:04:05", "1/2/2006 15:04",
		"1/2/2006 3:04:05 PM", "1/2/2006 3:04 PM",
		"2 Jan 2006", "2 Jan 2006 15:04:05", "2 January 2006", "Jan 2, 2006", "January 2, 2006",
		"Jan 2 2006", "2006, 1, 2", "20060102", "2006-1-2", "2006-1-2 15:04:05", "2006-01", "2006",
	}
}

// ParseDatetime reads a datetime as todatetime does. Offsets are converted to
// UTC; a text without one is UTC. Digits beyond the seventh are dropped.
func ParseDatetime(s string) (Datetime, bool) {
	s = strings.TrimSpace(s)
	if d, ok := parseISO(s); ok {
		return d, true
	}
	if s == "" || len(s) > 64 {
		return 0, false
	}
	for _, layout := range datetimeLayouts() {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
			return FromTime(t), true
		}
	}
	return 0, false
}

// parseISO reads yyyy-mm-dd[(T| )hh:mm[:ss[.f]]][Z|(+|-)hh[:]mm].
func parseISO(s string) (Datetime, bool) {
	num := func(from, to int) int {
		n := 0
		for i := from; i < to; i++ {
			if s[i] < '0' || s[i] > '9' {
				return -1
			}
			n = n*10 + int(s[i]-'0')
		}
		return n
	}
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	y, mo, d := num(0, 4), num(5, 7), num(8, 10)
	if y < 1 || mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) {
		return 0, false
	}
	at := dateTicks(y, mo, d)
	if len(s) == 10 {
		return at, true
	}
	rest := 11
	switch {
	case s[10] == 'Z' && len(s) == 11:
		return at, true
	case s[10] != 'T' && s[10] != ' ' && s[10] != 't' || len(s) < 16 || s[13] != ':':
		return 0, false
	}
	h, m := num(rest, rest+2), num(rest+3, rest+5)
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return 0, false
	}
	at += Datetime(Timespan(h)*hour + Timespan(m)*minute)
	rest = 16
	if len(s) > 18 && s[16] == ':' {
		sec := num(17, 19)
		if sec < 0 || sec > 59 {
			return 0, false
		}
		at += Datetime(Timespan(sec) * second)
		rest = 19
		if len(s) > 20 && s[19] == '.' {
			unit := int64(second)
			for rest = 20; rest < len(s) && s[rest] >= '0' && s[rest] <= '9'; rest++ {
				unit /= 10
				at += Datetime(int64(s[rest]-'0') * unit)
			}
		}
	}
	zone := strings.TrimSpace(s[rest:])
	switch {
	case zone == "", zone == "Z", zone == "z":
	case (zone[0] == '+' || zone[0] == '-') && (len(zone) == 6 || len(zone) == 5 || len(zone) == 3):
		digits := strings.Replace(zone[1:], ":", "", 1)
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 {
			return 0, false
		}
		if len(digits) == 2 {
			n *= 100
		}
		off := Datetime(Timespan(n/100)*hour + Timespan(n%100)*minute)
		if zone[0] == '-' {
			off = -off
		}
		at -= off
	default:
		return 0, false
	}
	return at, at >= 0 && at <= maxDatetime
}

func daysIn(y, m int) int { return time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day() }

func dateTicks(y, m, d int) Datetime {
	return FromTime(time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC))
}

// timespanUnit gives the length of a unit as written after a number: 1h, 5min.
func timespanUnit(name string) (Timespan, bool) {
	switch name {
	case "d", "day", "days":
		return day, true
	case "h", "hr", "hrs", "hour", "hours":
		return hour, true
	case "m", "min", "minute", "minutes":
		return minute, true
	case "s", "sec", "second", "seconds":
		return second, true
	case "ms", "milli", "millis", "millisecond", "milliseconds":
		return millisecond, true
	case "micro", "micros", "microsecond", "microseconds":
		return 10 * tick, true
	case "tick", "ticks":
		return tick, true
	}
	return 0, false
}

// ParseTimespan reads "1d", "1.5h", "[-][d.]hh:mm[:ss[.fffffff]]" or a bare number
// of days.
func ParseTimespan(s string) (Timespan, bool) {
	s = strings.TrimSpace(s)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	v, ok := parseClock(s)
	if !ok {
		i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		unit := day
		if i >= 0 {
			if unit, ok = timespanUnit(strings.TrimSpace(s[i:])); !ok {
				return 0, false
			}
			s = s[:i]
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f*float64(unit) > math.MaxInt64 {
			return 0, false
		}
		v = scaled(f, unit)
	}
	if neg {
		v = -v
	}
	return v, true
}

func scaled(f float64, unit Timespan) Timespan { return Timespan(math.Round(f * float64(unit))) }

func parseClock(s string) (Timespan, bool) {
	head, rest, found := strings.Cut(s, ":")
	if !found {
		return 0, false
	}
	var v Timespan
	if d, h, ok := strings.Cut(head, "."); ok {
		n, err := strconv.ParseUint(d, 10, 23)
		if err != nil {
			return 0, false
		}
		v, head = Timespan(n)*day, h
	}
	m, sec, _ := strings.Cut(rest, ":")
	h, err1 := strconv.ParseUint(head, 10, 16)
	mi, err2 := strconv.ParseUint(m, 10, 16)
	if err1 != nil || err2 != nil || h > 24 || mi > 59 {
		return 0, false
	}
	v += Timespan(h)*hour + Timespan(mi)*minute
	if sec != "" {
		f, err := strconv.ParseFloat(sec, 64)
		if err != nil || !(f >= 0 && f < 60) {
			return 0, false
		}
		v += scaled(f, second)
	}
	return v, true
}
