package plan

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// The bounds of trying again.
const (
	// MaxSends is how often one blob is handed, under one number, to a service that
	// keeps losing or refusing it.
	MaxSends = 6
	// MaxVoids is under how many numbers beyond the first a blob is sent of which
	// only a part arrives.
	MaxVoids = 3
	// MaxCopies is how often a slice that the service took in more than once is
	// hidden and sent under a new number; after that its copies are reported.
	MaxCopies = 2
)

// The slice's life. The methods below are the only writers of LedgerSlice.State.
// Each returns an error of kind Permanent for a step that the drawing does not
// have, "internal error: ...", and leaves the ledger as it was. None of them
// stores anything: the caller writes the ledger before the effect that the new
// state promises.
//
//	                     counted 0 / received 0: Verify
//	        +-------------------------------------------------------+
//	        |                                                       v
//	planned(n) --Freeze, then sent--> committing --Verify: landed >= sent--> verified ---> run ends
//	  |   ^  \                          |  ^  |                       |
//	  |   |   \ Divide: too large, cut, |  |  | Condemn: fewer, nulls, | Condemn: the final check found fewer
//	  |   |    \ 5xx; Repack: other     |  |  | copies, blob gone      | or copies. Reread: the balance found more at
//	  |   |     \ width learned         |  +--+ Resend: never queued,  | the source, or a row in two parts of a division
//	  |   |      v                      |       failed for good, or    |
//	  |   |    retired                  |       grace passed and       |
//	  |   |      \                      |       something later came   |
//	  |   |       v                     v                              v
//	  |   |    2..n planned          voiding <-------------------------+
//	  |   |                             |  the ledger says so, then the control table hides it
//	  |   |                             v
//	  |   +-- planned(-1) <--------- void: Replace --> committing under a new number: the same blob, or one with large rows cut
//	  |              blob gone, or Reread
//	  +-- TakeCounts: planned(-1) -> planned(n), many in one call
//
// A committing slice with Sends 0 was promised and surely never sent: it is sent at
// once. One whose ingestion is known to have succeeded and is not to be seen stays
// committing and is never sent again. Recut makes Replace send a rewritten blob.
//
// Rows unknown, of kinds of sources that cannot be counted before they are read (lists
// and file exports, schema.Kind.RowsUnknown): planned(-1) is not counted and not
// divided, and goes the same way.
//
//	planned(-1) --Freeze: a list, whose blob was counted as it was read--> committing(n), as above
//	planned(-1) --Freeze: a file, which nobody has read----------------> committing(-1)
//	committing(-1) --Verify(rows): its status says succeeded, or SeenTwice--> verified(rows)
//	planned(-1) --Verify(0): the list was empty-------------------------> verified(0)
//	planned(-1) --DivideList: too long to be read at one go-------------> retired, and planned(-1) for each part
//
// From Verify on a file has the rows seen, by which the final check judges it. Replace
// forgets them, since they may have been too few.
//
// Left room for, and not built:
//   - a successor hidden until it is whole: void beside verified from the start, and
//     one append that turns both.

// Freeze records that a planned slice's rows are frozen in blob and that only this
// blob may be sent for it: planned -> committing. The caller settled the blob's rows
// by counting, so they are the slice's count from here on; a file's are RowsUnknown. cut is the number of
// rows that were cut to size; now is the first send, by our clock.
func (l *Ledger) Freeze(no int, blob Blob, cut int64, now time.Time) error {
	s, err := l.step("freeze", no, Planned)
	switch {
	case err != nil:
		return err
	case s.Rows < 0 && !l.rowsUnknown():
		return illegal("freeze slice %d, which was not counted", no)
	case blob.Path == "" || blob.Rows <= 0 && !(blob.Rows == RowsUnknown && l.Table.Kind() == schema.Files):
		return illegal("freeze slice %d without a blob or without rows", no)
	}
	l.settle(s, blob.Rows)
	s.State, s.Blob, s.Cut = Committing, blob, cut
	l.promise(s, now)
	return nil
}

// Verify records that rows of the slice were seen in ADX, at least those frozen:
// committing -> verified. Copies beyond them are not the slice's rows. A planned
// slice without rows needs no blob: planned -> verified with 0. A file's rows are
// those seen, by which it is judged from here on: the caller knows from its status, or
// from SeenTwice, that they are all.
func (l *Ledger) Verify(no int, rows int64) error {
	s, err := l.step("verify", no, Planned, Committing)
	switch {
	case err != nil:
		return err
	case s.State == Planned && (rows != 0 || s.Rows < 0 && !l.rowsUnknown()):
		return illegal("verify slice %d with %d rows, which was not frozen", no, rows)
	case rows < 0:
		return illegal("verify slice %d with %d rows", no, rows)
	case rows < s.Blob.Rows:
		return illegal("verify slice %d with %d rows of %d", no, rows, s.Blob.Rows)
	}
	switch {
	case s.State == Planned:
		l.settle(s, 0)
	case s.Blob.Rows == RowsUnknown:
		s.Blob.Rows, s.Glimpse = rows, Glimpse{}
		l.settle(s, rows)
	}
	s.State, s.Landed, s.LastTry = Verified, s.Blob.Rows, false
	return nil
}

// SeenTwice records that ADX holds so many rows of a committing file, now by our
// clock, and reports whether it held as many, and some, a grace or longer ago: that
// is what verifies a file of whose ingestion no status can be had.
func (l *Ledger) SeenTwice(no int, rows int64, now time.Time, grace time.Duration) (bool, error) {
	s, err := l.step("look at", no, Committing)
	switch {
	case err != nil:
		return false, err
	case s.Blob.Rows != RowsUnknown:
		return false, illegal("look twice at slice %d, whose rows are known", no)
	case s.Glimpse.At.IsZero() || s.Glimpse.Rows != rows || s.Glimpse.At.After(now):
		s.Glimpse = Glimpse{Rows: rows, At: now}
		return false, nil
	}
	return rows > 0 && now.Sub(s.Glimpse.At) >= grace, nil
}

// rowsUnknown: the slices cannot be counted before they are read.
func (l *Ledger) rowsUnknown() bool { return l.Table.Kind().RowsUnknown() }

// Divide divides a planned slice in two that are to be counted: planned -> retired,
// and two planned(-1). ok is false, and nothing is changed, where it cannot be
// divided further, as a list or file never can.
func (l *Ledger) Divide(no int) (a, b Slice, ok bool, err error) {
	s, err := l.step("divide", no, Planned)
	if err != nil {
		return a, b, false, err
	}
	if l.rowsUnknown() {
		return a, b, false, nil
	}
	a, b, ok = s.Split(l.Next)
	if ok {
		l.replaceByParts(s, a, b)
	}
	return a, b, ok, nil
}

// DivideAt is Divide at an instant, which goes to the older part. ok is false where
// the instant does not lie inside the slice's window.
func (l *Ledger) DivideAt(no int, at time.Time) (a, b Slice, ok bool, err error) {
	s, err := l.step("divide", no, Planned)
	if err != nil {
		return a, b, false, err
	}
	a, b, ok = s.SplitAt(at, l.Next)
	if ok {
		l.replaceByParts(s, a, b)
	}
	return a, b, ok, nil
}

func (l *Ledger) replaceByParts(s *LedgerSlice, parts ...Slice) {
	parent := s.No
	if s.Rows < 0 {
		parent = s.Parent // its own count is unknown: the parts answer to who it answered to
	}
	s.State = Retired
	for _, p := range parts {
		l.Add(p)
		l.Slices[len(l.Slices)-1].Parent = parent
	}
	l.prune()
}

// DivideCounted divides a planned slice in parts that were counted, which hold exactly
// its range: planned -> retired, and planned parts under fresh numbers.
func (l *Ledger) DivideCounted(no int, parts []Slice) error {
	s, err := l.step("divide", no, Planned)
	if err != nil {
		return err
	}
	var whole, sum sliceRange
	whole.add(s.Slice)
	for _, p := range parts {
		sum.add(p)
	}
	if whole != sum {
		return illegal("divide slice %d into parts that do not hold what it holds", no)
	}
	for i := range parts {
		parts[i].No = l.Next + i
	}
	l.replaceByParts(s, parts...)
	return nil
}

// Repack plans the rows of all planned slices anew: planned -> retired, packed
// planned under fresh numbers. packed must hold exactly what the planned slices
// hold; what has no rows stands there as a slice without rows.
func (l *Ledger) Repack(packed []Slice) error {
	var before, after sliceRange
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Planned {
			before.add(s.Slice)
		}
	}
	for _, s := range packed {
		after.add(s)
	}
	if before != after {
		return illegal("pack run %s again into slices that do not hold what the planned ones hold", l.RunID)
	}
	believed, known := l.expected()
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Planned {
			s.State = Retired
		}
	}
	for _, s := range packed {
		s.No = l.Next
		l.Add(s)
	}
	l.prune()
	if rows, all := l.expected(); known && all {
		l.Account.post(rows-believed, false)
	}
	return nil
}

// Counted is TakeCounts of one slice.
func (l *Ledger) Counted(no int, rows int64) error { return l.TakeCounts(map[int]int64{no: rows}) }

// Resend records that the frozen blob is about to be sent again under the same
// number; now is that instant by our clock.
func (l *Ledger) Resend(no int, now time.Time) error {
	s, err := l.step("send", no, Committing)
	if err != nil {
		return err
	}
	l.promise(s, now) // what was reported of the last send is not of this one
	return nil
}

// maxEarlier is how many earlier sends of a slice are asked for: each tick adds one where
// ADX takes nothing in, and those of long ago have arrived or never will.
const maxEarlier = 2 * MaxSends

// promise records that a slice is about to be sent, now by our clock, under an id that
// no other send has.
func (l *Ledger) promise(s *LedgerSlice, now time.Time) {
	if s.SourceID != "" && s.Blob.Rows == RowsUnknown {
		s.Earlier = append(s.Earlier, s.SourceID)
		s.Earlier = s.Earlier[max(0, len(s.Earlier)-maxEarlier):]
	}
	s.Sends, s.Sent, s.Unanswered = s.Sends+1, now, true
	s.SourceID = uuid.NewSHA1(uuid.Nil, []byte(IngestTag(l.RunID, s.No)+" "+now.UTC().Format(time.RFC3339Nano))).String()
}

// Queued records that the slice's last send was queued, to be reported under the id,
// "" where it is not known.
func (l *Ledger) Queued(no int, sourceID string) error {
	s, err := l.step("take the answer of", no, Committing)
	if err != nil {
		return err
	}
	s.SourceID, s.Unanswered = sourceID, false
	return nil
}

// Unsent records that the last send was refused before anything was queued: the
// slice stays committing, and is sent again at once.
func (l *Ledger) Unsent(no int) error {
	s, err := l.step("take back", no, Committing)
	if err != nil {
		return err
	}
	s.Doubt = s.Doubt || s.Sends > 1 // an earlier one may still arrive
	s.Sends, s.SourceID, s.Unanswered = 0, "", false
	return nil
}

// MayTry reports whether the slice may be tried once more, of which tries were made
// and limit are allowed. At the limit the answer is no once, for the caller to say
// so, and yes the next time: each tick tries once more, since the cause may be
// mended by then.
func (l *Ledger) MayTry(no, tries, limit int) (bool, error) {
	s, err := l.step("try", no, Committing, Verified)
	if err != nil {
		return false, err
	}
	granted := tries < limit || s.LastTry
	s.LastTry = !granted
	return granted, nil
}

// MaySend is MayTry for the slice's blob. Where the answer is no, the next tick tries
// every slice that waits for ADX once more: the cause is hardly one of this slice alone,
// and a blob sent twice under one tag does no harm.
func (l *Ledger) MaySend(no int) (bool, error) {
	s, err := l.step("send", no, Committing)
	if err != nil {
		return false, err
	}
	granted, err := l.MayTry(no, s.Sends, MaxSends)
	if err != nil || granted {
		return granted, err
	}
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Committing {
			s.LastTry = true
		}
	}
	return false, nil
}

// Condemn marks a slice that is to be hidden, with the rows found in ADX:
// committing or verified -> voiding. From here on nobody takes it for verified,
// even if the rest shows later.
func (l *Ledger) Condemn(no int, landed int64) error {
	s, err := l.step("void", no, Committing, Verified)
	switch {
	case err != nil:
		return err
	case s.Blob.Rows == 0 && s.Rows == 0:
		return illegal("void slice %d, which has no rows", no)
	}
	s.State, s.Landed = Voiding, landed
	return nil
}

// Reread condemns all parts of a division, to be hidden and read again together: the
// source may divide its rows otherwise by now, so that a part without rows may have
// some. rows is what is believed of them all: verified -> voiding.
func (l *Ledger) Reread(d Division, rows int64) error {
	for _, p := range d.Parts {
		if _, err := l.step("read again", p.No, Verified); err != nil {
			return err
		}
	}
	for _, p := range d.Parts {
		s := l.Slice(p.No)
		s.State, s.Whole, s.Rows = Voiding, d.No, 0
	}
	l.Slice(d.No).Rows = rows
	return nil
}

// ReadAgain reports whether a slice that is to be hidden is read at the source again,
// with its Division; or alone, where a program that knew none of those has condemned it:
// then the source holds more rows than the blob.
func (s *LedgerSlice) ReadAgain() bool { return s.Whole != 0 || s.Rows > s.Blob.Rows }

// Replace records that the slice is hidden and returns the number under which its
// rows come in: voiding -> void, and committing with the same blob, sent now by our
// clock, or, where the rows are to be read at the source again since the blob is
// gone, planned(-1). A slice without a blob is always read again, and so is
// one of Reread.
func (l *Ledger) Replace(no int, now time.Time, readAgain bool) (successor int, err error) {
	s, err := l.step("replace", no, Voiding)
	if err != nil {
		return 0, err
	}
	s.State = Void
	again := LedgerSlice{Slice: s.Slice, State: Planned, Parent: cmp.Or(s.Whole, no)}
	again.No = l.Next
	if readAgain || s.ReadAgain() || s.Blob.Path == "" {
		again.Rows = -1
	} else {
		again.State, again.Parent = Committing, 0
		again.Blob, again.Cut, again.Voids = s.Blob, s.Cut, s.Voids+1
		again.Rewritten = s.Rewritten
		l.promise(&again, now)
		if s.Recut != nil {
			again.Blob, again.Rewritten = *s.Recut, true
		}
		again.Recut, again.Glimpse = nil, Glimpse{}
		if l.Table.Kind() == schema.Files {
			again.Rows, again.Blob.Rows = RowsUnknown, RowsUnknown
		}
	}
	l.Next++
	l.Slices = append(l.Slices, again)
	return again.No, nil
}

// step returns the slice for a step that is legal in the states given.
func (l *Ledger) step(verb string, no int, from ...SliceState) (*LedgerSlice, error) {
	s := l.Slice(no)
	if s == nil {
		return nil, illegal("%s slice %d, which the run does not have", verb, no)
	}
	if !slices.Contains(from, s.State) {
		return nil, illegal("%s slice %d, which is %s", verb, no, s.State)
	}
	return s, nil
}

func illegal(format string, args ...any) error {
	return fault.As(fault.Permanent, fmt.Errorf("internal error: "+format, args...))
}

// prune drops retired slices, so that a run that is divided again and again keeps a
// small ledger. Pointers to slices do not outlive it: Divide, Repack and TakeCounts
// call it. One stays while a part of it is not counted, and so do its counted siblings.
func (l *Ledger) prune() {
	waiting := map[int]bool{}
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Planned && s.Rows < 0 && s.Parent != 0 {
			waiting[s.Parent] = true
		}
	}
	l.Slices = slices.DeleteFunc(l.Slices, func(s LedgerSlice) bool {
		return s.State == Retired && !waiting[s.No] && !(s.Rows >= 0 && waiting[s.Parent])
	})
}

// sliceRange measures what slices cover: ticks times buckets of windows, buckets of the
// other parts. Slices are disjoint, so what differs tells a loss.
type sliceRange struct {
	hi, lo     uint64 // 128 bits: the ticks to year 9999 take 62, buckets 16
	nulls, all int
}

func (r *sliceRange) add(s Slice) {
	switch s.Part {
	case PartNull:
		r.nulls += s.Hi - s.Lo
	case PartAll:
		r.all += s.Hi - s.Lo
	default:
		hi, lo := bits.Mul64(uint64(max(0, ticksOf(s.Window.To)-ticksOf(s.Window.From))), uint64(s.Hi-s.Lo))
		var carry uint64
		r.lo, carry = bits.Add64(r.lo, lo, 0)
		r.hi, _ = bits.Add64(r.hi, hi, carry)
	}
}
