package mutants

import (
	"path/filepath"
	"regexp"
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
		if _, err := regexp.Compile(m.tests.run); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for _, e := range m.edits {
			if strings.HasSuffix(e.file, "_test.go") {
				t.Errorf("%s changes the test %s", m.name, e.file)
			}
		}
		if found, _ := filepath.Glob(filepath.Join(moduleRoot, m.tests.pkg, "*_test.go")); len(found) == 0 {
			t.Errorf("%s: no tests in %s", m.name, m.tests.pkg)
		}
	}
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
