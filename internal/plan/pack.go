package plan

import (
	"slices"
	"time"
)

const (
	// MaxRows is the service's cap on rows per hunting query; an answer of exactly
	// this size counts as cut. Source: Graph security API overview, hunting quotas.
	MaxRows = 100_000
	// MaxSlices bounds the slices of one run, and so the size of its ledger. Only
	// a snapshot, which has to be whole, may exceed it.
	MaxSlices = 500
	// DefaultWidth is the size of a row in bytes until a table's own is learned.
	DefaultWidth = 1500

	// maxBins is how many bins a window is divided into, up to a month; as lines of
	// an answer they are half a megabyte.
	maxBins = 10_000
	// groupSlices ends a group of oversized bins: every slice of a group reads the
	// group's whole range again, so long groups cost the source.
	groupSlices = 32
	// fillEnough is the share of the target from which a slice, or the slices of a
	// group on average, are left as they are rather than joined with a neighbour.
	fillEnough = 0.95
	// countShare is how many bucket ranges are counted for each slice to be made.
	countShare = 32
)

// Limits are the targets that slices are packed under.
type Limits struct {
	Rows  int64   // row target
	Bytes int64   // byte target of one answer
	Width float64 // bytes a row; 0: not learned, DefaultWidth is assumed
}

// Target returns the rows that a slice should hold at most, at least 1.
func (l Limits) Target() int64 {
	width := l.Width
	if width <= 0 {
		width = DefaultWidth
	}
	return max(1, min(l.Rows, int64(float64(l.Bytes)/width)))
}

// Capped returns the limits for a tenant whose answers are cut at rowCap rows, 0 where
// that is not known.
func (l Limits) Capped(rowCap int64) Limits {
	if rowCap > 0 {
		l.Rows = max(1, min(l.Rows, int64(float64(rowCap)*fillEnough)))
	}
	return l
}

// Unlearned returns the target for rows of unknown width: what fits into one slice
// by the assumed width stays one; of more, the first slice shall be fetched even
// if the rows are twice and a half as wide, since the rest is packed again by what
// it teaches.
func (l Limits) Unlearned(rows int64) int64 {
	if target := l.Target(); rows <= target {
		return target
	}
	l.Bytes /= 2
	return l.Target()
}

// Bin returns the width of time bins for a window: so fine that slices can be
// filled from them alone, without counting large bins once more, and so coarse
// that the answer stays small. What Defender holds, thirty days, is counted by
// five minutes, and twice that by the hour, in 1,500 lines at most; business dates that
// reach back for years by the day.
func (w Window) Bin() time.Duration {
	for _, bin := range []time.Duration{time.Minute, 5 * time.Minute} {
		if w.To.Sub(w.From) <= maxBins*bin {
			return bin
		}
	}
	if w.To.After(w.From.AddDate(0, 0, 62)) {
		return 24 * time.Hour
	}
	return time.Hour
}

// Cells returns the window's counted parts in order: contiguous, together the
// whole window, each as fine as it was counted. They are the material of Pack.
// A window without rows has no cells.
func Cells(w Window, bins []Bin, width time.Duration) []Slice {
	var cells []Slice
	from := w.From
	for i, b := range bins {
		to := b.Start.Add(width)
		if to.After(w.To) || i == len(bins)-1 {
			to = w.To
		}
		cells = append(cells, Slice{Part: PartWindow, Window: Window{From: from, To: to}, Hi: Buckets, Rows: b.Rows})
		from = to
	}
	return cells
}

// SumRows returns the rows counted in all cells.
func SumRows(cells []Slice) (n int64) {
	for _, c := range cells {
		n += c.Rows
	}
	return n
}

// RowsWithin returns the rows counted in the slices that lie in the window.
func RowsWithin(counted []Slice, w Window) (n int64) {
	for _, s := range counted {
		if !s.Window.From.Before(w.From) && !s.Window.To.After(w.To) {
			n += max(0, s.Rows)
		}
	}
	return n
}

// Exceeds reports whether a cell is above the target, so that it must be counted
// by buckets before it can be fetched.
func Exceeds(cells []Slice, target int64) bool {
	return slices.ContainsFunc(cells, func(c Slice) bool { return c.Rows > target && c.Hi-c.Lo > 1 })
}

// Oversized returns the parts that cannot be packed well as counted and should be
// counted by buckets: cells above the target, joined with neighbours as long as
// that fills their slices better. The parts are whole runs of cells. There are
// none where counting once more would save no call.
func Oversized(cells []Slice, target int64) []Slice {
	if !Exceeds(cells, target) {
		if int64(len(Pack(cells, target, 0))) <= ceil(SumRows(cells), target)+1 {
			return nil
		}
	}
	var groups []Slice
	for i := 0; i < len(cells); {
		j, sum := i, int64(0)
		for j < len(cells) && sum+cells[j].Rows <= target && (j == i || joins(cells[j-1], cells[j])) {
			sum += cells[j].Rows
			j++
		}
		ends := j == len(cells) || j > i && !joins(cells[j-1], cells[j])
		if ends || j > i && float64(sum) >= fillEnough*float64(target) {
			i = j
			continue
		}
		group := cells[i]
		group.Rows = sum
		for ; j < len(cells); j++ {
			if j > i && !joins(cells[j-1], cells[j]) {
				break
			}
			group.Rows += cells[j].Rows
			group.Window.To = cells[j].Window.To
			n := ceil(group.Rows, target)
			if group.Rows > target && (n >= groupSlices || float64(n*target)*fillEnough <= float64(group.Rows)) {
				j++
				break
			}
		}
		if group.Rows > target && group.Hi-group.Lo > 1 {
			groups = append(groups, group)
		}
		i = j
	}
	return groups
}

// CountWidth returns how many neighbouring buckets are counted together so that
// the groups can be cut into slices of the target with little waste, in an
// answer far below MaxRows lines. It is a power of two.
func CountWidth(groups []Slice, target int64) int {
	fine := func(width int) bool {
		for _, g := range groups {
			if int64((g.Hi-g.Lo)/width) < ceil(g.Rows, target)*countShare {
				return false
			}
		}
		return true
	}
	lines := func(width int) (n int) {
		for _, g := range groups {
			n += (g.Hi - g.Lo) / width
		}
		return n
	}
	width := Buckets
	for width > 1 && !fine(width) && lines(width/2) < MaxRows/4 {
		width /= 2
	}
	return width
}

// Refine replaces the cells that each group covers by cells as counted by
// buckets. counted[i] belongs to groups[i]; both are in the order of the cells.
func Refine(cells, groups []Slice, counted [][]BucketCount) []Slice {
	var out []Slice
	at := 0
	for _, c := range cells {
		inside := at < len(groups) && c.Part == groups[at].Part &&
			!c.Window.From.Before(groups[at].Window.From) && !c.Window.To.After(groups[at].Window.To)
		switch {
		case !inside:
			out = append(out, c)
		case c.Window.To.Equal(groups[at].Window.To):
			out = append(out, BucketCells(groups[at], counted[at])...)
			at++
		}
	}
	return out
}

// BucketCells covers the group's buckets without a gap: a range without rows
// goes with the next one that has some.
func BucketCells(group Slice, counted []BucketCount) []Slice {
	if len(counted) == 0 {
		group.Rows = 0
		return []Slice{group}
	}
	out := make([]Slice, len(counted))
	lo := group.Lo
	for i, b := range counted {
		c := group
		c.Lo, c.Hi, c.Rows = lo, min(b.Hi, group.Hi), b.Rows
		if i == len(counted)-1 {
			c.Hi = group.Hi
		}
		lo = c.Hi
		out[i] = c
	}
	return out
}

// Whole returns a part of every row (PartAll, PartNull) as cells of its bucket
// counts.
func Whole(part Part, counted []BucketCount) []Slice {
	return BucketCells(Slice{Part: part, Hi: Buckets}, counted)
}

// joins reports whether b continues a, in time with equal buckets or in buckets
// with equal time.
func joins(a, b Slice) bool {
	if a.Part != b.Part {
		return false
	}
	sameTime := a.Window.From.Equal(b.Window.From) && a.Window.To.Equal(b.Window.To)
	sameBuckets := a.Lo == b.Lo && a.Hi == b.Hi
	return sameTime && a.Hi == b.Lo || sameBuckets && a.Part == PartWindow && a.Window.To.Equal(b.Window.From)
}

// Pack joins neighbouring cells into slices of at most target rows, numbered
// from first; a single cell above the target stays one slice. Slices without
// rows are kept, since they cover a range, but cost no query.
func Pack(cells []Slice, target int64, first int) []Slice {
	var out []Slice
	for _, c := range cells {
		n := len(out)
		if n > 0 && out[n-1].Rows >= 0 && c.Rows >= 0 && out[n-1].Rows+c.Rows <= target && joins(out[n-1], c) && uniform(out[n-1], c) {
			out[n-1].Rows += c.Rows
			out[n-1].Window.To, out[n-1].Hi = c.Window.To, c.Hi
			continue
		}
		out = append(out, c)
	}
	for i := range out {
		out[i].No = first + i
	}
	return out
}

// uniform forbids joining in time a slice that already grew in buckets, and the
// other way round: the result would be no rectangle.
func uniform(a, b Slice) bool {
	sameTime := a.Window.From.Equal(b.Window.From) && a.Window.To.Equal(b.Window.To)
	return sameTime || !a.Hashed() && !b.Hashed()
}

// Cut keeps the oldest slices of a window, at most limit of them, so that the
// window ends where a time bin ends. It returns the shorter window and whether
// anything was left out. The first group is kept whole even above the limit.
func Cut(w Window, packed []Slice, limit int) ([]Slice, Window, bool) {
	if len(packed) <= limit {
		return packed, w, false
	}
	n := limit
	for n > 0 && !startsBin(packed, n) {
		n--
	}
	if n == 0 {
		n = limit
		for n < len(packed) && !startsBin(packed, n) {
			n++
		}
	}
	if n == len(packed) {
		return packed, w, false
	}
	kept := slices.Clone(packed[:n])
	for i := range slices.Backward(kept) {
		if kept[i].Part == PartWindow {
			return kept, Window{From: w.From, To: kept[i].Window.To}, true
		}
	}
	return packed, w, false
}

// startsBin reports whether packed[n] begins where everything before it ends.
func startsBin(packed []Slice, n int) bool {
	return packed[n].Part == PartWindow && packed[n-1].Part == PartWindow &&
		packed[n].Window.From.Equal(packed[n-1].Window.To)
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// Evenly divides a group into ranges of buckets without counts (Rows is -1):
// enough for the target, each to be counted before it is fetched.
func Evenly(group Slice, target int64) []BucketCount {
	n := int(min(ceil(group.Rows, target)+1, int64(group.Hi-group.Lo)))
	out := make([]BucketCount, n)
	for k := range n {
		out[k] = BucketCount{Lo: group.Lo + k*(group.Hi-group.Lo)/n, Hi: group.Lo + (k+1)*(group.Hi-group.Lo)/n, Rows: -1}
	}
	return out
}

// Within returns the cells that together make up the window; nil if none do.
func Within(cells []Slice, w Window) []Slice {
	from := slices.IndexFunc(cells, func(c Slice) bool { return c.Window.From.Equal(w.From) })
	to := slices.IndexFunc(cells, func(c Slice) bool { return c.Window.To.Equal(w.To) })
	if from < 0 || to < from {
		return nil
	}
	return slices.Clone(cells[from : to+1])
}

// Coalesce returns the range of window slices as the fewest windows.
func Coalesce(windows []Slice) []Window {
	var out []Window
	for _, s := range windows {
		if n := len(out); n > 0 && out[n-1].To.Equal(s.Window.From) {
			out[n-1].To = s.Window.To
			continue
		}
		out = append(out, s.Window)
	}
	return out
}
