package schema

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind says how a source table is read.
type Kind string

const (
	// Hunting: a table of advanced hunting, asked in KQL.
	Hunting Kind = "hunting"
	// List: a REST entity, read page by page.
	List Kind = "list"
	// Files: an export that the service keeps as files, which ADX fetches itself.
	Files Kind = "files"
	// Query: a saved query, whose result is copied like a hunting table.
	Query Kind = "query"
)

// RowsUnknown reports whether the rows of a source of this kind cannot be counted
// before they are read.
func (k Kind) RowsUnknown() bool { return k == List || k == Files }

// The APIs that have sources beside the hunting tables, each with a token audience of
// its own.
const (
	APIGraph = "graph" // Microsoft Graph
	APIMDE   = "mde"   // Defender for Endpoint, "WindowsDefenderATP" in Entra ID
)

// QueryPrefix begins the SourceTable of a saved query: query/<name>.
const QueryPrefix = "query/"

// shortQueryPrefix begins the short name of a saved query.
const shortQueryPrefix = "query-"

// Source is a source table that is no hunting table.
type Source struct {
	Name        string // SourceTable, as the API spells the path: api/machines
	Short       string // in routes, names of blobs, messages and on the command line: no slash, lower case
	Destination string // raw table in ADX that is meant for it
	View        string // typed view
	Kind        Kind   // List, Files or Query
	API         string // APIGraph or APIMDE
	Bucket      string // sources of one bucket share PerMinute and PerHour, in a quota blob of its own
	Path        string // of the request, below the API's base URL
	Query       string // fixed part of the request's query, encoded; "" for most

	// SizeParameter is how a request asks for pages of PageSize rows: $top, which goes
	// with $skip, or pageSize, which goes with @odata.nextLink alone; "": not at all.
	SizeParameter string
	PageSize      int
	// Single: the answer is one row and no list.
	Single bool
	// NoneIs404: a list without rows is answered with 404. Source: get-machines.
	NoneIs404 bool

	// Key lists the members that name a thing, and Version is the member that changes
	// with each version of it. A row is (Key, Version); without a Version the whole row
	// is its version.
	Key     []string
	Version string

	Loads      []string      // load types that are allowed, the recommended one first
	Watermarks []string      // watermark columns that are allowed beside None, which goes with Snapshot alone
	Overlap    time.Duration // how far before the watermark an incremental read begins
	// Since is the request's parameter for that beginning; "": a $filter.
	Since string
	// Reach is how old that beginning may be at most; 0: any age.
	Reach time.Duration
	// Whole is the file export of which the list tells the changes; "" for none.
	Whole string

	PerMinute, PerHour int    // calls of the bucket; PerHour 0: no such limit
	Role               string // app role, of the API

	Twin    string   // hunting table that carries the same data; "" for none
	Columns []Column // members of a row that are known; more may come
}

// sourcesJSON holds an object a source, in the form of the table catalogue. Sources:
// the API's reference pages of August to October 2026. Limits are as documented, of a
// bucket the lowest; Graph states none for its lists, so that of its is ours, as are all
// overlaps but that of machines: lastSeen tells of a full report, which comes about
// once a day.
//
//go:embed sources.json
var sourcesJSON []byte

var sources = sync.OnceValue(func() []Source {
	all, err := parseSources(sourcesJSON)
	if err != nil {
		panic(err) // it is part of the program
	}
	return all
})

// Sources returns the lists and file exports, by name. The caller owns the
// slice but not what its sources share.
func Sources() []Source { return slices.Clone(sources()) }

// LookupSource returns the source that a person means by its name, short name or
// destination, in any letter case.
func LookupSource(name string) (Source, bool) {
	if i := slices.IndexFunc(sources(), func(s Source) bool { return s.isMeant(name) }); i >= 0 {
		return sources()[i], true
	}
	return lookupSaved(func(s Source) bool { return s.isMeant(name) })
}

// SourceNamed returns the source of that exact name.
func SourceNamed(name string) (Source, bool) {
	if i := slices.IndexFunc(sources(), func(s Source) bool { return s.Name == name }); i >= 0 {
		return sources()[i], true
	}
	return lookupSaved(func(s Source) bool { return s.Name == name })
}

// ExportOf returns the file export that carries the same data as a hunting table.
func ExportOf(hunting string) (Source, bool) {
	i := slices.IndexFunc(sources(), func(s Source) bool { return s.Kind == Files && s.Twin != "" && s.Twin == hunting })
	if i < 0 {
		return Source{}, false
	}
	return sources()[i], true
}

// KindOf tells how a SourceTable is read. What is neither catalogued nor a saved query
// is taken for a hunting table, which the service may know and we do not.
func KindOf(source string) Kind {
	if s, ok := SourceNamed(source); ok {
		return s.Kind
	}
	if strings.HasPrefix(source, QueryPrefix) {
		return Query
	}
	return Hunting
}

// ShortName is a SourceTable where no slash may stand: in routes, names of blobs and
// messages. FullName reverses it.
func ShortName(source string) string {
	if s, ok := SourceNamed(source); ok {
		return s.Short
	}
	if name, ok := strings.CutPrefix(source, QueryPrefix); ok {
		return shortQueryPrefix + name
	}
	return source
}

// FullName is the SourceTable of a short name; any other text is returned as it is.
func FullName(short string) string {
	i := slices.IndexFunc(sources(), func(s Source) bool { return s.Short == short })
	if i >= 0 {
		return sources()[i].Name
	}
	if name, ok := strings.CutPrefix(short, shortQueryPrefix); ok {
		return QueryPrefix + name
	}
	return short
}

// Table is the source as one of present states, for views.
func (s Source) Table() Table {
	return Table{Name: s.View, Category: string(s.Kind), TimeColumn: s.Version, Columns: s.Columns, Key: s.Key, Snapshot: s.Loads[0] == "Snapshot"}
}

func parseSources(text []byte) ([]Source, error) {
	var entries []struct {
		Name, Short, Destination, View, API, Bucket, Path, Query, Size string
		Kind                                                           Kind
		Page, PerMinute, PerHour                                       int
		Single, NoneIs404                                              bool
		Key, Version, Loads, Watermarks, Overlap, Since, Reach, Whole  string
		Role, Twin, Columns                                            string
	}
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("read source catalogue: %w", err)
	}
	all := make([]Source, len(entries))
	for i, e := range entries {
		overlap, err := span(e.Overlap)
		if err != nil {
			return nil, fmt.Errorf("read source catalogue: %s: overlap: %w", e.Name, err)
		}
		reach, err := span(e.Reach)
		if err != nil {
			return nil, fmt.Errorf("read source catalogue: %s: reach: %w", e.Name, err)
		}
		columns, err := parseColumns(e.Columns)
		if err != nil {
			return nil, fmt.Errorf("read source catalogue: %s: %w", e.Name, err)
		}
		all[i] = Source{
			Name: e.Name, Short: e.Short, Destination: e.Destination, View: e.View, Kind: e.Kind, API: e.API, Bucket: e.Bucket,
			Path: e.Path, Query: e.Query, SizeParameter: e.Size, PageSize: e.Page, Single: e.Single, NoneIs404: e.NoneIs404,
			Key: strings.Fields(e.Key), Version: e.Version, Loads: strings.Fields(e.Loads), Watermarks: strings.Fields(e.Watermarks),
			Overlap: overlap, Since: e.Since, Reach: reach, Whole: e.Whole, PerMinute: e.PerMinute, PerHour: e.PerHour,
			Role: e.Role, Twin: e.Twin, Columns: columns,
		}
	}
	slices.SortFunc(all, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// span reads a duration as Go writes it; none is 0.
func span(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}
