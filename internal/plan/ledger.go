package plan

import (
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// SliceState is what is known of a slice, named for that knowledge.
type SliceState string

const (
	// Planned: nothing was promised; the source may be read again.
	Planned SliceState = "planned"
	// Committing: the rows are frozen in a staged blob and only this blob may
	// ever be sent for the slice. Whether it is in ADX is not yet known.
	Committing SliceState = "committing"
	// Verified: ADX returned the frozen rows for RunId and Slice, at least.
	Verified SliceState = "verified"
	// Retired: nothing of the slice is in ADX or ever will be: it was divided and
	// its rows are fetched under other numbers. It is kept only while its count is
	// needed to judge theirs.
	Retired SliceState = "retired"
	// Voiding: the slice is to be hidden from readers and its rows brought in
	// under another number. Whether it is hidden yet is not known.
	Voiding SliceState = "voiding"
	// Void: the slice is hidden from readers, whatever of it is or will be in ADX.
	Void SliceState = "void"
)

// Blob is a staged blob: gzip of newline-delimited JSON, immutable once named.
type Blob struct {
	Path  string `json:"Path"`  // URL without query: no signature is ever stored
	Rows  int64  `json:"Rows"`  // RowsUnknown: of a file that nobody counted, until they are seen in ADX
	Bytes int64  `json:"Bytes"` // uncompressed
}

// LedgerSlice is a slice and what is known of it.
type LedgerSlice struct {
	Slice
	State   SliceState `json:"State"`
	Blob    Blob       `json:"Blob"`                  // Committing and later
	Sent    time.Time  `json:"Sent"`                  // last enqueued for ingestion, storage-independent own clock; zero: never
	Sends   int        `json:"Sends"`                 // how often it was enqueued; 0 in Committing: promised and surely not sent
	Landed  int64      `json:"Landed"`                // rows found in ADX at verification
	Voids   int        `json:"Voids"`                 // how often the rows were sent under an earlier number and hidden
	Surplus int64      `json:"SurplusRows,omitempty"` // rows in ADX when they were reported as taken in more than once
	Cut     int64      `json:"Cut"`                   // rows whose longest values were cut to fit ADX's size limit
	Doubt   bool       `json:"Doubt,omitzero"`        // a send of before the last ones may still arrive; see Unsent
	// SourceID is the id of the last ingestion, by which ADX is asked for its status; ""
	// when not known. It is chosen with the promise, so that whoever comes after a kill can
	// ask; Unanswered says that nobody has seen yet that the ingestion was queued.
	SourceID   string `json:"SourceID,omitzero"`
	Unanswered bool   `json:"Unanswered,omitzero"`
	// Earlier are the ids of sends before the last one, of a slice of unknown rows: any of
	// them may be what has come in, and only its report says whether in part.
	Earlier []string `json:"Earlier,omitempty"`
	// Recut is the blob to be sent instead, in which what was too large for ADX is cut;
	// Rewritten says that Blob is such a one.
	Recut     *Blob `json:"Recut,omitempty"`
	Rewritten bool  `json:"Rewritten,omitzero"`
	// Glimpse is what ADX held of a slice of unknown rows when it was looked at; see
	// SeenTwice.
	Glimpse Glimpse `json:"Glimpse,omitzero"`
	// LastTry: the tries are used up and that was said; the next one is granted.
	LastTry bool `json:"LastTry,omitzero"`
	// Parent is the slice, retired or void, whose rows this one holds in part; 0:
	// none. Rows of all parts are compared with the parent's.
	Parent int `json:"Parent,omitzero"`
	// Whole, of a slice to be hidden and read again with all of its Division, is the
	// first part of that, whose Rows are all that it holds; 0: its blob is sent again.
	Whole int `json:"Whole,omitzero"`
}

// Glimpse is one look at rows in ADX.
type Glimpse struct {
	Rows int64     `json:"Rows,omitzero"`
	At   time.Time `json:"At,omitzero"` // by our clock: when so many were seen first
}

// Ledger is the memory of one run. It is stored as one blob and written whole,
// under names that never change (see TableState).
type Ledger struct {
	Format     int       `json:"Format"`     // StoredFormat, when it was written
	RunID      string    `json:"RunID"`      // fixed-length, alphanumeric, begins with the app's id
	Generation int64     `json:"Generation"` // of the table state that wrote it; fences older writers
	Instance   string    `json:"Instance"`
	Table      Table     `json:"Table"`
	API        string    `json:"API"`
	Started    time.Time `json:"Started"`

	Window       Window     `json:"Window"`           // zero for a snapshot
	More         bool       `json:"More"`             // the window was cut short: another run follows at once
	SnapshotTime time.Time  `json:"SnapshotTime"`     // Defender's now at the plan; zero unless a snapshot
	Total        int64      `json:"Total"`            // snapshot: rows at the plan
	Newest       time.Time  `json:"Newest"`           // snapshot: newest ingestion_time() at the plan; zero when null
	Restarts     int        `json:"Restarts"`         // snapshot: how often it was begun again
	Nulls        int64      `json:"Nulls"`            // rows without a watermark, counted at the plan
	Rewind       *time.Time `json:"Rewind,omitempty"` // the watermark set by the user that this run obeys

	Probe     string        `json:"Probe"`     // id of the one-row probe under way; "" when none
	ProbeSent time.Time     `json:"ProbeSent"` // when it was sent
	Next      int           `json:"Next"`      // the next slice number
	Slices    []LedgerSlice `json:"Slices"`
	Rereads   int           `json:"Rereads,omitzero"` // how often divisions were read again since a row stood in two parts
	Calls     int           `json:"Calls"`            // hunting calls, over all invocations
	Attempts  int           `json:"Attempts"`         // invocations that worked on the run
	Bytes     int64         `json:"Bytes"`
	Notes     []string      `json:"Notes"` // for the audit row
	Ended     time.Time     `json:"Ended"`
	Status    string        `json:"Status"` // audit status at the end; "" while open

	// SourceNow is Defender's clock at the plan, when ours said Started.
	SourceNow time.Time `json:"SourceNow,omitzero"`
	// Checksum of the keys of a snapshot's rows at the plan; "" where the source gave none.
	Checksum string `json:"Checksum,omitzero"`
	// CountBatch is how many parts are counted in one call, since more of them overtaxed
	// the source; 0: as many as a query holds.
	CountBatch int `json:"CountBatch,omitzero"`
	// Parts is into how many parts a snapshot was divided since it could not be counted in
	// one piece; 0: it was. Total, Newest and Checksum are not known then.
	Parts int `json:"Parts,omitzero"`
	// PartsNow are the parts' rows as the closing calls have counted them so far.
	PartsNow []int64 `json:"PartsNow,omitempty"`
	// PartSums are the checksums of the parts' keys as the plan has counted them so far, and
	// PartSumsNow as the closing calls have; "" where the source gave none. Absent in runs
	// that an older program planned.
	PartSums    []string `json:"PartSums,omitempty"`
	PartSumsNow []string `json:"PartSumsNow,omitempty"`

	// Known names the record of what a list had shown before the run, whose versions are
	// left out, and Shown that of what it has shown by now, from the moment its slice is
	// frozen; "": none.
	Known string `json:"Known,omitzero"`
	Shown string `json:"Shown,omitzero"`
	// Floor is a watermark that the user set, before which a list is not read: without a
	// record of what it has shown an overlap would copy rows twice. Zero: none.
	Floor time.Time `json:"Floor,omitzero"`

	Account Account `json:"Account,omitzero"` // why the rows verified are not those planned
}

// LedgerFormat is StateFormat of the ledger's JSON.
const LedgerFormat = 2

// StoredFormat is TableState.StoredFormat for a ledger: filters are what the first
// program would leave out of its queries, hunting tables all that it can ask for, and
// of a slice to be read again it would send the blob.
func (l *Ledger) StoredFormat() int {
	if l.Instance != "" || len(l.Table.Filters) > 0 || l.Table.Kind() != schema.Hunting || slices.ContainsFunc(l.Slices, rereads) {
		return LedgerFormat
	}
	return plainFormat
}

func rereads(s LedgerSlice) bool { return s.State == Voiding && s.Whole != 0 }

// Note adds text to the run's notes once.
func (l *Ledger) Note(text string) {
	if !slices.Contains(l.Notes, text) {
		l.Notes = append(l.Notes, text)
	}
}

// Add appends planned slices and moves Next beyond their numbers.
func (l *Ledger) Add(planned ...Slice) {
	for _, s := range planned {
		l.Slices = append(l.Slices, LedgerSlice{Slice: s, State: Planned})
		l.Next = max(l.Next, s.No+1)
	}
}

// ListRead takes in the service's clock before a list was read, zero where it was not
// told: nothing later than it has settled, and a snapshot is of that instant.
func (l *Ledger) ListRead(now time.Time, settle time.Duration) {
	switch {
	case now.IsZero():
	case l.Table.Load == Snapshot:
		sent := func(s LedgerSlice) bool { return s.State == Committing || s.State == Verified || s.State == Voiding }
		if !slices.ContainsFunc(l.Slices, sent) { // all parts bear one instant
			l.SnapshotTime = Ticks(now)
		}
	default:
		if to := Ticks(now.Add(-settle)); to.Before(l.Window.To) {
			l.Window.To = to
		}
		if l.Window.To.Before(l.Window.From) {
			l.Window.To = l.Window.From
		}
	}
}

// SourceAt returns Defender's clock at our instant now, as far as the plan told it.
func (l *Ledger) SourceAt(now time.Time) time.Time {
	if l.SourceNow.IsZero() {
		return now
	}
	return l.SourceNow.Add(now.Sub(l.Started))
}

// Slice returns the slice with the number no, or nil.
func (l *Ledger) Slice(no int) *LedgerSlice {
	for i := range l.Slices {
		if l.Slices[i].No == no {
			return &l.Slices[i]
		}
	}
	return nil
}

// Count returns how many slices are in the state.
func (l *Ledger) Count(state SliceState) (n int) {
	for i := range l.Slices {
		if l.Slices[i].State == state {
			n++
		}
	}
	return n
}

// Unconfirmed returns how many slices are promised and not settled.
func (l *Ledger) Unconfirmed() int { return l.Count(Committing) + l.Count(Voiding) }

// Done reports whether no slice is left to fetch or to confirm.
func (l *Ledger) Done() bool { return l.Count(Planned) == 0 && l.Unconfirmed() == 0 }

// PlannedRows returns the rows counted in planned slices.
func (l *Ledger) PlannedRows() (n int64) {
	for i := range l.Slices {
		if s := &l.Slices[i]; s.State == Planned {
			n += max(0, s.Rows)
		}
	}
	return n
}

// Rows returns the rows of all verified slices.
func (l *Ledger) Rows() (n int64) {
	for i := range l.Slices {
		if l.Slices[i].State == Verified {
			n += l.Slices[i].Landed
		}
	}
	return n
}
