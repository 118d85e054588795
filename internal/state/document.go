package state

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// stamp stands at the top of every document beside its Format. Writer and
// WriteSeq together are never used twice, which makes every body unique: so a
// writer knows its own write when it reads one back.
type stamp struct {
	Writer   string `json:"Writer"`   // process and acquisition
	WriteSeq int64  `json:"WriteSeq"` // of the writer, from 1
	Program  string `json:"Program"`  // version of the program that wrote it
}

type stateDocument struct {
	stamp
	plan.TableState
}

type ledgerDocument struct {
	stamp
	plan.Ledger
}

// decodeState reads a state; now is the wall clock, for the wait that a newer format
// is.
func decodeState(body []byte, now time.Time) (*plan.TableState, error) {
	if err := checkFormat(body, plan.StateFormat, now); err != nil {
		return nil, err
	}
	var d stateDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, unreadable(body, err)
	}
	if d.LastEnded.IsZero() {
		// A program that knew one instant for both wrote it.
		d.LastEnded = d.ForeignSince
	}
	return &d.TableState, nil
}

// decodeLedger is decodeState for a ledger.
func decodeLedger(body []byte, now time.Time) (*plan.Ledger, error) {
	if err := checkFormat(body, plan.LedgerFormat, now); err != nil {
		return nil, err
	}
	var d ledgerDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, unreadable(body, err)
	}
	return &d.Ledger, nil
}

// checkFormat refuses what this program cannot read, before it misreads it. There
// are two formats, whose members are the same: see plan.StateFormat.
func checkFormat(body []byte, known int, now time.Time) error {
	var head struct {
		Format  int
		Program string
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return unreadable(body, err)
	}
	switch {
	case head.Format < 1:
		return unreadable(body, fmt.Errorf("format %d", head.Format))
	case head.Format > known:
		return fault.Newer(now, head.Format, known, head.Program)
	}
	return nil
}

func unreadable(body []byte, err error) error {
	return fault.As(fault.Permanent, fmt.Errorf("unreadable document (%d bytes): %w: delete the blob, and it is made again from what ADX holds", len(body), err))
}

// stampOf returns the stamp of a stored document; zero when it has none.
func stampOf(body []byte) (s stamp) {
	_ = json.Unmarshal(body, &s) // an unreadable document is nobody's write
	return s
}
