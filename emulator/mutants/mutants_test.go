package mutants

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const moduleRoot = "../.."

func TestCatalogue_FitsTheCode(t *testing.T) {
	names := map[string]bool{}
	for _, m := range catalogue() {
		if _, err := m.apply(moduleRoot); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if names[m.name] || m.name == "" || m.bug == "" || len(m.edits) == 0 {
			t.Errorf("%q: want a name of its own, a bug and an edit", m.name)
		}
		names[m.name] = true
		for _, one := range alternatives(m.tests.run) {
			want, err := regexp.Compile(one)
			if err != nil {
				t.Errorf("%s: %v", m.name, err)
			} else if !slices.ContainsFunc(testsIn(t, m.tests.pkg), want.MatchString) {
				t.Errorf("%s: %s has no test %s", m.name, m.tests.pkg, one)
			}
		}
		for _, e := range m.edits {
			if strings.HasSuffix(e.file, "_test.go") {
				t.Errorf("%s changes the test %s", m.name, e.file)
			}
		}
	}
}

// alternatives returns what `go test -run` holds against the names of tests, less what it
// holds against those of their cases; an expression with groups as a whole.
func alternatives(run string) []string {
	all := strings.Split(run, "|")
	if strings.Contains(run, "(") {
		all = []string{run}
	}
	for i, one := range all {
		all[i], _, _ = strings.Cut(one, "/")
	}
	return all
}

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
	testsOf  = map[string][]string{}
)

// testsIn returns the names of a package's tests.
func testsIn(t *testing.T, pkg string) []string {
	if names, ok := testsOf[pkg]; ok {
		return names
	}
	files, _ := filepath.Glob(filepath.Join(moduleRoot, pkg, "*_test.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range testFunc.FindAllSubmatch(text, -1) {
			testsOf[pkg] = append(testsOf[pkg], string(found[1]))
		}
	}
	return testsOf[pkg]
}

func TestApply_RefusesTextThatIsNotThereOnce(t *testing.T) {
	const here = "emulator/mutants/mutant.go"
	for name, e := range map[string]edit{
		"absent":  {here, "no such text in this file", "x"},
		"often":   {here, "return", "x"},
		"no file": {"internal/none.go", "a", "b"},
		"nothing": {here, "package mutants\n", "package mutants\n"},
	} {
		if got, err := (mutant{edits: []edit{e}}).apply(moduleRoot); err == nil || !strings.Contains(err.Error(), "stale") {
			t.Errorf("%s: %d files, %v; want it refused as stale", name, len(got), err)
		}
	}
	twice := mutant{edits: []edit{{here, "package mutants\n", "package other\n"}, {here, "package other\n", "package third\n"}}}
	got, err := twice.apply(moduleRoot)
	if err != nil || len(got) != 1 || !strings.HasPrefix(got[here], "package third\n") {
		t.Errorf("two edits of one file: %d files, %v", len(got), err)
	}
}

func TestRead_UnderstandsTestOutput(t *testing.T) {
	tests := []struct {
		name, out string
		want      result
	}{
		{"passed", "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n", result{ran: true}},
		{"nothing to run", "testing: warning: no tests to run\nPASS\n", result{}},
		{"failed subtest", "=== RUN   TestA\n=== RUN   TestA/b\n    a_test.go:1: no\n--- FAIL: TestA (0.00s)\n    --- PASS: TestA/a (0.00s)\n    --- FAIL: TestA/b (0.00s)\n=== RUN   TestB\n--- FAIL: TestB (0.00s)\nFAIL\n",
			result{ran: true, failed: "TestA/b"}},
		{"skipped", "=== RUN   TestA\n    a_test.go:1: none\n--- SKIP: TestA (0.00s)\nPASS\n", result{ran: true, skipped: "TestA"}},
		{"panic", "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\npanic: close of closed channel\n\ngoroutine 1 [running]:\n", result{ran: true, failed: "TestB"}},
		{"runtime's end", "=== RUN   TestB\nfatal error: all goroutines are asleep - deadlock!\n", result{ran: true, failed: "TestB"}},
		{"timeout", "=== RUN   TestB\npanic: test timed out after 2m0s\n\trunning tests:\n\t\tTestB (2m0s)\n", result{ran: true, failed: "TestB", timedOut: true}},
		{"not a test's end", "exec format error\n", result{}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, read(tt.out), cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
