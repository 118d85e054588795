package plan

import (
	"time"

	"github.com/defender2adx/defender2adx/internal/secret"
)

// Ingestion is one blob on its way into a raw table.
type Ingestion struct {
	Destination  string
	RunID        string // alphanumeric
	Slice        int
	SnapshotTime time.Time // zero: null
	Blob         Blob
	// URL is the signed address of a file that stands elsewhere than in the staging
	// storage; zero: Blob does.
	URL secret.String
	// SourceID is under what id ADX is to report, a UUID; "": the adapter chooses one.
	SourceID string
}

// IngestState says what ADX has reported of a queued ingestion.
type IngestState string

const (
	// IngestUnknown: nothing final was reported, or no report is to be had.
	IngestUnknown IngestState = ""
	// IngestSucceeded: taken in, or skipped because its tag was there already. Only
	// the count of rows says that they can be seen.
	IngestSucceeded IngestState = "succeeded"
	// IngestFailed: nothing was taken in.
	IngestFailed IngestState = "failed"
	// IngestPartial: some records were taken in and others were not.
	IngestPartial IngestState = "partial"
	// IngestEmpty: the blob holds no record, so that there was nothing to take in.
	IngestEmpty IngestState = "empty"
)

// IngestStatus is what the status row of one ingestion says.
type IngestStatus struct {
	State     IngestState
	Permanent bool   // IngestFailed: ADX does not try again by itself
	Code      string // such as BadRequest_TableNotExist; "" when none was given
	Reason    string // code and details for a person, without secrets
}

// BlobState says whether a staged blob is still there.
type BlobState string

const (
	BlobThere BlobState = "there"
	BlobGone  BlobState = "gone"
	// BlobUntold: the signature does not let us look. Send it again and let the
	// ingestion decide.
	BlobUntold BlobState = "cannot tell"
)

// cutMargin is left below a table's row limit: ADX measures its own form of a row,
// which may be longer than ours. A guess, generous beside any row of 1 MB.
const cutMargin = 64 << 10

// CutAt returns the size in bytes to which a longer row is cut for a table whose
// rows may have limit bytes.
func CutAt(limit int64) int64 { return max(limit-cutMargin, limit/2) }
