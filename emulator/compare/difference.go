package compare

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Difference is one row that did not arrive once.
type Difference struct {
	// Row names the row: its place, from 1, at the source, or in ADX for one that is
	// only there, and the members that identify it, as far as it has them.
	Row string
	// Members that differ, sorted, of a row that arrived changed: a row of the other
	// side has most members alike. Otherwise empty.
	Members []string
	// Extra is a row in ADX that the source has not, or not as often.
	Extra bool
}

// String says what differs.
func (d Difference) String() string {
	switch {
	case len(d.Members) > 0:
		return d.Row + ": arrived with another " + strings.Join(d.Members, ", ")
	case d.Extra:
		return d.Row + ": in ADX beyond what the source has"
	}
	return d.Row + ": did not arrive"
}

// identifying are members that tell rows apart, the best first.
var identifying = []string{"Id", "ReportId", "AlertId", "NetworkMessageId", "DeviceId", "CveId", "SoftwareName", "ConfigurationId", "AccountObjectId", "Timestamp", "TimeGenerated"}

const (
	keyMembers = 3   // so many of them name a row
	keyLength  = 40  // characters of a value in a name
	candidates = 500 // rows of ADX that are looked at for one that changed
)

// odd is a row that has no equal on the other side.
type odd struct {
	name  string
	value any
}

// Differences names the first rows that differ, at most limit, in the order of the
// source and then of ADX. Both sequences are read twice.
func Differences(table string, source, arrived iter.Seq[[]byte], limit int) ([]Difference, error) {
	was, is := &passage{typed: typedColumns(table), source: true}, &passage{typed: typedColumns(table)}
	have, err := collect(source, was)
	if err != nil {
		return nil, err
	}
	got, err := collect(arrived, is)
	if err != nil {
		return nil, err
	}
	missing, err := beyond(source, was, have, got, limit)
	if err != nil {
		return nil, err
	}
	extra, err := beyond(arrived, is, got, have, max(limit, candidates))
	if err != nil {
		return nil, err
	}
	var out []Difference
	for _, m := range missing {
		d := Difference{Row: m.name}
		best := -1
		for i, x := range extra {
			if members := unlike(m.value, x.value); len(members) > 0 && (best < 0 || len(members) < len(d.Members)) {
				best, d.Members = i, members
			}
		}
		if best >= 0 {
			extra = slices.Delete(extra, best, best+1)
		}
		out = append(out, d)
	}
	for _, x := range extra[:min(len(extra), limit-len(out))] {
		out = append(out, Difference{Row: x.name, Extra: true})
	}
	return out, nil
}

// beyond returns the first rows that one side has more often than the other.
func beyond(rows iter.Seq[[]byte], p *passage, one, other Rows, limit int) ([]odd, error) {
	var out []odd
	seen := Rows{}
	place := 0
	for text := range rows {
		place++
		value, err := parse(text, p)
		if err != nil {
			return nil, err
		}
		d := sum(value, len(text))
		if seen[d]++; seen[d] <= other[d] || one[d] <= other[d] {
			continue
		}
		if out = append(out, odd{rowName(place, value), value}); len(out) == limit {
			break
		}
	}
	return out, nil
}

func rowName(place int, value any) string {
	row, _ := value.(map[string]any)
	var key []string
	for _, name := range identifying {
		v, known := row[name]
		if !known || len(key) == keyMembers {
			continue
		}
		text, isText := v.(string)
		if !isText {
			b, _ := json.Marshal(v) // it was read from JSON
			text = string(b)
		}
		if runes := []rune(text); len(runes) > keyLength {
			text = string(runes[:keyLength-1]) + "…"
		}
		key = append(key, name+"="+text)
	}
	name := fmt.Sprint("row ", place)
	if len(key) > 0 {
		name += " (" + strings.Join(key, ", ") + ")"
	}
	return name
}

// unlike names the members in which two rows differ; none if fewer than half of
// them are alike, for then they are different rows.
func unlike(a, b any) []string {
	x, okX := a.(map[string]any)
	y, okY := b.(map[string]any)
	if !okX || !okY {
		return nil
	}
	var names []string
	alike := 0
	for name, v := range x {
		if w, there := y[name]; there && sum(v, 0) == sum(w, 0) {
			alike++
			continue
		}
		names = append(names, name)
	}
	for name := range y {
		if _, there := x[name]; !there {
			names = append(names, name)
		}
	}
	if alike < len(names) {
		return nil
	}
	slices.Sort(names)
	return names
}
