package infra_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jmespath/go-jmespath"
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
	page += read(t, "../docs/migrate-from-scripts.md")
	template := read(t, "main.bicep")
	for _, m := range regexp.MustCompile(`(?:\(output|azd env get-value) ([A-Z_]+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(template, "\noutput "+m[1]+" ") && m[1] != "AZURE_RESOURCE_GROUP" { // azd's own
			t.Errorf("the template has no output %s", m[1])
		}
	}
	offered := read(t, "main.parameters.json") + read(t, "hooks/preprovision.sh") + read(t, "hooks/postprovision.sh")
	for _, m := range regexp.MustCompile(`azd env set ([A-Z]+_[A-Z_]+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(offered, "${"+m[1]) && !strings.HasPrefix(m[1], "DEFENDER_WEST_") { // of an instance, which extraSettings takes
			t.Errorf("a page sets %s, which neither the template nor a hook reads", m[1])
		}
	}
	for _, line := range regexp.MustCompile(`--parameters [^\n]*`).FindAllString(strings.ReplaceAll(page, "\\\n", " "), -1) {
		for _, m := range regexp.MustCompile(`\b([a-z][A-Za-z]+)=`).FindAllStringSubmatch(line, -1) {
			if !strings.Contains(template, "\nparam "+m[1]+" ") {
				t.Errorf("the template has no parameter %s, which a page gives in %q", m[1], line)
			}
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

// What a page's commands take from a variable was given before, on that page.
func TestPages_VariablesAreGiven(t *testing.T) {
	given := regexp.MustCompile(`(?:^|[\s;(])([a-z_]+)=`)
	used := regexp.MustCompile(`\$\{?([a-z_]+)`)
	for _, page := range []string{"deploy", "permissions", "migrate-from-scripts"} {
		known := map[string]bool{}
		for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(read(t, "../docs/"+page+".md"), -1) {
			for line := range strings.Lines(block[1]) {
				for _, m := range given.FindAllStringSubmatch(line, -1) {
					known[m[1]] = true
				}
				command, _, _ := strings.Cut(line, " # ")
				for _, m := range used.FindAllStringSubmatch(command, -1) {
					if !known[m[1]] {
						t.Errorf("docs/%s.md: nothing gives $%s before: %s", page, m[1], line)
					}
				}
			}
		}
	}
}

// The step of the pipeline that makes tables knows the instances of the app, and loads
// nothing for a tenant that no setting names.
func TestDeployWorkflow_MakesTablesOfInstances(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash, which the workflow's steps are written for")
	}
	workflow := read(t, "../.github/workflows/deploy.yml")
	_, step, _ := strings.Cut(workflow, "- name: Tables\n")
	_, step, _ = strings.Cut(step, "run: |\n")
	step, _, _ = strings.Cut(step, "\n      - name:")
	query := regexp.MustCompile(`appsettings list [^\n]*--query "([^"]*)"`).FindStringSubmatch(step)
	if query == nil {
		t.Fatal("the step asks for no settings of the app")
	}
	// listed is what the CLI prints of the settings, each NAME\tvalue, by the step's query.
	listed := func(settings string) string {
		var all []any
		for line := range strings.SplitSeq("ADX_CLUSTER_URL\tc\nADX_DATABASE\td\nADX_CLIENT_ID\tapp\nMIGRATION_QUEUE\tq\n"+settings, "\n") {
			name, value, _ := strings.Cut(line, "\t")
			all = append(all, map[string]any{"name": name, "value": value, "slotSetting": false})
		}
		found, err := jmespath.Search(query[1], all)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, row := range found.([]any) {
			pair := row.([]any)
			fmt.Fprintf(&out, "%s\t%s\n", pair[0], pair[1])
		}
		return out.String()
	}
	const connection = "tenant_id='t'; client_id='c'; client_secret='hunter2'"
	for _, tt := range []struct{ name, settings, want string }{
		{"one tenant", "DEFENDER_TENANT_ID\tt", "setup --load recommended --grant app;home|||\n"},
		{"an instance beside it", "DEFENDER_TENANT_ID\tt\nDEFENDER_INSTANCES\tWest, East\nDEFENDER_WEST_DATABASE\twest rows\nDEFENDER_EAST_TABLE_PREFIX\tEast_",
			"setup --load recommended --grant app;home|West, East|west rows|East_\n" +
				"setup --instance West --load recommended|West, East|west rows|East_\nsetup --instance East --load recommended|West, East|west rows|East_\n"},
		{"an instance alone", "DEFENDER_INSTANCES\tWest", "setup --load none --grant app;home|West||\nsetup --instance West --load recommended|West||\n"},
		{"an instance beside a connection string", "DEFENDER_INSTANCES\tWest\nDEFENDER_CONNECTION\t" + connection, "setup --load recommended --grant app;home|West||\nsetup --instance West --load recommended|West||\n"},
		{"an instance beside a reference", "DEFENDER_INSTANCES\tWest\nDEFENDER_CONNECTION\t@Microsoft.KeyVault(SecretUri=x)", "setup --load recommended --grant app;home|West||\nsetup --instance West --load recommended|West||\n"},
		{"an application that instances share", "DEFENDER_INSTANCES\tWest\nDEFENDER_CONNECTION\tclient_id='c'; client_secret='hunter2'", "setup --load none --grant app;home|West||\nsetup --instance West --load recommended|West||\n"},
	} {
		if strings.Contains(listed(tt.settings), "hunter2") {
			t.Errorf("%s: the step fetches a secret", tt.name)
		}
		dir := t.TempDir()
		for path, text := range map[string]string{
			"az":                "#!/bin/sh\nprintf '%s' \"$SETTINGS\"\n",
			"build/app/handler": "#!/bin/sh\necho \"$*|${DEFENDER_INSTANCES-}|${DEFENDER_WEST_DATABASE-}|${DEFENDER_EAST_TABLE_PREFIX-}\"\n",
		} {
			path = filepath.Join(dir, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), bash, "-e", "-c", step)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "SETTINGS=" + listed(tt.settings), "GROUP=g", "SITE=s", "LOAD=recommended", "TENANT=home"}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != tt.want {
			t.Errorf("%s: %v\n%swant\n%s", tt.name, err, out, tt.want)
		}
	}
}

// The page for those who come from the scripts gives what its commands need before they
// need it, and holds the timer that there is until one table was seen.
func TestMigratePage_HoldsTheTimer(t *testing.T) {
	page := read(t, "../docs/migrate-from-scripts.md")
	use := strings.Index(page, `"https://$host/`)
	for _, given := range []string{" host=$(", "key=$(", `"AzureWebJobs.schedule.Disabled": "true"`} {
		if at := strings.Index(page, given); at < 0 || at > use {
			t.Errorf("the page does not give %s before its call", given)
		}
	}
	if !strings.Contains(read(t, "../functions/schedule/function.json"), "timerTrigger") {
		t.Error("the timer is another function than schedule, which the page holds")
	}
	if strings.Index(page, "let the timer tick") < use {
		t.Error("the page does not switch the timer on after the first table")
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
