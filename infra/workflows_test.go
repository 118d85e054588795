package infra_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Actions are pinned by hash, with the version that the hash is of beside it.
func TestWorkflows_PinWhatTheyUse(t *testing.T) {
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	known := map[string]bool{}
	if shared := os.Getenv("D2A_SHARED_DATA"); shared != "" {
		var actions []struct{ Action, Version, SHA string }
		if err := json.Unmarshal([]byte(read(t, filepath.Join(shared, "schemas/action-hashes.json"))), &actions); err != nil {
			t.Fatal(err)
		}
		for _, a := range actions {
			known[strings.ToLower(a.Action)+"@"+a.SHA+" # "+a.Version] = true
		}
	}
	for _, file := range files {
		for _, m := range regexp.MustCompile(`uses: (\S+)(.*)`).FindAllStringSubmatch(read(t, file), -1) {
			if !regexp.MustCompile(`^[\w/.-]+@[0-9a-f]{40}$`).MatchString(m[1]) || !regexp.MustCompile(`^ # v\d+\.\d+\.\d+$`).MatchString(m[2]) {
				t.Errorf("%s: %s%s is not pinned as name@hash # version", file, m[1], m[2])
			}
			if len(known) > 0 && !known[strings.ToLower(m[1])+m[2]] {
				t.Errorf("%s: %s%s is no known version of that action", file, m[1], m[2])
			}
		}
	}
}

// A compiled template goes to a branch of its own, and a second version beside the first.
func TestPublishTemplate_KeepsEveryVersion(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	origin, repository := filepath.Join(folder, "origin"), filepath.Join(folder, "repository")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	git("init", "--quiet", "--bare", origin)
	git("clone", "--quiet", origin, repository)
	script := filepath.Join(repository, "tools/publish-template.sh")
	template := filepath.Join(folder, "main.json")
	if err := os.MkdirAll(filepath.Dir(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(read(t, "../tools/publish-template.sh")), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.0.0", "1.1.0", "1.1.0"} { // the last is a workflow that is run again
		if err := os.WriteFile(template, []byte(`{"version":"`+version+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", script, version, template)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", version, err, out)
		}
	}
	if got := strings.Fields(git("--git-dir", origin, "ls-tree", "-r", "--name-only", "arm")); strings.Join(got, " ") != "1.0.0/main.json 1.1.0/main.json" {
		t.Errorf("the branch holds %v", got)
	}
	if got := git("--git-dir", origin, "show", "arm:1.1.0/main.json"); got != `{"version":"1.1.0"}` {
		t.Errorf("1.1.0 is %s", got)
	}
	if got := strings.Fields(git("--git-dir", origin, "rev-list", "arm")); len(got) != 3 {
		t.Errorf("%d commits, want the empty one and one a version", len(got))
	}
}

// Links between the pages lead somewhere.
func TestPages_LinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../README.md", "../SECURITY.md", "../CONTRIBUTING.md") {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`).FindAllStringSubmatch(read(t, page), -1) {
			target := filepath.Join(filepath.Dir(page), m[1])
			if m[1] == "" {
				target = page
			}
			info, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
				continue
			}
			if m[2] == "" || info.IsDir() {
				continue
			}
			found := false
			for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(read(t, target), -1) {
				anchor := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
				found = found || "#"+strings.ReplaceAll(anchor, " ", "-") == m[2]
			}
			if !found {
				t.Errorf("%s links to %s%s, and there is no such heading", page, m[1], m[2])
			}
		}
	}
}

// A version that is none, or of which the changelog says nothing, is not cut.
func TestRelease_WantsAVersionThatTheChangelogHas(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"": "want a version", "1.2": "want a version", "v1.2.3": "want a version", "1.2.3; rm x": "want a version", "99.98.97": `CHANGELOG.md has no section "## 99.98.97"`,
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "../tools/release.sh")
		cmd.Env = append(os.Environ(), "VERSION="+version, "MAKE=false", "GO=false")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v\n%s\nwant %q", version, err, out, want)
		}
	}
	// The workflow publishes what the script builds, and describes every handler of it.
	script, workflow := read(t, "../tools/release.sh"), read(t, "../.github/workflows/release.yml")
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"} {
		if !strings.Contains(script, platform) {
			t.Errorf("there is no handler for %s in a release", platform)
		}
	}
	for _, line := range []string{"path: build/release\n", "subject-path: build/release/handler-*\n", "subject-path: build/release/*\n"} {
		if !strings.Contains(workflow, line) {
			t.Errorf("release.yml lacks %q", line)
		}
	}
}
