package plan

import (
	"cmp"
	"math"
)

const (
	// refusedBytes is the service's cap on the size of one answer; a refused answer is
	// taken to be at least this large. Source: Graph security API overview.
	refusedBytes = 50_000_000
	// guessMargin is how much wider than a refusal shows at the least rows are taken to
	// be: the answer was over the cap by an unknown amount, and a quarter more costs at
	// most that share of calls, while a guess that is too small costs a refused call.
	guessMargin = 1.25
	// refusalsMeant is how many refusals tell that rows have grown. One slice may be odd.
	refusalsMeant = 2
	// tryFrom is from how many planned slices, filled by bytes, one goes first and alone,
	// though the width of its rows is known: rows that have grown beyond the cap would
	// otherwise be refused in every call under way. Fewer cost no more than that.
	tryFrom = 4
	// triedGrown is from which growth on a first answer changes a known width: slices of
	// 40 MB would come near the cap of 50. Less may be that slice's alone.
	triedGrown = 1.2
	// repackFrom: planned slices are packed again where the target moved by more than a
	// tenth. Slices are filled to 95,000 of 100,000 rows or 40 of 50 MB, so a tenth is
	// within their margin and not worth a count.
	repackFrom, repackOf = 9, 10
)

// RowWidth learns, while one attempt works on one run, how many bytes a row of the
// table takes, and says what follows for the slices planned. It is not safe for
// concurrent use.
type RowWidth struct {
	limits   Limits  // Width: bytes a row; 0: not learned
	learning bool    // the next slice goes alone, to learn from
	known    float64 // width that a try may show to have grown; 0: none is on trial
	rows     int64   // received by this attempt, with bytes
	bytes    int64   // uncompressed
	guess    float64 // the least width that refusals showed; 0: none
	refused  int     // answers refused as too large in this attempt
	before   int64   // target that the planned slices were packed under
	cut      int64   // rows of the last answer that was cut; 0: none
	rowCap   int64   // rows at which answers are cut, learned in this attempt; 0: not
	uncapped int64   // target before that, until Learn; 0: nothing new
}

// NewRowWidth returns what is known when an attempt takes up a run: the row and byte
// targets, and the table's width in bytes a row, 0 where none was learned.
func NewRowWidth(limits Limits, width float64) *RowWidth {
	limits.Width = width
	return &RowWidth{limits: limits, learning: width == 0}
}

// Try lets the first of a run's planned slices go alone where many of them are filled
// by bytes, to see whether rows have grown since the width was learned.
func (w *RowWidth) Try(planned []Slice) {
	var filled int
	for _, s := range planned {
		if float64(s.Rows)*w.limits.Width*triedGrown > float64(w.limits.Bytes) {
			filled++
		}
	}
	if w.limits.Width > 0 && filled >= tryFrom {
		w.learning, w.known = true, w.limits.Width
	}
}

// Width returns the bytes a row as the table state shall hold them; 0: not learned.
func (w *RowWidth) Width() float64 { return w.limits.Width }

// Learning reports whether the next slice goes alone, so that the rest is packed by
// what it teaches.
func (w *RowWidth) Learning() bool { return w.learning }

// Target returns the rows that a slice should hold at most.
func (w *RowWidth) Target() int64 { return w.limits.Target() }

// PackTarget returns the target that cells of so many rows are packed under.
func (w *RowWidth) PackTarget(rows int64) int64 {
	if w.limits.Width > 0 {
		return w.limits.Target()
	}
	return w.limits.Unlearned(rows)
}

// Observe takes in the rows and the uncompressed bytes of an answer.
func (w *RowWidth) Observe(rows, bytes int64) {
	w.rows += rows
	w.bytes += bytes
}

// Cut takes in that an answer had so many rows of more, counted twice. Two answers cut
// at the same number show the tenant's cap, where it is lower than the service's. It
// reports whether it was learned, so that no further slice should begin before the
// rest is packed again.
func (w *RowWidth) Cut(received int64) (stop bool) {
	again := received > 0 && received == w.cut && w.rowCap == 0
	w.cut = received
	if again {
		w.rowCap, w.uncapped = received, w.packedUnder()
		w.limits = w.limits.Capped(received)
	}
	return again
}

// RowCap returns the rows at which answers are cut as the table state shall hold them;
// 0: nothing was learned.
func (w *RowWidth) RowCap() int64 { return w.rowCap }

// packedUnder returns the target that slices have been packed under so far.
func (w *RowWidth) packedUnder() int64 {
	if w.limits.Width == 0 {
		return w.limits.Unlearned(math.MaxInt64)
	}
	return w.limits.Target()
}

// Refuse takes in that the answer for a slice counted at so many rows was refused as
// too large, which is all that is then known of the width. It reports whether rows
// are now taken to be wider, so that no further slice should begin before the rest is
// packed again. That is so once in an attempt: a service that refuses for other
// reasons must not shrink slices without end.
func (w *RowWidth) Refuse(rows int64) (stop bool) {
	if rows <= 0 {
		return false
	}
	w.refused++
	if !w.learning && w.refused != refusalsMeant {
		return false
	}
	assumed := float64(rows) * cmp.Or(w.limits.Width, DefaultWidth)
	w.guess = max(refusedBytes, assumed) * guessMargin / float64(rows)
	w.known = 0 // it is no longer
	return true
}

// Learn takes the width from what was received while learning, else from what was
// refused, and reports whether it changed; the caller then saves Width and RowCap and asks
// Repack. alone says that a slice was fetched alone to learn from.
func (w *RowWidth) Learn(alone bool) (changed bool) {
	if !alone && w.guess <= w.limits.Width && w.uncapped == 0 {
		return false
	}
	before := cmp.Or(w.uncapped, w.packedUnder())
	switch {
	case w.known > 0 && w.rows > 0 && w.uncapped == 0 && float64(w.bytes) < w.known*triedGrown*float64(w.rows):
		w.learning, w.known = false, 0 // as wide as it was
		return false
	case w.learning && w.rows > 0:
		w.limits.Width, w.learning = float64(w.bytes)/float64(w.rows), false
	case w.guess > w.limits.Width:
		w.limits.Width = w.guess
	case w.uncapped == 0:
		return false
	}
	w.guess, w.uncapped, w.known, w.before = 0, 0, 0, before
	return true
}

// Repack reports, after Learn, whether the planned slices are so far off the target
// that packing them again is worth a count: some too large, or several too small.
func (w *RowWidth) Repack(planned []Slice) bool {
	var largest int64
	for _, s := range planned {
		largest = max(largest, s.Rows)
	}
	after := w.limits.Target()
	tooLarge := after*repackOf < w.before*repackFrom && largest > after
	tooSmall := after*repackFrom > w.before*repackOf && len(planned) > 1
	return tooLarge || tooSmall
}
