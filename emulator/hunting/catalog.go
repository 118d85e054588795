package hunting

import (
	"context"
	"iter"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// catalog is what one query can read: the API's tables, as far as their rows lie
// in the look-back.
type catalog struct {
	api      API
	tenant   *tenant.Tenant
	after    engine.Datetime // rows that arrived then or earlier are gone
	upTo     engine.Datetime // the service's now
	timespan timespan
	scans    map[string]scan
	read     *int64 // rows read so far
	ties     uint64 // engine.Query.Ties
	hash     uint64 // engine.Query.Hash
}

// TableNames implements engine.Catalog.
func (c *catalog) TableNames() []string {
	var names []string
	for _, name := range c.tenant.TableNames() {
		if c.api.serves(name) {
			names = append(names, name)
		}
	}
	return names
}

// Function implements engine.Catalog: hunting has no stored functions here.
func (c *catalog) Function(string) (*engine.Function, bool) { return nil, false }

// oldNames are tables as scripts of years ago call them; Defender for Endpoint still
// answers. Columns have their new names all the same. Source: Microsoft's notice of the
// naming changes in advanced hunting, 2019-2020.
var oldNames = map[string]string{
	"FileCreationEvents":         "DeviceFileEvents",
	"ImageLoadEvents":            "DeviceImageLoadEvents",
	"LogonEvents":                "DeviceLogonEvents",
	"MachineInfo":                "DeviceInfo",
	"MachineNetworkInfo":         "DeviceNetworkInfo",
	"MiscEvents":                 "DeviceEvents",
	"NetworkCommunicationEvents": "DeviceNetworkEvents",
	"ProcessCreationEvents":      "DeviceProcessEvents",
	"RegistryEvents":             "DeviceRegistryEvents",
}

// tableName gives a table's present name.
func (a API) tableName(name string) string {
	if now, ok := oldNames[name]; ok && a != Graph {
		return now
	}
	return name
}

// Table implements engine.Catalog.
func (c *catalog) Table(name string) (engine.Source, bool) {
	s, ok := c.scans[name]
	if !ok {
		s = scan{table: c.api.tableName(name)}
	}
	if !c.api.serves(s.table) {
		return nil, false
	}
	v := s.view
	v.After, v.UpTo = max(v.After, c.after), least(v.UpTo, c.upTo)
	column := ""
	if c.timespan.set() {
		if known, ok := schema.Lookup(s.table); ok && known.TimeColumn != "" {
			column = known.TimeColumn
			if v.Columns != nil {
				v.Columns = append(v.Columns[:len(v.Columns):len(v.Columns)], column)
			}
		}
	}
	src, ok := c.tenant.Source(s.table, v)
	if !ok {
		return nil, false
	}
	return &metered{Source: src, catalog: c, column: column}, true
}

// columns gives a table's columns, nil if the API does not know it.
func (c *catalog) columns(name string) []engine.Column {
	name = c.api.tableName(name)
	if !c.api.serves(name) {
		return nil
	}
	return c.tenant.Columns(name)
}

// metered counts rows and applies the request's timespan.
type metered struct {
	engine.Source
	catalog *catalog
	column  string
}

// Scan implements engine.Source.
func (m *metered) Scan() iter.Seq[engine.Record] {
	at := -1
	for i, c := range m.Columns() {
		if m.column != "" && c.Name == m.column {
			at = i
		}
	}
	return func(yield func(engine.Record) bool) {
		for r := range m.Source.Scan() {
			*m.catalog.read++
			if at >= 0 && !m.catalog.timespan.holds(r.Values[at]) {
				continue
			}
			if !yield(r) {
				return
			}
		}
	}
}

// run starts a query, narrowed if that is possible.
func (c *catalog) run(ctx context.Context, text string) ([]engine.Column, iter.Seq2[engine.Record, error], error) {
	q := engine.Query{Text: text, Catalog: c, Now: c.upTo.Time(), Ties: c.ties, Hash: c.hash}
	rewritten, _, scans := narrowed(text, c.columns)
	if len(scans) > 0 {
		c.scans = scans
		q.Text = rewritten
		if cols, rows, err := engine.Stream(ctx, q); err == nil {
			return cols, rows, nil
		}
		q.Text, c.scans = text, nil // for the error to speak of what was sent
	}
	return engine.Stream(ctx, q)
}
