// Package internal holds the product. Its one test is the map of its packages.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/defender2adx/defender2adx/"

// adapters reach the outside. They never import each other, nor what is above
// them; blobstore and rowpath serve two of them and know neither.
var adapters = []string{"internal/adx", "internal/credential", "internal/defender", "internal/host", "internal/queue", "internal/quota", "internal/state"}

// allowed lists what each package of the product imports of it, no less and no
// more. Arrows point inwards, to plan and fault.
var allowed = map[string][]string{
	"internal/address":              nil,
	"internal/cloud":                nil,
	"internal/fault":                nil,
	"internal/kql":                  nil,
	"internal/schema":               {"internal/savedquery"},
	"internal/savedquery":           {"queries"},
	"queries":                       nil,
	"internal/secret":               nil,
	"internal/sleep":                nil,
	"internal/plan":                 {"internal/fault", "internal/ncrontab", "internal/savedquery", "internal/schema", "internal/secret"},
	"internal/answer":               {"internal/fault"},
	"internal/config":               {"internal/address", "internal/cloud", "internal/plan", "internal/ncrontab", "internal/secret"},
	"internal/msticpy":              {"internal/cloud", "internal/config", "internal/secret"},
	"internal/ncrontab":             nil,
	"internal/prose":                nil,
	"internal/host":                 nil,
	"internal/queue":                {"internal/plan", "internal/fault", "internal/address", "internal/secret"},
	"internal/credential":           {"internal/address", "internal/fault", "internal/answer", "internal/secret"},
	"internal/rowpath":              nil,
	"internal/blobstore":            {"internal/fault", "internal/address", "internal/secret"},
	"internal/state":                {"internal/plan", "internal/fault", "internal/blobstore"},
	"internal/quota":                {"internal/fault", "internal/blobstore", "internal/sleep"},
	"internal/defender":             {"internal/address", "internal/plan", "internal/fault", "internal/answer", "internal/kql", "internal/rowpath", "internal/schema", "internal/secret"},
	"internal/adx":                  {"internal/address", "internal/plan", "internal/fault", "internal/answer", "internal/kql", "internal/rowpath", "internal/schema", "internal/sleep", "infra/kql"},
	"internal/pipeline":             {"internal/plan", "internal/fault", "internal/secret"},
	"functions/schedule":            {"internal/plan", "internal/host", "internal/pipeline"},
	"functions/migrate":             {"internal/plan", "internal/fault", "internal/host", "internal/pipeline"},
	"functions/deadletter":          {"internal/plan", "internal/host"},
	"functions/tables":              {"internal/plan", "internal/fault", "internal/host", "internal/pipeline"},
	"functions/setup":               {"internal/plan", "internal/fault", "internal/host", "internal/adx"},
	"infra/kql":                     nil,
	"internal/blobstore/storedtest": nil, // for tests of what is stored

	// For tests of whatever is behind the ports.
	"internal/pipeline/pipelinetest": {"internal/plan", "internal/fault", "internal/pipeline", "internal/secret"},

	"handler": {"handler/app", "functions/tables", "internal/adx", "internal/config", "internal/credential", "internal/defender", "internal/fault",
		"internal/host", "internal/msticpy", "internal/pipeline", "internal/plan", "internal/prose", "internal/savedquery", "internal/schema", "internal/sleep"},
}

// wiring may import all of the product.
const wiring = "handler/app"

func TestImports_PointInwards(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,GoFiles,Imports", module+"...")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	imported := map[string][]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			GoFiles    []string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "emulator") || strings.HasPrefix(name, "tools") || len(p.GoFiles) == 0 {
			continue // the workshop may use all of the product; a test is none of it
		}
		imported[name] = p.Imports
		may, known := allowed[name]
		if !known && name != wiring {
			t.Errorf("%s is not on the map of packages: say here what it may import", name)
			continue
		}
		for _, i := range p.Imports {
			own, ok := strings.CutPrefix(i, module)
			if ok && strings.HasPrefix(own, "emulator") {
				t.Errorf("%s imports %s: the product does not know its stand-ins", name, own)
			}
			if name != wiring && ok && !slices.Contains(may, own) {
				t.Errorf("%s imports %s, which the map does not allow", name, own)
			}
			if strings.HasPrefix(i, "github.com/Azure/") && (slices.Contains([]string{"internal/plan", "internal/pipeline", "internal/fault", "internal/kql", "internal/config"}, name) || strings.HasPrefix(name, "functions/")) {
				t.Errorf("%s imports %s: an SDK stays inside its adapter", name, i)
			}
		}
	}
	if len(imported) == 0 {
		t.Fatal("no package found")
	}
	for name, may := range allowed {
		own, exists := imported[name]
		if !exists {
			t.Errorf("%s is on the map and does not exist", name)
		}
		for _, to := range may {
			if !slices.Contains(own, module+to) {
				t.Errorf("the map lets %s import %s, which it does not", name, to)
			}
		}
	}
	for _, a := range adapters {
		for _, b := range adapters {
			if slices.Contains(allowed[a], b) {
				t.Errorf("the map lets adapter %s import adapter %s", a, b)
			}
		}
	}
}
