package quota

import (
	"slices"
	"time"
)

// agingAfter is how many minutes a caller that is not urgent waits before it counts
// as one: snapshots without end must not keep events waiting until Defender holds
// them no longer. With sixty tables in line it costs the urgent ones a sixth.
const agingAfter = 10

// maxPlaces bounds the blob; a tenant has about a hundred tables.
const maxPlaces = 256

// rules decide who gets the next slot.
//
// A slot is reserved some time before it is due. Whoever finds none within reach
// gets a place in a line and comes back at its time: one caller for each slot,
// those with priority first, so that nobody is asked in vain and nobody who is already
// at work overtakes one who waits. Those may reserve a slot twice as long
// before it is due; so they find one whenever they ask, and where they do not ask
// nothing lies idle.
type rules struct {
	minute rate
	hour   rate // zero window: none
	reach  time.Duration
}

// place is one caller's in the line.
type place struct {
	Who      string    `json:"Who"`
	Priority bool      `json:"Favoured"`
	Since    time.Time `json:"Since"` // when it first asked
	At       time.Time `json:"At"`    // when it may ask again
}

// turn reserves the next slot for who and returns it, or returns the instant at
// which who should ask again.
func (u rules) turn(r *record, now time.Time, who string, urgent bool) (at time.Time, reserved bool) {
	u.mend(r, now)
	slot := u.minute.slot(r.Minute.Next, later(now, r.NotBefore))
	if u.hour.window > 0 {
		slot = u.hour.slot(r.Hour.Next, slot)
	}

	mine := place{Who: who, Since: now}
	i := slices.IndexFunc(r.Line, func(p place) bool { return p.Who == who })
	if i >= 0 {
		mine = r.Line[i]
		r.Line = slices.Delete(r.Line, i, i+1)
	}
	priority := urgent || now.Sub(mine.Since) >= agingAfter*u.minute.window
	behind := u.tail(r.Line, priority)
	if i < 0 || priority != mine.Priority {
		mine.At = behind // a newcomer does not overtake
	}
	mine.Priority = priority
	if mine.At.After(now) && !mine.At.Before(r.NotBefore) {
		u.lineUp(r, mine)
		return mine.At, false
	}
	if r.NotBefore.After(now) || mine.At.After(now) || slot.Sub(now) > u.ahead(mine.Priority) {
		mine.At = u.begin(r, slot, mine.Priority)
		if i < 0 || !mine.Priority {
			mine.At = later(mine.At, behind)
		}
		u.lineUp(r, mine)
		return mine.At, false
	}

	r.Minute.Next = u.minute.take(r.Minute.Next, slot)
	r.Minute.count(slot, u.minute.window)
	if u.hour.window > 0 {
		r.Hour.Next = u.hour.take(r.Hour.Next, slot)
		r.Hour.count(slot, u.hour.window)
	}
	return slot, true
}

// ahead is how long before it is due a slot may be reserved.
func (u rules) ahead(priority bool) time.Duration {
	if priority {
		return u.reach
	}
	return u.reach / 2
}

// begin is the first place of a line: shortly after the slot comes within reach,
// so that a wake-up that is a little late still finds it; after a hold its end.
func (u rules) begin(r *record, slot time.Time, priority bool) time.Time {
	return later(slot.Add(u.reach/4-u.ahead(priority)), r.NotBefore)
}

// tail returns the place behind the last of those that go before a newcomer; the
// zero time when nobody does.
func (u rules) tail(line []place, priority bool) (at time.Time) {
	for _, p := range line {
		if p.Priority || !priority {
			at = later(at, p.At.Add(u.spacing()))
		}
	}
	return at
}

// spacing is the time between two slots under steady load.
func (u rules) spacing() time.Duration { return max(u.minute.interval, u.hour.interval) }

func (u rules) lineUp(r *record, p place) {
	if len(r.Line) < maxPlaces {
		r.Line = append(r.Line, p)
	}
}

// mend leaves out places whose holders did not come, and forgets instants
// further ahead than this program ever writes them: they come from a clock that
// was wrong, and must not stop the tenant.
func (u rules) mend(r *record, now time.Time) {
	if r.Minute.Next.Sub(now) > u.reach+2*u.minute.window {
		r.Minute.Next = time.Time{}
	}
	if r.Hour.Next.Sub(now) > u.reach+2*u.hour.window {
		r.Hour.Next = time.Time{}
	}
	oldest := now.Add(-u.minute.window)
	newest := later(now, r.NotBefore).Add(u.reach + 2*u.minute.window + 2*u.hour.window + maxPlaces*u.spacing())
	var line []place // a copy: the record is tried more than once
	for _, p := range r.Line {
		if !p.At.Before(oldest) && !p.At.After(newest) {
			line = append(line, p)
		}
	}
	r.Line = line
}
