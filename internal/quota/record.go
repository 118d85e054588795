package quota

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// recordFormat is the version of the blob's JSON that this program writes.
const recordFormat = 1

// record is the quota blob of one tenant. All instants are the blob service's.
type record struct {
	Format    int       `json:"Format"`
	Writer    string    `json:"Writer"` // with WriteSeq: never the same twice
	WriteSeq  int64     `json:"WriteSeq"`
	NotBefore time.Time `json:"NotBefore"` // nobody calls before it; zero: no hold
	Minute    tally     `json:"Minute"`
	Hour      tally     `json:"Hour"` // zero without an hourly limit
	Line      []place   `json:"Line"`
}

// tally is what is remembered of one limit.
type tally struct {
	Next time.Time `json:"Next"` // see rate

	// For display only: the calls of the window that began at Start and of the one
	// before it.
	Start  time.Time `json:"Start"`
	Calls  int       `json:"Calls"`
	Before int       `json:"Before"`
}

// decode reads the blob; now is the local clock, for the wait that a newer format is.
func decode(body []byte, now time.Time) (record, error) {
	if len(body) == 0 {
		return record{}, nil
	}
	// The format first: a newer record may hold anything else.
	var head struct{ Format int }
	if err := json.Unmarshal(body, &head); err != nil {
		return record{}, unreadable(body, err)
	}
	switch {
	case head.Format < 1:
		return record{}, unreadable(body, fmt.Errorf("format %d", head.Format))
	case head.Format > recordFormat:
		return record{}, fault.Newer(now, head.Format, recordFormat, "")
	}
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return record{}, unreadable(body, err)
	}
	return r, nil
}

func unreadable(body []byte, err error) error {
	return fault.As(fault.Permanent, fmt.Errorf("unreadable document (%d bytes): %w: delete the blob", len(body), err))
}

// count enters a call at slot.
func (t *tally) count(slot time.Time, window time.Duration) {
	switch passed := slot.Sub(t.Start); {
	case t.Start.IsZero() || passed >= 2*window:
		t.Start, t.Before, t.Calls = slot, 0, 0
	case passed >= window:
		t.Start, t.Before, t.Calls = t.Start.Add(window), t.Calls, 0
	}
	t.Calls++
}

// recent estimates the calls of the window that ends now, as if those of the
// window before had been evenly spread.
func (t tally) recent(now time.Time, window time.Duration) int {
	passed := now.Sub(t.Start)
	switch {
	case passed >= 2*window:
		return 0
	case passed >= window:
		return int(float64(t.Calls) * float64(2*window-passed) / float64(window))
	}
	return t.Calls + int(float64(t.Before)*float64(window-max(passed, 0))/float64(window))
}
