package stack

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/internal/config"
)

// ownSettings, beside those of Settings, say whom the handler talks to and as
// whom: on this stack only the emulators' answer works.
var ownSettings = []string{"ADX_CREDENTIAL", "ADX_CLIENT_ID", "DEFENDER_CREDENTIAL", "DEFENDER_CLOUD", "DEFENDER_SCOPE",
	"AzureWebJobsStorage__accountName", "AzureWebJobsStorage__blobServiceUri", "AzureWebJobsStorage__queueServiceUri", "AzureWebJobsStorage__clientId"}

// freeSettings are those of Settings that are only defaults.
var freeSettings = []string{"MIGRATION_QUEUE", "MIGRATION_SCHEDULE", "MIGRATION_INGEST_POLL"}

// foreignPrefixes begin the names of app settings that are the host's, not the
// handler's, and of names that are misspelled: the handler warns of those.
var foreignPrefixes = []string{"azurefunctionsjobhost__", "azurewebjobs.", "defender_", "adx_", "migration_", "key_vault_"}

// UserSettings returns the app settings that a developer gave: those of
// local.settings.json in dir, which may be missing, and over them those of
// environ ("K=V"). Settings are found in any letter case; an empty value counts as
// absent; other variables are left out.
func UserSettings(dir string, environ []string) (map[string]string, error) {
	file, err := funchost.LocalSettings(dir)
	if err != nil {
		return nil, err
	}
	spelled := map[string]string{}
	var c config.Config
	for _, s := range config.Settings(&c) {
		spelled[strings.ToLower(s.Name)] = s.Name
	}
	out := map[string]string{}
	take := func(name, value string) {
		lower := strings.ToLower(name)
		if known := spelled[lower]; known != "" {
			name = known
		} else if !slices.ContainsFunc(foreignPrefixes, func(p string) bool { return strings.HasPrefix(lower, p) }) {
			return
		}
		if strings.TrimSpace(value) != "" {
			out[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file)) {
		take(name, file[name])
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		take(name, value)
	}
	return out, nil
}

// Honour returns what of given may go over the stack's settings, and the names of
// those that the stack keeps although given says something else, sorted.
func (e *Emulators) Honour(given map[string]string) (changes map[string]string, kept []string) {
	changes = map[string]string{}
	own := e.Settings()
	for name, value := range given {
		mine, owned := own[name]
		owned = owned && !slices.Contains(freeSettings, name) || slices.Contains(ownSettings, name)
		switch {
		case !owned:
			changes[name] = value
		case value != mine:
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return changes, kept
}

// environWithout is the process's environment without the variables that name a
// setting, in any letter case.
func environWithout(settings map[string]string) []string {
	named := map[string]bool{}
	for name := range settings {
		named[strings.ToLower(name)] = true
	}
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return named[strings.ToLower(name)]
	})
}
