package quota

import "time"

// timing bounds what lies between a slot as reserved and its call: one second by
// which two processes may read the service's clock differently (its Date header
// has whole seconds), and late.
const timing = time.Second + late

// late is how long after its slot a call may still begin. A reservation older
// than that is given up.
const late = 2 * time.Second

// rate spaces slots so that any window holds at most so many calls. It is the
// generic cell rate algorithm: next, which is all there is to remember, is when
// the following slot would be if all were evenly spaced, and a slot may lie
// before next by as much as the tolerance, which is what a burst is.
type rate struct {
	window    time.Duration
	interval  time.Duration // between slots under steady load
	tolerance time.Duration // burst-1 intervals
}

// newRate leaves the share free (0 to below 1) of the calls per window to
// people. Under steady load the rest is spent exactly. Half of the free calls
// (at most a quarter of the others), less what timing may push into a window, is
// allowed as a burst after idle time; so even then the other half stays free. Of
// 45 calls a minute and a share of 0.2: one slot each 1.67 s, 36 a minute, a
// burst of 3, so at most 38 slots in any window and 40 calls after timing. Where
// the free calls cannot absorb timing, the slots lie further apart instead.
//
// Windows below a minute, for tests and demonstrations only, allow a twentieth
// of their length for timing, since real clocks cannot be shortened with them.
func newRate(calls int, window time.Duration, free float64) rate {
	spent := Spent(calls, free)
	spare := calls - spent
	slack := min(timing, window/20)
	pushed := int(ceilDiv(slack*time.Duration(spent), window))
	if pushed > spare {
		return rate{window: window, interval: ceilDiv(window+slack, time.Duration(spent))}
	}
	interval := ceilDiv(window, time.Duration(spent))
	burst := 1 + max(0, min(spare/2, spent/4)-pushed)
	return rate{window, interval, time.Duration(burst-1) * interval}
}

// Spent returns how many of the calls of a window are made under steady load, where the
// share free (0 to below 1) is left to people: at least one.
func Spent(calls int, free float64) int { return max(1, int(float64(calls)*(1-free)+1e-9)) }

func ceilDiv(a, b time.Duration) time.Duration { return (a + b - 1) / b }

// slot returns the first instant, not before now, at which a call conforms.
func (r rate) slot(next, now time.Time) time.Time {
	return later(now, next.Add(-r.tolerance))
}

// take returns what to remember once the slot is reserved.
func (r rate) take(next, slot time.Time) time.Time {
	return later(next, slot).Add(r.interval)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
