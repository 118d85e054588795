package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// noOutput are the commands whose output is not for a program, and noInstance those that
// have nothing to do with one instance: why.
var (
	noOutput = map[string]string{
		"serve":      "serves the host: its log is JSON",
		"completion": "prints lines for a shell",
	}
	noInstance = map[string]string{
		"serve":      "serves all instances",
		"import":     "reads a file, and no setting",
		"version":    "reads no setting",
		"completion": "reads no setting",
	}
)

// Every command explains itself with an example, in 80 columns, has --output json, and
// --instance where it reads or writes what is an instance's.
func TestCommands_HaveWhatEveryCommandHas(t *testing.T) {
	model, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	excused := len(noOutput) + len(noInstance)
	for _, node := range model.Model.Children {
		name := node.Name
		out, err := helpOf(t, name)
		if err != nil {
			t.Fatal(err)
		}
		example := regexp.MustCompile(`(?m)^ +handler ` + name + `( |$)`)
		if name == "serve" {
			example = regexp.MustCompile(`(?m)^ +handler$`)
		}
		if !strings.Contains(out, "Example:") || !example.MatchString(out) {
			t.Errorf("%s --help has no example:\n%s", name, out)
		}
		for line := range strings.Lines(out) {
			if len(strings.TrimRight(line, "\n")) > columns {
				t.Errorf("%s --help: %d columns: %s", name, len(line), line)
			}
		}
		flags := map[string]*kong.Flag{}
		for _, flag := range node.Flags {
			flags[flag.Name] = flag
		}
		json := flags["output"] != nil && slices.Contains(flags["output"].EnumSlice(), "json")
		if _, none := noOutput[name]; json == none {
			t.Errorf("%s: --output json is %v", name, json)
		} else if none {
			excused--
		}
		if _, none := noInstance[name]; (flags["instance"] != nil) == none {
			t.Errorf("%s: --instance is %v", name, flags["instance"] != nil)
		} else if none {
			excused--
		}
	}
	if excused != 0 {
		t.Errorf("%d of the commands that need no --output or --instance are none", excused)
	}
	if out, err := helpOf(t, ""); err != nil || !strings.Contains(out, "--env-file") {
		t.Errorf("%v\n%s", err, out)
	}
}
