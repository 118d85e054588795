package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/credential"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/queue"
)

// localQueue keeps wake-ups for the test to deliver.
type localQueue struct {
	mu     sync.Mutex
	waking []plan.WakeUp
}

func (q *localQueue) Wake(_ context.Context, w plan.WakeUp, _ time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waking = append(q.waking, w)
	return nil
}

func (q *localQueue) take() (plan.WakeUp, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waking) == 0 {
		return plan.WakeUp{}, false
	}
	w := q.waking[0]
	q.waking = q.waking[1:]
	return w, true
}

// counted sees every request of the program.
type counted struct {
	next http.RoundTripper
	mu   sync.Mutex
	n    map[string]int // by host and port
}

func (c *counted) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.n[req.URL.Host]++
	c.mu.Unlock()
	return c.next.RoundTrip(req)
}

// The program, wired once, copies a table end to end, and every one of its
// clients uses the transport that it was given.
func TestApp_CopiesATableThroughItsRouter(t *testing.T) {
	data := tenant.New(time.Now())
	e, err := stack.Start(t.Context(), stack.Options{Data: data})
	if errors.Is(err, azurite.ErrNotInstalled) {
		azuritetest.SkipNotInstalled(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	const table = "DeviceInfo"
	for i := range 20 {
		seen := time.Now().UTC().Add(-time.Duration(i+2) * time.Hour).Format(time.RFC3339)
		row := fmt.Sprintf(`{"Timestamp":%q,"DeviceId":"d%d","ReportId":%d}`, seen, i, i)
		if err := data.Append(table, time.Now().Add(-time.Duration(i+2)*time.Hour), row); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("IDENTITY_ENDPOINT", e.IdentityURL)
	t.Setenv("IDENTITY_HEADER", e.Header)
	settings := e.Settings()
	cfg, err := config.Read(func(name string) string { return settings[name] })
	if err != nil {
		t.Fatal(err)
	}
	prepare(t, e, cfg)
	if err := e.Configure(t.Context(), []string{table}); err != nil {
		t.Fatal(err)
	}

	line := &counted{next: e.Certs.Client().Transport, n: map[string]int{}}
	mail := &localQueue{}
	program, err := app.New(cfg, app.Options{
		Transport: line, Waits: app.Waits{PutOff: time.Millisecond, Waiting: time.Millisecond},
		Ports: func(p *pipeline.Ports) { p.Waker = mail },
	})
	if err != nil {
		t.Fatal(err)
	}
	routes := program.Router()
	call := func(function, body string) {
		t.Helper()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+function, strings.NewReader(body))
		req.Header.Set("X-Azure-Functions-InvocationId", "i1")
		w := httptest.NewRecorder()
		if routes.ServeHTTP(w, req); w.Code != http.StatusOK {
			t.Fatalf("POST /%s: %d %s", function, w.Code, w.Body)
		}
	}
	program.Prepare(t.Context())
	call("schedule", `{"Data":{"tick":{}},"Metadata":{}}`)
	for deliveries := 0; ; deliveries++ {
		w, ok := mail.take()
		if !ok {
			break
		}
		if deliveries > 50 {
			t.Fatal("the run does not end")
		}
		text, err := queue.Text(w)
		if err != nil {
			t.Fatal(err)
		}
		call("migrate", fmt.Sprintf(`{"Data":{"wakeup":%q},"Metadata":{}}`, text))
	}

	tables, err := e.Configured()
	if err != nil || len(tables) != 1 {
		t.Fatalf("configured: %+v, %v", tables, err)
	}
	if got, err := e.Compare(tables[0]); err != nil || !got.OK() {
		t.Errorf("compare: %+v, %v", got, err)
	}
	for what, address := range map[string]string{
		"Defender": e.HuntingURL, "Entra ID": e.AuthorityURL, "the managed identity": e.IdentityURL, "the vault": e.VaultURL, "ADX": e.ClusterURL,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if line.n[u.Host] == 0 {
			t.Errorf("no call to %s at %s went through the transport: %v", what, u.Host, line.n)
		}
	}
	if err := program.Close(); err != nil {
		t.Error(err)
	}
}

// prepare makes the schema as an administrator.
func prepare(t *testing.T, e *stack.Emulators, cfg config.Config) {
	t.Helper()
	cfg.ADX.ClientID = stack.AdminID
	identity := app.OwnIdentity(cfg)
	identity.Transport = e.Certs.Client()
	cred, err := credential.New(identity)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := app.SetupTargets(cfg, cred, app.Options{Transport: e.Certs.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	client := targets[0].Client
	defer func() { _ = client.Close() }()
	if _, err := client.Setup(t.Context(), adx.Options{Report: func(s adx.Step) {
		if s.Outcome == adx.Failed {
			t.Errorf("%s: %s", s.Name, s.Detail)
		}
	}}); err != nil {
		t.Fatal(err)
	}
}
