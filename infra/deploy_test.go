package infra_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The page names every choice that azd or the template offers, and no other.
func TestDeployPage_NamesEveryChoice(t *testing.T) {
	page := read(t, "../docs/deploy.md")
	offered := map[string]bool{"SETUP_LOAD": true, "ADX_READERS": true, "DEFENDER_SOURCES": true} // of the hooks
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(read(t, "main.parameters.json"), -1) {
		offered[m[1]] = true
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("docs/deploy.md does not name %s of main.parameters.json", m[1])
		}
	}
	_, choices, _ := strings.Cut(page, "## What you choose")
	choices, _, _ = strings.Cut(choices, "\n## ")
	bicep := read(t, "main.bicep")
	for line := range strings.Lines(choices) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		for _, m := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[2], -1) {
			if !offered[m[1]] {
				t.Errorf("docs/deploy.md names %s, which nothing reads", m[1])
			}
		}
		for _, m := range regexp.MustCompile("`([a-zA-Z]+)`").FindAllStringSubmatch(cells[3], -1) {
			if !strings.Contains(bicep, "\nparam "+m[1]+" ") {
				t.Errorf("docs/deploy.md names the parameter %s, which main.bicep does not have", m[1])
			}
		}
	}
	hooks := read(t, "hooks/postprovision.sh")
	for _, name := range []string{"SETUP_LOAD", "ADX_READERS", "DEFENDER_SOURCES"} {
		if !strings.Contains(hooks, "${"+name) {
			t.Errorf("docs/deploy.md names %s, which no hook reads", name)
		}
	}
}

// The files and options in the page's commands exist.
func TestDeployPage_CommandsExist(t *testing.T) {
	page := read(t, "../docs/deploy.md") + read(t, "../docs/permissions.md")
	script := read(t, "permissions.sh")
	for _, line := range regexp.MustCompile(`permissions\.sh[^\n`+"`"+`]*`).FindAllString(page, -1) {
		for _, m := range regexp.MustCompile(`(--[a-z-]+)`).FindAllString(line, -1) {
			if !strings.Contains(script, "\t"+m+")") && !strings.Contains(script, "\t"+m+" ") && m != "--help" && m != "--query" && m != "--output" {
				t.Errorf("permissions.sh has no option %s, which a page names in %q", m, line)
			}
		}
	}
	make := read(t, "../Makefile")
	for _, m := range regexp.MustCompile(`(?m)^make ([a-z]+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(make, "\n"+m[1]+":") {
			t.Errorf("there is no make %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\(output ([A-Z_]+)\)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(read(t, "main.bicep"), "\noutput "+m[1]+" ") {
			t.Errorf("the template has no output %s", m[1])
		}
	}
}

// What the pages give to be pasted into a shell is read by one, and holds no placeholder that it
// would take for a redirection: what a person has to fill in is a variable.
func TestPages_CommandsCanBePasted(t *testing.T) {
	for _, page := range []string{"deploy", "permissions", "migrate-from-scripts"} {
		blocks := regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(read(t, "../docs/"+page+".md"), -1)
		if len(blocks) == 0 {
			t.Errorf("docs/%s.md has no command", page)
		}
		for _, block := range blocks {
			if found := regexp.MustCompile(`<[a-zA-Z][\w -]*>`).FindString(block[1]); found != "" {
				t.Errorf("docs/%s.md: %s stands in a command", page, found)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-n")
			cmd.Stdin = strings.NewReader(block[1])
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("docs/%s.md: %v: %s\n%s", page, err, out, block[1])
			}
		}
	}
}

// The pipeline's variables are those that the page explains, and no name of the repository's
// environment becomes that of an installation.
func TestDeployWorkflow_ReadsWhatThePageExplains(t *testing.T) {
	page, workflow := read(t, "../docs/deploy.md"), read(t, "../.github/workflows/deploy.yml")
	_, pipeline, _ := strings.Cut(page, "## From a pipeline")
	pipeline, _, _ = strings.Cut(pipeline, "\n## ")
	for _, m := range regexp.MustCompile(`vars\.([A-Z_]+)`).FindAllStringSubmatch(workflow, -1) {
		if !strings.Contains(pipeline, "`"+m[1]+"`") {
			t.Errorf("docs/deploy.md does not explain %s", m[1])
		}
	}
	if !strings.Contains(workflow, "NAME: ${{ vars.AZURE_ENV_NAME }}") || !strings.Contains(workflow, `environmentName=$NAME`) {
		t.Error("the installation is not named by AZURE_ENV_NAME")
	}
	if !strings.Contains(workflow, "build/app/handler setup") {
		t.Error("nothing makes the tables")
	}
}
