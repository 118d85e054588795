package pipeline_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// scenarioIDs lists every scenario that docs/failure-scenarios.md must have.
func scenarioIDs() (ids []string) {
	for _, group := range []struct {
		letter string
		n      int
	}{{"O", 32}, {"P", 24}, {"A", 6}, {"S", 3}, {"E", 2}, {"K", 3}, {"F", 2}} {
		for i := range group.n {
			ids = append(ids, fmt.Sprint(group.letter, i+1))
		}
	}
	// The services' own ways, as they became known. What loses and doubles nothing has no
	// row: C1 to C4, C7 and C12 to C15 are of the host.
	for letter, numbers := range map[string][]int{
		"R": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		"L": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29},
		"C": {5, 6, 8, 9, 10, 11},
	} {
		for _, n := range numbers {
			ids = append(ids, fmt.Sprint(letter, n))
		}
	}
	return ids
}

// withoutTest is how many scenarios may be argued away instead of tested.
const withoutTest = 10

var (
	scenarioRow = regexp.MustCompile(`(?m)^\| ([A-Z]\d+) \|(.*)\|[ \t]*$`)
	testName    = regexp.MustCompile(`\bTest\w+`)
	testFunc    = regexp.MustCompile(`(?m)^func (Test\w+)\(\w+ \*testing\.T\)`)
)

// The table of scenarios has every scenario once, and names tests that exist and
// carry the scenario's id.
func TestScenarioTable_IsComplete(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "docs/failure-scenarios.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := testsOf(t, root)
	seen := map[string]bool{}
	untested := 0
	for _, row := range scenarioRow.FindAllStringSubmatch(string(text), -1) {
		id, cells := row[1], strings.Split(row[2], "|")
		if seen[id] {
			t.Errorf("%s is in the table twice", id)
		}
		seen[id] = true
		if len(cells) != 4 {
			t.Errorf("%s has %d cells, want 5", id, len(cells)+1)
			continue
		}
		names := testName.FindAllString(cells[3], -1)
		if len(names) == 0 {
			untested++
		}
		for _, name := range names {
			if !exists[name] {
				t.Errorf("%s names %s, which does not exist", id, name)
			}
			if !strings.HasPrefix(name, "TestScenario_"+id+"_") {
				t.Errorf("%s names %s, which is not its own", id, name)
			}
		}
	}
	for _, name := range testName.FindAllString(string(text), -1) {
		if name != "TestScenario" && !exists[name] {
			t.Errorf("the page names %s, which does not exist", name)
		}
	}
	for _, id := range scenarioIDs() {
		if !seen[id] {
			t.Errorf("%s is missing from the table", id)
		}
		delete(seen, id)
	}
	for id := range seen {
		if strings.Contains("UXQY", id[:1]) {
			continue // other kinds of sources, and a user's day
		}
		t.Errorf("%s is no known scenario", id)
	}
	if untested > withoutTest {
		t.Errorf("%d scenarios have no test, at most %d may be argued away", untested, withoutTest)
	}
	for name := range exists {
		if strings.HasPrefix(name, "TestScenario_") && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// testsOf returns the names of all tests in the module.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "node_modules", "build", ".git":
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range testFunc.FindAllSubmatch(source, -1) {
			names[string(found[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
