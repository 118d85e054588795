package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// memTable is a table in memory; memCatalog a database of them.
type memTable struct {
	cols []Column
	rows []Record
}

func (t *memTable) Columns() []Column      { return t.cols }
func (t *memTable) Scan() iter.Seq[Record] { return slices.Values(t.rows) }

type memCatalog struct {
	tables    map[string]Source
	functions map[string]*Function
}

func (c *memCatalog) Table(name string) (Source, bool) { t, ok := c.tables[name]; return t, ok }
func (c *memCatalog) Function(name string) (*Function, bool) {
	f, ok := c.functions[name]
	return f, ok
}
func (c *memCatalog) TableNames() (names []string) {
	for n := range c.tables {
		names = append(names, n)
	}
	return names
}

func at(text string) *Datetime {
	d, ok := ParseDatetime(text)
	if !ok {
		panic("bad datetime " + text)
	}
	return &d
}

func testCatalog() *memCatalog {
	device := &memTable{cols: []Column{{"DeviceId", TypeString}, {"ReportId", TypeLong}, {"Timestamp", TypeDatetime}}}
	for i, when := range []string{"2026-11-20T10:00:00Z", "2026-11-20T10:00:00.0000001Z", "2026-11-20T10:30:00Z", "2026-11-21T11:30:00Z", ""} {
		r := Record{Values: []any{fmt.Sprintf("d%d", i%3), int64(i), *at("2026-11-20T09:00:00Z")}, Raw: fmt.Appendf(nil, `{"n":%d}`, i), Tags: []string{"drop-by:run-1"}}
		if when != "" {
			r.Ingested = at(when)
		}
		device.rows = append(device.rows, r)
	}
	config := &memTable{cols: []Column{{"SourceTable", TypeString}, {"IsActive", TypeBool}, {"Version", TypeInt}}, rows: []Record{
		{Values: []any{"A", true, int64(1)}, Ingested: at("2026-01-01")},
		{Values: []any{"B", true, int64(1)}, Ingested: at("2026-01-01")},
		{Values: []any{"A", false, int64(2)}, Ingested: at("2026-01-02")},
	}}
	raw := &memTable{cols: []Column{{"RunId", TypeString}, {"Slice", TypeInt}, {"Records", TypeDynamic}}, rows: []Record{
		{Values: []any{"x", int64(0), RawJSON(`[ {"id":"a","n":"1"}, {"id":"b","p":{"q":2.5}} ]`)}},
		{Values: []any{"x", int64(0), nil}},
		{Values: []any{"x", int64(1), RawJSON(`[]`)}},
		{Values: []any{"x", int64(1), RawJSON(`null`)}},
		{Values: []any{"y", int64(1), RawJSON(`[{"id":"z"}]`)}},
	}}
	odd := &memTable{cols: []Column{{"a b", TypeString}, {"N", TypeLong}}, rows: []Record{{Values: []any{"v", int64(1)}}, {Values: []any{nil, nil}}}}
	return &memCatalog{
		tables: map[string]Source{"DeviceInfo": device, "MigrationConfiguration": config, "DeviceInfoRaw": raw, "Odd": odd, "Odd name": odd},
		functions: map[string]*Function{
			"VwDevice": {Name: "VwDevice", Parameters: "()", Body: "{ DeviceInfoRaw | mv-expand r = Records | where isnotnull(r) | project Id = tostring(r.id), RunId }"},
			"Of":       {Name: "Of", Parameters: "(run:string, least:long = 0)", Body: "let all = DeviceInfoRaw; all | where RunId == run and Slice >= least"},
			"Twice":    {Name: "Twice", Parameters: "(n:long)", Body: "{ n * 2 }"},
			"Endless":  {Name: "Endless", Parameters: "()", Body: "{ Endless }"},
			"Keep":     {Name: "Keep", Parameters: "(T:(RunId:string), run:string)", Body: "{ T | where RunId == run }"},
		},
	}
}

// show runs a query and gives its columns and rows as text.
func show(t *testing.T, query string) string {
	t.Helper()
	res, err := Run(t.Context(), Query{Text: query, Catalog: testCatalog(), Now: testNow, Parameters: map[string]string{"p": "long(7)", "s": "'it'"}})
	if err != nil {
		return err.Error()
	}
	return shown(res)
}

func shown(res *Result) string {
	var b strings.Builder
	for i, c := range res.Columns {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%s", c.Name, c.Type)
	}
	for _, r := range res.Rows {
		b.WriteString("; ")
		for i, v := range r.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(FormatJSON(nil, res.Columns[i].Type, v))
		}
	}
	return b.String()
}

func TestRun_AnswersTheProductsQueries(t *testing.T) {
	tests := []struct{ name, query, want string }{
		{"window planning", `let f = datetime(2026-11-01T00:00:00.0000000Z); let t = min_of(datetime(2026-11-21T10:00:00Z), now() - 3600s);
			print Kind = 'clock', Bin = datetime(null), Rows = long(0), Now = now(), To = t
			| union (['DeviceInfo'] | where isnull(ingestion_time()) or ingestion_time() > f
			  | summarize Rows = count() by Kind = case(isnull(ingestion_time()), 'null', ingestion_time() > t, 'later', 'window'), Bin = iff(ingestion_time() > t, datetime(null), bin(ingestion_time() - 1tick, 1h)))`,
			`Kind:string Bin:datetime Rows:long Now:datetime To:datetime; "clock",null,0,"2026-11-21T12:00:00.0000000Z","2026-11-21T10:00:00.0000000Z"; ` +
				`"window","2026-11-20T09:00:00.0000000Z",1,null,null; "window","2026-11-20T10:00:00.0000000Z",2,null,null; "later",null,1,null,null; "null",null,1,null,null`},
		{"half-open window", `['DeviceInfo'] | where ingestion_time() > datetime(2026-11-20T10:00:00Z) and ingestion_time() <= datetime(2026-11-20T10:30:00.0000000Z) | project ReportId`,
			`ReportId:long; 1; 2`},
		{"hash slices", `['DeviceInfo'] | summarize n = count() by low = hash(strcat(tostring(DeviceId), '|', tostring(ReportId)), 1024) between (0 .. 1023)`,
			`low:bool n:long; true,5`},
		{"row buckets", `['DeviceInfo'] | summarize Rows = count(), Newest = max(ingestion_time()), Now = now() by Bucket = hash(tostring(pack_all()), 1)`,
			`Bucket:long Rows:long Newest:datetime Now:datetime; 0,5,"2026-11-21T11:30:00.0000000Z","2026-11-21T12:00:00.0000000Z"`},
		{"latest configuration", `MigrationConfiguration | extend At = ingestion_time() | summarize arg_max(At, *) by SourceTable | project-away At | where IsActive`,
			`SourceTable:string IsActive:bool Version:int; "B",true,1`},
		{"latest configuration by rank", `MigrationConfiguration | extend At = ingestion_time() | sort by SourceTable asc, At desc nulls last
			| extend Place = row_number(1, SourceTable != prev(SourceTable)) | where Place == 1 | project-away Place, At`,
			`SourceTable:string IsActive:bool Version:int; "A",false,2; "B",true,1`},
		{"nulls per slice", `['DeviceInfoRaw'] | where RunId == 'x' | summarize Rows = count(), Nulls = countif(isnull(Records)) by Slice`,
			`Slice:int Rows:long Nulls:long; 0,2,1; 1,2,1`},
		{"typed view", `DeviceInfoRaw | mv-expand r = Records | project Id = tostring(r.id), N = tolong(r['n']), Q = todouble(r.p.q) | where isnotempty(Id)`,
			`Id:string N:long Q:real; "a",1,null; "b",null,2.5; "z",null,null`},
		{"stored function without brackets", `VwDevice | where RunId == 'y'`, `Id:string RunId:string; "z","y"`},
		{"stored function with brackets", `VwDevice() | count`, `Count:long; 3`},
		{"stored function with arguments", `Of('x', 1) | count`, `Count:long; 2`},
		{"stored function with a default", `Of(run='x') | count`, `Count:long; 4`},
		{"stored scalar function", `print Twice(21)`, `print_0:long; 42`},
		{"invoke", `DeviceInfoRaw | invoke Keep('y') | project RunId`, `RunId:string; "y"`},
		{"latest complete run", `let cut = toscalar(DeviceInfoRaw | summarize max(Slice)); DeviceInfoRaw | where Slice == cut | count`, `Count:long; 3`},
		{"dashboard", `let since = ago(7d); DeviceInfo | where Timestamp >= since | summarize n = count(), d = dcount(DeviceId) by bin(Timestamp, 1d), Kind = case(ReportId > 2, 'high', 'low') | order by Timestamp asc, Kind asc`,
			`Timestamp:datetime Kind:string n:long d:long; "2026-11-20T00:00:00.0000000Z","high",2,2; "2026-11-20T00:00:00.0000000Z","low",3,3`},
		{"odd names", `['Odd name'] | where ['a b'] == 'v' | project ['c d'] = ['a b']`, `c d:string; "v"`},
		{"missing strings are empty", `Odd | project ['a b'], N | where isempty(['a b'])`, `a b:string N:long; "",null`},
		{"query parameters", `declare query_parameters(p:long, s:string, d:int = 3); print p + d, s`, `print_0:long print_1:string; 10,"it"`},
		{"tags", `DeviceInfo | where extent_tags() has 'drop-by:run-1' and not(extent_tags() has 'drop-by:run-10') | count`, `Count:long; 5`},
		{"page by number", `DeviceInfo | sort by ReportId asc | extend n = row_number() | where n > 3 | project n, ReportId`, `n:long ReportId:long; 4,3; 5,4`},
		{"schema", `Odd | getschema`, `ColumnName:string ColumnOrdinal:int DataType:string ColumnType:string; "a b",0,"System.String","string"; "N",1,"System.Int64","long"`},
		{"union with source", `union withsource=T kind=outer DeviceInfo, Odd | summarize count() by T`, `T:string count_:long; "DeviceInfo",5; "Odd",2`},
		{"fuzzy union", `union isfuzzy=true Nowhere, Odd | count`, `Count:long; 2`},
		{"wildcard union", `union Odd* | count`, `Count:long; 4`},
		{"table by name", `table('Odd') | count`, `Count:long; 2`},
		{"ingestion time in a column", `MigrationConfiguration | project ingestion_time() | take 1`, `$IngestionTime:datetime; "2026-01-01T00:00:00.0000000Z"`},
		{"ingestion time after summarize", `MigrationConfiguration | summarize count() by SourceTable | where isnull(ingestion_time()) | count`, `Count:long; 2`},
		{"in a table", `DeviceInfoRaw | where RunId in ((DeviceInfoRaw | where Slice == 0 | project RunId)) | count`, `Count:long; 4`},
		{"lookup", `MigrationConfiguration | lookup kind=leftouter (datatable(SourceTable:string, Owner:string)['A','me']) on SourceTable | project Version, Owner`, `Version:int Owner:string; 1,"me"; 1,""; 2,"me"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, show(t, tt.query)); diff != "" {
				t.Errorf("%s\n(-want +got)\n%s", tt.query, diff)
			}
		})
	}
}

func TestRun_RefusesInTheServicesWords(t *testing.T) {
	tests := []struct{ query, want string }{
		{`Nowhere | where x == 1`, `Semantic error: SEM0100: 'where' operator: Failed to resolve table or column expression named 'Nowhere'`},
		{`Nowhere`, `Semantic error: SEM0100: Failed to resolve table or column expression named 'Nowhere'`},
		{`DeviceInfo | where nope == 1`, `Semantic error: SEM0100: 'where' operator: Failed to resolve scalar expression named 'nope'`},
		{`DeviceInfo | project-away nope`, `Semantic error: SEM0100: 'project-away' operator: Failed to resolve scalar expression named 'nope'`},
		{`union Nowhere, DeviceInfo`, `Semantic error: SEM0100: 'union' operator: Failed to resolve table expression named 'Nowhere'`},
		{`DeviceInfo | | count`, `Syntax error: Query could not be parsed at '|' on line [1,14]`},
		{"DeviceInfo\n| where ", `Syntax error: Query could not be parsed at '<end of query>' on line [2,9]`},
		{`DeviceInfo DeviceInfo`, `Syntax error: Query could not be parsed at 'DeviceInfo' on line [1,12]`},
		{`DeviceInfo | top 1 by ReportId, DeviceId`, `Syntax error: Query could not be parsed at ',' on line [1,31]`},
		{`print 'open`, `Syntax error: Query could not be parsed at ''': the string literal is not closed on line [1,7]`},
		{`DeviceInfo | scan with (step s: true)`, `operator 'scan' at line 1, column 14 is not supported by this evaluator`},
		{`DeviceInfo | summarise count()`, `Syntax error: Query could not be parsed at 'summarise' on line [1,14]`},
		{`print series_fir(dynamic([1]))`, `function 'series_fir' at line 1, column 7 is not supported by this evaluator`},
		{`print hash(5)`, `hash() of a value of type long at line 1, column 7 is not supported by this evaluator`},
		{`DeviceInfo | join kind=inner hint.strategy=broadcast (Odd) on N`, `Semantic error: SEM0100: 'join' operator: Failed to resolve scalar expression named 'N'`},
		{`print strlen(5)`, `Semantic error: SEM0219: 'print' operator: strlen(): argument #1 of type long is invalid`},
		{`print 'a' < 'b'`, `Semantic error: SEM0064: 'print' operator: Cannot compare values of types string and string. Try adding explicit casts`},
		{`print dynamic(1) == dynamic(1)`, `Semantic error: SEM0001: 'print' operator: Cannot compare values of types dynamic and dynamic. Try adding explicit casts`},
		{`DeviceInfo | extend n = row_number()`, `Semantic error: SEM0217: 'extend' operator: Function 'row_number' cannot be invoked in current context. Details: the row set must be serialized`},
		{`print x = assert(1 > 2, 'no')`, `assert() has failed with message: 'no'`},
		{`Endless`, `Semantic error: the query is nested too deep, or a function calls itself`},
		{`set notruncation; print 1`, `statement 'set' at line 1, column 1 is not supported by this evaluator`},
		{`print count()`, `Semantic error: SEM0012: 'print' operator: Function 'count' is an aggregate and cannot be invoked in the current context`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, show(t, tt.query)); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", tt.query, diff)
		}
	}
}

func TestRun_RawSurvivesOperatorsThatKeepTheRow(t *testing.T) {
	tests := []struct {
		query string
		want  bool
	}{
		{`DeviceInfo | where ReportId == 1`, true},
		{`DeviceInfo | sort by ReportId | take 1`, true},
		{`DeviceInfo | top 1 by ReportId | serialize`, true},
		{`DeviceInfo | as X`, true},
		{`union DeviceInfo, (DeviceInfo | where ReportId > 1)`, true},
		{`union DeviceInfo, Odd`, false},
		{`DeviceInfo | extend x = 1`, false},
		{`DeviceInfo | project DeviceId, ReportId, Timestamp`, false},
		{`DeviceInfo | project-away ReportId`, false},
		{`DeviceInfo | project-rename X = ReportId`, false},
	}
	for _, tt := range tests {
		res, err := Run(t.Context(), Query{Text: tt.query, Catalog: testCatalog(), Now: testNow})
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		if got := res.Rows[0].Raw != nil; got != tt.want {
			t.Errorf("%s: raw text kept: %v, want %v", tt.query, got, tt.want)
		}
	}
}

func TestRun_StopsAtTheRowLimit(t *testing.T) {
	_, err := Run(t.Context(), Query{Text: `range x from 1 to 100 step 1`, MaxRows: 99})
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Rows != 99 {
		t.Errorf("got %v, want a limit of 99 rows", err)
	}
	if _, err = Run(t.Context(), Query{Text: `range x from 1 to 100 step 1`, MaxRows: 100}); err != nil {
		t.Errorf("a result of the limit's size: %v", err)
	}
}

func TestRun_StopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cols, rows, err := Stream(ctx, Query{Text: `range x from 1 to 1000000000000 step 1`})
	if err != nil || len(cols) != 1 {
		t.Fatal(cols, err)
	}
	var last error
	for _, err := range rows {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", last)
	}
}

// generated makes rows on the fly and reuses their memory.
type generated struct{ rows int }

func (g generated) Columns() []Column {
	return []Column{{"Timestamp", TypeDatetime}, {"Id", TypeString}, {"N", TypeLong}}
}

func (g generated) Scan() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		when := *at("2026-11-01")
		vals := make([]any, 3)
		vals[1] = "device"
		r := Record{Values: vals, Ingested: &when}
		for i := range g.rows {
			when += Datetime(second)
			vals[0], vals[2] = when, int64(i)
			if !yield(r) {
				return
			}
		}
	}
}

func TestStream_CopiesWhatItKeeps(t *testing.T) {
	c := &memCatalog{tables: map[string]Source{"G": generated{rows: 4}}}
	res, err := Run(t.Context(), Query{Text: `G | sort by N desc | project N, s = format_datetime(ingestion_time(), 's')`, Catalog: c})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shown(res), `N:long s:string; 3,"4"; 2,"3"; 1,"2"; 0,"1"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkStream_FiveMillionRows(b *testing.B) {
	c := &memCatalog{tables: map[string]Source{"G": generated{rows: 5_000_000}}}
	for name, query := range map[string]string{
		"bins": `G | where ingestion_time() > datetime(2026-11-02) | summarize count() by bin(ingestion_time() - 1tick, 1h)`,
		"hash": `G | where hash(strcat(tostring(Id), '|', tostring(N)), 1024) between (0 .. 127) | count`,
		"rows": `G | take 500000 | summarize count(), max(ingestion_time()) by hash(tostring(pack_all()), 256)`,
		"take": `G | extend x = N + 1 | project x, Id | take 10`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Run(b.Context(), Query{Text: query, Catalog: c}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
