package funchost

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// schedule is a timer's schedule in UTC: either cron fields or a fixed interval.
// The zero schedule never fires.
type schedule struct {
	// cron has six fields: second minute hour day month weekday. days, if set,
	// is a second condition: the real host wants day of month and weekday to
	// match both, where the cron library is satisfied with either.
	cron, days string
	every      time.Duration
}

// cronField admits what the real host's parser knows: numbers, names, lists,
// ranges and steps. The cron library knows more (L, W, #, @daily), which would
// work here and fail in Azure.
var cronField = regexp.MustCompile(`^(?i)(?:(?:\*|\d+|[a-z]{3})(?:-(?:\d+|[a-z]{3}))?(?:/\d+)?)(?:,(?:\*|\d+|[a-z]{3})(?:-(?:\d+|[a-z]{3}))?(?:/\d+)?)*$`)

// parseSchedule reads six cron fields, five (taken to begin with the minute), or
// a time span such as 00:05:00.
func parseSchedule(text string) (schedule, error) {
	if every, err := parseTimeSpan(text); err == nil {
		if every <= 0 {
			return schedule{}, fmt.Errorf("parse schedule %q: the interval is zero", text)
		}
		return schedule{every: every}, nil
	}
	fields := strings.Fields(text)
	if len(fields) == 5 {
		fields = append([]string{"0"}, fields...)
	}
	if len(fields) != 6 {
		return schedule{}, fmt.Errorf("parse schedule %q: want six fields (second minute hour day month weekday), got %d", text, len(fields))
	}
	for _, field := range fields {
		if !cronField.MatchString(field) {
			return schedule{}, fmt.Errorf("parse schedule %q: field %q is not understood by the Functions host", text, field)
		}
	}
	var s schedule
	if fields[3] != "*" && fields[5] != "*" {
		s.days = strings.Join([]string{"*", "*", "*", "*", "*", fields[5]}, " ")
		fields[5] = "*"
	}
	s.cron = strings.Join(fields, " ")
	if !gronx.IsValid(s.cron) || (s.days != "" && !gronx.IsValid(s.days)) {
		return schedule{}, fmt.Errorf("parse schedule %q: a field is out of range", text)
	}
	return s, nil
}

// next returns the first occurrence after t, in UTC.
func (s schedule) next(t time.Time) (time.Time, error) {
	t = t.UTC()
	if s.every > 0 {
		return t.Add(s.every), nil
	}
	checker := gronx.New()
	for limit := t.AddDate(30, 0, 0); t.Before(limit); {
		next, err := gronx.NextTickAfter(s.cron, t, false)
		if err != nil {
			return time.Time{}, fmt.Errorf("find next occurrence of %q: %w", s.cron, err)
		}
		t = next
		if s.days == "" {
			return t, nil
		}
		due, err := checker.IsDue(s.days, t)
		if err != nil || due {
			return t, err
		}
		t = time.Date(t.Year(), t.Month(), t.Day(), 23, 59, 59, 0, time.UTC) // the whole day is wrong
	}
	return time.Time{}, errors.New("find next occurrence: none in thirty years")
}

// subMinute tells whether any of the next ten occurrences after t come less than
// a minute apart. The real host keeps no status for such schedules.
func (s schedule) subMinute(t time.Time) bool {
	previous, err := s.next(t)
	for range 10 {
		if err != nil {
			return false
		}
		var next time.Time
		if next, err = s.next(previous); err == nil && next.Sub(previous) < time.Minute {
			return true
		}
		previous = next
	}
	return false
}
