package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/savedquery"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// The kinds of sources.
const (
	KindHunting = schema.Hunting
	KindList    = schema.List
	KindFiles   = schema.Files
	KindQuery   = schema.Query
)

// Kind tells how the table is read.
func (t Table) Kind() schema.Kind { return schema.KindOf(t.Source) }

// Key lists the columns that identify a row; empty: only the whole row does.
func (t Table) Key() []string {
	if t.Query.Result != "" {
		return t.Query.Key
	}
	known, _ := schema.Lookup(t.Source)
	return known.Key
}

// Short is the key with the source's short name, for where no slash may stand.
func (k Key) Short() Key { return Key{Instance: k.Instance, Source: schema.ShortName(k.Source)} }

// Full reverses Short; any other key is returned as it is.
func (k Key) Full() Key { return Key{Instance: k.Instance, Source: schema.FullName(k.Source)} }

// CheckSource returns an error in the operator's words when name can be no SourceTable.
// Hunting tables need not be catalogued, lists and file exports must: how they are read
// is written there.
func CheckSource(what, name string) error {
	if query, ok := strings.CutPrefix(name, schema.QueryPrefix); ok {
		if !tableName.MatchString(query) {
			return fmt.Errorf("%s: want %s and the name of a saved query in letters, digits and underscores, got %q", what, schema.QueryPrefix, clip(name, 80))
		}
		if _, _, err := savedquery.Named(name); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	s, known := schema.LookupSource(name)
	switch {
	case known && name == s.Name:
		return nil
	case known && (strings.Contains(name, "/") || name == s.Short):
		return fmt.Errorf("%s: %q is written %s", what, clip(name, 80), s.Name)
	case strings.Contains(name, "/"):
		var names []string
		for _, s := range schema.Sources() {
			names = append(names, s.Name)
		}
		return fmt.Errorf("%s: %q is no source that is known; there are %s, %sNAME and the hunting tables", what, clip(name, 80), strings.Join(names, ", "), schema.QueryPrefix)
	}
	return CheckName(what, name)
}

// ListReads is how often a list is read for one slice: pages shift while they are read,
// and what one read misses the other shows. An answer of one row has no pages, and may
// bear the instant of the call, so that a second one would be a second row.
func (t Table) ListReads() int {
	if s, ok := schema.SourceNamed(t.Source); ok && s.Single {
		return 1
	}
	return 2
}

// listMargin is how much younger than a list's reach its reading begins, which takes time.
const listMargin = time.Hour

// ListBegin is where a read of a list begins that goes on from a watermark, which is zero
// for everything: an overlap before it, so that what came late is seen, where overlap
// says that what was shown before is known; and no earlier than the list reaches.
func (t Table) ListBegin(from, now time.Time, overlap bool) time.Time {
	s, ok := schema.SourceNamed(t.Source)
	if !ok {
		return from
	}
	if overlap && !from.IsZero() {
		from = from.Add(-s.Overlap)
	}
	if s.Reach > 0 {
		if reached := Ticks(now.Add(listMargin - s.Reach)); from.Before(reached) {
			return reached
		}
	}
	return from
}

// sincePeriod is how much before a beginning by Source.Since rows may be that are shown:
// the period that holds it begins earlier. Source: Defender for Endpoint, export of
// software vulnerability changes, granularity of 6 hours; doubled.
const sincePeriod = 12 * time.Hour

// listSlack is for beginnings that are asked for in whole seconds.
const listSlack = time.Minute

// ListMemory is the instant from which on versions that a list has shown are remembered,
// where the next read goes on from a watermark: it can show them again.
func (t Table) ListMemory(mark time.Time) time.Time {
	s, ok := schema.SourceNamed(t.Source)
	if !ok {
		return mark
	}
	if s.Since != "" {
		mark = mark.Add(-sincePeriod)
	}
	return mark.Add(-s.Overlap - listSlack)
}

// KeepsVersions reports whether a list's rows tell the instant of their version, by which
// what was shown can be remembered for as long as it may be shown again.
func (t Table) KeepsVersions() bool {
	s, ok := schema.SourceNamed(t.Source)
	return ok && s.Kind == schema.List && s.Version != ""
}

// DividedBy is the column by whose instants a list can be read in parts; "" where the
// service takes no end of a reading, or the rows have no such column.
func (t Table) DividedBy() string {
	s, ok := schema.SourceNamed(t.Source)
	if !ok || s.Kind != schema.List || s.Since != "" || len(s.Watermarks) == 0 {
		return ""
	}
	return cmp.Or(t.WatermarkColumn, s.Watermarks[0])
}

// checkLoad refuses what a source cannot be copied by. column is "" for None.
func checkLoad(source string, load LoadType, column string) error {
	switch schema.KindOf(source) {
	case schema.Query:
		return checkSaved(source, load, column)
	case schema.List, schema.Files:
		s, _ := schema.SourceNamed(source)
		var errs []error
		if load != "" && !slices.Contains(s.Loads, string(load)) {
			errs = append(errs, fmt.Errorf("LoadType: %s is copied as %s, not as %s", source, strings.Join(s.Loads, " or "), load))
		}
		if load != Snapshot && !slices.Contains(s.Watermarks, column) && len(s.Watermarks) > 0 || column != "" && !slices.Contains(s.Watermarks, column) {
			want := noColumn
			if load != Snapshot && len(s.Watermarks) > 0 {
				want = strings.Join(s.Watermarks, " or ")
			}
			errs = append(errs, fmt.Errorf("WatermarkColumn: %s wants %s, got %s", source, want, WrittenColumn(column)))
		}
		return errors.Join(errs...)
	}
	return nil
}

// checkDestination refuses a raw table by the name of a typed view.
func checkDestination(name string) error {
	_, view := schema.Lookup(name)
	view = view || slices.ContainsFunc(slices.Concat(schema.Sources(), schema.SavedQueries()), func(s schema.Source) bool { return s.View == name })
	if !view {
		return nil
	}
	return fmt.Errorf("DestinationTable: %s is the name of a hunting table, list or saved query, which the typed view needs; want another, such as %[1]sRaw", name)
}

// DefaultRow is a row for a source that nobody has configured yet and that is no hunting
// table; false for those.
func DefaultRow(source string) (Row, bool) {
	s, ok := schema.SourceNamed(source)
	if !ok {
		return Row{}, false
	}
	row := Row{SourceTable: s.Name, DestinationTable: s.Destination, WatermarkColumn: noColumn, LoadType: s.Loads[0]}
	if len(s.Watermarks) > 0 && (s.Kind != schema.Query || s.Loads[0] != string(Snapshot)) {
		row.WatermarkColumn = s.Watermarks[0]
	}
	return row, true
}
