package tenant

import (
	"bytes"
	"slices"
	"time"
)

// changeSpan is how far back changes go. Source: Defender for Endpoint, delta export of
// software vulnerabilities: 14 days.
const changeSpan = 14 * 24 * time.Hour

// changes are what happened to the vulnerabilities of the devices in the last days: of
// every fifth row of the hunting table, that it is new, changed or gone. An update of
// software is two, of its old version and of its new one.
func (t *Tenant) changes() [][]byte {
	for _, e := range Exports() {
		if e.Table == "DeviceTvmSoftwareVulnerabilities" {
			return t.freeze(e).changes()
		}
	}
	return nil
}

func (f *Frozen) changes() [][]byte {
	type change struct {
		at   time.Time
		text []byte
	}
	var all []change
	values := make([][]byte, len(f.slots))
	var buf []byte
	for i, row := range f.raw(0, f.Len(), &buf) {
		seed := mix(hashText("changes") ^ uint64(i))
		if seed%5 != 0 {
			continue
		}
		at := f.At.Add(-time.Duration(seed >> 8 % uint64(changeSpan-time.Hour))).Truncate(time.Millisecond)
		told := func(row []byte, status string) {
			fields := append(weakness(), field{name: "status", make: fixed(status)}, field{name: "eventTimestamp", make: fixed(at.Format("2006-01-02T15:04:05.000Z"))},
				field{name: "isOnboarded", make: func(b []byte, _ *exported) []byte { return append(b, "true"...) }})
			all = append(all, change{at, f.shape(nil, fields, row, values, i, false)})
		}
		switch seed >> 3 % 4 {
		case 0:
			told(row, "New")
		case 1:
			told(row, "Fixed")
		case 2:
			told(row, "Updated")
		default:
			told(WithMember(row, "SoftwareVersion", []byte(`"0.9.1"`)), "Fixed")
			told(row, "New")
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return a.at.Compare(b.at) })
	texts := make([][]byte, len(all))
	for i, c := range all {
		texts[i] = bytes.Clone(c.text)
	}
	return texts
}

func fixed(text string) func([]byte, *exported) []byte {
	return func(b []byte, _ *exported) []byte { return quoted(b, text) }
}
