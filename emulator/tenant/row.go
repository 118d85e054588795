package tenant

import (
	"strconv"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// row is the story of one generated row: who, where, with what, when. Columns only
// write it down, so that they agree with each other.
type row struct {
	w     *world
	i     int
	state uint64

	arrived, at engine.Datetime
	decimals    int // of Timestamp

	dev, peer          *device
	user, other        *person
	proc, ini, parent  *program
	sw                 *software
	cve, config, thing int // numbers of a CVE, a configuration, and whatever else the table lists
}

// maker appends a column's JSON value.
type maker func(b []byte, x *row) []byte

func (x *row) next() uint64 {
	x.state += 0x9e3779b97f4a7c15
	return mix(x.state)
}

// below gives a number from 0 to n-1.
func (x *row) below(n int) int { return int(x.next() >> 1 % uint64(n)) }

// once is true once in n times.
func (x *row) once(n int) bool { return x.below(n) == 0 }

const (
	tickSecond = engine.Datetime(time.Second / 100)
	tickMinute = 60 * tickSecond
	tickHour   = 60 * tickMinute
	tickDay    = 24 * tickHour
)

// begin picks the row's actors and the time of its event from that of its arrival:
// mostly within minutes, often at the same instant as its neighbours, sometimes
// weeks before, because the device was offline.
func (x *row) begin(arrived engine.Datetime) {
	w := x.w
	x.arrived = arrived
	switch r := x.below(400); {
	case r < 3:
		x.at = arrived - tickHour - engine.Datetime(x.next()>>1%uint64(25*tickDay))
	case r < 100:
		x.at = arrived - tickSecond - engine.Datetime(mix(uint64(arrived))%uint64(3*tickMinute))
	default:
		x.at = arrived - tickSecond - engine.Datetime(x.next()>>1%uint64(12*tickMinute))
	}
	x.decimals = 7
	if x.once(4) {
		x.decimals = x.below(8)
	}
	x.dev = &w.devices[x.below(len(w.devices))]
	x.peer = &w.devices[x.below(len(w.devices))]
	x.user = &w.people[x.dev.owner]
	if x.once(6) {
		x.user = &w.people[x.below(len(w.people))]
	}
	x.other = &w.people[x.below(len(w.people))]
	x.proc = &w.programs[x.below(len(w.programs))]
	x.ini = &w.programs[x.below(len(w.programs))]
	x.parent = &w.programs[x.below(len(w.programs))]
	x.sw = &w.software[x.below(len(w.software))]
	x.cve, x.config, x.thing = x.below(640), x.below(120), x.i
}

// stamp appends a point in time with the given number of decimals, quoted.
func stampText(b []byte, at engine.Datetime, decimals int) []byte {
	t := at.Time()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(b, '"', byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-')
	b = append(two(b, int(month)), '-')
	b = append(two(b, day), 'T')
	b = append(two(b, hour), ':')
	b = append(two(b, minute), ':')
	b = two(b, second)
	if decimals > 0 {
		b = append(b, '.')
		unit := int64(tickSecond) / 10
		for f := int64(at % tickSecond); decimals > 0; decimals-- {
			b = append(b, byte('0'+f/unit%10))
			unit /= 10
		}
	}
	return append(b, 'Z', '"')
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// before appends a time up to days earlier than the event.
func before(days int) maker {
	return func(b []byte, x *row) []byte {
		return stampText(b, x.at-engine.Datetime(x.next()>>1%uint64(engine.Datetime(days)*tickDay)), 7)
	}
}

const hexDigits = "0123456789abcdef"

// appendHex appends n hexadecimal digits, at most 16 from one seed and then more.
func appendHex(b []byte, n int, seed uint64) []byte {
	for v := mix(seed); n > 0; n-- {
		b = append(b, hexDigits[v&15])
		if v >>= 4; n&15 == 1 {
			seed++
			v = mix(seed)
		}
	}
	return b
}

func hexText(n int, seed uint64) string { return string(appendHex(nil, n, seed)) }

func appendGUID(b []byte, seed uint64) []byte {
	var h [32]byte
	d := appendHex(h[:0], 32, seed)
	d[12], d[16] = '4', "89ab"[d[16]&3]
	b = append(append(b, d[:8]...), '-')
	b = append(append(b, d[8:12]...), '-')
	b = append(append(b, d[12:16]...), '-')
	b = append(append(b, d[16:20]...), '-')
	return append(b, d[20:]...)
}

func quoted(b []byte, s string) []byte { return engine.FormatJSON(b, engine.TypeString, s) }

func quotedGUID(b []byte, seed uint64) []byte {
	return append(appendGUID(append(b, '"'), seed), '"')
}

func number(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

// text picks one of the texts each time.
func text(choices ...string) maker {
	ready := make([]string, len(choices))
	for i, s := range choices {
		ready[i] = string(quoted(nil, s))
	}
	return func(b []byte, x *row) []byte { return append(b, ready[x.below(len(ready))]...) }
}

// raw picks one of the JSON values each time.
func raw(choices ...string) maker {
	return func(b []byte, x *row) []byte { return append(b, choices[x.below(len(choices))]...) }
}

// sparse leaves the value out two times in three: null, or empty for a text.
func sparse(mk maker) maker {
	return func(b []byte, x *row) []byte {
		switch x.below(6) {
		case 0, 1, 2:
			return append(b, `""`...)
		case 3:
			return append(b, "null"...)
		}
		return mk(b, x)
	}
}

func upTo(n int) maker { return func(b []byte, x *row) []byte { return number(b, x.below(n)) } }

func guid(b []byte, x *row) []byte { return quotedGUID(b, x.next()) }

func hex(n int) maker {
	return func(b []byte, x *row) []byte {
		return append(appendHex(append(b, '"'), n, x.next()), '"')
	}
}

// large appends a whole number that is beyond 2^53 once in 40 times.
func large(n int) maker {
	return func(b []byte, x *row) []byte {
		if x.once(40) {
			return strconv.AppendUint(b, 1<<53+x.next()>>3|1, 10)
		}
		return number(b, x.below(n))
	}
}

// nested wraps an object's text into a JSON string, as most AdditionalFields are.
func nested(mk maker) maker {
	return func(b []byte, x *row) []byte {
		var inner [512]byte
		return quoted(b, string(mk(inner[:0], x)))
	}
}

// publicAddress appends an address of the ranges for documentation (RFC 5737, RFC
// 3849).
func publicAddress(b []byte, n int) []byte {
	if n%11 == 0 {
		b = append(b, "2001:db8:"...)
		return append(appendHex(append(b, '1'), 3, uint64(n)), "::7"...)
	}
	b = append(b, [...]string{"192.0.2.", "198.51.100.", "203.0.113."}[n%3]...)
	return number(b, 1+n/3%253)
}

func address(b []byte, x *row) []byte {
	return append(publicAddress(append(b, '"'), x.below(750)), '"')
}
