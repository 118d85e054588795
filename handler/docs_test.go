package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/defender2adx/defender2adx/internal/config"
)

// pages are what people read, and the scripts that run commands for them.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "infra/*.sh", "infra/hooks/*.sh", ".github/workflows/*.yml", "azure.yaml", "Makefile"} {
		found, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(found), err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[strings.TrimPrefix(path, "../")] = string(text)
		}
	}
	return out
}

var (
	// code is what stands in a page as such: between backticks, or in a block.
	code = regexp.MustCompile("(?ms)^ *```.*?^ *```|`[^`\n]+`")
	// typed is a command of ours with what follows it on its line, lines that go on joined.
	typed = regexp.MustCompile(`(?:^|[\s/"'(` + "`" + `])handler(?: --env-file \S+)? ([a-z]\w*)\b([^\n|;&` + "`" + `]*)`)
	// inScript is such a command by its path, which no sentence has.
	inScript = regexp.MustCompile(`/handler [^\n]*`)
	flagged  = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
)

// Every command and flag of ours that a page or a script names is one.
func TestPages_NameCommandsThatAre(t *testing.T) {
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	flags := func(node *kong.Node) map[string]bool {
		known := map[string]bool{"help": true, "env-file": true, "version": true}
		for _, flag := range node.Flags {
			known[flag.Name] = true
		}
		return known
	}
	known := map[string]map[string]bool{}
	for _, node := range parser.Model.Children {
		known[node.Name] = flags(node)
	}
	named := map[string]int{}
	for page, text := range pages(t) {
		text = strings.ReplaceAll(text, "\\\n", " ")
		if strings.HasSuffix(page, ".md") {
			text = strings.Join(code.FindAllString(text, -1), "\n")
		} else {
			text = strings.Join(inScript.FindAllString(text, -1), "\n")
		}
		for _, m := range typed.FindAllStringSubmatch(text, -1) {
			if known[m[1]] == nil {
				t.Errorf("%s: there is no handler %s", page, m[1])
				continue
			}
			named[m[1]]++
			for _, flag := range flagged.FindAllStringSubmatch(m[2], -1) {
				if !known[m[1]][flag[1]] {
					t.Errorf("%s: handler %s has no --%s", page, m[1], flag[1])
				}
			}
		}
	}
	for name := range known {
		if named[name] == 0 && name != "serve" {
			t.Errorf("no page names handler %s", name)
		}
	}
}

// Every setting that a page names is one of the handler, of the template or of a script.
func TestPages_NameSettingsThatAre(t *testing.T) {
	name := regexp.MustCompile(`\b(?:DEFENDER|ADX|MIGRATION|KEY_VAULT|EVENTHOUSE|HANDLER|SETUP|ALERT|HEARTBEAT|LOG)_[A-Z_]*[A-Z]\b`)
	all := pages(t)
	known := map[string]bool{"DEFENDER_NAME": true} // as a place for one
	var c config.Config
	for _, s := range config.Settings(&c) {
		known[s.Name] = true
	}
	parameters, err := os.ReadFile("../infra/main.parameters.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range name.FindAllString(string(parameters), -1) {
		known[m] = true
	}
	template, err := os.ReadFile("../infra/main.bicep")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^output (\w+) `).FindAllStringSubmatch(string(template), -1) {
		known[m[1]] = true
	}
	for page, text := range all {
		if strings.HasSuffix(page, ".sh") || strings.HasSuffix(page, ".yml") {
			for _, m := range regexp.MustCompile(`\$\{?([A-Z_]+)|vars\.([A-Z_]+)`).FindAllStringSubmatch(text, -1) {
				known[m[1]+m[2]] = true
			}
		}
	}
	for page, text := range all {
		if !strings.HasSuffix(page, ".md") || page == "CHANGELOG.md" {
			continue
		}
		for _, m := range name.FindAllString(strings.Join(code.FindAllString(text, -1), "\n"), -1) {
			unnamed := regexp.MustCompile(`^DEFENDER_(?:WEST|EAST|NORTH)_(KEY_VAULT_)?`).ReplaceAllStringFunc(m, func(head string) string {
				if strings.HasSuffix(head, "KEY_VAULT_") {
					return "KEY_VAULT_"
				}
				return "DEFENDER_"
			})
			if !known[unnamed] {
				t.Errorf("%s names %s, which nothing reads", page, m)
			}
		}
	}
}

// Every file of ours that a page names is there.
func TestPages_NameFilesThatAre(t *testing.T) {
	path := regexp.MustCompile(`(?:^|[\s"'(` + "`" + `])((?:infra|docs|queries|functions|internal|emulator|tools|handler|\.github)/[\w./*-]*[\w/*])`)
	for page, text := range pages(t) {
		if page == "CHANGELOG.md" { // which also tells of what there was
			continue
		}
		if strings.HasSuffix(page, ".md") {
			text = strings.Join(code.FindAllString(text, -1), "\n")
		}
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "/node_modules/") {
				continue // made by make node
			}
			if found, err := filepath.Glob(filepath.Join("..", m[1])); err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
}
