package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
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
