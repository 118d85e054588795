package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/internal/plan"
)

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// source is a table whose rows are known to the tick and bucket.
type source []row

type row struct {
	at     time.Time
	bucket int
}

func (s source) count(w plan.Window, width time.Duration) (bins []plan.Bin) {
	rows := map[int64]int64{}
	for _, r := range s {
		if r.at.After(w.From) && !r.at.After(w.To) {
			// (Start, Start+width], as bin(at - 1tick, width) gives it.
			rows[r.at.Add(-plan.Tick).Truncate(width).UnixNano()]++
		}
	}
	for at := w.From.Truncate(width); !at.After(w.To); at = at.Add(width) {
		if n := rows[at.UnixNano()]; n > 0 {
			bins = append(bins, plan.Bin{Start: at.UTC(), Rows: n})
		}
	}
	return bins
}

func (s source) in(p plan.Slice) (n int64) {
	for _, r := range s {
		if r.at.After(p.Window.From) && !r.at.After(p.Window.To) && r.bucket >= p.Lo && r.bucket < p.Hi {
			n++
		}
	}
	return n
}

// ranges counts the ranges of width buckets that the part has rows in.
func (s source) ranges(p plan.Slice, width int) int {
	seen := map[int]bool{}
	for _, r := range s {
		if (source{r}).in(p) == 1 {
			seen[r.bucket/width] = true
		}
	}
	return len(seen)
}

func (s source) tally(groups []plan.Slice, width int) [][]plan.BucketCount {
	out := make([][]plan.BucketCount, len(groups))
	for i, g := range groups {
		for lo := 0; lo < plan.Buckets; lo += width {
			part := g
			part.Lo, part.Hi = max(lo, g.Lo), min(lo+width, g.Hi)
			if n := s.in(part); n > 0 {
				out[i] = append(out[i], plan.BucketCount{Lo: lo, Hi: lo + width, Rows: n})
			}
		}
	}
	return out
}

func drawSource(t *rapid.T, w plan.Window) source {
	n := rapid.IntRange(0, 300).Draw(t, "rows")
	span := int64(w.To.Sub(w.From) / plan.Tick)
	peak := rapid.Int64Range(1, span).Draw(t, "peak")
	var s source
	for range n {
		at := rapid.Int64Range(1, span).Draw(t, "at")
		if rapid.Bool().Draw(t, "at the peak") {
			at = peak
		}
		s = append(s, row{at: w.From.Add(time.Duration(at) * plan.Tick), bucket: rapid.IntRange(0, plan.Buckets-1).Draw(t, "bucket")})
	}
	return s
}

func TestPack_CoversEveryRowExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := plan.Window{From: day, To: day.Add(time.Duration(rapid.IntRange(1, 60*24).Draw(t, "minutes")) * time.Minute)}
		s := drawSource(t, w)
		target := rapid.Int64Range(1, 60).Draw(t, "target")
		cells := plan.Cells(w, s.count(w, time.Hour), time.Hour)
		groups := plan.Oversized(cells, target)
		width := plan.CountWidth(groups, target)
		cells = plan.Refine(cells, groups, s.tally(groups, width))
		packed := plan.Pack(cells, target, 1)

		for _, r := range s {
			var owners []int
			for _, p := range packed {
				if (source{r}).in(p) == 1 {
					owners = append(owners, p.No)
				}
			}
			if len(owners) != 1 {
				t.Fatalf("row %+v belongs to slices %v of %v", r, owners, packed)
			}
		}
		for i, p := range packed {
			if p.No != i+1 {
				t.Fatalf("slice %d has number %d", i, p.No)
			}
			if got := s.in(p); got != p.Rows {
				t.Fatalf("%v holds %d rows, planned %d", p, got, p.Rows)
			}
			if ranges := s.ranges(p, width); p.Rows > target && ranges > 1 {
				t.Fatalf("%v has %d rows of %d counted ranges, target %d", p, p.Rows, ranges, target)
			}
		}
		if len(s) > 0 && len(packed) > 0 {
			first, last := packed[0], packed[len(packed)-1]
			if !first.Window.From.Equal(w.From) || !last.Window.To.Equal(w.To) {
				t.Fatalf("slices cover (%v, %v], want %v", first.Window.From, last.Window.To, w)
			}
		}
	})
}

func TestSlice_SplitKeepsEveryRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := plan.Window{From: day, To: day.Add(time.Duration(rapid.IntRange(1, 1e9).Draw(t, "ticks")) * plan.Tick)}
		s := drawSource(t, w)
		p := plan.Slice{No: 1, Part: plan.PartWindow, Window: w, Hi: plan.Buckets}
		for next := 2; ; next += 2 {
			a, b, ok := p.Split(next)
			if !ok {
				if p.Hi-p.Lo != 1 || p.Window.To.Sub(p.Window.From) != plan.Tick {
					t.Fatalf("%v cannot be split, but is larger than one bucket of one tick", p)
				}
				return
			}
			if got, want := s.in(a)+s.in(b), s.in(p); got != want {
				t.Fatalf("halves %v and %v hold %d rows, the whole %d", a, b, got, want)
			}
			if a.Window.Empty() || b.Window.Empty() || a.Lo >= a.Hi || b.Lo >= b.Hi {
				t.Fatalf("an empty half: %v, %v", a, b)
			}
			p = a
			if rapid.Bool().Draw(t, "right half") {
				p = b
			}
		}
	})
}

func TestCut_EndsWhereABinEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := plan.Window{From: day, To: day.Add(24 * time.Hour)}
		s := drawSource(t, w)
		target := rapid.Int64Range(1, 20).Draw(t, "target")
		cells := plan.Cells(w, s.count(w, time.Hour), time.Hour)
		groups := plan.Oversized(cells, target)
		cells = plan.Refine(cells, groups, s.tally(groups, plan.CountWidth(groups, target)))
		packed := plan.Pack(cells, target, 1)
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		kept, short, more := plan.Cut(w, packed, limit)
		if more != (len(kept) < len(packed)) {
			t.Fatalf("more = %v with %d of %d slices kept", more, len(kept), len(packed))
		}
		if !more && !short.To.Equal(w.To) {
			t.Fatalf("window cut to %v without need", short)
		}
		var inWindow, inSlices int64
		for _, r := range s {
			if !r.at.After(short.To) {
				inWindow++
			}
		}
		for _, p := range kept {
			inSlices += s.in(p)
		}
		if inWindow != inSlices {
			t.Fatalf("the cut window has %d rows, its slices %d", inWindow, inSlices)
		}
	})
}

func TestPack_FillsSlices(t *testing.T) {
	const target = 1000
	tests := []struct {
		name string
		bins []int64 // rows per hour
		want int     // slices
	}{
		{"nothing", nil, 0},
		{"all in one", []int64{100, 200, 300}, 1},
		{"neighbours are joined", []int64{500, 500, 500, 500}, 2},
		{"bins just above the target share their slices", []int64{1050, 1050, 1050, 1050, 1050, 1050, 1050, 1050}, 9},
		{"one hour holds half of all", []int64{100, 100, 5000, 100, 100}, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := plan.Window{From: day, To: day.Add(24 * time.Hour)}
			var bins []plan.Bin
			for i, n := range tt.bins {
				bins = append(bins, plan.Bin{Start: day.Add(time.Duration(i) * time.Hour), Rows: n})
			}
			cells := plan.Cells(w, bins, time.Hour)
			groups := plan.Oversized(cells, target)
			width := plan.CountWidth(groups, target)
			counted := make([][]plan.BucketCount, len(groups))
			for i, g := range groups {
				for lo := 0; lo < plan.Buckets; lo += width {
					counted[i] = append(counted[i], plan.BucketCount{Lo: lo, Hi: lo + width, Rows: g.Rows * int64(lo+width) / plan.Buckets})
				}
				for k := len(counted[i]) - 1; k > 0; k-- {
					counted[i][k].Rows -= counted[i][k-1].Rows
				}
			}
			packed := plan.Pack(plan.Refine(cells, groups, counted), target, 1)
			if len(packed) != tt.want {
				t.Errorf("%v rows an hour are packed into %d slices, want %d: %v", tt.bins, len(packed), tt.want, packed)
			}
		})
	}
}

func TestLimits_Target(t *testing.T) {
	tests := []struct {
		name  string
		width float64
		want  int64
	}{
		{"narrow rows: the row target", 300, 95_000},
		{"wide rows: the byte target", 2000, 20_000},
		{"nothing learned", 0, 26_666},
		{"a row wider than the target", 1e9, 1},
	}
	for _, tt := range tests {
		got := plan.Limits{Rows: 95_000, Bytes: 40_000_000, Width: tt.width}.Target()
		if got != tt.want {
			t.Errorf("%s: Target = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestWindow_First(t *testing.T) {
	held := day.Add(-30 * 24 * time.Hour)
	w := plan.Window{To: day}
	for range 200 {
		half := w.First(held, w.Span(held)/2)
		if !half.To.Before(w.To) || half.Empty() {
			t.Fatalf("half of %v is %v", w, half)
		}
		if half.To.Sub(half.From) < time.Hour {
			return
		}
		w = half
	}
	t.Fatalf("halving does not end: %v", w)
}

func TestParseStamp_ReadsWhatPeopleWrite(t *testing.T) {
	tests := []struct{ in, want string }{
		{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.0000000Z"},
		{"2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.1000000Z"},
		{"2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05.1234567Z"},
		{"2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.1234567Z"},
		{"2026-01-02 03:04:05.12", "2026-01-02T03:04:05.1200000Z"},
		{"2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.0000000Z"},
		{"2026-01-02", "2026-01-02T00:00:00.0000000Z"},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.0000000Z"},
		{"9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"},
	}
	for _, tt := range tests {
		got, err := plan.ParseStamp(tt.in)
		if err != nil || plan.Stamp(got) != tt.want {
			t.Errorf("ParseStamp(%q) = %v, %v; want %s", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "yesterday", "2026-13-01", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-02:00", "2026-01-02T03:04:05Z; drop"} {
		if got, err := plan.ParseStamp(in); err == nil {
			t.Errorf("ParseStamp(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParseStamp_ReadsItsOwnText(f *testing.F) {
	for _, s := range []string{"2026-01-02T03:04:05.1234567Z", "0001-01-01", "9999-12-31T23:59:59.9999999+14:00", "2026-01-02 03:04"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		at, err := plan.ParseStamp(in)
		if err != nil {
			return
		}
		back, err := plan.ParseStamp(plan.Stamp(at))
		if err != nil || !back.Equal(at) {
			t.Errorf("%q reads as %v, writes as %s, which reads as %v, %v", in, at, plan.Stamp(at), back, err)
		}
	})
}

func TestRow_Table(t *testing.T) {
	good := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", WatermarkColumn: "None", LoadType: "full", IsActive: true,
		LastRefreshedTimeInString: "1900-01-01T00:00:00Z"}
	got, err := good.Table()
	want := plan.Table{Source: "DeviceInfo", Destination: "DeviceInfoRaw", Load: plan.Full, Active: true, LastRefreshed: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("Table() = %+v, %v; want %+v", got, err, want)
	}
	for name, spoil := range map[string]func(*plan.Row){
		"a quote in the source":          func(r *plan.Row) { r.SourceTable = "Device'Info" },
		"a newline in the destination":   func(r *plan.Row) { r.DestinationTable = "Raw\n.drop table X" },
		"KQL in the watermark column":    func(r *plan.Row) { r.WatermarkColumn = "Timestamp | take 1" },
		"no source":                      func(r *plan.Row) { r.SourceTable = "" },
		"unknown load type":              func(r *plan.Row) { r.LoadType = "Delta" },
		"a watermark that is no instant": func(r *plan.Row) { r.LastRefreshedTimeInString = "soon" },
	} {
		row := good
		spoil(&row)
		if got, err := row.Table(); err == nil {
			t.Errorf("%s: Table() = %+v, want an error", name, got)
		}
	}
}

func TestBin_IsFineWithFewLines(t *testing.T) {
	to := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		from time.Time
		want time.Duration
	}{
		{"an hour", to.Add(-time.Hour), time.Minute},
		{"five days", to.AddDate(0, 0, -5), time.Minute},
		{"ten days", to.AddDate(0, 0, -10), 5 * time.Minute},
		{"all that Defender holds", to.AddDate(0, 0, -30), 5 * time.Minute},
		{"two months", to.AddDate(0, 0, -60), time.Hour},
		{"years", to.AddDate(-3, 0, 0), 24 * time.Hour},
		{"everything", time.Time{}, 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (plan.Window{From: tt.from, To: to}).Bin(); got != tt.want {
				t.Errorf("Bin() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOversized_CountsAgainOnlyWhereItSavesCalls(t *testing.T) {
	from := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	cells := func(rows ...int64) (out []plan.Slice) {
		for i, n := range rows {
			w := plan.Window{From: from.Add(time.Duration(i) * time.Minute), To: from.Add(time.Duration(i+1) * time.Minute)}
			out = append(out, plan.Slice{Part: plan.PartWindow, Window: w, Hi: plan.Buckets, Rows: n})
		}
		return out
	}
	tests := []struct {
		name  string
		cells []plan.Slice
		again bool
	}{
		{"bins that fill slices well", cells(30, 30, 30, 30, 30, 30), false},
		{"one slice more than the fewest", cells(60, 60, 60), false},
		{"many slices more than the fewest", cells(60, 60, 60, 60, 60, 60, 60, 60, 60, 60), true},
		{"a bin above the target", cells(10, 150, 10), true},
		{"nothing", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if groups := plan.Oversized(tt.cells, 100); len(groups) > 0 != tt.again {
				t.Errorf("%d groups to count again, want any: %v", len(groups), tt.again)
			}
		})
	}
}

func TestUnlearned_TheFirstSliceOfManyIsSmaller(t *testing.T) {
	tests := []struct {
		name             string
		rowTarget, bytes int64
		rows, want       int64
	}{
		{"one slice by the assumed width", 95_000, 40_000_000, 26_666, 26_666},
		{"more than one", 95_000, 40_000_000, 26_667, 13_333},
		{"bytes are not the limit", 10_000, 40_000_000, 1 << 40, 10_000},
		{"never nothing", 95_000, 1, 10, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (plan.Limits{Rows: tt.rowTarget, Bytes: tt.bytes}).Unlearned(tt.rows); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestWithin_OnlyWholeCells(t *testing.T) {
	at := func(m int) time.Time { return time.Date(2026, 11, 21, 0, m, 0, 0, time.UTC) }
	var cells []plan.Slice
	for m := range 5 {
		cells = append(cells, plan.Slice{Part: plan.PartWindow, Window: plan.Window{From: at(m), To: at(m + 1)}, Hi: plan.Buckets, Rows: 1})
	}
	tests := []struct {
		name     string
		from, to time.Time
		want     int
	}{
		{"some", at(1), at(4), 3},
		{"all", at(0), at(5), 5},
		{"begins inside a cell", at(1).Add(time.Second), at(4), 0},
		{"ends inside a cell", at(1), at(4).Add(time.Second), 0},
		{"ends before it begins", at(3), at(2), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := plan.Within(cells, plan.Window{From: tt.from, To: tt.to}); len(got) != tt.want {
				t.Errorf("%d cells, want %d", len(got), tt.want)
			}
		})
	}
}
