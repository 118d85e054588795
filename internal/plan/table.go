package plan

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// LoadType says what a table's runs copy.
type LoadType string

const (
	// Full copies everything the first time and increments from then on, which
	// is what the original script meant by the word.
	Full LoadType = "Full"
	// Incr copies what came after the watermark.
	Incr LoadType = "Incr"
	// Snapshot copies the whole present state at each run.
	Snapshot LoadType = "Snapshot"
)

// ParseLoadType reads a LoadType in any letter case.
func ParseLoadType(text string) (LoadType, error) {
	for _, l := range []LoadType{Full, Incr, Snapshot} {
		if strings.EqualFold(strings.TrimSpace(text), string(l)) {
			return l, nil
		}
	}
	return "", fmt.Errorf("LoadType: want Full, Incr or Snapshot, got %q", text)
}

// Table is one row of MigrationConfiguration, checked.
type Table struct {
	Instance        string    `json:"Instance"`        // the Defender tenant's name; "" is the default instance
	Source          string    `json:"Source"`          // as Defender spells it: hunting table, path of a list or export, or saved query
	Destination     string    `json:"Destination"`     // raw table in ADX
	WatermarkColumn string    `json:"WatermarkColumn"` // "" means ingestion_time(), written None in the configuration
	Load            LoadType  `json:"Load"`
	Active          bool      `json:"Active"`
	LastRefreshed   time.Time `json:"LastRefreshed"` // watermark as the row states it; zero when null
	Frequency       string    `json:"Frequency"`     // how often a run is due; "" is every tick

	// Retention is how long rows stay in the raw table, as the row has it; "" as it is.
	Retention string `json:"Retention,omitempty"`

	RunID      string    `json:"RunID"`      // the run that published the row; "" for a row of the user's
	Generation int64     `json:"Generation"` // the publishing state's generation; 0 for a row of the user's
	Ingested   time.Time `json:"Ingested"`   // when the row came into ADX; orders rows of one source

	// Written is the name that the configuration has for Source where it is an older one.
	Written string `json:"Written,omitempty"`

	// Filters are what a run selects beside its window, and RowLimit is how large in
	// bytes a row of its destination may be; both of a run's table only.
	Filters  []Filter `json:"Filters,omitempty"`
	RowLimit int64    `json:"RowLimit,omitzero"`

	// Query is the text of a saved query; of a run's table only, see ForRun.
	Query SavedQuery `json:"Query,omitzero"`
}

// Row is MigrationConfiguration as it is stored, before any check.
type Row struct {
	SourceTable               string    `json:"SourceTable"`
	DestinationTable          string    `json:"DestinationTable"`
	WatermarkColumn           string    `json:"WatermarkColumn"`
	LastRefreshedTime         time.Time `json:"LastRefreshedTime"` // zero when null
	LastRefreshedTimeInString string    `json:"LastRefreshedTimeInString"`
	LoadType                  string    `json:"LoadType"`
	IsActive                  bool      `json:"IsActive"`
	Instance                  string    `json:"Instance"`
	Frequency                 string    `json:"Frequency"`
	RunID                     string    `json:"RunID"`
	Generation                int64     `json:"Generation"`
	Ingested                  time.Time `json:"Ingested"`
	Retention                 string    `json:"Retention,omitempty"`
	// Written is the name under which the configuration has the row, where SourceTable
	// is the one of today in its place.
	Written string `json:"Written,omitempty"`
}

// tableName is what Kusto and Defender accept as a plain table or column name.
// Source: Kusto entity names; 128 is below the service's 1,024 and above any
// Defender name.
var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// CheckName returns an error in the operator's words when name is no plain
// table or column name. what names the setting or column the text stands in.
func CheckName(what, name string) error {
	if tableName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%s: want letters, digits and underscores, starting with a letter, got %q", what, clip(name, 80))
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// Table checks the row. The error joins every fault found and is permanent by
// nature: only an edit of the configuration mends it.
func (r Row) Table() (Table, error) {
	var errs []error
	load, err := ParseLoadType(r.LoadType)
	errs = append(errs, err, CheckSource("SourceTable", r.SourceTable), CheckName("DestinationTable", r.DestinationTable), checkDestination(r.DestinationTable))
	column := r.WatermarkColumn
	if trimmed := strings.TrimSpace(column); trimmed == "" || strings.EqualFold(trimmed, noColumn) {
		column = ""
	} else {
		errs = append(errs, CheckName("WatermarkColumn", column))
	}
	errs = append(errs, checkLoad(r.SourceTable, load, column))
	_, err = ParseFrequency(r.Frequency)
	errs = append(errs, Divided(r.SourceTable), err)
	_, err = ParseRetention(r.Retention)
	errs = append(errs, err)
	last := r.LastRefreshedTime
	if last.IsZero() && strings.TrimSpace(r.LastRefreshedTimeInString) != "" {
		last, err = ParseStamp(r.LastRefreshedTimeInString)
		if err != nil {
			errs = append(errs, fmt.Errorf("LastRefreshedTimeInString: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Table{}, err
	}
	return Table{
		Instance: r.Instance, Source: r.SourceTable, Destination: r.DestinationTable, WatermarkColumn: column,
		Load: load, Active: r.IsActive, LastRefreshed: Ticks(last), Frequency: r.Frequency, Retention: r.Retention,
		RunID: r.RunID, Generation: r.Generation, Ingested: r.Ingested, Written: r.Written,
	}, nil
}

// ArrivalTime reports whether the watermark is an arrival or event time, the
// only kind that Defender's look-back clamps; a business date is not one, nor is any
// column of another source than a hunting table.
func (t Table) ArrivalTime() bool {
	if t.Kind() != schema.Hunting {
		return false
	}
	return t.WatermarkColumn == "" || t.WatermarkColumn == "Timestamp"
}

// Same reports whether two tables ask for the same migration, whatever their
// watermark, publisher and arrival in ADX.
func (t Table) Same(o Table) bool {
	return t.Instance == o.Instance && t.Source == o.Source && t.Destination == o.Destination &&
		t.WatermarkColumn == o.WatermarkColumn && t.Load == o.Load && t.Active == o.Active && t.Frequency == o.Frequency && t.Retention == o.Retention
}

// noColumn stands in MigrationConfiguration for the arrival time.
const noColumn = "None"

// WrittenColumn is a watermark column as MigrationConfiguration names it.
func WrittenColumn(column string) string { return cmp.Or(column, noColumn) }

// Row returns the table as a row of MigrationConfiguration.
func (t Table) Row() Row {
	text := ""
	if !t.LastRefreshed.IsZero() {
		text = Stamp(t.LastRefreshed)
	}
	return Row{
		SourceTable: t.Source, DestinationTable: t.Destination, WatermarkColumn: WrittenColumn(t.WatermarkColumn),
		LastRefreshedTime: t.LastRefreshed, LastRefreshedTimeInString: text, LoadType: string(t.Load), IsActive: t.Active,
		Instance: t.Instance, Frequency: t.Frequency, Retention: t.Retention, RunID: t.RunID, Generation: t.Generation, Written: t.Written,
	}
}
