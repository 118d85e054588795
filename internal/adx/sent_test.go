package adx

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// sentFile holds one example of every form of text that this package sends to ADX, for
// the check by Microsoft's parser. The commands of the scripts are checked as scripts.
const sentFile = "testdata/sent.json"

var sent struct {
	sync.Mutex
	forms map[string]string
}

// Recording is a transport that remembers what is sent through another.
type Recording struct{ http.RoundTripper }

func (r Recording) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && strings.HasPrefix(req.URL.Path, "/v") && strings.Contains(req.URL.Path, "/rest/") {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		var asked struct{ CSL string }
		if json.Unmarshal(body, &asked) == nil {
			remember(asked.CSL)
		}
	}
	return r.RoundTripper.RoundTrip(req)
}

var (
	scripted = regexp.MustCompile(`^\.(create|alter|drop|get|add)\b`)
	literals = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|datetime\([^)]*\)|\b\d[\w.]*\b|\b(true|false)\b`)
	repeats  = regexp.MustCompile(`(\?[^?]{0,120}\?)(?:[^?]{0,40}\?)+`)
)

func remember(text string) {
	if text == "" || scripted.MatchString(text) {
		return
	}
	form := repeats.ReplaceAllString(literals.ReplaceAllString(text, "?"), "$1")
	sent.Lock()
	defer sent.Unlock()
	if sent.forms == nil {
		sent.forms = map[string]string{}
	}
	if len(text) < len(sent.forms[form]) || sent.forms[form] == "" {
		sent.forms[form] = text
	}
}

// AllSent says, after all tests of the package have run, whether the examples hold
// every form that was sent. It returns the exit code.
func AllSent(code int) int {
	all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" && !testing.Short()
	if *update || code == 0 && all {
		if err := checkSent(); err != nil {
			fmt.Println("FAIL:", err)
			return 1
		}
	}
	return code
}

func checkSent() error {
	if *update {
		text, err := json.MarshalIndent(slices.Sorted(maps.Values(sent.forms)), "", "\t")
		if err == nil {
			err = os.WriteFile(sentFile, append(text, '\n'), 0o644)
		}
		return err
	}
	text, err := os.ReadFile(sentFile)
	if err != nil {
		return err
	}
	var examples []string
	if err := json.Unmarshal(text, &examples); err != nil {
		return err
	}
	ran := maps.Clone(sent.forms)
	sent.forms = nil
	for _, example := range examples {
		remember(example)
	}
	for form, text := range ran {
		if _, known := sent.forms[form]; !known {
			return fmt.Errorf("%s lacks this text; run the tests of the package with -update:\n%s", sentFile, text)
		}
	}
	return nil
}
