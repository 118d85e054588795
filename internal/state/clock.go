package state

import "time"

// clock reads two clocks, because each alone can be held back: the wall clock by
// being set back, the monotonic one by a suspended machine, during which Linux
// stops it. A process stopped by a signal holds back neither.
type clock struct {
	wall func() time.Time
	mono func() time.Duration
}

func newClock(wall func() time.Time) clock {
	if wall == nil {
		wall = time.Now
	}
	origin := time.Now()
	return clock{wall: wall, mono: func() time.Duration { return time.Since(origin) }}
}

// reading is one look at both clocks.
type reading struct {
	wall time.Time // UTC, without monotonic part
	mono time.Duration
}

func (c clock) read() reading {
	return reading{wall: c.wall().UTC().Round(0), mono: c.mono()}
}

// since returns the longer of the two times that the clocks say have passed.
func (r reading) since(earlier reading) time.Duration {
	return max(r.wall.Sub(earlier.wall), r.mono-earlier.mono)
}
