package app

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/defender2adx/defender2adx/internal/host"
)

// Router maps what the host sends to the functions: envelopes to /<folder name>,
// forwarded HTTP requests to their own path. GET / is the server's.
func (a *App) Router() http.Handler {
	runner := host.NewRunner(a.log, host.Limits{AnswerWithin: a.cfg.AnswerWithin()})
	r := chi.NewRouter()
	r.Handle("/schedule", runner.Envelope("schedule", a.schedule.Serve))
	r.Handle("/migrate", runner.Envelope("migrate", a.migrate.Serve))
	r.Handle("/deadletter", runner.Envelope("deadletter", a.deadletter.Serve))
	tables := runner.Forwarded("tables", http.StripPrefix("/api/tables", rooted(a.tables.Routes())))
	r.Handle("/api/tables", tables)
	r.Handle("/api/tables/*", tables)
	r.Handle("/api/setup", runner.Forwarded("setup", a.setup))
	// The host's callers read JSON, also of what is not here.
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		host.Problem(w, http.StatusNotFound, "no such address; see GET /api/tables")
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		host.Problem(w, http.StatusMethodNotAllowed, "this address does not take the method")
	})
	return host.Paths(r)
}

// rooted serves the path "" like "/": that is what is left of a prefix.
func rooted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" {
			r.URL.Path = "/"
		}
		next.ServeHTTP(w, r)
	})
}
