package plan

import (
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/savedquery"
)

// SavedQuery is the text of a saved query as a run asks it: a run keeps the one that it
// was planned with, whatever the program that goes on with it brings.
type SavedQuery struct {
	Lets   string   `json:"Lets,omitzero"` // let statements, each with semicolon and line end
	Result string   `json:"Result"`        // the statement that gives the rows
	Key    []string `json:"Key,omitempty"` // columns that identify a row; none: the whole row
}

// ForRun returns the table as a new run copies it: a saved query with its text, as this
// program has it. Its error is of kind Permanent.
func (t Table) ForRun() (Table, error) {
	q, saved, err := savedquery.Named(t.Source)
	if err != nil {
		return t, fault.As(fault.Permanent, err)
	}
	if !saved {
		return t, nil
	}
	t.Query = SavedQuery{Lets: q.Lets, Result: q.Result, Key: q.Key}
	return t, nil
}

// checkSaved refuses what a saved query cannot be copied by. column is "" for None.
func checkSaved(source string, load LoadType, column string) error {
	q, _, err := savedquery.Named(source)
	if err != nil {
		return nil // CheckSource says so
	}
	var errs []error
	if load == Full {
		errs = append(errs, fmt.Errorf("LoadType: a saved query is copied as %s, or as %s by a datetime column of its result; got %s", Snapshot, Incr, load))
	}
	if err := q.CheckWatermark(column); err != nil && load != Snapshot {
		errs = append(errs, fmt.Errorf("WatermarkColumn: %w", err))
	}
	return errors.Join(errs...)
}

// CheckArrival refuses to copy a saved query by the arrival of its rows where the count
// of them shows that some have none: what they are made of came in at many times. nulls
// are those, of the whole result.
func (t Table) CheckArrival(nulls int64) error {
	if t.Kind() != KindQuery || t.Load == Snapshot || t.WatermarkColumn != "" || nulls == 0 {
		return nil
	}
	return fault.As(fault.Permanent, fmt.Errorf(
		"WatermarkColumn None: %d rows of %s have no ingestion_time(), so nothing new could be told from old: name a datetime column of the result, or set LoadType to %s", nulls, t.Source, Snapshot))
}
