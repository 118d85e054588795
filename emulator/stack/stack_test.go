package stack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/emulator/vault"
)

func TestDemo_SampleTenantArrivesWhole(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	data, err := tenant.Generate(tenant.Options{Seed: 3, Scale: 0.05, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	data.Run(time.Now)
	s := start(t, data, stack.Options{})
	var out bytes.Buffer
	got, err := stack.Demo{App: s.app, Display: stack.Plain{Out: &out}, Timeout: patience}.Run(t.Context(), s.Emulators)
	if err != nil || !got.OK() || got.Tables < 60 || got.SourceRows < 10_000 {
		t.Errorf("%s (failed tables: %d), %v\n%s", got.Line(), got.Failed, err, out.String())
	}
}

func TestDemo_PublishedRecordsArriveAsTheyStand(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	data, err := tenant.Load(sampledata.Path(t, "defender-samples"), tenant.LoadOptions{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	data.Run(time.Now)
	s := start(t, data, stack.Options{})
	var out bytes.Buffer
	got, err := stack.Demo{App: s.app, Data: true, Display: stack.Plain{Out: &out}, Timeout: patience}.Run(t.Context(), s.Emulators)
	if err != nil || !got.OK() || got.Tables != 13 || got.SourceRows != 1632 {
		t.Errorf("%s (failed tables: %d), %v\n%s", got.Line(), got.Failed, err, out.String())
	}
}

func TestRuns_MoveOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	const table = "DeviceEvents"
	data := events(t, table, 500)
	s := configured(t, table, data, stack.Options{})
	s.serve(nil, funchost.Options{})

	s.tick()
	first := s.successes(table, 1)[0]
	s.equal()
	if first.RecordCount != 500 {
		t.Errorf("the first run counts %d rows, want 500", first.RecordCount)
	}

	s.tick()
	if again := s.successes(table, 2)[1]; again.RecordCount != 0 {
		t.Errorf("a second run over an unchanged table moved %d rows", again.RecordCount)
	}

	// Rows that arrive now with old event times, and rows that share one instant.
	now := data.Now()
	late := fmt.Sprintf(`{"Timestamp":"2026-01-02T03:04:05Z","DeviceId":"late","ReportId":%d}`, 1)
	tie := `{"Timestamp":"2026-11-01T00:00:00Z","DeviceId":"tie","ReportId":2}`
	if err := data.Append(table, now, late, tie, tie); err != nil {
		t.Fatal(err)
	}
	s.tick()
	if third := s.successes(table, 3)[2]; third.RecordCount != 3 {
		t.Errorf("the third run moved %d rows, want the 3 new ones", third.RecordCount)
	}
	s.equal()
}

func TestConfiguration_IsTheUsers(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	data := events(t, table, 300)
	s := configured(t, table, data, stack.Options{})
	s.serve(nil, funchost.Options{})
	s.tick()
	s.successes(table, 1)

	latest := "MigrationConfiguration | extend At = ingestion_time() | summarize arg_max(At, *) by SourceTable | project-away At | project SourceTable, DestinationTable, WatermarkColumn, LastRefreshedTime, LastRefreshedTimeInString, LoadType, IsActive, Instance, Frequency, RunId, Generation, Retention"
	s.command(".set-or-append MigrationConfiguration <| " + latest + " | extend IsActive = false")
	if status, body := s.http(http.MethodPost, "/api/tables/"+table+"/migrate"); status != http.StatusConflict || !strings.Contains(body, "force=true") {
		t.Errorf("a table that is switched off: %d %s, want 409 and the way round", status, body)
	}
	s.tick()
	if status, _ := s.http(http.MethodPost, "/api/tables/"+table+"/migrate?force=true"); status != http.StatusAccepted {
		t.Errorf("forced: %d, want 202", status)
	}
	s.successes(table, 2)
	s.command(".set-or-append MigrationConfiguration <| " + latest + " | extend IsActive = true, LastRefreshedTime = LastRefreshedTime - 3d")
	s.tick()
	if back := s.successes(table, 3)[2]; !strings.Contains(back.Note, "set by the user") || back.RecordCount == 0 {
		t.Errorf("after the watermark was set back: %+v", back)
	}
}

func TestHTTP_Tables(t *testing.T) {
	t.Parallel()
	const table = "DeviceEvents"
	s := configured(t, table, events(t, table, 50), stack.Options{})
	s.serve(nil, funchost.Options{})
	status, body := s.http(http.MethodPost, "/api/tables/"+table+"Raw/migrate")
	if status != http.StatusAccepted || !strings.Contains(body, "/api/tables/"+table) {
		t.Errorf("POST by destination: %d %s", status, body)
	}
	s.successes(table, 1)
	s.equal()
	if status, body := s.http(http.MethodPost, "/api/tables/Nowhere/migrate"); status != http.StatusNotFound {
		t.Errorf("unknown table: %d %s", status, body)
	}
	status, body = s.http(http.MethodGet, "/api/tables/"+table)
	var one struct {
		Source    string
		Watermark *time.Time
	}
	if err := json.Unmarshal([]byte(body), &one); err != nil || status != http.StatusOK || one.Source != table || one.Watermark == nil {
		t.Errorf("GET one: %d %s, %v", status, body, err)
	}
	if status, body := s.http(http.MethodGet, "/api/tables"); status != http.StatusOK || !strings.Contains(body, `"source":"`+table+`"`) {
		t.Errorf("GET list: %d %s", status, body)
	}
	if status, body := s.http(http.MethodGet, "/api/setup"); status != http.StatusOK || !strings.Contains(body, `"ready":true`) {
		t.Errorf("GET setup: %d %s", status, body)
	}
}

func TestBadInput_IsAnAuditRowAndStopsNothingElse(t *testing.T) {
	t.Parallel()
	const table = "DeviceEvents"
	s := configured(t, table, events(t, table, 50), stack.Options{})
	s.command(`.set-or-append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = 'DeviceNowhere', DestinationTable = 'DeviceNowhereRaw', WatermarkColumn = 'None', LoadType = 'Full', IsActive = true)`)
	s.setup("none")
	s.command(`.set-or-append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = "x'] | take 1 //", DestinationTable = "a\nb", WatermarkColumn = 'None', LoadType = 'Full', IsActive = true)`)
	s.serve(nil, funchost.Options{})
	s.send("this is no wake-up")
	s.send(`{"instance":"","table":"Unconfigured","trigger":"manual"}`)
	s.tick()
	s.failure("malformed wake-up")
	s.failure("MigrationConfiguration", "SourceTable", "DestinationTable")
	s.failure("DeviceNowhere", "not available")
	s.failure("Unconfigured", "no row")
	s.successes(table, 1)
}

func TestFailures_NameTheirRemedy(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	tests := []struct {
		name    string
		breakIt func(*site)
		says    []string
		mend    func(*site)
	}{
		{"missing role",
			func(s *site) {
				must(s.t, s.Identity.SetRoles(stack.ClientID, identity.AudienceGraph, "AdvancedHunting.Read.All"))
			},
			[]string{"ThreatHunting.Read.All", "AdvancedHunting.Read.All"}, nil},
		{"wrong secret",
			func(s *site) { _, err := s.Vault.Set(stack.SecretName, "not-it"); must(s.t, err) },
			[]string{stack.SecretName}, nil},
		{"secret with a newline",
			func(s *site) { _, err := s.Vault.Set(stack.SecretName, s.Secret+"\n"); must(s.t, err) },
			[]string{"white space"}, nil},
		{"no access to the vault",
			func(s *site) { s.Vault.Revoke(stack.AppID) },
			[]string{"Key Vault Secrets User"}, nil},
		{"vault unreachable",
			func(s *site) { s.Vault.SetCondition(vault.Unreachable, 0) },
			[]string{"vault"},
			func(s *site) { s.Vault.SetCondition(vault.Healthy, 0) }},
		{"no rights in ADX to ingest",
			func(s *site) {
				must(s.t, s.Cluster.Revoke(stack.Database, "aadapp="+stack.AppID+";"+stack.TenantID, kusto.Ingestor))
			},
			nil,
			func(s *site) {
				must(s.t, s.Cluster.Grant(stack.Database, "aadapp="+stack.AppID+";"+stack.TenantID, kusto.Ingestor))
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := configured(t, table, events(t, table, 50), stack.Options{})
			tt.breakIt(s)
			s.serve(map[string]string{"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:01"}, funchost.Options{})
			s.tick()
			if tt.says != nil {
				failed := s.failure(tt.says...)
				if strings.Contains(failed.FailureReason, s.Secret) || strings.Contains(failed.FailureReason, "eyJ") {
					t.Errorf("a secret in the audit row: %s", failed.FailureReason)
				}
			} else {
				// The audit row itself cannot be written: it must be once it can.
				s.waitLine("ingestors")
			}
			if tt.mend != nil {
				tt.mend(s)
				s.tick()
				s.successes(table, 1)
				s.equal()
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waitLine waits until the handler has written a line with the text.
func (s *site) waitLine(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		for _, l := range s.lines {
			if strings.Contains(l, text) {
				s.mu.Unlock()
				return
			}
		}
		s.mu.Unlock()
		if time.Now().After(deadline) {
			s.t.Fatalf("the handler never wrote %q:\n%s", text, s.console())
		}
	}
}

func TestSecret_RotatedInTheVaultIsTakenUpWithoutARestart(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	data := events(t, table, 50)
	s := configured(t, table, data, stack.Options{TokenLife: 2 * time.Second})
	s.serve(nil, funchost.Options{})
	s.tick()
	s.successes(table, 1)
	_, err := s.Vault.Set(stack.SecretName, "the-new-one")
	must(t, err)
	must(t, s.Identity.AddSecret(stack.ClientID, identity.Secret{Value: "the-new-one", Expires: time.Now().Add(time.Hour)}))
	must(t, s.Identity.RemoveSecret(stack.ClientID, s.Secret))
	time.Sleep(2100 * time.Millisecond) // the life of the last token
	s.tick()
	s.successes(table, 2)
}

func TestMDE_IsTheFallback(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	s := configured(t, table, events(t, table, 300), stack.Options{})
	s.serve(map[string]string{"DEFENDER_API": "M365D"}, funchost.Options{})
	s.tick()
	s.successes(table, 1)
	s.equal()
	s.waitLine("change to graph")
	for _, call := range s.Hunting.Stats().Log {
		if call.API != hunting.MDE {
			t.Fatalf("a call went to API %v", call.API)
		}
	}
}

func TestKill_InTheMiddleOfATableEndsWithEveryRowOnce(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceNetworkEvents"
	const rows = 18_000
	data := events(t, table, rows)
	s := configured(t, table, data, stack.Options{IngestLatency: 300 * time.Millisecond})
	var kills atomic.Int32
	s.serve(map[string]string{"MIGRATION_ROW_TARGET": "600", "MIGRATION_INGEST_GRACE": "5s"}, funchost.Options{
		Timing: funchost.Timing{QueueLease: 3 * time.Second, QueueVisibility: time.Second, RestartWindow: time.Millisecond},
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		// After the third, the twelfth and the twenty-first of more than thirty fetches, as
		// Defender counts them: a kill takes log lines of the handler with it, and not these.
		for _, at := range []int{3, 12, 21} {
			for s.fetches() < at || s.host.KillHandler(syscall.SIGKILL) != nil {
				if s.count("run ended") > 0 || t.Context().Err() != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
			kills.Add(1)
		}
	}()
	s.tick()
	ended := s.successes(table, 1)[0]
	<-done
	if kills.Load() < 3 {
		t.Errorf("the handler was killed %d times, want 3", kills.Load())
	}
	s.equal()
	if ended.RecordCount != rows {
		t.Errorf("the audit row counts %d rows, want %d", ended.RecordCount, rows)
	}
}

// fetches is how many answers of more than a count's few rows Defender has given.
func (s *site) fetches() (n int) {
	for _, call := range s.Hunting.Stats().Log {
		if call.Status == http.StatusOK && call.Rows > 100 {
			n++
		}
	}
	return n
}

func (s *site) count(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}
