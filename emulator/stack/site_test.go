package stack_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// built is the app that all tests of the package run, compiled once.
var built = sync.OnceValues(func() (stack.App, error) {
	dir, err := os.MkdirTemp("", "defender2adx-app-")
	if err != nil {
		return stack.App{}, err
	}
	buildDir = dir
	return stack.BuildApp(context.Background(), dir)
})

var buildDir string

func TestMain(m *testing.M) {
	code := azuritetest.Main(m)
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// patience bounds every wait of a test; nothing is decided by it but that
// something hangs.
const patience = 2 * time.Minute

// site is a tenant, the emulators, and the app on the local host.
type site struct {
	*stack.Emulators
	t    *testing.T
	app  stack.App
	host *funchost.Host

	mu    sync.Mutex
	lines []string
}

// start brings everything up. changes go over the app settings.
func start(t *testing.T, data *tenant.Tenant, o stack.Options) *site {
	t.Helper()
	app, err := built()
	if err != nil {
		t.Fatal(err)
	}
	o.Data = data
	if !o.StorageByIdentity {
		o.Azurite = azuritetest.Shared(t)
	}
	if o.Hunting.Limits == nil {
		o.Hunting.Limits = stack.Unhurried()
	}
	e, err := stack.Start(t.Context(), o)
	if errors.Is(err, azurite.ErrNotInstalled) {
		azuritetest.SkipNotInstalled(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{Emulators: e, t: t, app: app}
}

// serve starts the app with changes over its settings, and stops it at the end.
func (s *site) serve(changes map[string]string, o funchost.Options) {
	s.t.Helper()
	settings := map[string]string{"DEFENDER_CALLS_PER_MINUTE": "100000", "MIGRATION_SETTLE": "0s", "MIGRATION_LEASE": "15s", "MIGRATION_INGEST_POLL": "100ms"}
	for k, v := range changes {
		settings[k] = v
	}
	o.OnLine = s.line
	host, err := s.StartHost(context.WithoutCancel(s.t.Context()), s.app, settings, o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.host = host
	s.t.Cleanup(func() {
		ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
		defer done()
		if err := host.Stop(ctx); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *site) line(l funchost.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, l.Text)
}

// console returns the last lines that the handler wrote.
func (s *site) console() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines[max(0, len(s.lines)-25):], "\n")
}

// configured is a site with the schema and one table configured; nothing runs yet.
func configured(t *testing.T, table string, data *tenant.Tenant, o stack.Options) *site {
	t.Helper()
	s := start(t, data, o)
	s.setup("none")
	s.configure(table)
	return s
}

func (s *site) setup(load string) {
	s.t.Helper()
	if out, err := s.Setup(s.t.Context(), s.app, load); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

func (s *site) configure(tables ...string) {
	s.t.Helper()
	if err := s.Configure(s.t.Context(), tables); err != nil {
		s.t.Fatal(err)
	}
	s.setup("none")
}

func (s *site) command(text string) {
	s.t.Helper()
	if err := s.Command(s.t.Context(), text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) tick() {
	s.t.Helper()
	if err := stack.Tick(s.t.Context(), s.host); err != nil {
		s.t.Fatal(err)
	}
}

// audits waits until the audit log holds n rows that match, and returns them.
func (s *site) audits(n int, what string, match func(stack.Audit) bool) []stack.Audit {
	s.t.Helper()
	return s.auditsWithin(patience, n, what, match)
}

func (s *site) auditsWithin(patience time.Duration, n int, what string, match func(stack.Audit) bool) []stack.Audit {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		all, err := s.Audits()
		if err != nil {
			s.t.Fatal(err)
		}
		var found []stack.Audit
		for _, a := range all {
			if match(a) {
				found = append(found, a)
			}
		}
		if len(found) >= n {
			return found
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d audit rows %s, want %d; the log: %+v\nthe handler's last lines:\n%s", len(found), what, n, all, s.console())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// successes waits for n Success rows of a table.
func (s *site) successes(table string, n int) []stack.Audit {
	s.t.Helper()
	return s.audits(n, "Success of "+table, func(a stack.Audit) bool { return a.SourceTable == table && a.Status == "Success" })
}

// failure waits for a Failed row that says all of the texts.
func (s *site) failure(says ...string) stack.Audit {
	s.t.Helper()
	return s.audits(1, fmt.Sprintf("Failed that say %q", says), func(a stack.Audit) bool {
		for _, text := range says {
			if !strings.Contains(a.FailureReason, text) {
				return false
			}
		}
		return a.Status == "Failed"
	})[0]
}

// equal compares source and ADX for every configured table.
func (s *site) equal() {
	s.t.Helper()
	tables, err := s.Configured()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range tables {
		r, err := s.Compare(c)
		if err != nil {
			s.t.Fatal(err)
		}
		if !r.OK() {
			s.t.Errorf("%s: %+v\nthe handler's last lines:\n%s", c.Source, r, s.console())
		}
	}
}

// send puts a raw message on the wake-ups' queue.
func (s *site) send(text string) {
	s.t.Helper()
	client, err := azqueue.NewQueueClientFromConnectionString(s.StorageConnection, stack.Queue, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	// The handler makes the queue when it starts.
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, err := client.EnqueueMessage(s.t.Context(), base64.StdEncoding.EncodeToString([]byte(text)), nil)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

func (s *site) http(method, path string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.host.URL()+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply.StatusCode, string(body)
}

// events makes a tenant with one event table of n rows that arrived over the
// last five days, two hours ago at the latest.
func events(t *testing.T, table string, n int) *tenant.Tenant {
	t.Helper()
	data, err := tenant.Generate(tenant.Options{Seed: 1, Now: time.Now(), Only: []string{table}, Lean: map[string]int{table: n}})
	if err != nil {
		t.Fatal(err)
	}
	data.Run(time.Now)
	return data
}
