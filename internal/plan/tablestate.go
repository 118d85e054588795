package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// Key names a table of an instance.
type Key struct {
	Instance string
	Source   string
}

// String returns the key as logs show it.
func (k Key) String() string {
	if k.Instance == "" {
		return k.Source
	}
	return k.Instance + "/" + k.Source
}

// StateFormat is the newest format of the table state's JSON that this program reads
// and writes, and plainFormat the oldest, of states and ledgers alike.
//
// Format 1 is what the first program reads. It knows no members but its own, asks one
// tenant for hunting tables, and takes a watermark for one of any column; what it would
// misread so has format 2, which it leaves alone. The members of both are read in the same way.
const StateFormat = 2

const plainFormat = 1

// StoredFormat returns the format that the state is to be stored in: the oldest that
// loses nothing of it, so that an upgrade can be taken back.
func (s *TableState) StoredFormat() int {
	schemaRow := slices.ContainsFunc(s.Outbox, func(o Outgoing) bool { return o.Schema != nil })
	if s.Instance != "" || len(s.Marks.Older) > 0 || schemaRow || schema.KindOf(s.Source) != schema.Hunting {
		return StateFormat
	}
	return plainFormat
}

const (
	// NullsNotCopied: no run has copied the rows without watermark yet.
	NullsNotCopied = -1
	// NullsUnknown: they were copied, by a run of which only the watermark is known.
	NullsUnknown = -2
)

// publishedKept bounds TableState.Published: an older published watermark that
// a user sets again is taken for a command, which is what it then is.
const publishedKept = 32

// TableState is the authority on one table: open run, generation, watermark. It
// and what it holds are stored: the names in the tags never change, and a new
// member is left out when zero, so that older programs read what newer ones wrote.
// They pass over a member that they do not know and lose it with their next write:
// its zero must say what was true before there was such a member. What an older
// program must not touch raises the format.
type TableState struct {
	Format     int       `json:"Format"` // StoredFormat, when it was written
	Instance   string    `json:"Instance"`
	Source     string    `json:"Source"`
	Generation int64     `json:"Generation"`         // raised by every attempt before any other effect
	Watermark  time.Time `json:"Watermark"`          // every row up to and including it is in ADX; zero: nothing yet
	OpenRun    string    `json:"OpenRun"`            // RunId of the open run; "" when none
	LastRun    string    `json:"LastRun"`            // RunId of the run that ended last, until ADX was asked once more for copies of it
	NotBefore  time.Time `json:"NotBefore"`          // waits longer than a message can carry
	Width      float64   `json:"Width"`              // bytes a row, learned; 0 until then
	Nulls      int64     `json:"Nulls"`              // rows without watermark copied, 0: none was there; or NullsNotCopied, NullsUnknown
	LastEnded  time.Time `json:"LastEnded,omitzero"` // when the last run ended; zero: none yet
	// ForeignSince is the instant since which rows of other apps are looked for: the
	// end of the last run, or the last time that such rows made the table refuse;
	// zero: no run has ended. Stored as Settled, which once meant both: older
	// programs read it as either, so that an upgrade can be taken back.
	ForeignSince time.Time  `json:"Settled"`
	Rebuilt      bool       `json:"Rebuilt"`  // there was no state, and no run has ended since
	Restarts     int        `json:"Restarts"` // snapshots abandoned in a row because the table changed meanwhile
	Rewind       *time.Time `json:"Rewind"`   // a watermark that the user set; the next run begins there

	Command   time.Time  `json:"Command"`   // arrival of the newest configuration row judged so far
	Table     Table      `json:"Table"`     // the configuration last acted upon
	Published []Table    `json:"Published"` // rows of ours in MigrationConfiguration, newest last
	Outbox    []Outgoing `json:"Outbox"`    // what must still be said in ADX
	Seq       int64      `json:"Seq"`       // numbers the outbox's entries over the table's life

	LastRows int64     `json:"LastRows,omitzero"` // rows of the run that ended last: an empty count after it is taken again
	Turned   string    `json:"Turned,omitzero"`   // what the next run's audit row says of a change of column or load type
	Marks    Marks     `json:"Marks,omitzero"`    // what was copied by other columns
	More     bool      `json:"More,omitzero"`     // the last run left windows to copy
	Served   time.Time `json:"Served,omitzero"`   // when the last run ended, by the storage's clock; zero: not known
	Pending  Pending   `json:"Pending,omitzero"`  // the wake-up that we sent again last
	Said     []Said    `json:"Said,omitempty"`    // causes that audit rows named lately, oldest first
	Looks    []Look    `json:"Looks,omitempty"`   // runs in doubt that are looked at again, oldest first
	// RowCap is the number of rows at which the tenant's answers are cut, where that is
	// below the service's cap; 0: not known.
	RowCap int64 `json:"RowCap,omitzero"`
	// Reach is the longest window that the next run may count, in nanoseconds; 0: any.
	Reach time.Duration `json:"Reach,omitzero"`

	// Tenant is the one whose rows the runs have copied, in lower case; "": not known.
	// Watermark, marks and learned sizes are of it alone.
	Tenant string `json:"Tenant,omitzero"`
	// Shown names the record of what a list has shown lately; "": none. Floor is as the
	// last run's ledger has it.
	Shown string    `json:"Shown,omitzero"`
	Floor time.Time `json:"Floor,omitzero"`

	// LastStarted is when the run that ended last started; zero: not known, see Started.
	LastStarted time.Time `json:"LastStarted,omitzero"`
	// Schema is the KQL type of each column of the last answer that named them; empty:
	// none has, and the catalogue is what is known.
	Schema map[string]string `json:"Schema,omitempty"`
	// OpenInto is the raw table that the open run writes to, whatever is configured by
	// now; "": Table's.
	OpenInto string `json:"OpenInto,omitzero"`
	// Last is how the last attempt ended, for whoever looks; zero: not known.
	Last Ending `json:"Last,omitzero"`
}

// Outgoing is what is to be appended in ADX under an ingest-by tag, exactly one of
// Config, Audit and Schema.
type Outgoing struct {
	Tag    string        `json:"Tag"` // unique for ever: instance, table, Seq
	Config *Row          `json:"Config,omitempty"`
	Audit  *Audit        `json:"Audit,omitempty"`
	Schema *SchemaChange `json:"Schema,omitempty"` // older programs do not know it: StoredFormat
}

// Audit is one row of MigrationAuditLog.
type Audit struct {
	TableName     string        `json:"TableName"` // destination; "" for a malformed wake-up
	Timestamp     time.Time     `json:"Timestamp"`
	Status        Status        `json:"Status"`
	FailureReason string        `json:"FailureReason"` // "" on success
	RecordCount   int64         `json:"RecordCount"`
	Instance      string        `json:"Instance"`
	SourceTable   string        `json:"SourceTable"`
	RunID         string        `json:"RunID"`
	AttemptID     string        `json:"AttemptID"`
	WindowFrom    time.Time     `json:"WindowFrom"` // zero: null
	WindowTo      time.Time     `json:"WindowTo"`
	Slices        int           `json:"Slices"`
	Calls         int           `json:"Calls"`
	Bytes         int64         `json:"Bytes"`
	Duration      time.Duration `json:"Duration"`
	API           string        `json:"API"`
	Note          string        `json:"Note"`
}

// Status is how an attempt ended.
type Status string

const (
	Success  Status = "Success"
	Failed   Status = "Failed" // this attempt; the run stays open
	Skipped  Status = "Skipped"
	Torn     Status = "Torn"
	Gap      Status = "Gap"
	Repaired Status = "Repaired"
	Surplus  Status = "Surplus"
)

// Ending is how an attempt ended.
type Ending struct {
	Status Status    `json:"Status"`
	At     time.Time `json:"At"`
	Reason string    `json:"Reason,omitempty"` // "" on success; no longer than reasonKept
}

// reasonKept bounds what the state keeps of a reason, in bytes; the audit row has all.
const reasonKept = 1000

// Ended remembers how an attempt ended.
func (s *TableState) Ended(row Audit) {
	s.Last = Ending{Status: row.Status, At: row.Timestamp, Reason: clip(row.FailureReason, reasonKept)}
}

// nullsLeft reports whether none of the rows without watermark was copied: no run has
// ended yet, or those that did had counted none, for which a line that was missing in
// the answer is taken, too. Rows that are counted later are then copied.
func nullsLeft(nulls int64) bool { return nulls == NullsNotCopied || nulls == 0 }

// NullsLeft reports whether the next run copies the rows without watermark.
func (s *TableState) NullsLeft() bool { return nullsLeft(s.Nulls) }

// NullsEnded records, at the checkpoint, that a run ended which had counted so many
// rows without watermark and, where they were left, copied them.
func (s *TableState) NullsEnded(counted int64) {
	if s.NullsLeft() || s.Nulls == NullsUnknown && counted > 0 {
		s.Nulls = counted
	}
}

// WritesTo returns the raw table of the open run.
func (s *TableState) WritesTo() string { return cmp.Or(s.OpenInto, s.Table.Destination) }

// Publish remembers a configuration row of ours.
func (s *TableState) Publish(t Table) {
	t.Ingested = time.Time{}
	s.Published = append(s.Published, t)
	if over := len(s.Published) - publishedKept; over > 0 {
		s.Published = s.Published[over:]
	}
}

// PublishDue reports whether a configuration row is due for a run that copied
// nothing: the last one we published is a day behind the watermark or asks for
// something else, or there is none.
// A row a tick of a quiet table would fill MigrationConfiguration.
func (s *TableState) PublishDue(watermark time.Time) bool {
	n := len(s.Published)
	return n == 0 || !s.Published[n-1].Same(s.Table) || !watermark.Before(s.Published[n-1].LastRefreshed.Add(24*time.Hour))
}

// ChangeTenant forgets what is only true of the rows of the tenant before. What was
// published and is to be said stays.
func (s *TableState) ChangeTenant(tenant string) {
	s.Turned = fmt.Sprintf("tenant %s is copied from now on; rows of tenant %s stay in the table", tenant, s.Tenant)
	s.Tenant, s.OpenRun, s.NotBefore, s.Restarts, s.More, s.LastRows = tenant, "", time.Time{}, 0, false, 0
	s.Shown, s.Floor = "", time.Time{}
	s.Marks, s.Looks, s.LastRun, s.Nulls, s.Width, s.RowCap, s.Reach = Marks{}, nil, "", NullsNotCopied, 0, 0, 0
	s.Schema = nil
}

// Ours reports whether the configuration row is exactly one we recorded
// publishing, with nothing changed. What we publish once arrives once, and that
// arrival is remembered here: a second such row is a user's copy.
func (s *TableState) Ours(row Table) bool {
	for i := range s.Published {
		p := &s.Published[i]
		if p.RunID != row.RunID || p.Generation != row.Generation || !p.LastRefreshed.Equal(row.LastRefreshed) || !p.Same(row) {
			continue
		}
		if p.Ingested.IsZero() {
			p.Ingested = row.Ingested
		}
		if p.Ingested.Equal(row.Ingested) {
			return true
		}
	}
	return false
}

// EverPublished reports whether the watermark is one that we wrote.
func (s *TableState) EverPublished(watermark time.Time) bool {
	for _, p := range s.Published {
		if p.LastRefreshed.Equal(watermark) {
			return true
		}
	}
	return s.Watermark.Equal(watermark)
}
