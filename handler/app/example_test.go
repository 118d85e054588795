package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
)

// offline is a network without anybody.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("offline") }

// The program is built from settings and opens no connection by that. What it serves
// are the addresses that the Functions host calls.
func ExampleNew() {
	settings := map[string]string{
		"ADX_CLUSTER_URL":     "https://mycluster.westeurope.kusto.windows.net",
		"ADX_DATABASE":        "defender",
		"ADX_CREDENTIAL":      "azure-cli",
		"AzureWebJobsStorage": "UseDevelopmentStorage=true",
		"DEFENDER_TENANT_ID":  "00000000-0000-0000-0000-000000000000",
		"DEFENDER_CLIENT_ID":  "00000000-0000-0000-0000-000000000000",
		"MIGRATION_QUEUE":     "migrations",
		"MIGRATION_SCHEDULE":  "0 0 * * * *",
		"KEY_VAULT_URL":       "https://my-vault.vault.azure.net",
	}
	cfg, err := config.Read(func(name string) string { return settings[name] })
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := app.New(cfg, app.Options{Version: "1.2.3", Transport: offline{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer program.Close()

	answer := httptest.NewRecorder()
	program.Router().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/nowhere", nil))
	fmt.Println(answer.Code, answer.Body)
	// Output: 404 {"error":"no such address; see GET /api/tables"}
}
