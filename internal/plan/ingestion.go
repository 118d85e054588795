package plan

import "time"

// Ingestion is one staged blob on its way into a raw table.
type Ingestion struct {
	Destination  string
	RunID        string // alphanumeric
	Slice        int
	SnapshotTime time.Time // zero: null
	Blob         Blob
}

// Ticket follows one enqueued ingestion for as long as the process lives.
type Ticket interface {
	// Failed reports whether ADX has said that the ingestion failed for good, and
	// its reason. It does not block.
	Failed() (reason string, failed bool)
}
