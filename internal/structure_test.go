package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// parsed returns the Go files below a folder, by path; only tests, or none.
func parsed(t *testing.T, folder string, tests bool) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set, files := token.NewFileSet(), map[string]*ast.File{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "build" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") != tests {
			return nil
		}
		body, err := os.ReadFile(path)
		if err == nil {
			files[path], err = parser.ParseFile(set, path, body, parser.SkipObjectResolution)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		t.Errorf("no file below %s", folder)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set, files
}

// Embedding lets a field of one struct shadow another's, and a method change an
// object that its reader does not see. An interface embedded lends its methods to a
// type whose reader does not see which of them are its own.
func TestPipeline_EmbedsNoTypeOfItsOwn(t *testing.T) {
	set, files := parsed(t, "pipeline", false)
	maps.DeleteFunc(files, func(path string, _ *ast.File) bool { return filepath.Dir(path) != "pipeline" })
	own := map[string]bool{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok {
				own[s.Name.Name] = true
			}
			return true
		})
	}
	if !own["run"] || !own["attempt"] || !own["Store"] {
		t.Fatalf("types found: %v", own)
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				typ := field.Type
				if star, ok := typ.(*ast.StarExpr); ok {
					typ = star.X
				}
				if name, ok := typ.(*ast.Ident); ok && len(field.Names) == 0 && own[name.Name] {
					t.Errorf("%v: embeds %s; give the field a name", set.Position(field.Pos()), name.Name)
				}
			}
			return true
		})
	}
}

// A method that hands its arguments on is a room with nothing in it. dry.go may: what a
// plan reads through decorators it reads as it is.
func TestPipeline_NoMethodOnlyForwards(t *testing.T) {
	set, files := parsed(t, "pipeline", false)
	for path, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Body != nil && filepath.ToSlash(path) != "pipeline/dry.go" && onlyForwards(fn) {
				t.Errorf("%v: %s only forwards; call what it calls", set.Position(fn.Pos()), fn.Name.Name)
			}
		}
	}
}

// onlyForwards reports whether a function is one call with its own parameters, in order.
func onlyForwards(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	var only ast.Expr
	switch s := fn.Body.List[0].(type) {
	case *ast.ReturnStmt:
		if len(s.Results) == 1 {
			only = s.Results[0]
		}
	case *ast.ExprStmt:
		only = s.X
	}
	call, ok := only.(*ast.CallExpr)
	if !ok {
		return false
	}
	var own, handed []string
	for _, p := range fn.Type.Params.List {
		for _, name := range p.Names {
			own = append(own, name.Name)
		}
	}
	for _, a := range call.Args {
		handed = append(handed, nameOf(a))
	}
	return slices.Equal(own, handed)
}

// mayMove are the files with the transitions of a slice.
var mayMove = []string{"plan/ledger.go", "plan/slicelife.go"}

// What is known of a slice changes by the transitions of plan.Ledger alone. A state
// of an ingestion is another matter.
func TestSliceState_IsAssignedByTheLedgerAlone(t *testing.T) {
	moves := 0
	for _, folder := range []string{".", "../functions", "../handler"} {
		set, files := parsed(t, folder, false)
		for path, f := range files {
			found := func(n ast.Node) {
				if slices.Contains(mayMove, filepath.ToSlash(path)) {
					moves++
					return
				}
				t.Errorf("%v: a slice's state is assigned in %v alone", set.Position(n.Pos()), mayMove)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for i, left := range n.Lhs {
						field, ok := left.(*ast.SelectorExpr)
						if ok && field.Sel.Name == "State" && (len(n.Rhs) != len(n.Lhs) || !ofIngestion(n.Rhs[i])) {
							found(n)
						}
					}
				case *ast.CompositeLit:
					if nameOf(n.Type) == "LedgerSlice" {
						found(n)
					}
				}
				return true
			})
		}
	}
	if moves < 4 {
		t.Errorf("%d assignments in %v: does the test still find them?", moves, mayMove)
	}
}

func ofIngestion(value ast.Expr) bool { return strings.HasPrefix(nameOf(value), "Ingest") }

// nameOf returns the last part of a name; "" for what is none.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// testGrammar: what is tested, the id of a scenario or more of it, and what holds.
var testGrammar = regexp.MustCompile(`^(Test|Benchmark|Fuzz)[A-Z][A-Za-z0-9]*(_[A-Z][A-Za-z0-9]*)+$`)

func TestNames_HaveOneGrammar(t *testing.T) {
	tested := regexp.MustCompile(`^(Test|Benchmark|Fuzz)`)
	set, files := parsed(t, "..", true)
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || fn.Name.Name == "TestMain" {
				continue
			}
			if name := fn.Name.Name; tested.MatchString(name) && !testGrammar.MatchString(name) {
				t.Errorf("%v: %s; want TestSubject_WhatHolds", set.Position(fn.Pos()), name)
			}
		}
	}
}

// A newcomer follows a run by the list of the pipeline's files in docs/design.md.
func TestDesign_NamesEveryFileOfThePipeline(t *testing.T) {
	page, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, files := parsed(t, "pipeline", false)
	for path := range files {
		name := filepath.Base(path)
		if filepath.Dir(path) == "pipeline" && !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/design.md does not say what happens in %s", name)
		}
	}
}

// The walk goes down: what a row of the list names is declared in the row's own files or
// in those below, never in one that was left. What stands "in place of" or comes "from"
// a function, or is found by one, may be named after it.
func TestDesign_WalksDownThePipeline(t *testing.T) {
	page, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, files := parsed(t, "pipeline", false)
	declared := map[string][]string{} // by name: the files
	for path, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				declared[d.Name.Name] = append(declared[d.Name.Name], filepath.Base(path))
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						declared[s.Name.Name] = append(declared[s.Name.Name], filepath.Base(path))
					}
				}
			}
		}
	}
	_, walk, _ := strings.Cut(string(page), "## One run, file by file")
	walk, _, _ = strings.Cut(walk, "Beside that walk")
	var rows [][2]string // files, text
	for line := range strings.Lines(walk) {
		if cells := strings.Split(line, "|"); len(cells) == 4 && strings.Contains(cells[1], ".go`") {
			rows = append(rows, [2]string{cells[1], cells[2]})
		}
	}
	if len(rows) < 15 {
		t.Fatalf("%d rows in the walk", len(rows))
	}
	quoted := regexp.MustCompile("`([A-Za-z.]+)`")
	backwards := regexp.MustCompile("(in place of|from|what) `[A-Za-z]+`")
	for i, row := range rows {
		below := ""
		for _, r := range rows[i:] {
			below += r[0]
		}
		for _, m := range quoted.FindAllStringSubmatch(backwards.ReplaceAllString(row[1], ""), -1) {
			owner, name, method := strings.Cut(m[1], ".")
			if owner == "plan" {
				continue // another package's
			}
			if !method {
				name = owner
			}
			if !slices.ContainsFunc(declared[name], func(file string) bool { return strings.Contains(below, "`"+file+"`") }) {
				t.Errorf("docs/design.md, at%sof the walk: %s is in %v, neither there nor below", row[0], m[1], declared[name])
			}
		}
	}
}

// What CI runs is said twice for people, who must find each part there.
func TestDocs_NameEveryPartOfTheCheck(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, parts, _ := strings.Cut(read("../Makefile"), "define PARTS\n")
	parts, _, _ = strings.Cut(parts, "\nendef")
	_, row, _ := strings.Cut(read("../README.md"), "| `make check` |")
	row, _, _ = strings.Cut(row, "\n")
	guide, _, _ := strings.Cut(read("../CONTRIBUTING.md"), "\n## ")
	for part := range strings.Lines(parts) {
		name := strings.Fields(part)[0]
		if word := regexp.MustCompile(`\b` + name + `\b`); !word.MatchString(row) || !word.MatchString(guide) {
			t.Errorf("README.md's line on make check, or the beginning of CONTRIBUTING.md, leaves out %s", name)
		}
	}
}

// The slice's life is drawn twice, for readers of the code and of the page.
func TestDesign_DrawsTheLifeThatTheCodeHas(t *testing.T) {
	page, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("plan/slicelife.go")
	if err != nil {
		t.Fatal(err)
	}
	_, drawing, _ := strings.Cut(string(page), "A slice lives so")
	_, drawing, _ = strings.Cut(drawing, "```\n")
	drawing, _, found := strings.Cut(drawing, "```")
	if !found || !strings.Contains(strings.ReplaceAll(string(code), "//\t", ""), drawing) {
		t.Error("docs/design.md and internal/plan/slicelife.go draw different lives of a slice")
	}
}
