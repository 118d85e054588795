package plan_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Windows exclude their beginning and include their end, so parts meet exactly
// where one ends and the next begins: a tick between or in common is a row lost
// or doubled, which random rows hardly ever show.
func TestCells_TileTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := day.Add(time.Duration(rapid.Int64Range(0, 36e9-1).Draw(t, "offset")) * plan.Tick)
		present := rapid.SliceOfN(rapid.Bool(), 3, 48).Draw(t, "hours with rows")
		present[0], present[len(present)-1] = true, true
		w := plan.Window{From: from, To: from.Add(time.Duration(len(present)) * time.Hour)}
		var bins []plan.Bin
		for i, p := range present {
			if p {
				bins = append(bins, plan.Bin{Start: day.Add(time.Duration(i) * time.Hour), Rows: 1})
			}
		}
		cells := plan.Cells(w, bins, time.Hour)
		if len(cells) != len(bins) {
			t.Fatalf("%d cells of %d bins", len(cells), len(bins))
		}
		at := w.From
		for i, c := range cells {
			if !c.Window.From.Equal(at) || c.Window.Empty() {
				t.Fatalf("cell %d of %d is %v, want it to begin at %v", i, len(cells), c, at)
			}
			at = c.Window.To
		}
		if !at.Equal(w.To) {
			t.Fatalf("the cells end at %v, the window at %v", at, w.To)
		}
	})
}

func TestSlice_HalvesTileTheWhole(t *testing.T) {
	wholes := map[string]plan.Slice{
		"a month":              {Window: plan.Window{From: day, To: day.AddDate(0, 1, 0)}, Hi: plan.Buckets},
		"an odd time":          {Window: plan.Window{From: day.Add(plan.Tick), To: day.Add(5*time.Hour + 6*plan.Tick)}, Hi: plan.Buckets},
		"an hour":              {Window: plan.Window{From: day, To: day.Add(time.Hour)}, Hi: plan.Buckets},
		"some buckets":         {Window: plan.Window{From: day, To: day.Add(9 * time.Hour)}, Lo: 7, Hi: 18},
		"one bucket":           {Window: plan.Window{From: day, To: day.Add(2047 * plan.Tick)}, Lo: 7, Hi: 8},
		"a tick of three":      {Window: plan.Window{From: day, To: day.Add(plan.Tick)}, Lo: 7, Hi: 10},
		"all that ever was":    {Window: plan.Window{To: day}, Hi: plan.Buckets},
		"nothing to be halved": {Window: plan.Window{From: day, To: day.Add(plan.Tick)}, Lo: 7, Hi: 8},
	}
	for name, whole := range wholes {
		t.Run(name, func(t *testing.T) {
			whole.No, whole.Part = 1, plan.PartWindow
			tiles(t, whole, 12)
		})
	}
}

// tiles splits the slice so many times and compares the edges each time.
func tiles(t *testing.T, s plan.Slice, times int) {
	t.Helper()
	a, b, ok := s.Split(2)
	if !ok {
		if s.Hi-s.Lo > 1 || s.Window.To.After(s.Window.From.Add(plan.Tick)) {
			t.Errorf("%v cannot be divided", s)
		}
		return
	}
	ends := a.Window.From.Equal(s.Window.From) && b.Window.To.Equal(s.Window.To) && a.Lo == s.Lo && b.Hi == s.Hi
	byTime := a.Window.To.Equal(b.Window.From) && a.Hi == s.Hi && b.Lo == s.Lo
	byBuckets := a.Hi == b.Lo && a.Window.To.Equal(s.Window.To) && b.Window.From.Equal(s.Window.From)
	if !ends || byTime == byBuckets {
		t.Fatalf("halves %v and %v do not tile %v", a, b, s)
	}
	if times > 1 {
		tiles(t, a, times-1)
		tiles(t, b, times-1)
	}
}
