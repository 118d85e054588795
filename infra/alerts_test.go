package infra_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every text that an alert looks for is one that the handler logs at that level.
func TestAlerts_LookForWhatIsLogged(t *testing.T) {
	var source strings.Builder
	for _, folder := range []string{"../handler", "../functions", "../internal"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	alerts := read(t, "modules/alerts.bicep")
	texts := 0
	for _, m := range regexp.MustCompile(`Line\.msg (?:in \(([^)]*)\)|== ("[^"]*"))`).FindAllStringSubmatch(alerts, -1) {
		for _, q := range regexp.MustCompile(`"[^"]*"`).FindAllString(m[1]+m[2], -1) {
			texts++
			if !regexp.MustCompile(`\.(Info|Warn|Error)\(` + regexp.QuoteMeta(q)).MatchString(source.String()) {
				t.Errorf("modules/alerts.bicep looks for %s, which nothing logs: follow the text in the code", q)
			}
		}
	}
	if texts != 3 {
		t.Errorf("%d texts were looked at, want 3: this test reads another form of query than the template has", texts)
	}
}
