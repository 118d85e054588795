package kusto

import "time"

// Faults make the cluster as awkward as the real one can be. Every hook may be
// nil, and is called from several goroutines.
type Faults struct {
	// Query is asked before each query. An error is the answer; an *Error with
	// Late comes behind the rows, in the frame that completes the table.
	Query func(database, text string) error

	// Command is asked before each management command, which then does nothing. An
	// *Error with Late is answered with status 200 and an exception.
	Command func(database, text string) error

	// Ingestion is asked once for each message received from the queue.
	Ingestion func(Delivery) Verdict
}

// Delivery is a message of queued ingestion, without its secrets.
type Delivery struct {
	Database, Table string
	Blob            string // address without the signature
	Tags            []string
	Attempt         int // how often the message has been received, from 1
}

// Verdict says what goes wrong with a delivery. The zero value lets it pass.
type Verdict struct {
	Delay time.Duration   // wait this long before anything else
	Hold  <-chan struct{} // then until it is closed

	Lose bool // delete the message and do nothing else, not even report

	// Fail does not take the blob in and reports this instead.
	Fail *Failed

	// Drop loses the rows, counted from 0, for which it is true; the status is
	// PartiallySucceeded.
	Drop func(row int) bool

	// Null makes the dynamic values of these rows null, as if they were too large.
	Null func(row int) bool

	// Twin takes the blob in a second time at the same moment: neither sees the
	// other's tags.
	Twin bool

	// Again handles the message that many more times, one after the other.
	Again int

	// Invisible is how much later than the report the rows become queryable. Their
	// tags count at once.
	Invisible time.Duration

	Unreported bool // never write the status: it stays Pending
}

// Failed is the end of an ingestion that took nothing in.
type Failed struct {
	Code    string // such as BadRequest_TableNotExist
	Details string
	Status  string // Permanent, Transient or Exhausted
}

func (f *Failed) Error() string { return f.Code + ": " + f.Details }

func permanent(code, details string) *Failed {
	return &Failed{Code: code, Details: details, Status: "Permanent"}
}

func transient(code, details string) *Failed {
	return &Failed{Code: code, Details: details, Status: "Transient"}
}
