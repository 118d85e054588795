package tables_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

type site struct {
	err   error
	woken []string
}

func (s *site) Latest(context.Context) ([]plan.Candidate, error) {
	mark := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	rows := []plan.Row{
		{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", WatermarkColumn: "None", LoadType: "Full", IsActive: true, LastRefreshedTime: mark,
			Frequency: "1d", Ingested: mark.Add(time.Hour)},
		{SourceTable: "DeviceOff", DestinationTable: "DeviceOffRaw", WatermarkColumn: "None", LoadType: "Incr"},
		{SourceTable: "DeviceOdd", DestinationTable: "DeviceOddRaw", WatermarkColumn: "None", LoadType: "Delta", IsActive: true},
		{SourceTable: "DeviceShared", DestinationTable: "DeviceSharedRaw", LoadType: "Incr", IsActive: true},
		{SourceTable: "DeviceShared", DestinationTable: "W_DeviceSharedRaw", LoadType: "Incr", IsActive: true, Instance: "west", Frequency: "5m", Retention: "365d"},
		{SourceTable: "api/machines", DestinationTable: "MachinesRaw", WatermarkColumn: "lastSeen", LoadType: "Incr", IsActive: true},
		{SourceTable: "DeviceWest", DestinationTable: "W_DeviceWestRaw", LoadType: "Incr", IsActive: true, Instance: "west"},
	}
	var out []plan.Candidate
	for _, row := range rows {
		out = append(out, plan.Candidate{Row: row})
	}
	lost := plan.Candidate{Row: plan.Row{SourceTable: "DeviceLost", DestinationTable: "DeviceLostRaw", LoadType: "Incr", IsActive: true, Instance: "gone"}}
	lost.Problem = errors.New("Instance \"gone\": no setting names it")
	return append(out, lost), s.err
}

func (s *site) Resolve(name string) (string, error) {
	switch strings.ToLower(name) {
	case "", "default":
		return "", nil
	case "west":
		return "west", nil
	}
	return "", errors.New("want one of default, West")
}

func (s *site) Read(_ context.Context, key plan.Key) (*plan.TableState, error) {
	if key.Source != "DeviceInfo" {
		return nil, nil
	}
	return &plan.TableState{
		OpenRun: "app00120261101000000aaaaaaaa", Watermark: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC),
		LastEnded: time.Date(2026, 11, 2, 1, 0, 0, 0, time.UTC), LastRows: 4200, Command: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Table: plan.Table{Source: "DeviceInfo", Destination: "DeviceInfoRaw", Load: plan.Full, Active: true},
		Last:  plan.Ending{Status: plan.Failed, At: time.Date(2026, 11, 2, 2, 0, 0, 0, time.UTC), Reason: "Defender: 503"}, ForeignSince: time.Date(2026, 11, 2, 5, 0, 0, 0, time.UTC),
	}, nil
}

func (s *site) ReadLedger(_ context.Context, runID string) (*plan.Ledger, error) {
	l := &plan.Ledger{RunID: runID, Next: 1}
	l.Add(plan.Slice{No: 1}, plan.Slice{No: 2})
	l.Slices[0].State, l.Slices[0].Landed = plan.Verified, 77
	return l, nil
}

func (s *site) Wake(_ context.Context, w plan.WakeUp, _ time.Duration) error {
	s.woken = append(s.woken, w.Key.String()+" "+w.Trigger)
	return nil
}

func hourly(after time.Time) time.Time { return after.Truncate(time.Hour).Add(time.Hour) }

func noon() time.Time { return time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC) }

func TestFunction_Routes(t *testing.T) {
	tests := []struct {
		method, path string
		status       int
		says         string
		woken        string
	}{
		{"GET", "/", 200, `"source":"DeviceInfo"`, ""},
		{"GET", "/", 200, `"problem":"LoadType: want Full, Incr or Snapshot`, ""},
		{"GET", "/DeviceInfo", 200, `"rowsVerified":77`, ""},
		{"GET", "/DeviceInfo", 200, `"watermark":"2026-11-02T00:00:00Z"`, ""},
		{"GET", "/DeviceInfo", 200, `"lastRunEnded":"2026-11-02T01:00:00Z"`, ""},
		{"GET", "/", 200, `"lastRunRows":4200,"frequency":"1d","nextDue":"2026-11-02T13:00:00Z","last":{"status":"Failed","at":"2026-11-02T02:00:00Z","error":"Defender: 503"}`, ""},
		{"GET", "/", 200, `"pendingCommand":{"arrived":"2026-11-01T01:00:00Z","changes":["Frequency: \"1d\", was \"\"","LastRefreshedTime: 2026-11-01T00:00:00.0000000Z, was 2026-11-02T00:00:00.0000000Z"]}`, ""},
		{"GET", "/", 200, `"openRun":{"runId":"app00120261101000000aaaaaaaa","started":"2026-11-01T00:00:00Z"`, ""},
		{"GET", "/DeviceOff", 200, `"active":false}`, ""}, // nothing is due
		{"GET", "/deviceinforaw", 200, `"source":"DeviceInfo"`, ""},
		{"GET", "/MachineInfo", 200, `"source":"DeviceInfo"`, ""}, // its name of old
		{"POST", "/machines/migrate", 202, `"table":"api/machines"`, "api/machines manual"},
		{"POST", "/Machines/migrate", 202, `"status":"/api/tables/machines"`, "api/machines manual"},
		{"POST", "/MachinesRaw/migrate", 202, `"status":"/api/tables/machines"`, "api/machines manual"},
		{"POST", "/api%2Fmachines/migrate", 202, `"status":"/api/tables/machines"`, "api/machines manual"},
		{"POST", "/MachineInfo/migrate", 202, `"status":"/api/tables/DeviceInfo"`, "DeviceInfo manual"},
		{"GET", "/Nowhere", 404, "GET /api/tables lists them", ""},
		{"POST", "/DeviceInfo/migrate", 202, `"status":"/api/tables/DeviceInfo"`, "DeviceInfo manual"},
		{"POST", "/DeviceInfo/migrate?force=true", 202, "", "DeviceInfo manual"},
		{"POST", "/DeviceOff/migrate", 409, "force=true", ""},
		{"POST", "/DeviceOff/migrate?force=true", 202, "", "DeviceOff forced"},
		{"POST", "/DeviceOdd/migrate", 422, "LoadType", ""},
		{"POST", "/Nowhere/migrate", 404, "Nowhere", ""},
		{"GET", "/DeviceInfo/migrate", 405, "POST", ""},
		{"DELETE", "/DeviceInfo", 405, "", ""},
		{"GET", "/a/b/c", 404, "", ""},
		{"POST", "/DeviceInfo/MIGRATE", 202, "", "DeviceInfo manual"},
		{"POST", "/DeviceInfo/other", 404, "no such address", ""},
		{"GET", "/?instance=West", 200, `{"tables":[{"instance":"west","source":"DeviceShared"`, ""},
		{"GET", "/?instance=default", 200, `{"tables":[{"source":"DeviceInfo"`, ""},
		{"GET", "/?instance=east", 404, "want one of default, West", ""},
		{"GET", "/DeviceShared", 409, "instances default, west: add ?instance=", ""},
		{"GET", "/DeviceShared?instance=west", 200, `"destination":"W_DeviceSharedRaw"`, ""},
		{"GET", "/DeviceShared?instance=west", 200, `"retention":"365d"`, ""},
		{"GET", "/DeviceShared?instance=west", 200, `"warning":"Frequency 5m is shorter than the time between two ticks (1h0m0s)`, ""},
		{"GET", "/DeviceWest", 200, `"instance":"west"`, ""},
		{"GET", "/DeviceWest?instance=default", 404, "no table", ""},
		{"POST", "/DeviceShared/migrate", 409, "instances default, west", ""},
		{"POST", "/DeviceShared/migrate?instance=WEST", 202, `"instance":"west","status":"/api/tables/DeviceShared?instance=west"`, "west/DeviceShared manual"},
		{"POST", "/DeviceShared/migrate?instance=", 202, `"status":"/api/tables/DeviceShared"`, "DeviceShared manual"},
		{"GET", "/DeviceLost", 200, `"problem":"Instance \"gone\": no setting names it`, ""},
		{"POST", "/DeviceLost/migrate", 422, "no setting names it", ""},
	}
	for _, tt := range tests {
		s := &site{}
		w := httptest.NewRecorder()
		f := tables.Function{Configuration: s, Instances: s, States: s, Waker: s, Ticks: hourly, Now: noon}
		f.Routes().ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) || strings.Join(s.woken, ",") != tt.woken {
			t.Errorf("%s %s = %d %s, woken %v; want %d with %q, woken %q", tt.method, tt.path, w.Code, w.Body, s.woken, tt.status, tt.says, tt.woken)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %s: Content-Type %q", tt.method, tt.path, got)
		}
		if location := w.Header().Get("Location"); tt.status == http.StatusAccepted && location == "" {
			t.Errorf("%s %s: no Location", tt.method, tt.path)
		}
	}
}

func TestFunction_SaysWhenAPartIsDown(t *testing.T) {
	for err, want := range map[error]int{
		errors.New("ADX is stopped"):                             http.StatusServiceUnavailable,
		fault.As(fault.Permanent, errors.New("no role viewers")): http.StatusInternalServerError,
	} {
		s := &site{err: err}
		w := httptest.NewRecorder()
		f := tables.Function{Configuration: s, Instances: s, States: s, Waker: s, Ticks: hourly, Now: noon}
		f.Routes().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != want || !strings.Contains(w.Body.String(), err.Error()) {
			t.Errorf("%v: %d %s, want %d", err, w.Code, w.Body, want)
		}
	}
}
