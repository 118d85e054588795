package kqlcheck_test

import (
	"io"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/kqlcheck"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/savedquery"
)

func start(t *testing.T) *kqlcheck.Checker {
	t.Helper()
	if _, err := azurite.NodeModules(); err != nil {
		t.Fatal(err)
	}
	c, err := kqlcheck.Start(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestChecker_CatchesPlantedMistakes(t *testing.T) {
	rounds.Long(t)
	c := start(t)
	const head = ".create-or-alter function with (folder = 'F', docstring = 'D') "
	if err := c.Reset(kqlcheck.Table{Name: "T", Columns: "(A: string, B: long, C: dynamic)"}, kqlcheck.Table{Name: "U", Columns: "(A: long, D: string)"}); err != nil {
		t.Fatal(err)
	}
	const policy, source = ".alter table T policy ", `'[{"IsEnabled": true, "IsTransactional": true, "Source": `
	tests := []struct {
		name, text, code string
		line             int
		mended           string // the same text without the mistake
	}{
		{"wrong column", "T\n| where Aa == 'x'", "KS142", 2, "T\n| where A == 'x'"},
		{"wrong letter case", "T\n| where a == 'x'", "KS142", 2, "T\n| where A == 'x'"},
		{"wrong type in a join", "T\n| join kind=inner (U) on A", "KS", 2, "T\n| join kind=inner (U) on $left.B == $right.A"},
		{"join without a kind", "T\n| join (T) on A", "KS508", 2, "T\n| join kind=inner (T) on A"},
		{"join by a dynamic value", "T\n| join kind=inner (T) on C", "key", 2, "T\n| join kind=inner (T) on B"},
		{"join by a dynamic path", "T\n| join kind=inner (T) on $left.C == $right.C", "KS241", 2, "T\n| join kind=inner (T) on $left.B == $right.B"},
		{"lookup by a dynamic value", "T\n| lookup (T) on C", "key", 2, "T\n| lookup (T) on A"},
		{"fewer rows than none", "T\n| take -1", "rows", 2, "T\n| take 1"},
		{"expression that is none", "T\n| where A matches regex '(a'", "regex", 2, "T\n| where A matches regex '(?i)(a)'"},
		{"view before its table", head + "V() {\n    LaterRaw\n}", "KS142", 2, head + "V() {\n    U\n}"},
		{"column of a union twice", "T\n| union (U)", "union", 2, "T\n| union (U | project A = tostring(A), D)"},
		{"empty line in a text", "T\n\n| take 1", "line", 2, "T\n| take 1"},
		{"function that hides a table", head + "T() {\n    U\n}", "shadow", 1, head + "T2() {\n    U\n}"},
		{"unknown command", ".nosuchverb x y", "UnknownCommand", 1, ".show tables"},
		{"text behind a command", ".show tables extra", "SkippedTokens", 1, ".show tables"},
		{"two commands in one", ".show tables\n.show tables", "SkippedTokens", 2, ".show tables"},
		{"text behind a function", head + "F() {\n    U\n} U", "SkippedTokens", 3, head + "F() {\n    U\n}"},
		{"function whose body does not bind", head + "F() {\n    U\n    | where Zz == 1\n}", "KS142", 3, head + "F() {\n    U\n    | where A == 1\n}"},
		{"two dynamic values compared", "T\n| where C.a == C.b", "dynamic", 2, "T\n| where tostring(C.a) == tostring(C.b)"},
		{"dynamic where text is wanted", "T\n| extend N = countof(C.a, 'x')", "dynamic", 2, "T\n| extend N = countof(tostring(C.a), 'x')"},
		{"rows without an order", "T\n| extend N = row_number()", "order", 2, "T\n| serialize\n| extend N = row_number()"},
		{"order lost", "T\n| sort by A asc\n| summarize count() by A\n| extend N = prev(A)", "order", 4, "T\n| sort by A asc\n| where B > 1\n| extend N = prev(A)"},
		{"no date", "T\n| where now() > datetime(2020-13-01)", "literal", 2, "T\n| where now() > datetime(2020-12-01)"},
		{"no time span", "T\n| extend S = timespan(1x)", "literal", 2, "T\n| extend S = timespan(1d)"},
		{"no guid", "T\n| extend G = guid(abc)", "literal", 2, "T\n| extend G = guid(8a3c0c2e-0000-4000-8000-000000000001)"},
		{"policy with an unknown key", policy + `extent_tags_retention '[{"TagPrefic": "ingest-by:", "RetentionPeriod": "30.00:00:00"}]'`, "policy", 1, policy + `extent_tags_retention '[{"TagPrefix": "ingest-by:", "RetentionPeriod": "30.00:00:00"}]'`},
		{"policy that is no JSON", policy + `update '[{"IsEnabled": true,}]'`, "json", 1, policy + `update '[]'`},
		{"update policy of a missing table", policy + "update " + source + `"Nothing", "Query": "T"}]'`, "policy", 1, policy + "update " + source + `"U", "Query": "T"}]'`},
		{"update policy with its columns in another order", policy + "update " + source + `"U", "Query": "T | project B, A, C"}]'`, "policy", 1, policy + "update " + source + `"U", "Query": "T | project A, B, C"}]'`},
		{"mapping of a missing column", `.create-or-alter table T ingestion json mapping 'm' '[{"Column": "Z", "Properties": {"Path": "$"}}]'`, "mapping", 1, `.create-or-alter table T ingestion json mapping 'm' '[{"Column": "C", "Properties": {"Path": "$"}}]'`},
		{"column of another type", ".create-merge table T (A: long)", "type", 1, ".create-merge table T (A: string)"},
		{"function in another form", ".create-or-alter function F() { T }", "function", 1, head + "F() {\n    T\n}"},
		{"misspelt policy", policy + "updte '[]'", "KS", 1, policy + "update '[]'"},
	}
	for _, tc := range tests {
		found, err := c.Query(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 || !strings.HasPrefix(found[0].Code, tc.code) || found[0].Line != tc.line {
			t.Errorf("%s: found %v, want %s in line %d", tc.name, found, tc.code, tc.line)
		}
		if found, err := c.Query(tc.mended); err != nil || len(found) > 0 {
			t.Errorf("%s, mended: found %v, %v", tc.name, found, err)
		}
	}
	for _, text := range []string{
		"T\n| sort by A asc\n| where B > 1\n| extend N = row_number()", "T\n| where tostring(C.a) == tostring(C.b) and now() > datetime(0001-01-01)",
		"union isfuzzy=true T, Missing", ".create-merge table T (A: string, E: guid)", head + "F(at: datetime) {\n    T\n    | where now() > at\n}",
	} {
		if found, err := c.Query(text); err != nil || len(found) > 0 {
			t.Errorf("%s: found %v, %v", text, found, err)
		}
	}
	// A result of other columns than promised.
	if found, err := c.Apply(head+"G() {\n    T\n    | project A\n}", "A long"); err != nil || len(found) != 1 || found[0].Code != "columns" {
		t.Errorf("a result of other columns: %v, %v", found, err)
	}
	// A foreign query binds, whatever its manners; one that does not bind is told.
	if found, err := c.Hunting("T\n\n| join (T) on A"); err != nil || len(found) > 0 {
		t.Errorf("a foreign query: %v, %v", found, err)
	}
	if found, err := c.Hunting("T | where Missing == 1"); err != nil || len(found) != 1 {
		t.Errorf("a foreign query that does not bind: %v, %v", found, err)
	}
}

// The checker judges each function by what stands before it.
func TestDeploy_FindsAViewThatReadsWhatIsNotThereYet(t *testing.T) {
	rounds.Long(t)
	c := start(t)
	commands := adx.Deployment(nil, adx.Options{})
	var view, raw []adx.Command
	for _, command := range commands {
		switch {
		case strings.Contains(command.Text, "['AlertInfoRaw']") && !strings.Contains(command.Text, "['AlertEvidenceRaw']"): // of this table alone
			raw = append(raw, command)
		case strings.Contains(command.Text, " AlertInfo() {"):
			view = append(view, command)
		}
	}
	control := []adx.Command{}
	for _, command := range commands {
		if strings.HasPrefix(command.Text, ".create-merge table Migration") {
			control = append(control, command)
		}
	}
	for _, tc := range []struct {
		commands []adx.Command
		errors   int
	}{
		{append(append(append([]adx.Command{}, control...), raw...), view...), 0},
		{append(append(append([]adx.Command{}, control...), view...), raw...), 1},
	} {
		r := kqlcheck.Report{Out: io.Discard}
		if err := kqlcheck.Deploy(c, &r, "test", tc.commands); err != nil {
			t.Fatal(err)
		}
		if len(view) != 1 || len(raw) != 5 || r.Errors != tc.errors || r.Statements != 2*len(tc.commands) {
			t.Errorf("%d views, %d of the raw table: %d statements, %d errors, want %d", len(view), len(raw), r.Statements, r.Errors, tc.errors)
		}
	}
}

// A saved query that does not bind is told, and one that gives other columns than its
// file says, or whose key is none of them.
func TestSaved_TellsWhatDoesNotBind(t *testing.T) {
	rounds.Long(t)
	c := start(t)
	if err := c.Reset(kqlcheck.Table{Name: "T", Columns: "(A: string, B: long, At: datetime)"}); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, text, want string }{
		{"as it should be", "// Load: Incr At\n// Key: A\n// Columns: A string, At datetime\nlet n = 1;\nT\n| where B > n // some\n| project A, At // these", ""},
		{"without a head", "T | where B > 1", ""},
		{"wrong column", "T\n| where Bb > 1", "KS142"},
		{"other columns", "// Columns: A long\nT\n| project A", "columns"},
		{"watermark that the result lacks", "// Load: Incr At\nT\n| summarize count() by A", "KS142"},
		{"at fault", ".drop table T", "query"},
	}
	for _, tt := range tests {
		var told strings.Builder
		r := kqlcheck.Report{Out: &told}
		if err := kqlcheck.Saved(c, &r, []savedquery.Query{savedquery.Parse("q", tt.text)}); err != nil {
			t.Fatal(err)
		}
		if (tt.want == "") != (r.Errors == 0) || !strings.Contains(told.String(), tt.want) {
			t.Errorf("%s: %d statements, %d errors, told %q; want %q", tt.name, r.Statements, r.Errors, told.String(), tt.want)
		}
	}
}
