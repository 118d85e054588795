package adx

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/infra/kql"
	"github.com/defender2adx/defender2adx/internal/schema"
)

var update = flag.Bool("update", false, "rewrite tables.kql and views.kql of infra/kql from the catalogue")

const tablesHeader = `// Defender2ADX: a raw table for every table of the catalogue. An empty table costs
// nothing, and the app need not be allowed to make any.
//
// Run schema.kql first. Every command may be repeated; a raw table of the original
// scripts keeps its rows and gets the columns it lacks.
// Written from the catalogue by: go test ./internal/adx -run TablesFile -update

`

func TestTablesFile_HoldsTheCatalogue(t *testing.T) {
	want := tablesHeader
	for i, table := range schema.Catalogue() {
		if i > 0 {
			want += "\n"
		}
		want += rawTableScript(table.Name + "Raw")
	}
	holds(t, "tables.kql", want)
}

func TestScripts_AreCommandsThatSetupUnderstands(t *testing.T) {
	files, err := fs.Glob(kql.Files, "*.kql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		commands := scriptOf(file)
		if len(commands) == 0 {
			t.Errorf("%s holds no command", file)
		}
		for _, text := range commands {
			if strings.Contains(text, "\n\n") {
				t.Errorf("%s: a command holds an empty line, where some clients cut it:\n%s", file, text)
			}
			if slices.Contains([]string{"schema.kql", "tables.kql", "functions.kql", "views.kql"}, file) {
				if _, err := readHead(text); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}

func TestConfigurations_NameTablesOfTheCatalogue(t *testing.T) {
	for file, want := range map[string]int{"configuration-original.kql": 9, "configuration-recommended.kql": len(schema.Catalogue())} {
		seen := map[string]bool{}
		for line := range strings.Lines(scriptOf(file)[0]) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "'") {
				continue
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "'"), "'")
			if _, ok := schema.Lookup(name); !ok {
				t.Errorf("%s: the catalogue has no table %s", file, name)
			}
			if seen[name] {
				t.Errorf("%s: %s stands twice", file, name)
			}
			seen[name] = true
		}
		if len(seen) != want {
			t.Errorf("%s names %d tables, want %d", file, len(seen), want)
		}
	}
}

func TestSplitScript_CutsAtCommands(t *testing.T) {
	cases := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"only comments", "// a\n\n// b\n", nil},
		{"comments belong to no command", "// a\n.one\n\n// b\n.two\n// end\n", []string{".one", ".two"}},
		{"inner comments and lines stay", ".one (\n  // inner\n\n  a)\n", []string{".one (\n  // inner\n\n  a)"}},
		{"windows line ends", ".one\r\n  x\r\n.two\r\n", []string{".one\n  x", ".two"}},
		{"a dot within a line begins nothing", ".one\n  | .x\n", []string{".one\n  | .x"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, SplitScript(tc.text)); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadHead_KnowsOurCommands(t *testing.T) {
	cases := []struct {
		text string
		want head
	}{
		{".create-merge table T (\n A: string,\n B:long\n)", head{action: makeTable, object: "T", columns: []column{{"A", "string"}, {"B", "long"}}}},
		{".create-merge table ['T x'] (A: string)", head{action: makeTable, object: "T x", columns: []column{{"A", "string"}}}},
		{".alter column ['T'].['Records'] policy encoding type = 'BigObject32'", head{action: encodeRecords, object: "T"}},
		{".alter-merge table T policy retention softdelete = 1d recoverability = enabled", head{object: "T"}},
		{".create-or-alter function with (folder = 'a') F() {\n T\n}", head{action: makeFunction, object: "F", body: "{\n T\n}"}},
	}
	for _, tc := range cases {
		got, err := readHead(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(head{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.text, diff)
		}
	}
	for _, text := range []string{".drop table T", ".create-merge table T (A string)"} {
		if _, err := readHead(text); err == nil {
			t.Errorf("%s was understood", text)
		}
	}
}

const viewsHeader = `// Defender2ADX: the hunting tables of the catalogue as Defender shows them, and the
// states and changes of those that are copied as snapshots.
//
// Run schema.kql, tables.kql and functions.kql first. Every command may be repeated. ` + "`handler setup`" + `
// makes the same views over the raw tables of the configuration, and none where a
// table has the name: a stored function would hide it.
// Written from the catalogue by: go test ./internal/adx -run ViewsFile -update

`

func TestViewsFile_HoldsTheCatalogue(t *testing.T) {
	holds(t, "views.kql", viewsHeader+viewsScript())
}

// holds compares a file of infra/kql with what the program writes.
func holds(t *testing.T, file, want string) {
	t.Helper()
	path := filepath.Join("..", "..", "infra", "kql", file)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not the catalogue's; run this test with -update (-want +got):\n%s", file, diff)
	}
}

// viewsScript is the file of the catalogue's views.
func viewsScript() string {
	var commands []string
	views := viewsOf(nil, nil, Options{})
	for _, v := range views {
		commands = append(commands, v.commands()...)
	}
	return strings.Join(append(commands, storageCommands(views)...), "\n\n") + "\n"
}
