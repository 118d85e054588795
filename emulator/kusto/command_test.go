package kusto_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/kusto"
)

func TestCommands_ShowWhatWasMade(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t,
		".create-merge table T (A:string, B:long) with (folder='raw', docstring='the \"T\"')",
		".create-merge tables ['odd name'] (X:datetime), T (C:dynamic)",
		".create-or-alter function with (folder='f') Twice(n:long=1) { print r = n * 2 }",
		".create-or-alter function F2() { Twice(3) }",
		`.create-or-alter table T ingestion json mapping 'm' '[{"column":"C","path":"$"}]'`,
		".create-or-alter materialized-view V on table T { T | summarize arg_max(B, *) by A }",
		".alter-merge table T policy retention softdelete = 30d recoverability = disabled",
		".alter-merge table T policy retention softdelete = 10d",
		".alter table T policy ingestionbatching '{\"MaximumBatchingTimeSpan\":\"00:00:10\"}'",
		".alter column T.C policy encoding type='BigObject32'",
		".alter database db policy caching hot = 7d",
	)
	tests := []struct{ command, want string }{
		{".show tables", "T|db|raw|the \"T\"\nodd name|db||\n"},
		{".SHOW Tables | where TableName == 'T' | project TableName", "T\n"},
		{".show tables | count;", "2\n"},
		{".show table T cslschema", "T|A:string,B:long,C:dynamic|db|raw|the \"T\"\n"},
		{".show table ['odd name'] cslschema | project Schema", "X:datetime\n"},
		{".show table T ingestion mappings | project Name, Kind, Mapping", `m|Json|[{"column":"C","path":"$"}]` + "\n"},
		{".show table T ingestion json mapping 'm' | project Name", "m\n"},
		{".show table T policy retention | project PolicyName, Policy", `RetentionPolicy|{"Recoverability":"Disabled","SoftDeletePeriod":"10.00:00:00"}` + "\n"},
		{".show table T policy merge | project Policy", "null\n"},
		{".show database db policy caching | project Policy", `{"DataHotSpan":{"Value":"7.00:00:00"},"IndexHotSpan":{"Value":"7.00:00:00"}}` + "\n"},
		{".show column T.C policy encoding | project Policy", `{"EncodingPolicyType":"BigObject32","MaxValueSize":33554432}` + "\n"},
		{".show functions | project Name, Parameters", "F2|()\nTwice|(n:long=1)\n"},
		{".show function Twice | project Body, Folder", "{ print r = n * 2 }|f\n"},
		{".show materialized-views | project Name, SourceTable, IsHealthy", "V|T|true\n"},
		{".show databases | project DatabaseName, IsCurrent", "db|true\n"},
		{".show version | project ServiceType", "Engine\n"},
		{".show database db principals | where Role endswith 'Admin' | project PrincipalFQN", "aadapp=admin;tenant\n"},
		{".show database db schema | where TableName == 'T' and ColumnName != '' | project ColumnName, ColumnType",
			"A|System.String\nB|System.Int64\nC|System.Object\n"},
		{".show table T details | project TotalRowCount, RetentionPolicy has '10.00'", "0|true\n"},
	}
	for _, test := range tests {
		t.Run(test.command, func(t *testing.T) {
			got, err := c.mgmt(t, "admin", test.command)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := c.mustQuery(t, "F2"); got != "6\n" {
		t.Errorf("F2 gives %q, want 6", got)
	}
	got, err := c.mgmt(t, "viewer", ".show database schema as json")
	var schema struct {
		Databases map[string]struct {
			Tables, MaterializedViews map[string]struct {
				OrderedColumns []struct{ Name, CslType string }
			}
			Functions map[string]struct{ Body string }
		}
	}
	if err != nil || json.Unmarshal([]byte(got), &schema) != nil {
		t.Fatalf("schema as json: %v\n%s", err, got)
	}
	db := schema.Databases["db"]
	if len(db.Tables["T"].OrderedColumns) != 3 || len(db.MaterializedViews["V"].OrderedColumns) != 3 || db.Functions["F2"].Body == "" {
		t.Errorf("schema as json lacks something: %s", got)
	}
}

func TestCommands_RefuseAsTheServiceDoes(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string, B:long)", ".create function F() { print 1 }")
	tests := []struct{ command, code, contains string }{
		{".show table Nope cslschema", "BadRequest_EntityNotFound", "'Nope' of kind 'Table' was not found"},
		{".drop table Nope", "BadRequest_EntityNotFound", "Nope"},
		{".drop function Nope", "BadRequest_EntityNotFound", "Nope"},
		{".create table T (A:string)", "BadRequest_EntityNameAlreadyExists", "T"},
		{".create table F (A:string)", "BadRequest_EntityNameAlreadyExists", "F"},
		{".create-merge table T (A:long)", "General_BadRequest", "type"},
		{".create-merge table X (kind:string)", "BadRequest_SyntaxError", "['kind']"},
		{".create table title (A:string)", "BadRequest_SyntaxError", "['title']"},
		{".create-merge tables X (A:string), where (A:string)", "BadRequest_SyntaxError", "['where']"},
		{".create-or-alter function set() { T }", "BadRequest_SyntaxError", "['set']"},
		{".create-or-alter function G(first: string) { T }", "BadRequest_SyntaxError", "['first']"},
		{".create-merge table X (A:text)", "BadRequest_SyntaxError", "text"},
		{".create-or-alter function G() { Nope | count }", "General_BadRequest", "Nope"},
		{".create-or-alter function G(x:long) { print x + y }", "General_BadRequest", "y"},
		{".create materialized-view V on table T { T | where A == 'x' }", "BadRequest_MaterializedViewQuery", "summarize"},
		{".create-or-alter table T ingestion json mapping 'm' '[{\"column\":\"A\",\"path\":\"$\",\"transform\":\"SourceLocation\"}]'", "BadRequest_InvalidMapping", "SourceLocation"},
		{".append T <| print 'a'", "BadRequest_QuerySchemaDoesNotMatchTableSchema", "QuerySchema=('string'), TableSchema=('string,long')"},
		{".append T <| print 1, 'a'", "BadRequest_QuerySchemaDoesNotMatchTableSchema", "QuerySchema=('long,string')"},
		{".append Nope <| print 1", "BadRequest_EntityNotFound", "Nope"},
		{".set T <| print 1", "BadRequest_EntityNameAlreadyExists", "T"},
		{".append T with (tags='x') <| print 'a', 1", "BadRequest_InvalidTags", "tags"},
		{".append T with (tag='[]') <| print 'a', 1", "BadRequest_UnknownProperty", "tag"},
		{".alter column T.A policy encoding type='Huge'", "BadRequest_EncodingPolicy", "Huge"},
		{".show journal", "BadRequest_NotSupported", "'.show journal'"},
		{".updte table T", "BadRequest_NotSupported", "'.updte table'"},
		{".set-or-append async T <| print 1", "BadRequest_NotSupported", "async"},
		{".show tables extra", "BadRequest_SyntaxError", "extra"},
		{".show tables | where Nope == 1", "General_BadRequest", "Nope"},
		{"T | count", "BadRequest_NotACommand", "'.'"},
		{".delete table T records <| T | project A", "BadRequest_SoftDeletePredicate", "unchanged"},
	}
	c.manage(t, ".append T <| print 'a', 1")
	for _, test := range tests {
		t.Run(test.command, func(t *testing.T) {
			_, err := c.mgmt(t, "admin", test.command)
			status, code, permanent, text := refused(t, err)
			if status != 400 || code != test.code || !permanent || !strings.Contains(text, test.contains) {
				t.Errorf("got %d %s permanent=%v %q, want 400 %s containing %q", status, code, permanent, text, test.code, test.contains)
			}
		})
	}
}

func TestRights_AreThoseOfTheService(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string)", ".create table U (A:string)", ".append U <| print 'secret'")
	everyone := []string{"admin", "user", "viewer", "ingestor", "monitor", "stranger"}
	tests := []struct{ text, allowed string }{
		{"T | count", "admin user viewer"},
		{".show tables", "admin user viewer monitor"},
		{".show table T cslschema", "admin user viewer monitor"},
		{".show table T extents", "admin user viewer monitor"},
		{".show functions", "admin user viewer monitor"},
		{".show database schema as json", "admin user viewer monitor"},
		{".show version", "admin user viewer ingestor monitor stranger"},
		{".show ingestion failures", "admin monitor"},
		{".set-or-append T <| print 'x'", "admin ingestor"},
		{".set-or-append T <| U", "admin"},
		{".ingest inline into table T <|\nx", "admin ingestor"},
		{".create-or-alter table T ingestion json mapping 'm' '[{\"column\":\"A\",\"path\":\"$.a\"}]'", "admin ingestor"},
		{".create table New%d (A:string)", "admin user"},
		{".create-merge table T (A:string)", "admin"},
		{".create-or-alter function Fn%d() { print 1 }", "admin user"},
		{".alter-merge table T policy retention softdelete = 30d", "admin"},
		{".alter column T.A policy encoding type='BigObject'", "admin"},
		{".delete table T records <| T | where A == 'none'", "admin"},
		{".drop table Nope%d ifexists", "admin"},
		{".drop extents from T", "admin"},
		{".clear table T data", "admin"},
		{".add database db viewers ('aadapp=someone;tenant')", "admin"},
		{".execute database script <|\n.create-merge table S (A:string)", "admin"},
		{".get kusto identity token", "admin ingestor"},
		{".get ingestion resources", "admin ingestor"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			for i, who := range everyone {
				command := test.text
				if strings.Contains(command, "%d") {
					command = fmt.Sprintf(command, i)
				}
				var err error
				if strings.HasPrefix(command, ".") {
					_, err = c.mgmt(t, who, command)
				} else {
					_, err = c.query(t, who, command)
				}
				want := strings.Contains(" "+test.allowed+" ", " "+who+" ")
				if want && err != nil {
					t.Errorf("%s is refused: %v", who, err)
				}
				if !want && err == nil {
					t.Errorf("%s is allowed", who)
				} else if !want {
					status, code, permanent, text := refused(t, err)
					if status != 403 || code != "Forbidden" || !permanent || !strings.Contains(text, "Principal 'aadapp="+who+";tenant' is not authorized to ") {
						t.Errorf("%s: got %d %s permanent=%v %q", who, status, code, permanent, text)
					}
				}
			}
		})
	}
}

// Every SDK looks for the queues of statuses beside the one that it sends to.
func TestIngestionResources_NameEveryQueue(t *testing.T) {
	c := start(t, kusto.Options{Storage: kusto.Storage{
		Containers: []string{"https://s/c1?sig=1", "https://s/c2?sig=2"}, Queue: "https://s/ready?sig=3",
		Succeeded: "https://s/well?sig=4", Failed: "https://s/failed?sig=5",
	}})
	got, err := c.mgmt(t, "ingestor", ".get ingestion resources")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"TempStorage|https://s/c1?sig=1", "TempStorage|https://s/c2?sig=2", "SecuredReadyForAggregationQueue|https://s/ready?sig=3",
		"SuccessfulIngestionsQueue|https://s/well?sig=4", "FailedIngestionsQueue|https://s/failed?sig=5",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
}

func TestRoles_AreAddedAndDropped(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string)")
	steps := []struct {
		command string
		allowed bool
	}{
		{".add database db viewers ('aadapp=stranger;tenant', 'aadapp=other;tenant') 'a note'", true},
		{".drop database db viewers ('aadapp=STRANGER')", false},
		{".add database db admins ('aadapp=stranger;tenant')", true},
		{".set database db admins ('aadapp=admin;tenant')", false},
	}
	for _, step := range steps {
		c.manage(t, step.command)
		if _, err := c.query(t, "stranger", "T"); (err == nil) != step.allowed {
			t.Errorf("after %s: got %v, want allowed=%v", step.command, err, step.allowed)
		}
	}
}

func TestSetOrAppend_KnowsItsTags(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string)")
	const command = `.set-or-append T with (tags='["ingest-by:one","drop-by:r"]', ingestIfNotExists='["one"]') <| print 'a'`
	for i, want := range []int{1, 0, 0} {
		ds, err := c.as(t, "app").Mgmt(t.Context(), "db", statement(command))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(ds.Tables()[0].Rows()); got != want {
			t.Errorf("time %d: %d extents made, want %d", i, got, want)
		}
	}
	if got := c.mustQuery(t, `T | where extent_tags() has "ingest-by:one" | count`); got != "1\n" {
		t.Errorf("got %q rows, want 1", got)
	}
	c.manage(t, `.append T with (tags='["ingest-by:one"]') <| print 'b'`) // a tag alone stops nothing
	if got := c.mustQuery(t, "T | project A | order by A asc"); got != "a\nb\n" {
		t.Errorf("got %q", got)
	}
	got, err := c.mgmt(t, "viewer", ".show table T extents | where Tags has 'drop-by:r' | project RowCount, Tags")
	if want := "1|ingest-by:one\r\ndrop-by:r\n"; err != nil || got != want {
		t.Errorf("got %q %v, want %q", got, err, want)
	}
	for where, want := range map[string]string{
		"where tags has 'drop-by:r'": "1\n", "where tags !has 'drop-by:r' and tags has 'ingest-by:one'": "1\n",
		"where tags has 'drop-by'": "0\n", "where tags contains 'drop-by'": "1\n",
	} {
		if got, err := c.mgmt(t, "viewer", ".show table T extents "+where+" | count"); err != nil || got != want {
			t.Errorf("extents %s: got %q %v, want %q", where, got, err, want)
		}
	}
	if err := c.MergeExtents("db", "T"); err != nil {
		t.Fatal(err)
	}
	if got := c.mustQuery(t, `T | where extent_tags() has "drop-by:r" | count`); got != "2\n" {
		t.Errorf("after a merge: got %q rows with the tag, want 2", got)
	}
	c.manage(t, ".drop extents <| .show table T extents | where Tags has 'drop-by:r'")
	if got := c.Count("db", "T"); got != 0 {
		t.Errorf("after the drop: %d rows, want 0", got)
	}
}

func TestIngestionTime_GrowsWithEveryCommit(t *testing.T) {
	c := start(t, kusto.Options{}) // its clock stands still
	c.manage(t, ".create table T (A:string)", ".append T <| print 'a'", ".append T <| print 'b'")
	got := c.mustQuery(t, "T | extend at = ingestion_time() | order by at asc | project A, at >= datetime(2026-11-21 10:00), prev(at) < at")
	if want := "a|true|\nb|true|true\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.manage(t, ".alter table T policy ingestiontime false", ".append T <| print 'c'")
	if got := c.mustQuery(t, "T | where isnull(ingestion_time()) | project A"); got != "c\n" {
		t.Errorf("got %q, want c", got)
	}
}

func TestIngestInline_TakesItsFormats(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t,
		".create table T (A:string, B:long, C:dynamic)",
		`.create table T ingestion json mapping 'm' '[{"column":"A","Properties":{"Path":"$.x[\'a b\'][0]"}},{"column":"B","Properties":{"ConstValue":"7"}},{"column":"C","Properties":{"Path":"$"}}]'`,
		".ingest inline into table T <|\ncsv,1,\"{\"\"k\"\": 1.0}\"\n",
		".ingest inline into table T with (format='json') <|\n{\"A\":\"json\",\"B\":2,\"C\":[1, 2]}\nnot json\n{\"A\":\"json\",\"B\":2.5}",
		".ingest inline into table T with (format='multijson', ingestionMappingReference='m') <|\n[{\"x\":{\"a b\":[\"deep\"]}},\n{\"x\":1,\"x\":2}]",
	)
	want := "csv|1|{\"k\":1.0}\n" + "json|2|[1,2]\n" + "json||\n" + "deep|7|{\"x\":{\"a b\":[\"deep\"]}}\n" + "|7|{\"x\":2}\n"
	if diff := cmp.Diff(want, c.mustQuery(t, "T")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for _, test := range []struct{ command, code string }{
		{".ingest inline into table T with (format='multijson') <|\n{\"A\":", "BadRequest_InvalidBlob"},
		{".ingest inline into table T with (format='json') <|\nnothing", "BadRequest_NoRecordsOrWrongFormat"},
		{".ingest inline into table T with (format='parquet') <|\nx", "BadRequest_FormatNotSupported"},
		{".ingest inline into table T <|\na,1\nb,2,3", "Stream_WrongNumberOfFields"},
		{".ingest inline into table T with (format='json', ingestionMappingReference='none') <|\n{}", "BadRequest_MappingReferenceWasNotFound"},
	} {
		_, err := c.mgmt(t, "app", test.command)
		if _, code, _, _ := refused(t, err); code != test.code {
			t.Errorf("%s: got %s, want %s", test.command, code, test.code)
		}
	}
}

func TestValues_ThatDoNotFitAreNull(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (B:bool, I:int, L:long, R:real, D:datetime, S:string)",
		`.ingest inline into table T with (format='json') <|`+"\n"+
			`{"B":"true","I":"7","L":9007199254740993,"R":3,"D":"2026-11-21T10:00:00.12345678Z","S":{"k":[1]}}`+"\n"+
			`{"B":"maybe","I":9999999999,"L":2.5,"R":"x","D":"yesterday","S":null}`)
	if got, want := c.mustQuery(t, "T"), "true|7|9007199254740993|3|2026-11-21T10:00:00.1234567Z|{\"k\":[1]}\n|||||\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValues_AreKeptWithinTheirLimits(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (S:string, D:dynamic)")
	long := strings.Repeat("é", 600_000) // 1.2 MB
	row := func() {
		c.manage(t, fmt.Sprintf(".ingest inline into table T with (format='json') <|\n{\"S\":%q,\"D\":{\"v\":%q}}", long, long))
	}
	row()
	c.manage(t, ".alter column T.D policy encoding type='BigObject32'")
	row()
	if got, want := c.mustQuery(t, "T | project strlen(S), isnull(D), strlen(tostring(D.v))"), "524288|true|0\n524288|false|600000\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDeleteRecords_RemovesExactlyThePredicate(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t,
		".create table T (A:long)",
		".append T with (tags='[\"x\"]') <| range A from 1 to 5 step 1",
		".append T <| range A from 1 to 3 step 1",
		".delete table T records <| T | where A % 2 == 0 | where A > 1")
	if got, want := c.mustQuery(t, "T | extend x = array_length(extent_tags()) | project A, x > 0"), "1|true\n3|true\n5|true\n1|false\n3|false\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got, err := c.mgmt(t, "admin", ".delete table T records with (whatif=true) <| T")
	if err != nil || got != "T|5\n" || c.Count("db", "T") != 5 {
		t.Errorf("whatif: got %q %v, %d rows left", got, err, c.Count("db", "T"))
	}
}

func TestScript_GoesOnAsItIsTold(t *testing.T) {
	c := start(t, kusto.Options{})
	const body = "\n.create-merge table A (X:string)\n\n// a comment\n.create-or-alter function F() {\n    A\n    | count\n}\n" +
		".drop table Nope\n.create-merge table B (X:string)"
	tests := []struct{ name, with, want string }{
		{"stops at an error without failing", "", "Completed|CreateMergeTable\nCompleted|CreateOrAlterFunction\nFailed|DropTable\n"},
		{"goes on", "with (ContinueOnErrors=true) ", "Completed|CreateMergeTable\nCompleted|CreateOrAlterFunction\nFailed|DropTable\nCompleted|CreateMergeTable\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ds, err := c.as(t, "admin").Mgmt(t.Context(), "db", statement(".execute database script "+test.with+"<|"+body))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, row := range ds.Tables()[0].Rows() {
				got += row.Values()[3].String() + "|" + row.Values()[1].String() + "\n"
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := c.mgmt(t, "admin", ".execute database script with (ThrowOnErrors=true) <|"+body); err == nil {
		t.Error("ThrowOnErrors: passed, want an error")
	}
}

func TestColumns_AddedLaterReadAsNull(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string)", ".append T <| print 'a'", ".create-merge table T (S:string, N:long)", ".append T <| print 'b', 's', 1")
	if got, want := c.mustQuery(t, "T | project A, S, N, isnull(N)"), "a|||true\nb|s|1|false\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCommands_TakeAwayWhatWasMade(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t,
		".create table T (A:string, B:long)",
		".append T <| range B from 1 to 3 step 1 | project A = iff(B < 3, 'x', 'y'), B",
		".create materialized-view with (backfill=true) V on table T { T | summarize arg_max(B, *) by A }",
		".create function F(x:long) { T | where B > x }",
		".create table T ingestion csv mapping 'm' '[{\"column\":\"A\",\"Properties\":{\"Ordinal\":\"1\"}}]'",
		".ingest inline into table T with (format='csv', ingestionMappingReference='m') <|\n1,mapped",
		".alter table T folder 'f'", ".alter table T docstring 'd'", ".alter-merge table T (C:dynamic)",
		".alter column T.C policy encoding type='BigObject'",
		".alter table T policy merge '{\"MaxRangeInHours\":1}'")
	if got, want := c.mustQuery(t, "V | order by A asc | project A, B"), "mapped|\nx|2\ny|3\n"; got != want {
		t.Errorf("view: got %q, want %q", got, want)
	}
	if got, want := c.mustQuery(t, "union withsource=From T* | summarize count() by From"), "T|4\n"; got != want {
		t.Errorf("wildcard: got %q, want %q", got, want)
	}
	if got, want := c.mustQuery(t, "union materialized_view('V'), F(2) | count"), "4\n"; got != want {
		t.Errorf("union: got %q, want %q", got, want)
	}
	if _, err := c.mgmt(t, "admin", ".drop table T"); err == nil {
		t.Error("a view's table was dropped")
	}
	if diff := cmp.Diff([]string{"T"}, c.Tables("db")); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	steps := []struct{ command, show, want string }{
		{".delete column T.C policy encoding", ".show column T.C policy encoding | project Policy", "null\n"},
		{".delete table T policy merge", ".show table T policy merge | project Policy", "null\n"},
		{".drop table T ingestion csv mapping 'm'", ".show table T ingestion mappings | count", "0\n"},
		{".drop function F", ".show functions | count", "0\n"},
		{".drop function F ifexists", ".show functions | count", "0\n"},
		{".drop materialized-view V", ".show materialized-views | count", "0\n"},
		{".clear table T data", ".show tables details | project TableName, Folder, DocString, TotalRowCount", "T|f|d|0\n"},
		{".drop tables (T, U) ifexists", ".show tables | count", "0\n"},
	}
	for _, step := range steps {
		c.manage(t, step.command)
		if got, err := c.mgmt(t, "admin", step.show); err != nil || got != step.want {
			t.Errorf("after %s: got %q %v, want %q", step.command, got, err, step.want)
		}
	}
}
