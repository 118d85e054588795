// Package setup is the HTTP function that reports what the database lacks. It
// creates nothing: the app's identity may not, and `handler setup` does, run by
// a person or the deployment with their own rights.
package setup

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Database reads what is there.
type Database interface {
	// Latest returns the newest configuration row of every source and instance.
	Latest(ctx context.Context) ([]plan.Candidate, error)
	// Missing returns what `handler setup` would have to make for the rows' tables.
	Missing(ctx context.Context, rows []plan.Candidate) ([]adx.Step, error)
}

// Function serves GET /api/setup.
type Function struct {
	Database Database
	// Warnings of the app's settings: a timer that the host could not make shows nowhere else.
	Warnings []string
}

// ServeHTTP reports; ready speaks of the database alone, and the answer says so. Callers: people and scripts with a function key. It only
// reads, so a repeated call does nothing.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rows, err := f.Database.Latest(r.Context())
	if err != nil {
		// Without control tables there is no configuration: Missing names them.
		host.Logger(r.Context()).Info("configuration is not readable yet", "error", err.Error())
	}
	missing, err := f.Database.Missing(r.Context(), rows)
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusServiceUnavailable
		if fault.KindOf(err) == fault.Permanent {
			status = http.StatusInternalServerError
		}
		w.WriteHeader(status)
		reply(w, map[string]string{"error": err.Error()})
		return
	}
	type step struct {
		Name    string `json:"name"`
		Outcome string `json:"outcome"`
		Detail  string `json:"detail,omitempty"`
		Remedy  string `json:"remedy,omitempty"`
	}
	out := make([]step, 0, len(missing))
	for _, s := range missing {
		out = append(out, step{s.Name, string(s.Outcome), s.Detail, s.Remedy})
	}
	answer := map[string]any{"ready": len(out) == 0, "missing": out, "lookedAt": adx.LookedAt, "notLookedAt": adx.NotLookedAt}
	if len(f.Warnings) > 0 {
		answer["warnings"] = f.Warnings
	}
	reply(w, answer)
}

func reply(w http.ResponseWriter, body any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	// Nobody is left to tell when the connection is gone.
	_ = enc.Encode(body)
}
