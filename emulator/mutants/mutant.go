package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mutant is one bug and the tests that must notice it.
type mutant struct {
	name  string
	bug   string // what the code does wrong, in one line
	edits []edit
	tests suite
}

// edit replaces one piece of text in one file.
type edit struct {
	file string // from the module's root, slashes
	old  string // occurs exactly once
	new  string
}

// suite is the tests of one package whose names match, the long ones too.
type suite struct {
	pkg string // from the module's root, slashes
	run string // regular expression, as of `go test -run`
}

// apply returns the files that the mutant changes, by name, as they are then.
func (m mutant) apply(root string) (map[string]string, error) {
	changed := map[string]string{}
	for _, e := range m.edits {
		text, ok := changed[e.file]
		if !ok {
			body, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
			if err != nil {
				return nil, fmt.Errorf("stale: %w", err)
			}
			text = string(body)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("stale: %s holds its text %d times, want once: %q", e.file, n, e.old)
		}
		if e.old == e.new {
			return nil, fmt.Errorf("stale: an edit of %s changes nothing: %q", e.file, e.old)
		}
		changed[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	return changed, nil
}

// writeOverlay writes the changed files below dir, and beside them the file that
// tells the compiler about them, whose name it returns.
func writeOverlay(root, dir string, changed map[string]string) (string, error) {
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for file, text := range changed {
		to := filepath.Join(dir, strconv.Itoa(len(overlay.Replace))+".go")
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(file))] = to
	}
	body, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, body, 0o600)
}
