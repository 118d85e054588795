package funchost

import (
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/ncrontab"
)

// schedule is a timer's schedule in UTC.
type schedule struct{ ncrontab.Schedule }

// parseSchedule reads what the real host takes: six fields, five, or a time span.
func parseSchedule(text string) (schedule, error) {
	s, err := ncrontab.Parse(text)
	if err != nil {
		return schedule{}, fmt.Errorf("parse schedule %q: %w", text, err)
	}
	return schedule{s}, nil
}

// next returns the first occurrence after t, in UTC. A time span that is not longer
// than zero comes at once, again and again.
func (s schedule) next(t time.Time) time.Time { return s.Next(t) }

// subMinute tells whether any of the next ten occurrences after t come less than
// a minute apart. The real host keeps no status for such schedules.
func (s schedule) subMinute(t time.Time) bool {
	previous := s.next(t)
	for range 10 {
		next := s.next(previous)
		if next.Equal(previous) && !s.Span() {
			return false // the end of time
		}
		if next.Sub(previous) < time.Minute {
			return true
		}
		previous = next
	}
	return false
}
