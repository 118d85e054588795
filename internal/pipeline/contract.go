package pipeline

import (
	"context"
	"io"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Source reads one tenant's tables. Each HTTP try goes through the Caller, which
// takes it from the tenant's quota and decides whether it is tried again; a
// method itself never retries. Errors have a kind: Wait (429, with the instant the
// service named), Unavailable (5xx, connection broken), Split (too large,
// preempted, cut), Permanent (unknown table, missing role: the text names the
// remedy).
type Source interface {
	// Count answers a planning query.
	Count(ctx context.Context, call plan.Caller, q plan.CountQuery) (plan.Counts, error)
	// CountBuckets counts the rows of parts in one call, each by ranges of width
	// neighbouring hash buckets (a power of two; plan.Buckets counts a part
	// whole). Result i belongs to parts[i], ordered by Lo, ranges without rows
	// absent. Parts must be disjoint.
	CountBuckets(ctx context.Context, call plan.Caller, t plan.Table, parts []plan.Slice, width int) ([][]plan.BucketCount, error)
	// Fetch hands the slice's rows, gzip of newline-delimited JSON, to stage, anew at
	// each try. What it returns belongs to the last try, the one that stage kept. An
	// answer of exactly the row cap is an error of kind Split.
	Fetch(ctx context.Context, call plan.Caller, t plan.Table, s plan.Slice, stage Stage) (plan.Received, error)
	// Ready gets what a call needs beforehand, which is a token: a call is taken
	// from the quota only when it can begin at once.
	Ready(ctx context.Context) error
	// API names the interface in use, for the audit row.
	API() string
}

// ListSource reads lists, whose rows nobody can count beforehand. Calls and errors are as
// those of Source; none is of kind Split, since a list cannot be divided.
type ListSource interface {
	// Serves reports whether the source table is one of its lists.
	Serves(source string) bool
	// Read reads the list as often as q says, page by page, and hands what was shown and
	// is not known, once, gzip of newline-delimited JSON, to stage. Each try of a page goes
	// through call; rows that were handed on when a page broke off are not handed on again.
	// Known versions of an earlier run that the read shows again are among those Shown.
	Read(ctx context.Context, call plan.Caller, q plan.ListQuery, stage Stage) (plan.ListAnswer, error)
	// Ready and API are as those of Source.
	Ready(ctx context.Context) error
	API() string
}

// Lists are lists with the quota that their calls are taken from.
type Lists struct {
	Source ListSource
	Quota  Quota
}

// Stage keeps what produce writes if, and only if, produce returns nil; its error
// is returned as it is.
type Stage = func(ctx context.Context, produce func(io.Writer) error) error

// Quota guards the tenant's calls over all processes.
type Quota interface {
	// Take returns nil when the table may make one call now. Tables take turns,
	// urgent calls first. It may sleep a few seconds; a longer wait is an error of
	// kind Wait that names the instant at which this table should ask again.
	Take(ctx context.Context, table string, urgent bool) error
	// PauseUntil lets nobody call before until, as a 429 demanded.
	PauseUntil(ctx context.Context, until time.Time) error
}

// Stager keeps frozen slices in the storage that ADX lends.
type Stager interface {
	// Ready gets what Stage needs beforehand: the containers that ADX lends.
	Ready(ctx context.Context) error
	// Stage uploads what produce writes as one blob and commits it only after produce
	// returned nil. A committed blob is never written over: its name is refused by the
	// container that holds it, while another container that ADX lends may take the same
	// name, under a path of its own. Callers use no name twice. Rows and Bytes of the
	// result are left zero.
	Stage(ctx context.Context, name string, produce func(io.Writer) error) (plan.Blob, error)
	// BlobState reports whether a committed blob still exists, as far as can be told. One
	// without a path, of a slice without rows, is gone.
	BlobState(ctx context.Context, b plan.Blob) (plan.BlobState, error)
	// Recut stages a copy of the blob under a new name in which every row longer than
	// half of limit bytes is cut; rows is how many were.
	Recut(ctx context.Context, b plan.Blob, name string, limit int64) (copied plan.Blob, rows int64, err error)
}

// Ingester sends what was staged into raw tables.
type Ingester interface {
	// Enqueue hands the blob to queued ingestion. It may be called again for the
	// same ingestion: the tag keeps the rows single, as far as the service does.
	// sourceID names the ingestion for IngestStatus; "" where it is not known. An error
	// marked fault.ErrNotQueued says that nothing was queued.
	Enqueue(ctx context.Context, in plan.Ingestion) (sourceID string, err error)
	// Void records that the slice is hidden from every view; slice -1 hides the
	// whole run. Repeating it is harmless.
	Void(ctx context.Context, destination, runID string, slice int) error
	// Probe sends one row with the id into a control table by queued ingestion.
	Probe(ctx context.Context, id string) error
}

// Verifier tells what raw tables hold.
type Verifier interface {
	// Landed counts the rows of runs in ADX, in one query; none of them came in before
	// since. Runs and slices without rows are left out.
	Landed(ctx context.Context, destination string, runIDs []string, since time.Time) (plan.LandedRuns, error)
	// Overlap counts the rows of a run that stand in parts which share no hash bucket: no
	// row does so by one hash function. Rows that were cut or are null are left out. The
	// rows of the parts came in since or later.
	Overlap(ctx context.Context, destination, runID string, parts []plan.Slice, since time.Time) (plan.Overlap, error)
	// IngestStatus reads what ADX has reported of an ingestion, whoever enqueued it.
	// Without its id the error is Permanent.
	IngestStatus(ctx context.Context, sourceID string) (plan.IngestStatus, error)
	// RowLimit returns how large a row of the table may be, in bytes.
	RowLimit(ctx context.Context, destination string) (int64, error)
	// Trouble explains why a table cannot take or show rows, each text with its
	// remedy: it is missing, lacks columns, or a policy is in the way.
	Trouble(ctx context.Context, destination string) ([]string, error)
	// Foreign returns the RunId of a row of another app that came into the table
	// since the instant; "" when there is none.
	Foreign(ctx context.Context, destination, appID string, since time.Time) (string, error)
	// OrphanRun returns a RunId in the table, other than own, that stands in no
	// configuration row and is not hidden as a whole, and the command that hides
	// it, for a person to run; "" when there is none, and for a table that several
	// sources share.
	OrphanRun(ctx context.Context, destination, own string) (runID, command string, err error)
	// Surplus returns the command that removes the rows of a slice which the
	// service took in more than once, for a person to run.
	Surplus(ctx context.Context, destination, runID string, slice int, rows int64) (command string, err error)
	// Probed reports whether the row of that probe is queryable.
	Probed(ctx context.Context, id string) (bool, error)
}

// ControlTables is ADX as the place where configuration and audit rows live.
type ControlTables interface {
	// Rows returns the configuration rows of a source that matter: the newest of
	// all, and those newer than since; oldest first by ingestion time.
	Rows(ctx context.Context, key plan.Key, since time.Time) ([]plan.Row, error)
	// Deliver appends one row, or the columns that changed in one answer, under its tag;
	// repeating it appends nothing. Without a table for it the error is Permanent.
	Deliver(ctx context.Context, out plan.Outgoing) error
}

// Store keeps table states, ledgers and leases.
type Store interface {
	// Acquire leases the table's state and loads it. When somebody else holds the
	// lease the error is of kind Wait, until the lease may end at the latest. A state
	// that only a newer program reads is a Wait marked fault.ErrNewer, and not leased.
	Acquire(ctx context.Context, key plan.Key) (TableLease, error)
}

// TableLease is a leased table state. A method's error of kind Permanent never
// means that the state is wrong: a lost lease is Retry.
type TableLease interface {
	// State returns the state as last read or saved; nil when the table has none.
	State() *plan.TableState
	// SaveState writes the state under lease and compare-and-swap. A lost reply
	// is settled by reading back: our own write counts as done.
	SaveState(ctx context.Context, s *plan.TableState) error
	// Ledger reads the ledger of a run; nil when there is none. One that only a newer
	// program reads is a Wait marked fault.ErrNewer.
	Ledger(ctx context.Context, runID string) (*plan.Ledger, error)
	// SaveLedger writes a ledger under compare-and-swap with what this holder read
	// or wrote last.
	SaveLedger(ctx context.Context, l *plan.Ledger) error
	// OpenLedger finds an open ledger of the table by listing, for a table whose
	// state is gone; nil when there is none.
	OpenLedger(ctx context.Context) (*plan.Ledger, error)
	// SaveVersions writes what a list has shown under a name that no one has used yet.
	SaveVersions(ctx context.Context, name string, shown *plan.Versions) error
	// Versions reads it; nil when it is not there.
	Versions(ctx context.Context, name string) (*plan.Versions, error)
	// DropVersions removes it, as far as it is there.
	DropVersions(ctx context.Context, name string) error
	// Deadline is the instant until which the lease is surely ours, by a clock
	// that a frozen process cannot hold back.
	Deadline() time.Time
	// ServiceNow is the time by the storage's clock, which also stamps messages; zero
	// when it is not known.
	ServiceNow() time.Time
	// Context ends when the lease is lost or released.
	Context() context.Context
	// Release gives the lease back at once.
	Release(ctx context.Context) error
}

// Waker sends a wake-up for the table that becomes visible after delay.
type Waker interface {
	Wake(ctx context.Context, w plan.WakeUp, delay time.Duration) error
}

// Clock tells the time and lets time pass.
type Clock interface {
	Now() time.Time
	// Sleep returns early with the context's error.
	Sleep(ctx context.Context, d time.Duration) error
}
