// Package infra_test holds the templates and the handler together: settings, roles and
// the texts that alerts look for.
package infra_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settingsOf returns the names in `var settings` of main.bicep, which both plans set.
func settingsOf(t *testing.T, bicep string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(bicep, "\nvar settings = {\n")
	block, _, closed := strings.Cut(rest, "\n}\n")
	if !ok || !closed {
		t.Fatal("main.bicep has no `var settings = {`")
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+):`).FindAllStringSubmatch(block, -1) {
		names = append(names, m[1])
	}
	return names
}

// leftAtDefault returns the reasons by setting.
func leftAtDefault(t *testing.T, list string) map[string]string {
	t.Helper()
	left := map[string]string{}
	for line := range strings.Lines(list) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, "\t")
		if !ok || reason == "" {
			t.Errorf("settings-left-at-default.txt: %q has no reason behind a tab", line)
		}
		left[name] = reason
	}
	return left
}

// What the host reads and the handler does not.
var hostSettings = []string{"AzureWebJobsStorage__credential", "APPLICATIONINSIGHTS_CONNECTION_STRING", "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"}

// unaccounted says for each setting that the templates know nothing of what to do,
// and for each that they know and the handler does not.
func unaccounted(settings, set []string, left map[string]string) []string {
	var out []string
	for _, name := range settings {
		_, isLeft := left[name]
		switch isSet := slices.Contains(set, name); {
		case !isSet && !isLeft:
			out = append(out, name+": the templates do not know it. Add it to `var settings` of infra/main.bicep (with a param, if people choose it), "+
				"or add the line \""+name+"<tab>why\" to infra/settings-left-at-default.txt")
		case isSet && isLeft:
			out = append(out, name+": infra/main.bicep sets it, and infra/settings-left-at-default.txt says that it does not: remove the line")
		}
	}
	for _, name := range slices.Concat(set, slices.Collect(maps.Keys(left))) {
		if !slices.Contains(settings, name) && !slices.Contains(hostSettings, name) {
			out = append(out, name+": the templates name it and docs/config.md does not: remove it from infra/main.bicep or infra/settings-left-at-default.txt")
		}
	}
	slices.Sort(out)
	return out
}

func TestTemplates_AccountForEverySetting(t *testing.T) {
	var names []string
	for _, s := range config.Settings(&config.Config{}) {
		names = append(names, s.Name)
	}
	for _, fault := range unaccounted(names, settingsOf(t, read(t, "main.bicep")), leftAtDefault(t, read(t, "settings-left-at-default.txt"))) {
		t.Error(fault)
	}
}

func TestUnaccounted_NamesWhatToDo(t *testing.T) {
	got := unaccounted([]string{"A", "B", "C"}, []string{"A", "D", hostSettings[0]}, map[string]string{"A": "x", "B": "y", "E": "z"})
	want := []string{"A: infra/main.bicep sets it", "C: the templates do not know it", "D: the templates name it", "E: the templates name it"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q...", got[i], want[i])
		}
	}
}

// The values that a parameter offers are values that the handler takes.
func TestTemplates_OfferWhatTheHandlerTakes(t *testing.T) {
	bicep := read(t, "main.bicep")
	for param, setting := range map[string]string{"defenderApi": "DEFENDER_API", "defenderCredential": "DEFENDER_CREDENTIAL", "logLevel": "LOG_LEVEL"} {
		values := regexp.MustCompile(`(?s)@allowed\(\[([^\]]*)\]\)\nparam ` + param + ` `).FindStringSubmatch(bicep)
		if values == nil {
			t.Errorf("param %s has no list of values", param)
			continue
		}
		for _, m := range regexp.MustCompile(`'([^']+)'`).FindAllStringSubmatch(values[1], -1) {
			env := map[string]string{setting: m[1], "DEFENDER_TENANT_ID": "11111111-2222-3333-4444-555555555555", "DEFENDER_CLIENT_ID": "c", "KEY_VAULT_URL": "https://v.vault.azure.net",
				"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_CLIENT_ID": "i", "ADX_DATABASE": "d", "MIGRATION_QUEUE": "migrations", "AzureWebJobsStorage__accountName": "acct"}
			if _, err := config.Read(func(name string) string { return env[name] }); err != nil {
				t.Errorf("param %s offers %s: %v", param, m[1], err)
			}
		}
	}
}

// What the templates set is a configuration that the handler starts with, in each
// form; the values are what Azure would put in.
func TestTemplates_SettingsStartTheHandler(t *testing.T) {
	const tenant, id = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	values := map[string]string{
		"AzureWebJobsStorage__blobServiceUri": "https://stx.blob.core.windows.net/", "AzureWebJobsStorage__queueServiceUri": "https://stx.queue.core.windows.net/",
		"AzureWebJobsStorage__clientId": id, "DEFENDER_API": "graph", "DEFENDER_CLOUD": "global", "DEFENDER_TENANT_ID": tenant,
		"DEFENDER_CREDENTIAL": "secret", "DEFENDER_CLIENT_ID": id, "DEFENDER_SECRET_NAME": "defender-client-secret", "KEY_VAULT_URL": "https://kv-x.vault.azure.net",
		"ADX_CLUSTER_URL": "https://adxx.westeurope.kusto.windows.net", "ADX_INGEST_URL": "https://ingest-adxx.westeurope.kusto.windows.net", "ADX_DATABASE": "defender",
		"ADX_CREDENTIAL": "managed-identity", "ADX_CLIENT_ID": id, "MIGRATION_SCHEDULE": "0 0 * * * *", "MIGRATION_QUEUE": "migrations",
		"MIGRATION_CONTAINER": "defender2adx", "LOG_LEVEL": "info",
	}
	for _, name := range settingsOf(t, read(t, "main.bicep")) {
		if _, ok := values[name]; !ok && !slices.Contains(hostSettings, name) {
			t.Errorf("main.bicep sets %s: say here what it would be", name)
		}
	}
	for form, changes := range map[string]map[string]string{
		"secret":                     {},
		"managed identity":           {"DEFENDER_CREDENTIAL": "managed-identity", "KEY_VAULT_URL": ""},
		"eventhouse, ingest derived": {"ADX_CLUSTER_URL": "https://trd-x.z1.kusto.fabric.microsoft.com", "ADX_INGEST_URL": ""},
		"US Government": {"DEFENDER_CLOUD": "gcchigh", "AzureWebJobsStorage__blobServiceUri": "https://stx.blob.core.usgovcloudapi.net/", "KEY_VAULT_URL": "https://kv-x.vault.usgovcloudapi.net",
			"ADX_CLUSTER_URL": "https://adxx.usgovvirginia.kusto.usgovcloudapi.net", "ADX_INGEST_URL": "https://ingest-adxx.usgovvirginia.kusto.usgovcloudapi.net"},
	} {
		env := maps.Clone(values)
		maps.Copy(env, changes)
		getenv := func(name string) string { return env[name] }
		if _, err := config.Read(getenv); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if warnings := config.Warnings(getenv, nil); len(warnings) > 0 {
			t.Errorf("%s: warned of %q", form, warnings)
		}
	}
}
