package plan

import (
	"fmt"
	"time"
)

// Buckets is the number of hash buckets a source table is divided into. A power
// of two, since only there do Kusto's two readings of a negative hash agree.
const Buckets = 1 << 16

// RowsUnknown stands for a number of rows that is not known.
const RowsUnknown = -1

// Window is the range (From, To] of the watermark column.
type Window struct {
	From time.Time `json:"From"` // exclusive
	To   time.Time `json:"To"`   // inclusive
}

// Empty reports whether no instant lies in the window.
func (w Window) Empty() bool { return !w.To.After(w.From) }

// Part says which rows of the source a slice is cut from.
type Part string

const (
	// PartWindow: rows whose watermark lies in the slice's window.
	PartWindow Part = "window"
	// PartNull: rows without a watermark.
	PartNull Part = "null"
	// PartAll: every row, as a snapshot copies them.
	PartAll Part = "all"
)

// Slice is the unit of one hunting query: a part of the window, a range of hash
// buckets, or both.
type Slice struct {
	No     int    `json:"No"` // unique within the run from 1; a number is never used twice
	Part   Part   `json:"Part"`
	Window Window `json:"Window"` // PartWindow only; (From, To]
	Lo     int    `json:"Lo"`     // hash buckets Lo <= b < Hi of Buckets; 0, Buckets is all of them
	Hi     int    `json:"Hi"`
	Rows   int64  `json:"Rows"` // rows counted; RowsUnknown: not counted, as after a split
}

// Hashed reports whether the slice holds fewer than all buckets.
func (s Slice) Hashed() bool { return s.Lo > 0 || s.Hi < Buckets }

// String names the slice for logs and errors.
func (s Slice) String() string {
	text := fmt.Sprintf("slice %d", s.No)
	if s.Part == PartWindow {
		text += " (" + Stamp(s.Window.From) + ", " + Stamp(s.Window.To) + "]"
	} else {
		text += " " + string(s.Part)
	}
	if s.Hashed() {
		text += fmt.Sprintf(" buckets [%d, %d)", s.Lo, s.Hi)
	}
	return text
}

// Split divides the slice in two that together hold exactly its rows, numbered
// next and next+1. Time is halved down to an hour, since a shorter range costs
// the source less; then buckets, which divide evenly; then time down to one
// tick. A slice of one bucket and one tick cannot be split.
func (s Slice) Split(next int) (a, b Slice, ok bool) {
	a, b = s, s
	a.No, b.No = next, next+1
	a.Rows, b.Rows = -1, -1
	span := s.Window.To.Sub(s.Window.From)
	wide := s.Window.To.After(s.Window.From.Add(time.Hour))
	switch {
	case s.Part == PartWindow && wide && !s.Hashed(), s.Part == PartWindow && s.Hi-s.Lo < 2 && span > Tick:
		half := middle(s.Window)
		a.Window.To, b.Window.From = half, half
	case s.Hi-s.Lo >= 2:
		half := s.Lo + (s.Hi-s.Lo)/2
		a.Hi, b.Lo = half, half
	default:
		return Slice{}, Slice{}, false
	}
	return a, b, true
}

// SplitAt divides a slice of the window in two at an instant that lies inside it
// and belongs to the older part; numbered and uncounted as by Split.
func (s Slice) SplitAt(at time.Time, next int) (a, b Slice, ok bool) {
	at = Ticks(at)
	if s.Part != PartWindow || !at.After(s.Window.From) || !at.Before(s.Window.To) {
		return Slice{}, Slice{}, false
	}
	a, b = s, s
	a.No, b.No = next, next+1
	a.Rows, b.Rows = -1, -1
	a.Window.To, b.Window.From = at, at
	return a, b, true
}

// middle returns an instant strictly inside w on a tick. Durations of Go end at
// 292 years, so the halving goes by seconds and ticks.
func middle(w Window) time.Time {
	from, to := ticksOf(w.From), ticksOf(w.To)
	return timeOf(from + (to-from)/2)
}

// ticksOf counts ticks since year 1, as Kusto does; it fits 63 bits to 9999.
func ticksOf(t time.Time) int64 {
	t = t.UTC()
	return (t.Unix()-yearOne)*1e7 + int64(t.Nanosecond())/100
}

func timeOf(ticks int64) time.Time {
	return time.Unix(yearOne+ticks/1e7, ticks%1e7*100).UTC()
}

var yearOne = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
