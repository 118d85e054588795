package adx_test

import (
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// defender is the sample tenant's tables as Defender shows them.
type defender struct{ *tenant.Tenant }

func (d defender) Table(name string) (engine.Source, bool)  { return d.Source(name, tenant.View{}) }
func (d defender) Function(string) (*engine.Function, bool) { return nil, false }

// deployed is a database in memory: what setup makes, with rows in the raw tables.
type deployed struct {
	functions map[string]*engine.Function
	tables    map[string]*held
}

type held struct {
	columns []engine.Column
	rows    []engine.Record
}

func (h *held) Columns() []engine.Column { return h.columns }

func (h *held) Scan() iter.Seq[engine.Record] {
	return slices.Values(h.rows)
}

func (d *deployed) Table(name string) (engine.Source, bool) {
	t, ok := d.tables[name]
	return t, ok
}

func (d *deployed) TableNames() []string { return nil }

func (d *deployed) Function(name string) (*engine.Function, bool) {
	f, ok := d.functions[name]
	return f, ok
}

var (
	madeTable    = regexp.MustCompile(`(?s)^\.create-merge table (?:\['(\w+)'\]|(\w+)) \((.*)\)`)
	madeFunction = regexp.MustCompile(`(?s)^\.create-or-alter function with \(.*?\) (\w+)(\([^)]*\)) (\{.*\})`)
)

// deploy makes the database of a sample tenant whose rows were copied at an instant.
func deploy(t *testing.T, data *tenant.Tenant, at time.Time) *deployed {
	t.Helper()
	d := &deployed{functions: map[string]*engine.Function{}, tables: map[string]*held{}}
	for _, command := range adx.Deployment(nil, adx.Options{}) {
		if m := madeFunction.FindStringSubmatch(command.Text); m != nil {
			d.functions[m[1]] = &engine.Function{Name: m[1], Parameters: m[2], Body: m[3]}
		} else if m := madeTable.FindStringSubmatch(command.Text); m != nil {
			h := &held{}
			for _, c := range strings.Split(m[3], ",") {
				name, kind, _ := strings.Cut(strings.TrimSpace(c), ":")
				typ, ok := engine.ParseType(strings.TrimSpace(kind))
				if !ok {
					t.Fatalf("type %q", kind)
				}
				h.columns = append(h.columns, engine.Column{Name: name, Type: typ})
			}
			d.tables[m[1]+m[2]] = h
		}
	}
	planned := engine.FromTime(at)
	audit := d.tables["MigrationAuditLog"]
	for _, table := range schema.Catalogue() {
		raw := d.tables[table.Name+"Raw"]
		run, shot := "d2a"+table.Name, any(nil)
		if table.Snapshot {
			shot = planned
			row := make([]any, len(audit.columns))
			for i, c := range audit.columns {
				switch c.Name {
				case "SourceTable":
					row[i] = table.Name
				case "Status":
					row[i] = "Success"
				case "RunId":
					row[i] = run
				case "Timestamp", "WindowFrom", "WindowTo":
					row[i] = planned
				default:
					if c.Type == engine.TypeString {
						row[i] = ""
					}
				}
			}
			audit.rows = append(audit.rows, engine.Record{Values: row})
		}
		source, _ := data.Source(table.Name, tenant.View{})
		if source == nil {
			continue
		}
		for record := range source.Scan() {
			parsed, err := engine.ParseJSON(slices.Clone(record.Raw))
			if err != nil {
				t.Fatal(err)
			}
			raw.rows = append(raw.rows, engine.Record{Values: []any{parsed, run, int64(1), shot}, Ingested: record.Ingested})
		}
	}
	return d
}

// sought is a condition of a hunting query on a column, with a text that meets it.
var sought = regexp.MustCompile(`(\w+)\s*(?:==|=~|has_cs|has_all|has_any|has|contains|startswith|endswith|in~|in)\s*\(?\s*@?["']([^"'\\]+)["']`)

// bait returns the rows that a hunting query looks for, one for each of its tables: the
// texts of its conditions stand in the columns, and everything happened an hour ago.
func bait(query string, tables []string, now time.Time) map[string]string {
	rows := map[string]string{}
	for _, name := range tables {
		table, ok := schema.Lookup(name)
		if !ok {
			continue
		}
		row := map[string]any{}
		for _, c := range table.Columns {
			switch c.Type {
			case "datetime":
				row[c.Name] = now.Add(-time.Hour).UTC().Format("2006-01-02T15:04:05.0000000Z")
			case "string":
				row[c.Name] = "d1"
			case "bool":
				row[c.Name] = 1
			}
		}
		for _, m := range sought.FindAllStringSubmatch(query, -1) {
			if c, ok := table.Column(m[1]); ok && c.Type == "string" {
				if was := row[c.Name]; was != "d1" && strings.Contains(c.Name, "CommandLine") {
					row[c.Name] = was.(string) + " " + m[2]
				} else if was == "d1" {
					row[c.Name] = m[2]
				}
			}
		}
		text, _ := json.Marshal(row)
		rows[name] = string(text)
	}
	return rows
}

type huntingQuery struct {
	ID, Query string
	Tables    []string
}

func huntingQueries(t *testing.T) []huntingQuery {
	t.Helper()
	text, err := os.ReadFile(sampledata.Path(t, "hunting-queries.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []huntingQuery
	for line := range strings.Lines(string(text)) {
		var q huntingQuery
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatal(err)
		}
		out = append(out, q)
	}
	return out
}

// Published hunting queries give on the views what they give on Defender's own tables.
// The tenant holds some of the sample rows, and the rows that the queries look for.
func TestViews_AnswerHuntingQueriesAsDefenderDoes(t *testing.T) {
	rounds.Long(t)
	queries := huntingQueries(t)
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	generated, err := tenant.Generate(tenant.Options{Seed: 1, Scale: 0.001, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*strings.Builder{}
	add := func(table, row string) {
		if files[table] == nil {
			files[table] = &strings.Builder{}
		}
		files[table].WriteString(row + "\n")
	}
	for _, table := range generated.TableNames() {
		rows := 0
		for row := range generated.Rows(table) {
			if rows++; rows > 10 {
				break
			}
			add(table, string(row))
		}
	}
	for _, q := range queries {
		for table, row := range bait(q.Query, q.Tables, now) {
			add(table, row)
		}
	}
	dir := t.TempDir()
	for table, text := range files {
		if err := os.WriteFile(filepath.Join(dir, table+".jsonl"), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := tenant.Load(dir, tenant.LoadOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	views := deploy(t, data, now)
	// What shows that a view is no table: its own columns, and its name.
	other := map[string]string{"d6e54aa6b037": "getschema", "d8a345185ba3": "union withsource"}
	answered, tables := 0, map[string]bool{}
	for _, q := range queries {
		source, err := engine.Run(t.Context(), engine.Query{Text: q.Query, Catalog: defender{data}, Now: now})
		if err != nil || len(source.Rows) == 0 {
			continue // what the evaluator does not know, it refuses
		}
		if what := other[q.ID]; what != "" && strings.Contains(q.Query, strings.Fields(what)[0]) {
			continue
		}
		view, err := engine.Run(t.Context(), engine.Query{Text: q.Query, Catalog: views, Now: now})
		if err != nil {
			t.Errorf("%s: the source answers, and the views: %v", q.ID, err)
			continue
		}
		if diff := cmp.Diff(shown(source, source.Columns), shown(view, source.Columns)); diff != "" {
			t.Errorf("%s (-source +views):\n%.2000s\n%s", q.ID, diff, q.Query)
			continue
		}
		answered++
		for _, name := range q.Tables {
			tables[name] = true
		}
	}
	t.Logf("%d queries over %d tables", answered, len(tables))
	if answered < 100 || len(tables) < 20 {
		t.Errorf("%d hunting queries over %d tables return rows and agree, want 100 over 20", answered, len(tables))
	}
}

// shown is an answer as sorted texts, by the columns of the source.
func shown(r *engine.Result, columns []engine.Column) []string {
	out := make([]string, len(r.Rows))
	for i, row := range r.Rows {
		var cells []string
		for _, want := range columns {
			at := slices.IndexFunc(r.Columns, func(c engine.Column) bool { return c.Name == want.Name })
			if at < 0 || r.Columns[at].Type != want.Type {
				cells = append(cells, "no "+want.Name)
				continue
			}
			text := engine.FormatText(want.Type, row.Values[at])
			if want.Type == engine.TypeDynamic && text == "{}" {
				text = "" // how Graph writes null
			}
			cells = append(cells, want.Name+"="+text)
		}
		out[i] = strings.Join(cells, "|")
	}
	slices.Sort(out)
	return out
}

// Every value of the samples and of a generated tenant is on the views what it is at
// Defender, and what no column knows is in _Extra.
func TestViews_HoldTheValuesOfTheSource(t *testing.T) {
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	generated, err := tenant.Generate(tenant.Options{Seed: 2, Scale: 0.0005, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	samples, err := tenant.Load(sampledata.Path(t, "defender-samples"), tenant.LoadOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string]*tenant.Tenant{"generated": generated, "samples": samples} {
		views := deploy(t, data, now)
		tables, cells := 0, 0
		for _, name := range data.TableNames() {
			table, known := schema.Lookup(name)
			if !known {
				continue
			}
			text := "['" + name + "'] | take 300"
			source, err := engine.Run(t.Context(), engine.Query{Text: text, Catalog: defender{data}, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			view, err := engine.Run(t.Context(), engine.Query{Text: text, Catalog: views, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			extra := slices.IndexFunc(view.Columns, func(c engine.Column) bool { return c.Name == "_Extra" })
			for i, c := range source.Columns {
				if _, typed := table.Column(c.Name); typed {
					continue
				}
				for n, row := range source.Rows { // in _Extra, as text
					want := engine.FormatText(c.Type, row.Values[i])
					if got := engine.FormatText(engine.TypeDynamic, view.Rows[n].Values[extra]); want != "" && !strings.Contains(got, `"`+c.Name+`":`) {
						t.Errorf("%s: %s: _Extra has no %s (%s): %s", what, name, c.Name, want, got)
					}
				}
			}
			columns := slices.DeleteFunc(slices.Clone(source.Columns), func(c engine.Column) bool {
				_, typed := table.Column(c.Name)
				return !typed
			})
			if diff := cmp.Diff(shown(source, columns), shown(view, columns)); diff != "" {
				t.Errorf("%s: %s (-source +view):\n%.3000s", what, name, diff)
			}
			if len(source.Rows) > 0 {
				tables++
			}
			cells += len(columns) * len(source.Rows)
		}
		t.Logf("%s: %d tables, %d values", what, tables, cells)
		if tables < 6 || cells < 2000 {
			t.Errorf("%s: %d values of %d tables are too few to show anything", what, cells, tables)
		}
	}
}
