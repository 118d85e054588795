package hunting

import (
	"fmt"
	"sync"
	"time"
)

// quota keeps one API's calls of the last minute and hour, and the CPU time of the
// current quarter of an hour.
type quota struct {
	mu     sync.Mutex
	minute []time.Time // calls in the window, oldest first
	hour   []time.Time
	cycle  time.Time // start of the quarter that used belongs to
	used   time.Duration
}

// cpuCycle is how long an exhausted CPU budget lasts at most. Source: Graph
// security API overview.
const cpuCycle = 15 * time.Minute

// admit counts a call, or says why it may not be made. A refused call is not
// counted.
func (q *quota) admit(l Limits, now time.Time) *refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.minute = within(q.minute, now.Add(-l.Minute))
	q.hour = within(q.hour, now.Add(-l.Hour))
	switch {
	case l.CallsPerHour > 0 && len(q.hour) >= l.CallsPerHour:
		return tooManyCalls(l.CallsPerHour, l.Hour, q.hour[0].Add(l.Hour).Sub(now))
	case l.CallsPerMinute > 0 && len(q.minute) >= l.CallsPerMinute:
		return tooManyCalls(l.CallsPerMinute, l.Minute, q.minute[0].Add(l.Minute).Sub(now))
	}
	if l.CPU > 0 && q.turn(now) >= l.CPU {
		return outOfCPU(q.cycle.Add(cpuCycle).Sub(now))
	}
	if l.CallsPerMinute > 0 {
		q.minute = append(q.minute, now)
	}
	if l.CallsPerHour > 0 {
		q.hour = append(q.hour, now)
	}
	return nil
}

// spend takes CPU time from the budget.
func (q *quota) spend(cost time.Duration, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn(now)
	q.used += cost
}

// turn begins a new cycle if the last one is over, and gives what is used up.
func (q *quota) turn(now time.Time) time.Duration {
	if cycle := now.UTC().Truncate(cpuCycle); !cycle.Equal(q.cycle) {
		q.cycle, q.used = cycle, 0
	}
	return q.used
}

// within drops what happened at start or before.
func within(calls []time.Time, start time.Time) []time.Time {
	n := 0
	for n < len(calls) && !calls[n].After(start) {
		n++
	}
	return calls[n:]
}

// clockText writes a duration as hh:mm:ss, rounded up.
func clockText(d time.Duration) string {
	s := seconds(d)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// seconds rounds up to at least one second.
func seconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }
