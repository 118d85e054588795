package plan

import (
	"fmt"
	"slices"
)

// Division is a range of the source whose rows hash() divided into slices: a stretch
// of time, the rows without a watermark, or all, with every bucket of it. What was not
// divided so is a division of one part.
type Division struct {
	Slice         // No: of its first part; Rows: what its parts hold in ADX together
	Parts []Slice // verified, in the order of the ledger
}

// Overlap counts the rows that ADX holds in parts which share no bucket, though equal
// rows have equal hashes: they were divided by two functions.
type Overlap struct {
	Rows      int64 // all of them
	Different int64 // those of them that differ from each other
}

// Divisions returns what the verified slices make up, in the order of the ledger.
// Slices overlap in time only where hash() has divided them.
func (l *Ledger) Divisions() []Division {
	var out []Division
	for i := range l.Slices {
		s := &l.Slices[i]
		if s.State != Verified {
			continue
		}
		joined := Division{Slice: s.Slice, Parts: []Slice{s.Slice}}
		joined.Rows = s.Landed
		if s.Hashed() {
			out = slices.DeleteFunc(out, func(d Division) bool {
				if !d.touches(joined.Slice) {
					return false
				}
				joined.join(d)
				return true
			})
			joined.Lo, joined.Hi = 0, Buckets
		}
		out = append(out, joined)
	}
	slices.SortFunc(out, func(a, b Division) int { return a.No - b.No })
	return out
}

// touches reports whether a hashed slice belongs to the division.
func (d Division) touches(s Slice) bool {
	return d.Divided() && d.Part == s.Part &&
		(d.Part != PartWindow || d.Window.From.Before(s.Window.To) && s.Window.From.Before(d.Window.To))
}

// join takes in the parts of a division that came before.
func (d *Division) join(before Division) {
	d.No, d.Rows, d.Parts = min(d.No, before.No), d.Rows+before.Rows, append(before.Parts, d.Parts...)
	if before.Window.From.Before(d.Window.From) {
		d.Window.From = before.Window.From
	}
	if before.Window.To.After(d.Window.To) {
		d.Window.To = before.Window.To
	}
	slices.SortFunc(d.Parts, func(a, b Slice) int { return a.No - b.No })
}

// Divided reports whether hash() has divided it.
func (d Division) Divided() bool { return d.Parts[0].Hashed() }

// Filled returns the parts that hold rows: fewer than two have no row in common.
func (d Division) Filled() []Slice {
	return slices.DeleteFunc(slices.Clone(d.Parts), func(s Slice) bool { return s.Rows == 0 })
}

// Vanished reports whether rows were said to be gone from a run that hash() has
// divided: then a count of each division as a whole, which needs no hash, must say so
// as well.
func (l *Ledger) Vanished() bool {
	return l.Account.Recounted < 0 && slices.ContainsFunc(l.Slices, func(s LedgerSlice) bool { return s.State == Verified && s.Hashed() })
}

// Doubled takes in that rows of a division stand in two of its parts: another
// hash() came between their queries, and as many may be in none. All parts are
// condemned, to be read again; what is known of them is that so many rows differ.
func (l *Ledger) Doubled(d Division, o Overlap) error {
	extra := o.Rows - o.Different
	if err := l.Reread(d, d.Rows-extra); err != nil {
		return err
	}
	l.Account.Repeated -= extra
	l.Account.Closed = false // what was counted last was of those parts
	return nil
}

// Landed returns the rows that ADX holds of a division's parts.
func (l *Ledger) Landed(d Division) (n int64) {
	for _, p := range d.Parts {
		n += l.Slice(p.No).Landed
	}
	return n
}

// Name names the division for notes and errors.
func (d Division) Name() string {
	if len(d.Parts) == 1 {
		return fmt.Sprintf("slice %d", d.No)
	}
	return fmt.Sprintf("slices %d to %d", d.No, d.Parts[len(d.Parts)-1].No)
}
