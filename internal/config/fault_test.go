package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// One wrong value is one line, which names its setting and quotes no secret.
func TestRead_OneLineForOneFault(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"AzureWebJobsStorage", "foo", "a part of it is no name=value"},
		{"AzureWebJobsStorage", "AccountKey=SECRETSECRET", "it has no AccountName"},
		{"AzureWebJobsStorage", "AccountName=a", "it has no AccountKey"},
		{"AzureWebJobsStorage", "AccountName=a;AccountKey=SECRET*", "its AccountKey is no base64"},
		{"AzureWebJobsStorage", "", "is not set"},
		{"KEY_VAULT_URL", "myvault", "want an https URL"},
		{"KEY_VAULT_URL", "", "is not set"},
		{"DEFENDER_TENANT_ID", "contoso", "want an id such as"},
		{"DEFENDER_TENANT_ID", "{11111111-2222-3333-4444-555555555555}", "want an id such as"},
		{"MIGRATION_LEASE", "1d", "from 15s to 1m0s"},
		{"AzureFunctionsJobHost__functionTimeout", "soon", "want at least 00:01:00"},
	} {
		_, err := config.Read(getenv(map[string]string{tt.name: tt.value}))
		if err == nil || !strings.HasPrefix(err.Error(), tt.name+": ") || !strings.Contains(err.Error(), tt.want) ||
			strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s=%s: %v; want one line with %q", tt.name, tt.value, err, tt.want)
		}
	}
}

func TestRead_ConnectionStrings(t *testing.T) {
	for _, value := range []string{
		"UseDevelopmentStorage=true", "usedevelopmentstorage=true;",
		"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net",
		"BlobEndpoint=https://a.blob.core.windows.net;QueueEndpoint=https://a.queue.core.windows.net;SharedAccessSignature=sv=1&sig=x",
	} {
		if c, err := config.Read(getenv(map[string]string{"AzureWebJobsStorage": value})); err != nil || c.Storage.ConnectionString.Reveal() != value {
			t.Errorf("%s: read as %q, %v", value, c.Storage.ConnectionString.Reveal(), err)
		}
	}
}

// A configuration that is logged or printed whole gives no key away.
func TestRead_ConnectionStringPrintsNowhere(t *testing.T) {
	c, err := config.Read(getenv(map[string]string{"AzureWebJobsStorage": "AccountName=a;AccountKey=Y29uZmlkZW50aWFs"}))
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "config", c)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "config", c)
	document, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{logged.String(), string(document), fmt.Sprintf("%v %+v %#v", c, c, c)} {
		if strings.Contains(printed, "Y29uZmlkZW50aWFs") || strings.Contains(printed, "AccountName") {
			t.Errorf("printed %s", printed)
		}
	}
	if !strings.Contains(string(document), `"ConnectionString":"[redacted]"`) {
		t.Errorf("JSON: %s", document)
	}
}

// Every setting that is a duration reads every form of one.
func TestRead_OneDurationGrammar(t *testing.T) {
	var defaults config.Config
	durations := 0
	for _, s := range config.Settings(&defaults) {
		want, err := plan.ParseDuration(s.Default)
		if err != nil || want == 0 || s.Default == "0" {
			continue
		}
		durations++
		ticks := time.Time{}.Add(want).Format("15:04:05")
		days := int(want / (24 * time.Hour))
		clock := map[bool]string{false: ticks, true: strings.Join([]string{itoa(days), "." + ticks}, "")}[days > 0]
		for _, value := range []string{clock, "PT" + itoa(int(want/time.Second)) + "S"} {
			if _, err := config.Read(getenv(map[string]string{s.Name: value})); err != nil {
				t.Errorf("%s=%s: %v", s.Name, value, err)
			}
		}
	}
	if durations < 8 {
		t.Errorf("%d settings are durations, want at least 8", durations)
	}
	c, err := config.Read(getenv(map[string]string{"DEFENDER_LOOKBACK": "30d", "MIGRATION_LEDGER_RETENTION": "P60D", "MIGRATION_SETTLE": "0.02:00:00"}))
	if err != nil || c.Defender.LookBack != 720*time.Hour || c.Migration.LedgerRetention != 1440*time.Hour || c.Migration.Settle != 2*time.Hour {
		t.Errorf("read as %v, %v, %v, %v", c.Defender.LookBack, c.Migration.LedgerRetention, c.Migration.Settle, err)
	}
}

func itoa(n int) string {
	text, _ := json.Marshal(n) // a number always marshals
	return string(text)
}

func TestWarnings_NameWhatIsNotRead(t *testing.T) {
	environ := []string{
		"DEFENDER_TENANTID=SECRET", "migration_queue=q", "ADX_DATABASE=d", "KEY_VAULT_URI=https://v", "MIGRATION_SOMETHING_ELSE_ENTIRELY=1",
		"PATH=/bin", "AzureWebJobsStorage=x", "WEBSITE_SKU=Dynamic",
	}
	want := []string{
		"DEFENDER_TENANTID: is no setting and not read; is DEFENDER_TENANT_ID meant?",
		"KEY_VAULT_URI: is no setting and not read; is KEY_VAULT_URL meant?",
		"MIGRATION_SOMETHING_ELSE_ENTIRELY: is no setting and not read",
		"migration_queue: is no setting and not read; is MIGRATION_QUEUE meant?",
	}
	if got := config.Unknown(environ); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := config.Warnings(getenv(nil), environ); !slices.Contains(got, want[0]) {
		t.Errorf("the warnings %q lack the unknown names", got)
	}
}

func TestWarnings_OfWhatWorksBadly(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want string // "" for none
	}{
		{nil, ""},
		{map[string]string{"WEBSITE_SKU": "Dynamic"}, "WEBSITE_SKU: Dynamic is the Consumption plan"},
		{map[string]string{"WEBSITE_SKU": "FlexConsumption"}, ""},
		{map[string]string{"ADX_CLUSTER_URL": "https://ingest-c.westeurope.kusto.windows.net"}, "ADX_CLUSTER_URL: is the ingestion address"},
		{map[string]string{"ADX_INGEST_URL": "https://c.westeurope.kusto.windows.net"}, "ADX_INGEST_URL: ingestion addresses begin with"},
		{map[string]string{"ADX_INGEST_URL": "https://ingest-c.westeurope.kusto.windows.net"}, ""},
		{map[string]string{"ADX_INGEST_URL": "https://127.0.0.1:4443"}, ""},
	} {
		env := map[string]string{"MIGRATION_SCHEDULE": "0 0 * * * *"}
		maps.Copy(env, tt.env)
		got := strings.Join(config.Warnings(getenv(env), nil), "\n")
		if (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) || strings.Contains(got, "\n") {
			t.Errorf("%v: warned %q, want %q", tt.env, got, tt.want)
		}
	}
}

// Two slots of one site are two apps; the production slot is the app it was.
func TestRead_AppIDOfSiteAndSlot(t *testing.T) {
	id := func(site, slot string) string {
		t.Helper()
		c, err := config.Read(getenv(map[string]string{"WEBSITE_SITE_NAME": site, "WEBSITE_SLOT_NAME": slot}))
		if err != nil {
			t.Fatal(err)
		}
		return c.Migration.AppID
	}
	const today = "aisrqw" // of a site without a slot, for ever: RunIds begin with it
	for _, slot := range []string{"", "Production", "production"} {
		if got := id("contoso-defender", slot); got != today {
			t.Errorf("slot %q: app id %s, want %s", slot, got, today)
		}
	}
	if got := id("contoso-defender", "staging"); got == today || got != id("Contoso-Defender", "Staging") || got == id("contoso-defender", "blue") {
		t.Errorf("slot staging: app id %s, want one of its own, in any letter case", got)
	}
}

// The handler's limit stands in one place, and host.json agrees with it.
func TestRead_FunctionTimeout(t *testing.T) {
	var hostJSON struct{ FunctionTimeout string }
	text, err := os.ReadFile("../../host.json")
	if err == nil {
		err = json.Unmarshal(text, &hostJSON)
	}
	if err != nil {
		t.Fatal(err)
	}
	inForce, err := plan.ParseDuration(hostJSON.FunctionTimeout)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		override, budget string
		timeout, answer  time.Duration
		refused          string
	}{
		{"", "15m", inForce, 25 * time.Minute, ""},
		{"-1", "20m", inForce, 25 * time.Minute, ""},
		{"02:00:00", "20m", inForce, 25 * time.Minute, ""},
		{"00:12:00", "8m", 12 * time.Minute, 10 * time.Minute, ""},
		{"00:10:00", "15m", 10 * time.Minute, 500 * time.Second, "MIGRATION_TIME_BUDGET: want at most 6m40s with a functionTimeout of 10m0s, got 15m0s"},
	} {
		c, err := config.Read(getenv(map[string]string{"AzureFunctionsJobHost__functionTimeout": tt.override, "MIGRATION_TIME_BUDGET": tt.budget}))
		if c.FunctionTimeout != tt.timeout || c.AnswerWithin() != tt.answer || c.AnswerWithin() >= c.FunctionTimeout {
			t.Errorf("functionTimeout %q: %v, answered within %v; want %v and %v", tt.override, c.FunctionTimeout, c.AnswerWithin(), tt.timeout, tt.answer)
		}
		if (err == nil) != (tt.refused == "") || err != nil && err.Error() != tt.refused {
			t.Errorf("functionTimeout %q with a budget of %s: %v, want %q", tt.override, tt.budget, err, tt.refused)
		}
	}
}
