package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// The host ignores case and a trailing slash when it picks a function, and forwards
// the path as it was typed. None of the calls may get text/plain.
func TestRouter_TakesPathsAsTyped(t *testing.T) {
	a := sampleApp(t)
	defer func() { _ = a.Close() }()
	routed := func(method, path string) (int, string) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // ADX is not there
		defer cancel()
		w := httptest.NewRecorder()
		a.Router().ServeHTTP(w, httptest.NewRequest(method, path, nil).WithContext(ctx))
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %q is no JSON object: %s", method, path, w.Header().Get("Content-Type"), w.Body)
		}
		text, _ := body["error"].(string)
		return w.Code, text
	}
	for _, path := range []string{"/api/tables", "/API/Tables/", "/api/tables/DeviceInfo/", "/Api/TABLES/deviceinfo/"} {
		if status, text := routed(http.MethodGet, path); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d %s, want the function", path, status, text)
		}
	}
	if status, text := routed(http.MethodPost, "/API/tables/DeviceInfo/MIGRATE/"); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s, want the function", status, text)
	}
	for path, want := range map[string]int{"/api/nothing": 404, "/nothing": 404, "/API/tables/a/b/c": 404, "/Schedule": 404} {
		if status, _ := routed(http.MethodGet, path); status != want {
			t.Errorf("GET %s: %d, want %d", path, status, want)
		}
	}
}
