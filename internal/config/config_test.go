package config_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/config"
)

// complete is the least that must be set.
var complete = map[string]string{
	"DEFENDER_TENANT_ID": "11111111-2222-3333-4444-555555555555", "DEFENDER_CLIENT_ID": "c", "KEY_VAULT_URL": "https://v.vault.azure.net",
	"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "d",
	"MIGRATION_QUEUE": "migrations", "AzureWebJobsStorage": "UseDevelopmentStorage=true",
}

func getenv(changes map[string]string) func(string) string {
	return func(name string) string {
		if v, ok := changes[name]; ok {
			return v
		}
		return complete[name]
	}
}

func TestRead_Defaults(t *testing.T) {
	got, err := config.Read(getenv(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got.Defender.API != "graph" || got.Defender.CallsPerMinute != 45 || got.Defender.CallsPerHour != 0 ||
		got.Migration.Settle != time.Hour || got.Migration.RowTarget != 95_000 || got.Storage.Container != "defender2adx" {
		t.Errorf("Read = %+v, want the documented defaults", got)
	}
	if len(got.Migration.AppID) != 6 {
		t.Errorf("derived app id %q, want six characters", got.Migration.AppID)
	}
}

func TestRead_Aliases(t *testing.T) {
	for in, want := range map[string]string{"M365DGraph": "graph", "MDATP": "mde", "M365D": "mde", "Graph": "graph", "auto": "auto"} {
		env := getenv(map[string]string{"DEFENDER_API": in, "MIGRATION_SCHEDULE": "0 0 * * * *"})
		got, err := config.Read(env)
		if err != nil || got.Defender.API != want {
			t.Errorf("DEFENDER_API=%s reads as %q, %v; want %q", in, got.Defender.API, err, want)
		}
		if warned := len(config.Warnings(env, nil)) > 0; warned != (want != "graph") {
			t.Errorf("DEFENDER_API=%s: warned = %v", in, warned)
		}
	}
	for setting, value := range map[string]string{"DEFENDER_BASE_URL": "https://x", "DEFENDER_SCOPE": "x/.default"} {
		_, err := config.Read(getenv(map[string]string{"DEFENDER_API": "auto", setting: value}))
		if err == nil || !strings.Contains(err.Error(), setting+": is that of one API, and DEFENDER_API=auto uses two: set "+setting+"_GRAPH and "+setting+"_MDE") {
			t.Errorf("auto with %s: %v", setting, err)
		}
	}
	mde, err := config.Read(getenv(map[string]string{"DEFENDER_API": "mde"}))
	if err != nil || mde.Defender.CallsPerHour != 1500 {
		t.Errorf("mde: %d calls an hour, %v; want 1500", mde.Defender.CallsPerHour, err)
	}
}

func TestWarnings_NameAScheduleThatTicksOddly(t *testing.T) {
	for schedule, want := range map[string]string{
		"0 0 * * * *":   "",
		"":              "MIGRATION_SCHEDULE: is not set; the Functions host runs without its timer",
		"0 0 0 31 2 *":  "MIGRATION_SCHEDULE: never fires",
		"* * * * * *":   "MIGRATION_SCHEDULE: fires more than once a minute",
		"00:05:00":      "MIGRATION_SCHEDULE: a time span works",
		"0 0 * * * 5-7": "", // refused by Read
	} {
		got := strings.Join(config.Warnings(getenv(map[string]string{"MIGRATION_SCHEDULE": schedule}), nil), "\n")
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q, want %q", schedule, got, want)
		}
	}
	for schedule, want := range map[string]string{
		"": "", "0 0 * * * *": "", "0 0 0 31 2 *": "MIGRATION_SCHEDULE: never fires", "0 0 * * * 7": "MIGRATION_SCHEDULE: the Functions host refuses this schedule",
	} {
		got := strings.Join(config.SetupWarnings(getenv(map[string]string{"MIGRATION_SCHEDULE": schedule}), nil), "\n")
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("setup, %q: got %q, want %q", schedule, got, want)
		}
	}
	for _, schedule := range []string{"0 0 * * * 7", "0 0 0 L * *", "0 0 0 ? * *", "0\t0 * * * *"} {
		if _, err := config.Read(getenv(map[string]string{"MIGRATION_SCHEDULE": schedule})); err == nil || !strings.Contains(err.Error(), "MIGRATION_SCHEDULE: the Functions host refuses this schedule") {
			t.Errorf("%q: got %v, want a refusal", schedule, err)
		}
	}
}

func TestRead_ReportsEveryFaultAtOnce(t *testing.T) {
	_, err := config.Read(getenv(map[string]string{
		"DEFENDER_API": "xdr", "DEFENDER_TENANT_ID": " ", "KEY_VAULT_URL": "myvault", "ADX_CLUSTER_URL": "http://cluster",
		"DEFENDER_CALLS_PER_MINUTE": "many", "MIGRATION_SETTLE": "soon", "MIGRATION_QUEUE": "My_Queue", "MIGRATION_APP_ID": "toolong",
		"MIGRATION_LEASE": "5m", "MIGRATION_SCHEDULE": "every hour", "MIGRATION_CONTAINER": "My Container", "MIGRATION_BYTE_TARGET": "60000000", "MIGRATION_TIME_BUDGET": "50m", "DEFENDER_QUOTA_MINUTE": "2s", "DEFENDER_FREE_SHARE": "1", "LOG_LEVEL": "loud",
	}))
	if err == nil {
		t.Fatal("faulty settings were accepted")
	}
	for _, name := range []string{
		"DEFENDER_API: want graph, mde or auto", "DEFENDER_TENANT_ID: is not set", "KEY_VAULT_URL: want an https URL, got \"myvault\"",
		"ADX_CLUSTER_URL: want an https URL", "DEFENDER_CALLS_PER_MINUTE: want a whole number", "MIGRATION_SETTLE: want a duration",
		"MIGRATION_QUEUE: want 3 to 56", "MIGRATION_APP_ID: want 6", "MIGRATION_LEASE: want a duration", "MIGRATION_SCHEDULE: the Functions host refuses this schedule and would never tick: want six cron fields", "MIGRATION_CONTAINER: want 3 to 63", "MIGRATION_TIME_BUDGET: want a duration", "DEFENDER_QUOTA_MINUTE", "DEFENDER_FREE_SHARE: want a number", "LOG_LEVEL: want",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not say %q:\n%v", name, err)
		}
	}
}

func TestRead_ByteTargetFitsTheService(t *testing.T) {
	for api, refused := range map[string]bool{"graph": true, "mde": false} {
		_, err := config.Read(getenv(map[string]string{"DEFENDER_API": api, "MIGRATION_BYTE_TARGET": "60000000"}))
		if (err != nil) != refused {
			t.Errorf("%s with 60 MB: %v, want refused %v", api, err, refused)
		}
	}
}

func TestRead_KeepsSecretsOut(t *testing.T) {
	_, err := config.Read(getenv(map[string]string{"KEY_VAULT_URL": "ftp://x?sig=SECRET", "ADX_CLUSTER_URL": "https://u:SECRET@host"}))
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error %v, want one without the secret", err)
	}
}

func TestRead_Storage(t *testing.T) {
	got, err := config.Read(getenv(map[string]string{"AzureWebJobsStorage": "", "AzureWebJobsStorage__accountName": "acct1"}))
	if err != nil || got.Storage.BlobServiceURL != "https://acct1.blob.core.windows.net" || got.Storage.QueueServiceURL != "https://acct1.queue.core.windows.net" {
		t.Errorf("storage = %+v, %v", got.Storage, err)
	}
	if _, err := config.Read(getenv(map[string]string{"AzureWebJobsStorage": ""})); err == nil {
		t.Error("no storage at all was accepted")
	}
}

// The settings, their documentation and the sample agree.
func TestSettings_DocumentedAndSampled(t *testing.T) {
	var c config.Config
	var names []string
	for _, s := range config.Settings(&c) {
		names = append(names, s.Name)
	}
	doc, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(doc), "\nSet by others:")
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z_0-9]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1])
	}
	if diff := cmp.Diff(names, documented); diff != "" {
		t.Errorf("docs/config.md differs from the settings (- settings, + documented):\n%s", diff)
	}
	for _, s := range config.Settings(&c) {
		if row := docRow(s); !strings.Contains(string(doc), row) {
			t.Errorf("docs/config.md lacks the line\n%s", row)
		}
	}

	text, err := os.ReadFile("../../local.settings.sample.json")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct {
		IsEncrypted bool
		Values      map[string]string
	}
	if err := json.Unmarshal(text, &sample); err != nil {
		t.Fatal(err)
	}
	// It shows what everybody must think about; the rest is best left alone.
	want := map[string]string{"FUNCTIONS_WORKER_RUNTIME": "custom"}
	for _, s := range config.Settings(&c) {
		if s.Sample != "" {
			want[s.Name] = s.Sample
		}
	}
	if diff := cmp.Diff(want, sample.Values); diff != "" {
		t.Errorf("local.settings.sample.json (-want +got):\n%s", diff)
	}
	if _, err := config.Read(func(name string) string { return sample.Values[name] }); err != nil {
		t.Errorf("the sample is refused: %v", err)
	}
}

// docRow is the setting's line in docs/config.md.
func docRow(s config.Setting) string {
	def := "`" + s.Default + "`"
	if s.Default == "" {
		def = "-"
	}
	need := s.Need
	if need == "" {
		need = "-"
	}
	return "| `" + s.Name + "` | " + def + " | " + need + " | " + s.Doc + " |"
}
