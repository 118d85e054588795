package host

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPaths_AreTakenAsTyped(t *testing.T) {
	for typed, want := range map[string]string{
		"/api/tables":                     "/api/tables",
		"/API/Tables/":                    "/api/tables",
		"/Api/TABLES/DeviceInfo/Migrate/": "/api/tables/DeviceInfo/Migrate",
		"/api/tables/a%2Fb/?x=A%20b":      "/api/tables/a%2Fb",
		"/api":                            "/api",
		"/schedule":                       "/schedule",
		"/Migrate/":                       "/Migrate/",
		"/":                               "/",
	} {
		var got, query string
		h := Paths(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, query = r.URL.EscapedPath(), r.URL.RawQuery }))
		r := httptest.NewRequest(http.MethodGet, typed, nil)
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != want || query != r.URL.RawQuery {
			t.Errorf("%s: got %s?%s, want %s", typed, got, query, want)
		}
	}
}
