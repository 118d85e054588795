package plan

import (
	"time"

	"github.com/defender2adx/defender2adx/internal/schema"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Export is what the service offers of a file export: all files of one generation.
type Export struct {
	Generated time.Time // of the data, by the service's clock; names the generation
	Files     []ExportFile
}

// ExportFile is one file of an export.
type ExportFile struct {
	Name string        // path of its address, without host and query: the same each time it is asked for
	URL  secret.String // its address, signed for a time
}

// ExportTwin returns the file export that carries the same data as a hunting table; ""
// where there is none.
func (t Table) ExportTwin() string {
	s, _ := schema.ExportOf(t.Source)
	return s.Name
}

// Whole returns the file export of which the table is a list of changes; "" where it is
// none.
func (t Table) Whole() string {
	s, _ := schema.SourceNamed(t.Source)
	return s.Whole
}

// IsExport reports whether the table is a file export.
func (t Table) IsExport() bool { return t.Kind() == schema.Files }

// PartFile: one file of an export, which LedgerSlice.Blob names.
const PartFile Part = "file"

// AddFiles plans a slice for each file, whose rows nobody knows.
func (l *Ledger) AddFiles(files []ExportFile) {
	for _, f := range files {
		l.Add(Slice{No: l.Next, Part: PartFile, Hi: Buckets, Rows: RowsUnknown})
		l.Slices[len(l.Slices)-1].Blob = Blob{Path: f.Name, Rows: RowsUnknown}
	}
}

// LookedAt records that there was nothing to copy since the last run, which served the
// wake-up all the same: started is our clock, served the storage's.
func (s *TableState) LookedAt(started, served time.Time) {
	s.LastStarted, s.Served, s.NotBefore = started, served, time.Time{}
}
