package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// nextFormat builds the handler as its next version might be: it stores states, ledgers
// and the quota in format 3, and reads older ones as well.
func nextFormat(t *testing.T, like stack.App) stack.App {
	t.Helper()
	replaced := map[string]string{}
	for file, constants := range map[string][]string{
		"internal/plan/tablestate.go": {"const StateFormat = 2", "const plainFormat = 1"},
		"internal/plan/ledger.go":     {"const LedgerFormat = 2"},
		"internal/quota/record.go":    {"const recordFormat = 1"},
	} {
		path, err := filepath.Abs(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		next := text
		for _, constant := range constants {
			if !bytes.Contains(text, []byte(constant+"\n")) {
				t.Fatalf("%s has no %q: the format is another by now, follow it here", file, constant)
			}
			next = bytes.Replace(next, []byte(constant+"\n"), []byte(constant[:len(constant)-1]+"3\n"), 1)
		}
		replaced[path] = filepath.Join(t.TempDir(), filepath.Base(file))
		if err := os.WriteFile(replaced[path], next, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	app := stack.App{Root: t.TempDir()}
	if err := os.CopyFS(app.Root, os.DirFS(like.Root)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(app.Handler()); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", list, "-ldflags", "-X main.version=99.0.0", "-o", app.Handler(), "./handler")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the next version: %v\n%s", err, out)
	}
	return app
}

// deploy replaces what runs by another build, as a deployment does that starts the app
// anew, whatever it is doing.
func (s *site) deploy(app stack.App, changes map[string]string) {
	s.t.Helper()
	s.undeploy()
	settings := map[string]string{"DEFENDER_CALLS_PER_MINUTE": "100000", "MIGRATION_SETTLE": "0s", "MIGRATION_LEASE": "15s", "MIGRATION_INGEST_POLL": "100ms"}
	for k, v := range changes {
		settings[k] = v
	}
	host, err := s.StartHost(context.WithoutCancel(s.t.Context()), app, settings, funchost.Options{OnLine: s.line,
		Timing: funchost.Timing{QueueLease: 3 * time.Second, QueueVisibility: time.Second, RestartWindow: time.Millisecond}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.host = host
}

func (s *site) undeploy() {
	s.t.Helper()
	if s.host == nil {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	if err := s.host.Stop(ctx); err != nil {
		s.t.Error(err)
	}
	s.host = nil
}

// stored returns the state of a table as it lies in storage.
func (s *site) stored(table string) string {
	s.t.Helper()
	client, err := azblob.NewClientFromConnectionString(s.StorageConnection, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := client.DownloadStream(s.t.Context(), "defender2adx", "state/default/"+table+".json", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// An upgrade in the middle of a run loses and doubles nothing: the newer build ends the
// run of the older. Taken back, the older waits, says so, and touches nothing; and the
// newer goes on where it was.
func TestUpgrade_AndBackLosesNoRun(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceNetworkEvents"
	const rows = 9_000
	s := configured(t, table, events(t, table, rows), stack.Options{IngestLatency: 300 * time.Millisecond})
	next := nextFormat(t, s.app)
	t.Cleanup(s.undeploy)
	changes := map[string]string{"MIGRATION_ROW_TARGET": "600", "MIGRATION_INGEST_GRACE": "5s", "MIGRATION_CALLS_IN_FLIGHT": "1"}

	s.deploy(s.app, changes)
	s.tick()
	for s.fetches() < 4 {
		if t.Context().Err() != nil || s.count("run ended") > 0 {
			t.Fatalf("the run was not caught in its middle\n%s", s.console())
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.deploy(next, changes)
	s.tick()
	if ended := s.successes(table, 1)[0]; ended.RecordCount != rows {
		t.Errorf("the run that both versions worked on counts %d rows, want %d", ended.RecordCount, rows)
	}
	s.equal()

	s.deploy(s.app, changes)
	before := s.stored(table)
	if !strings.Contains(before, `"Format":3`) {
		t.Fatalf("the newer build stored %s", before)
	}
	s.tick()
	s.failure("an older handler waits for a newer one", "99.0.0")
	if got := s.stored(table); got != before {
		t.Errorf("the older build wrote over\n%s\nwith\n%s", before, got)
	}
	ended := s.successes(table, 1)

	s.deploy(next, changes)
	s.tick()
	s.successes(table, len(ended)+1)
	s.equal()
	if failed := s.audits(1, "Failed", func(a stack.Audit) bool { return a.Status == "Failed" }); len(failed) != 1 {
		t.Errorf("the wait was said %d times, want once: %+v", len(failed), failed)
	}
}
