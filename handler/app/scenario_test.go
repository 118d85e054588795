package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/pipeline"
)

// Every HTTP function asks for a key, and the functions behind queue and timer
// answer nobody but the host.
func TestScenario_P17_NothingIsAnonymous(t *testing.T) {
	files, err := filepath.Glob("../../functions/*/function.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no function.json: %v", err)
	}
	for _, file := range files {
		var function struct {
			Bindings []struct{ Type, AuthLevel string }
		}
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &function)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range function.Bindings {
			if level := strings.ToLower(b.AuthLevel); b.Type == "httpTrigger" && !slices.Contains([]string{"function", "admin"}, level) {
				t.Errorf("%s: authLevel %q", file, b.AuthLevel)
			}
		}
	}
	a := sampleApp(t)
	defer func() { _ = a.Close() }()
	for _, path := range []string{"/schedule", "/migrate", "/deadletter"} {
		w := httptest.NewRecorder()
		a.Router().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}")))
		if w.Code != http.StatusForbidden {
			t.Errorf("POST %s without the host's header: %d, want 403", path, w.Code)
		}
	}
}

// sampleApp is the program as the sample settings make it. It reaches nothing.
func sampleApp(t *testing.T) *App {
	t.Helper()
	var sample struct{ Values map[string]string }
	text, err := os.ReadFile("../../local.settings.sample.json")
	if err == nil {
		err = json.Unmarshal(text, &sample)
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Read(func(name string) string { return sample.Values[name] })
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// hanging never ends before it is let go, whatever its context says.
type hanging struct{ release chan struct{} }

func (h hanging) Migrate(context.Context, pipeline.Request) error { <-h.release; return nil }

// Two invocations that reach the host's time limit in one instant end the host:
// ours are answered before, even when their work hangs.
func TestRouter_AnswersBeforeTheHostsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sampleApp(t)
		h := hanging{make(chan struct{})}
		defer close(h.release)
		a.migrate.Pipeline = h
		began := time.Now()
		w := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodPost, "/migrate", strings.NewReader(`{"Data":{"wakeup":"{\"table\":\"DeviceInfo\",\"trigger\":\"manual\"}"},"Metadata":{}}`))
		req.Header.Set("X-Azure-Functions-InvocationId", "i1")
		a.Router().ServeHTTP(w, req)
		if took := time.Since(began); took != 25*time.Minute || w.Code != http.StatusInternalServerError {
			t.Errorf("answered %d after %v, want 500 after 25 minutes", w.Code, took)
		}
	})
}
