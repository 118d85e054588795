package infra_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/adx"
)

// rows returns the cells of the table under a header of docs/permissions.md.
func rows(t *testing.T, doc, header string) (out [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(doc, header+"\n")
	if !ok {
		t.Fatalf("docs/permissions.md has no table %q", header)
	}
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		out = append(out, cells)
	}
	return out
}

// The roles in Azure that the page names are those that the template assigns, at the
// same resource to the same.
func TestPermissionsPage_NamesTheRolesOfTheTemplate(t *testing.T) {
	template := read(t, "modules/roles.bicep")
	ids := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^var (\w+) = '([0-9a-f-]{36})'`).FindAllStringSubmatch(template, -1) {
		ids[m[1]] = m[2]
	}
	at := map[string]string{"account": "storage account", "component": "Application Insights", "vault": "vault"}
	to := map[string]string{"appPrincipalId": "app", "operatorPrincipalId": "whoever deploys"}
	assigned := map[string]string{} // role as a variable -> where and to whom
	for _, m := range regexp.MustCompile(`(?s)  scope: (\w+)\n  name: guid\(\w+\.id, \w+, (\w+)\).*?principalId: (\w+)\n`).FindAllStringSubmatch(template, -1) {
		assigned[m[2]] = at[m[1]] + ", " + to[m[3]]
		delete(ids, m[2])
	}
	for left := range ids {
		t.Errorf("modules/roles.bicep names the role %s and does not assign it", left)
	}
	documented := map[string]string{}
	for _, cells := range rows(t, read(t, "../docs/permissions.md"), "| role | at | to | why |") {
		words := strings.ReplaceAll(cells[0], " ", "")
		documented[strings.ToLower(words[:1])+words[1:]] = cells[1] + ", " + cells[2]
	}
	if diff := cmp.Diff(assigned, documented); diff != "" {
		t.Errorf("modules/roles.bicep and docs/permissions.md differ (- template, + page):\n%s", diff)
	}
}

// The roles in the database are the same in template, page, commands and setup.
func TestPermissionsPage_NamesTheRolesOfTheDatabase(t *testing.T) {
	var documented []string
	for _, cells := range rows(t, read(t, "../docs/permissions.md"), "| role | to | why |") {
		documented = append(documented, cells[0])
	}
	_, list, _ := strings.Cut(read(t, "modules/database.bicep"), "var roles = [")
	list, _, _ = strings.Cut(list, "]")
	var granted []string
	for _, m := range regexp.MustCompile(`'(\w+)'`).FindAllStringSubmatch(list, -1) {
		granted = append(granted, m[1])
	}
	var commands []string
	for _, m := range regexp.MustCompile(`(?m)^\.add database \S+ (\w)(\w+)s \('aadapp=`).FindAllStringSubmatch(read(t, "kql/roles.kql"), -1) {
		commands = append(commands, strings.ToUpper(m[1])+m[2])
	}
	slices.Sort(commands)
	var setup []string
	for _, g := range adx.AppGrants("aadapp=x") {
		word := strings.TrimSuffix(g.Role, "s")
		setup = append(setup, strings.ToUpper(word[:1])+word[1:])
	}
	slices.Sort(setup)
	if !slices.Equal(documented, granted) || !slices.Equal(granted, commands) || !slices.Equal(commands, setup) {
		t.Errorf("docs/permissions.md has %v, modules/database.bicep %v, kql/roles.kql %v, handler setup %v", documented, granted, commands, setup)
	}
}

const permissionTable = "| API | permission | as | asked for by | Defender2ADX |"

// Each app role that a source needs is marked so on the page, with the source, and no other is.
func TestPermissionsPage_MarksWhatSourcesNeed(t *testing.T) {
	needed := map[string]string{}
	for line := range strings.Lines(read(t, "app-roles.tsv")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSpace(line), "\t")
		key := f[1] + " " + f[3]
		needed[key] = strings.TrimPrefix(needed[key]+", `"+f[0]+"`", ", ")
	}
	marked := map[string]string{}
	people := 0 // delegated permissions, one of each hunting API
	for _, cells := range rows(t, read(t, "../docs/permissions.md"), permissionTable) {
		if cells[2] == "delegated" && strings.HasPrefix(cells[4], "for people alone, by `") {
			people++
		} else if by, ok := strings.CutPrefix(cells[4], "**needed** by "); ok {
			marked[cells[0]+" "+strings.Trim(cells[1], "`")] = by
		} else if !strings.HasPrefix(cells[4], "no: ") {
			t.Errorf("docs/permissions.md: %s says neither `**needed** by `, `for people alone, by ` nor `no: ` and why", cells[1])
		}
	}
	if diff := cmp.Diff(needed, marked); diff != "" {
		t.Errorf("app-roles.tsv and docs/permissions.md differ (- list, + page):\n%s", diff)
	}
	if people != 2 {
		t.Errorf("docs/permissions.md marks %d delegated permissions for people, want those of both hunting APIs", people)
	}
	config := read(t, "../docs/config.md")
	for role := range needed {
		if _, name, _ := strings.Cut(role, " "); !strings.Contains(config, name[strings.LastIndex(name, " ")+1:]) {
			t.Errorf("docs/config.md does not name %s among the permissions", role)
		}
	}
}

// Every permission on the page exists in its API, and none of the APIs' that Defender
// tools ask for is left out.
func TestPermissionsPage_HasRealPermissions(t *testing.T) {
	shared := os.Getenv("D2A_SHARED_DATA")
	if shared == "" {
		if os.Getenv("D2A_REQUIRE") != "" {
			t.Fatal("D2A_REQUIRE is set and D2A_SHARED_DATA is not")
		}
		t.Skip("no shared data")
	}
	var file struct {
		APIs []struct {
			API   string
			AppID string `json:"app_id"`
			Roles []struct{ Value string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(shared, "schemas/app-roles.json"))), &file); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	ids := map[string]string{}
	for _, a := range file.APIs {
		ids[a.API] = a.AppID
		for _, r := range a.Roles {
			known[a.API+" "+r.Value] = true
		}
	}
	documented := map[string]bool{}
	for _, cells := range rows(t, read(t, "../docs/permissions.md"), permissionTable) {
		key := cells[0] + " " + strings.Trim(cells[1], "`")
		if cells[2] == "application" {
			documented[key] = true
		}
		if cells[2] == "application" && !known[key] {
			t.Errorf("docs/permissions.md: %s is no app role of that API", key)
		}
	}
	subjects := regexp.MustCompile(` (Alert|Machine|Software|User|Vulnerability|Incident|CustomDetections?|AdvancedHunting|AdvancedQuery|File|Ip|Url|Score|Ti|ThreatHunting|SecurityBaselinesAssessment|SecurityRecommendation|SecurityConfiguration|RemediationTasks|SecurityAlert|SecurityIncident|discovery|investigation|settings)\.`)
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if subjects.MatchString(key) && !documented[key] {
			t.Errorf("docs/permissions.md leaves out %s", key)
		}
	}
	for line := range strings.Lines(read(t, "app-roles.tsv")) {
		if f := strings.Split(line, "\t"); !strings.HasPrefix(line, "#") && ids[f[1]] != f[2] {
			t.Errorf("app-roles.tsv: %s has the application id %s, want %s", f[1], f[2], ids[f[1]])
		}
	}
}
