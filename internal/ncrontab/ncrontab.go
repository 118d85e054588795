// Package ncrontab reads timer schedules as the Functions host does: what NCrontab
// takes and what it refuses, and the time spans that the host takes beside it.
//
// A schedule that the host refuses does not stop it: it runs on without the timer,
// and nothing ever ticks. So whoever sets a schedule must hear of it here first. The
// surprising readings are kept on purpose; they were seen on host 4.1037 with
// NCrontab 3.3.2 and 3.4.0.
package ncrontab

import (
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Schedule says when a timer fires, in UTC.
type Schedule struct {
	fields [6]uint64 // second minute hour day month weekday: one bit a value
	span   bool
	every  time.Duration // between two firings of a time span; may be zero or negative
}

// field is what one of the six fields may hold.
type field struct {
	name     string
	min, max int
	names    []string // from min on; a prefix of one is enough, whatever the case
}

var fields = [6]field{
	{"second", 0, 59, nil},
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day", 1, 31, nil},
	{"month", 1, 12, []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}},
	{"weekday", 0, 6, []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}},
}

// Parse reads six fields (second minute hour day month weekday), five (from the
// minute on, at second 0), or a time span such as 00:05:00. Fields are separated by
// blanks, no other white space.
func Parse(text string) (Schedule, error) {
	s, err := parseFields(text)
	if err == nil {
		return s, nil
	}
	if every, ok := parseSpan(strings.TrimSpace(text)); ok {
		return Schedule{span: true, every: every}, nil
	}
	return Schedule{}, err
}

func parseFields(text string) (Schedule, error) {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' })
	s := Schedule{}
	first := 6 - len(parts)
	switch len(parts) {
	case 6:
	case 5:
		s.fields[0] = 1
	default:
		return s, fmt.Errorf("want six cron fields (second minute hour day month weekday), separated by blanks, got %d in %q", len(parts), text)
	}
	for i, part := range parts {
		f := fields[first+i]
		set, err := f.parse(part)
		if err != nil {
			return s, fmt.Errorf("%s %q: %w", f.name, part, err)
		}
		s.fields[first+i] = set
	}
	return s, nil
}

// parse reads a list of values, ranges and steps.
func (f field) parse(text string) (uint64, error) {
	if strings.Index(text, ",") > 0 {
		var set uint64
		for part := range strings.SplitSeq(text, ",") {
			more, err := f.parse(part)
			if err != nil {
				return 0, err
			}
			set |= more
		}
		return set, nil
	}
	step := 1
	base, stepped := text, false
	if i := strings.Index(text, "/"); i > 0 {
		after := text[i+1:]
		base, stepped = text[:i], true
		n, err := strconv.Atoi(strings.TrimSpace(after))
		if err != nil {
			return 0, fmt.Errorf("%q is no step", after)
		}
		step = max(n, 1) // a step below one is one
	}
	if base == "*" {
		return stepped64(f.min, f.max, step, f.min), nil
	}
	if i := strings.Index(base, "-"); i > 0 {
		from, err := f.value(base[:i])
		if err != nil {
			return 0, err
		}
		to, err := f.value(base[i+1:])
		if err != nil {
			return 0, err
		}
		if from > to {
			from, to = to, from // 5-1 is read as 1-5, and Saturday to Sunday as the whole week
		}
		return stepped64(from, to, step, f.min), nil
	}
	v, err := f.value(base)
	if err != nil {
		return 0, err
	}
	to := v
	if stepped {
		to = f.max
	}
	return stepped64(v, to, step, f.min), nil
}

func stepped64(from, to, step, low int) uint64 {
	var set uint64
	for v := from; v <= to; v += step {
		set |= 1 << (v - low)
	}
	return set
}

// value reads a number without a sign, or a name.
func (f field) value(text string) (int, error) {
	if text == "" {
		return 0, errors.New("a value is missing")
	}
	if text[0] >= '0' && text[0] <= '9' {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return 0, fmt.Errorf("%q is no number", text)
		}
		if n < f.min || n > f.max {
			return 0, fmt.Errorf("%d is not from %d to %d", n, f.min, f.max)
		}
		return n, nil
	}
	for i, name := range f.names {
		if strings.HasPrefix(name, strings.ToLower(text)) {
			return f.min + i, nil
		}
	}
	return 0, fmt.Errorf("%q is not understood by the Functions host", text)
}

// span is .NET's form of a time span: days, or [days.]hours:minutes[:seconds[.fraction]].
var span = regexp.MustCompile(`^(-?)(?:(\d+)|(?:(\d+)\.)?(\d+):(\d+)(?::(\d+)(?:\.(\d{1,7}))?)?)$`)

// maxSpanDays is about the longest time.Duration.
const maxSpanDays = 100_000

// parseSpan reads a time span. Three parts whose first is no hour are days, hours and
// minutes: 24:00:00 is 24 days.
func parseSpan(text string) (time.Duration, bool) {
	m := span.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n := func(i int) time.Duration {
		v, err := strconv.Atoi(m[i])
		if m[i] != "" && (err != nil || v > maxSpanDays) {
			v = maxSpanDays + 1 // out of every range below
		}
		return time.Duration(v)
	}
	days, hours, minutes, seconds := n(2)+n(3), n(4), n(5), n(6)
	if hours > 23 && m[3] == "" && m[6] != "" && m[7] == "" {
		days, hours, minutes, seconds = hours, minutes, seconds, 0
	}
	if days > maxSpanDays || hours > 23 || minutes > 59 || seconds > 59 {
		return 0, false
	}
	ticks, _ := strconv.Atoi((m[7] + "0000000")[:7]) // digits only; of 100 ns
	d := days*24*time.Hour + hours*time.Hour + minutes*time.Minute + seconds*time.Second + time.Duration(ticks)*100
	if m[1] == "-" {
		d = -d
	}
	return d, true
}

// Span tells whether the schedule is a time span rather than fields.
func (s Schedule) Span() bool { return s.span }

// endOfTime is what the host takes for the next occurrence of a schedule that has none.
var endOfTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// calendarYears is after how many years days and weekdays come together as before.
const calendarYears = 400

// Next gives the first occurrence after t, in UTC; the last second of the year 9999 if
// there is none. Day and weekday must both fit. A time span's is t and the span, be
// that later or not.
func (s Schedule) Next(t time.Time) time.Time {
	t = t.UTC()
	if s.span {
		return t.Add(s.every)
	}
	t = t.Truncate(time.Second).Add(time.Second)
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	from := t.Hour()*3600 + t.Minute()*60 + t.Second()
	for last := day.AddDate(calendarYears, 0, 0); day.Before(last) && day.Before(endOfTime); {
		if s.fields[4]&(1<<(day.Month()-1)) == 0 {
			day, from = time.Date(day.Year(), day.Month()+1, 1, 0, 0, 0, 0, time.UTC), 0
			continue
		}
		if s.fields[3]&(1<<(day.Day()-1)) != 0 && s.fields[5]&(1<<day.Weekday()) != 0 {
			if at, ok := s.within(from); ok {
				return day.Add(time.Duration(at) * time.Second)
			}
		}
		day, from = day.AddDate(0, 0, 1), 0
	}
	return endOfTime
}

// within finds the first second of a day that fits, from the given one on.
func (s Schedule) within(from int) (int, bool) {
	for h := from / 3600; h < 24; h++ {
		if s.fields[2]&(1<<h) == 0 {
			continue
		}
		for m := 0; m < 60; m++ {
			if s.fields[1]&(1<<m) == 0 {
				continue
			}
			at := h*3600 + m*60
			set := s.fields[0]
			if at < from {
				if from-at > 59 {
					continue
				}
				set &^= 1<<(from-at) - 1
			}
			if set != 0 {
				return at + bits.TrailingZeros64(set), true
			}
		}
	}
	return 0, false
}

// Warning says what is odd about a schedule that the host takes; empty: nothing.
func (s Schedule) Warning() string {
	switch {
	case s.span && s.every <= 0:
		return "the interval is not longer than zero: the timer fires without a pause"
	case s.span && s.every < time.Minute, !s.span && bits.OnesCount64(s.fields[0]) > 1:
		return "fires more than once a minute"
	case s.span:
		return "a time span works on a Premium or Dedicated plan only: write six cron fields"
	case s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Equal(endOfTime):
		return "never fires: no such day exists"
	}
	return ""
}
