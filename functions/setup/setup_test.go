package setup_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/functions/setup"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

type database struct {
	latestErr, err error
	missing        []adx.Step
	asked          []string
}

func (d *database) Latest(context.Context) ([]plan.Candidate, error) {
	return []plan.Candidate{{Row: plan.Row{DestinationTable: "DeviceInfoRaw"}}}, d.latestErr
}

func (d *database) Missing(_ context.Context, rows []plan.Candidate) ([]adx.Step, error) {
	for _, row := range rows {
		d.asked = append(d.asked, row.DestinationTable)
	}
	return d.missing, d.err
}

func TestFunction_Reports(t *testing.T) {
	step := adx.Step{Name: "table DeviceInfoRaw", Outcome: adx.Missing, Remedy: "run `handler setup`"}
	tests := []struct {
		name   string
		db     database
		status int
		says   string
	}{
		{"ready", database{}, 200, `{"lookedAt":["the database"],"missing":[],"notLookedAt":["client secret and Key Vault","Defender tenant and its app role","storage account and queues","ingestion into the database"],"ready":true}`},
		{"a table is missing", database{missing: []adx.Step{step}}, 200, `"remedy":"run ` + "`handler setup`"},
		{"no control tables yet", database{latestErr: errors.New("no view"), missing: []adx.Step{step}}, 200, `"ready":false`},
		{"ADX is stopped", database{err: errors.New("unreachable")}, 503, "unreachable"},
		{"no role", database{err: fault.As(fault.Permanent, errors.New("add viewers"))}, 500, "add viewers"},
	}
	odd := httptest.NewRecorder()
	(&setup.Function{Database: &database{}, Warnings: []string{"MIGRATION_SCHEDULE: is not set"}}).ServeHTTP(odd, httptest.NewRequest("GET", "/api/setup", nil))
	if !strings.Contains(odd.Body.String(), `"warnings":["MIGRATION_SCHEDULE: is not set"]`) {
		t.Errorf("without a schedule: %s", odd.Body)
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		(&setup.Function{Database: &tt.db}).ServeHTTP(w, httptest.NewRequest("GET", "/api/setup", nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: %d %s, want %d with %s", tt.name, w.Code, w.Body, tt.status, tt.says)
		}
	}
}
