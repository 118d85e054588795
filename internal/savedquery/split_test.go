package savedquery

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each text and what Microsoft's parser takes it for: strings, comments and brackets hide
// a semicolon, and nothing else does.
func TestSplit_FindsTheEndsOfStatements(t *testing.T) {
	type want = []string // let statements, then the one that gives rows
	tests := []struct {
		name, text string
		want       want
	}{
		{"one", "T | take 1", want{"T | take 1"}},
		{"closed", "T | take 1;\n", want{"T | take 1"}},
		{"lets", "let a = 1; let b = T\n| where x > a;\nb | count", want{"let a = 1", "let b = T\n| where x > a", "b | count"}},
		{"in strings", `let a = ';'; T | where x == ";" or y == "\";"`, want{"let a = ';'", `T | where x == ";" or y == "\";"`}},
		{"in a verbatim string", `let a = @"c:\"; T | where x == @'it''s;'`, want{`let a = @"c:\"`, `T | where x == @'it''s;'`}},
		{"in a hidden string", `let a = h@'x\'; T | where b == H'x;\''`, want{`let a = h@'x\'`, `T | where b == H'x;\''`}},
		{"in a string of lines", "let a = ```x\n;\" '\n//```; T | where x == a", want{"let a = ```x\n;\" '\n//```", "T | where x == a"}},
		{"in a function", "let f = (x: long) { let y = x; y + 1 }; T | extend z = f(1)", want{"let f = (x: long) { let y = x; y + 1 }", "T | extend z = f(1)"}},
		{"in a name", "T | extend ['a;b'] = dynamic({'c;': [1]})", want{"T | extend ['a;b'] = dynamic({'c;': [1]})"}},
		{"in a comment", "let a = 1; // this; and 'that\nT // the end; ( \"", want{"let a = 1", "T"}},
		{"comments of a line", "// head\nT\n// between\n  // and; again\n| where x // why\n| take 1 // last", want{"T\n| where x \n| take 1"}},
		{"two slashes in a string", `T | where u == "https://a/b" // and not this`, want{`T | where u == "https://a/b"`}},
		{"before the text", "\n\n  T | take 1", want{"T | take 1"}},
		{"blanks of several bytes", "\u3000\u00a0T | take 1", want{"T | take 1"}},
		{"commands named in strings", `T | where x == ".drop table T; .show tables"`, want{`T | where x == ".drop table T; .show tables"`}},
		{"columns named like statements", "settings | where letter == 1", want{"settings | where letter == 1"}},
		{"render inside", "T | where x == 'render' and render == 1", want{"T | where x == 'render' and render == 1"}},
	}
	for _, tt := range tests {
		p, err := split(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, append(p.lets, p.result)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSplit_RefusesWhatIsNoQuery(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", " \n\n", "no statement gives rows"},
		{"only comments", "// a\n// b", "no statement gives rows"},
		{"only a let", "let a = T;", "no statement gives rows"},
		{"command", ".show tables", "line 1: a control command is refused"},
		{"command behind a comment", "// innocent\n  .drop table T", "line 2: a control command is refused"},
		{"command behind a let", "let a = 1;\n.set-or-append T <| T", "line 2: a control command is refused"},
		{"command behind the query", "T | take 1; .drop table T", "line 1: a control command is refused"},
		{"command behind a verbatim string", `T | where a == @"\"; .drop table T // "`, "a control command is refused"},
		{"directive", "#connect 'x'\nT", "line 1: a directive is refused"},
		{"second result", "T | take 1;\nU | take 1", `line 2: a second statement after the one that gives rows: "U | take 1"`},
		{"let behind the query", "T | take 1;\nlet a = 1;", "line 2: a second statement after the one that gives rows"},
		{"set", "set notruncation;\nT", "line 1: a statement set is refused"},
		{"parameters", "declare query_parameters(a: long);\nT", "a statement declare is refused"},
		{"our names", "let d2a_from = now();\nT", "names that begin with d2a_ are taken"},
		{"our names in brackets", "let ['d2a_from'] = now();\nT", "names that begin with d2a_ are taken"},
		{"empty line", "T\n\n| take 1", "line 2 is empty: the service takes an empty line for the end of a query"},
		{"line of blanks", "let a = 1;\n \t\nT", "line 2 is empty"},
		{"empty line in a string", "T | where a == ```x\n\ny```", "line 2 is empty"},
		{"empty statement", "let a = 1;; T", "line 1: a statement is empty"},
		{"open string", "T | where a == 'x\n'", "line 1: string ' is not closed"},
		{"open verbatim string", "T | where a == @\"x\n\"", "line 1: string \" is not closed"},
		{"string that ends in a backslash", `T | where a == "x\"`, `string " is not closed`},
		{"open string of lines", "T | where a == ```x\ny", "line 1: string ``` is not closed"},
		{"open bracket", "T | where (a == 1", "bracket ) is missing at the end"},
		{"wrong bracket", "T | where (a == 1]", "line 1: bracket ] closes nothing"},
		{"bracket that breaks out", "T) | union (U", "line 1: bracket ) closes nothing"},
		{"drawing behind a wide blank", "\u3000T | render x", "operator render is refused"},
		{"drawing", "T | summarize count() by x | render timechart", "operator render is refused"},
		{"more than one table", "T | fork (count) (take 1)", "operator fork is refused"},
		{"line end of another kind", "T // a\u2028.drop table T", "line 1: character U+2028 is refused"},
		{"control character", "T // a\r.drop table T", "line 1: character U+000D is refused"},
		{"no UTF-8", "T | where a == '\xff'", "not UTF-8"},
	}
	for _, tt := range tests {
		if _, err := split(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// What is let through is one statement behind let statements, however it is written, and
// stays so when it is read again.
func FuzzSplit_LetsOneStatementThrough(f *testing.F) {
	for _, text := range []string{
		"let a = ';'; T | where x == \"\\\"\" // c\n| take 1", "let a = @\"c:\\\"; T", "let a = ```x\n;```;\nT | union (U)", "T\n// c\n| extend ['a;'] = dynamic({\"b\": [1]})",
		".drop table T", "T;;", "T | where a == h'x' 'y'", "~~~;~~~", "T | render x", "\u3000|",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := split(text)
		if err != nil {
			return
		}
		whole := ""
		for _, let := range p.lets {
			if !strings.HasPrefix(let, "let") {
				t.Errorf("%q: taken for a let statement: %q", text, let)
			}
			whole += let + ";\n"
		}
		if p.result == "" || p.result[0] == '.' || strings.Contains("\n"+whole+p.result, "\n\n") {
			t.Errorf("%q: gives rows by %q", text, p.result)
		}
		again, err := split(whole + p.result)
		if err != nil {
			t.Fatalf("%q: what was let through is refused as it is sent: %v", text, err)
		}
		if diff := cmp.Diff(append(p.lets, p.result), append(again.lets, again.result)); diff != "" {
			t.Errorf("%q reads in another way when it is sent:\n%s", text, diff)
		}
	})
}
