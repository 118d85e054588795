package kusto_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/kusto"
)

func TestSchema_TellsFunctionsAsTheEditorReadsThem(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t,
		".create table T (A:string, B:decimal)",
		".create function with (folder='f', docstring='d') F(n:long = 5, rows:(x:string, d:decimal), any:(*)) { rows | take n }")
	type column struct{ Name, Type, CslType string }
	type parameter struct {
		Name, Type, CslType, CslDefaultValue string
		Columns                              []column
	}
	type function struct {
		Name, Body, Folder, DocString, FunctionKind string
		InputParameters                             []parameter
		OutputColumns                               *[]column
	}
	want := function{
		Name: "F", Body: "{ rows | take n }", Folder: "f", DocString: "d", FunctionKind: "Unknown", OutputColumns: &[]column{},
		InputParameters: []parameter{
			{Name: "n", Type: "System.Int64", CslType: "long", CslDefaultValue: "5"},
			{Name: "rows", Columns: []column{{"x", "System.String", "string"}, {"d", "System.Data.SqlTypes.SqlDecimal", "decimal"}}},
			{Name: "any"},
		},
	}
	for _, command := range []string{".show database schema as json", ".show schema as json", ".show databases schema as json", ".show databases (db) schema as json"} {
		got, err := c.mgmt(t, "viewer", command)
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		var schema struct {
			Databases map[string]struct {
				Tables, MaterializedViews, ExternalTables map[string]any
				EntityGroups                              map[string][]string
				Functions                                 map[string]function
			}
		}
		if err := json.Unmarshal([]byte(got), &schema); err != nil {
			t.Fatalf("%s: %v in %s", command, err, got)
		}
		db := schema.Databases["db"]
		if diff := cmp.Diff(want, db.Functions["F"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
		if db.Tables["T"] == nil || db.MaterializedViews == nil || db.ExternalTables == nil || db.EntityGroups == nil {
			t.Errorf("%s lacks something: %s", command, got)
		}
	}
}

func TestShow_AnswersWhatToolsAskWhenTheyConnect(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string)", ".alter database db policy retention '{\"SoftDeletePeriod\":\"10.00:00:00\"}'")
	tests := []struct{ command, contains string }{
		{".show cluster", "Node0|127.0.0.1"},
		{".show databases", "db||v1.0|true|ReadWrite"},
		{".show databases details", "10.00:00:00"},
		{".show database details", "10.00:00:00"},
		{".show database db details", "10.00:00:00"},
		{".show database identity", "db||v1.0"},
		{".show databases identity", "db||v1.0"},
		{".show databases schema", "db|T|A|System.String"},
		{".show database db schema", "db|T|A|System.String"},
		{".show schema", "db|T|A|System.String"},
		{".show database cslschema", "T|A:string|db"},
	}
	for _, test := range tests {
		got, err := c.mgmt(t, "viewer", test.command)
		if err != nil || !strings.Contains(got, test.contains) {
			t.Errorf("%s: got %v %q, want %q", test.command, err, got, test.contains)
		}
	}
	for _, command := range []string{".show cluster policy capacity2", ".show databases entities", ".show queryplan"} {
		_, err := c.mgmt(t, "viewer", command)
		if _, code, _, text := refused(t, err); code != "BadRequest_NotSupported" || !strings.Contains(text, "local cluster does not support") {
			t.Errorf("%s: got %s %q, want that the local cluster does not support it", command, code, text)
		}
	}
	if status, body := c.ask(t, "/v1/rest/mgmt", "NetDefaultDB", ".show tables", `{}`); status != 200 || !strings.Contains(body, `"T"`) {
		t.Errorf("in NetDefaultDB: got %d %s", status, body)
	}
}
