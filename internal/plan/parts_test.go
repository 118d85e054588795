package plan

import (
	"encoding/json"
	"testing"
)

func TestTally_AddsRowsAndChecksums(t *testing.T) {
	for name, tt := range map[string]struct {
		ranges   []BucketCount
		rows     int64
		checksum string
	}{
		"nothing":                    {nil, 0, "0"},
		"two ranges":                 {[]BucketCount{{Rows: 2, Checksum: "12"}, {Rows: 1, Checksum: "30"}}, 3, "42"},
		"one without":                {[]BucketCount{{Rows: 2, Checksum: "12"}, {Rows: 1}}, 3, ""},
		"one that is no number":      {[]BucketCount{{Rows: 2, Checksum: "many"}}, 2, ""},
		"an empty range needs none":  {[]BucketCount{{Rows: 2, Checksum: "12"}, {}}, 2, "12"},
		"more than a number of ours": {[]BucketCount{{Rows: 1, Checksum: "9223372036854775807"}, {Rows: 1, Checksum: "1"}}, 2, "-9223372036854775808"},
	} {
		if rows, checksum := Tally(tt.ranges); rows != tt.rows || checksum != tt.checksum {
			t.Errorf("%s: %d rows, checksum %q; want %d, %q", name, rows, checksum, tt.rows, tt.checksum)
		}
	}
}

// Sums are kept by part, whatever pieces it was counted in. A ledger without them, or
// with only some, says nothing of rows that were replaced.
func TestLedger_PartsReplaced(t *testing.T) {
	const edge = Buckets / evenParts
	ones := func(first string) []string {
		out := make([]string, evenParts)
		for i := range out {
			out[i] = "1"
		}
		out[0] = first
		return out
	}
	planned := &Ledger{}
	planned.DivideParts()
	planned.TakePartSum(Slice{Hi: edge / 2}, "3")
	planned.TakePartSum(Slice{Lo: edge / 2, Hi: edge}, "4")
	for i := 1; i < evenParts; i++ {
		planned.TakePartSum(Slice{Lo: i * edge, Hi: (i + 1) * edge}, "1")
	}
	stored, err := json.Marshal(planned)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		before         []string // nil: as planned
		older          bool
		now            []string
		replaced, told bool
	}{
		"as before":                {now: ones("7"), told: true},
		"another row":              {now: ones("8"), replaced: true, told: true},
		"not given at the end":     {now: ones("")},
		"not given at the plan":    {before: ones(""), now: ones("7")},
		"not all, but one differs": {before: ones("")[:], now: append(ones("7")[:evenParts-1], "2"), replaced: true, told: true},
		"planned by an older one":  {older: true, now: ones("8")},
		"not closed by us":         {now: nil},
	} {
		var l Ledger
		if err := json.Unmarshal(stored, &l); err != nil {
			t.Fatal(err)
		}
		if tt.before != nil || tt.older {
			l.PartSums = tt.before
		}
		l.TakePartSum(Slice{Lo: edge, Hi: edge}, "0")
		l.PartSumsNow = tt.now
		if replaced, told := l.Replaced(); replaced != tt.replaced || told != tt.told {
			t.Errorf("%s: replaced %t, told %t; want %t, %t", name, replaced, told, tt.replaced, tt.told)
		}
		if l.StoredFormat() != plainFormat {
			t.Errorf("%s: stored as format %d", name, l.StoredFormat())
		}
	}
}
