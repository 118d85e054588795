package stack_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

func TestSettings_OfTheDeveloperAreHonouredButForTheEmulatorsOwn(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "local.settings.json"), []byte(`{"Values": {
		"ADX_CLUSTER_URL": "https://mine.example", "LOG_LEVEL": "debug", "migration_settle": "5m", "MIGRATION_SCHEDULE": "0 */5 * * * *",
		"FUNCTIONS_WORKER_RUNTIME": "node", "PATH": "/nowhere", "MIGRATION_SETLE": "1m", "DEFENDER_CALLS_PER_MINUTE": ""}}`), 0o600))
	given, err := stack.UserSettings(dir, []string{"LOG_LEVEL=warn", "MIGRATION_RETRY=", "ADX_CREDENTIAL=azure-cli", "AzureFunctionsJobHost__functionTimeout=00:20:00", "HOME=/x"})
	must(t, err)
	e := &stack.Emulators{ClusterURL: "https://127.0.0.1:1", Certs: &certs.Bundle{}}
	changes, kept := e.Honour(given)
	want := map[string]string{"LOG_LEVEL": "warn", "MIGRATION_SETTLE": "5m", "MIGRATION_SCHEDULE": "0 */5 * * * *", "MIGRATION_SETLE": "1m",
		"AzureFunctionsJobHost__functionTimeout": "00:20:00"}
	if !maps.Equal(changes, want) {
		t.Errorf("settings taken: %v, want %v", changes, want)
	}
	if want := []string{"ADX_CLUSTER_URL", "ADX_CREDENTIAL"}; !slices.Equal(kept, want) {
		t.Errorf("settings kept: %v, want %v", kept, want)
	}
}

func TestSettings_OfAFileThatCannotBeReadAreAnErrorWithoutItsText(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "local.settings.json"), []byte(`{"Values": {"DEFENDER_X": "hush"`), 0o600))
	if _, err := stack.UserSettings(dir, nil); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v, want one that quotes nothing", err)
	}
}

func TestNotice_IsTheOwnersAloneAndGoesWithItsStack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build", "stack.json")
	if _, err := stack.ReadNotice(path); err == nil || !strings.Contains(err.Error(), "make start") {
		t.Errorf("without a stack: %v, want the remedy", err)
	}
	first, second := stack.Description{Kusto: "https://127.0.0.1:1"}, stack.Description{Kusto: "https://127.0.0.1:2"}
	remove, err := first.Post(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	removeSecond, err := second.Post(path)
	must(t, err)
	must(t, remove())
	if d, err := stack.ReadNotice(path); err != nil || d != second {
		t.Errorf("after the first stack ended: %v, %v; want the second's", d.Kusto, err)
	}
	must(t, removeSecond())
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}
