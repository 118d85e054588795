package host

import (
	"net/http"
	"strings"
)

// Paths takes forwarded paths as the host does, which ignores case and a slash at the
// end when it picks a function and then hands on what was typed: next sees /api and
// the function's name in lower case, and no slash at the end. Whatever follows the
// name keeps its case.
func Paths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		u.Path, u.RawPath = routed(u.Path), routed(u.RawPath)
		again := r.Clone(r.Context())
		again.URL = &u
		next.ServeHTTP(w, again)
	})
}

func routed(path string) string {
	parts := strings.SplitN(strings.Trim(path, "/"), "/", 3)
	if !strings.EqualFold(parts[0], "api") {
		return path
	}
	for i := range min(2, len(parts)) {
		parts[i] = strings.ToLower(parts[i])
	}
	return "/" + strings.Join(parts, "/")
}

// Problem answers with a status and a JSON object that says why.
func Problem(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{text})
}
