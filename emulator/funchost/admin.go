package funchost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// ErrUnknownFunction says that no loaded function has the name.
var ErrUnknownFunction = errors.New("no such function")

// Invoke runs a function by hand and waits for the end of the invocation. input
// is the message text of a queue function (without base64), the JSON body of an
// HTTP function, and nothing to a timer function. No message exists and no timer
// status is written, so there is no retry and no poison. Disabled functions run.
func (h *Host) Invoke(ctx context.Context, function, input string) error {
	f := h.function(function)
	if f == nil {
		return fmt.Errorf("invoke %s: %w", function, ErrUnknownFunction)
	}
	done := make(chan error, 1)
	if !h.background(func() { done <- h.runManually(f, input) }) {
		return fmt.Errorf("invoke %s: the host has stopped", function)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err() // the invocation goes on, as the handler cannot be told
	}
}

func (h *Host) runManually(f *Function, input string) error {
	switch f.Trigger {
	case TriggerQueue:
		inv := &Invocation{ID: uuid.NewString(), Function: f.Name, Manual: true, Body: []byte(input)}
		return h.invokeQueue(h.work, f, inv, message{Inserted: time.Now()})
	case TriggerTimer:
		var status *scheduleStatus
		if h.monitored(f) {
			var err error
			if status, err = h.status.Load(h.work, f.Name); err != nil {
				return err
			}
		}
		return h.invokeTimer(h.work, f, true, status, false)
	}
	method := http.MethodPost
	if f.methods != nil {
		method = f.methods[0]
	}
	path := make([]string, 0, len(f.route))
	for _, segment := range f.route {
		if segment.name != "" && !segment.optional && !segment.rest {
			return fmt.Errorf("invoke %s: its route needs a value for %s", f.Name, segment.name)
		}
		if segment.name == "" {
			path = append(path, segment.literal)
		}
	}
	req, err := http.NewRequestWithContext(h.work, method, h.URL()+"/"+strings.Join(path, "/"), bytes.NewReader([]byte(input)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	_, err = h.invokeHTTP(h.work, f, req, nil, true)
	return err
}

// serveManualRun answers POST /admin/functions/<name>: 202 at once, while the
// function runs; 404 for an unknown name, 400 for a body that is no JSON object,
// 415 for one that is not declared as JSON.
func (h *Host) serveManualRun(w http.ResponseWriter, r *http.Request) {
	f := h.function(chi.URLParam(r, "name"))
	if f == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil || len(body) == 0 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	var call *struct{ Input string }
	if err := json.Unmarshal(body, &call); err != nil || call == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	started := h.background(func() {
		if err := h.runManually(f, call.Input); err != nil {
			h.log.Error("manual run failed", "function", f.Name, "err", err)
		}
	})
	if !started {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (h *Host) serveHostStatus(w http.ResponseWriter, _ *http.Request) {
	state := "Running"
	if h.fetch.Err() != nil {
		state = "Stopping"
	}
	writeJSON(w, map[string]any{
		"id":            h.hostID,
		"state":         state,
		"version":       hostVersion,
		"processUptime": time.Since(h.started).Milliseconds(),
	})
}

func (h *Host) serveFunctions(w http.ResponseWriter, _ *http.Request) {
	all := make([]any, 0, len(h.functions))
	for _, f := range h.functions {
		if f.Err == nil {
			all = append(all, h.describe(f))
		}
	}
	writeJSON(w, all)
}

func (h *Host) serveFunction(w http.ResponseWriter, r *http.Request) {
	f := h.function(chi.URLParam(r, "name"))
	if f == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	writeJSON(w, h.describe(f))
}

func (h *Host) describe(f *Function) map[string]any {
	description := map[string]any{
		"name":       f.Name,
		"href":       h.URL() + "/admin/functions/" + f.Name,
		"config":     f.config,
		"isDisabled": f.Disabled,
		"language":   "Custom",
	}
	if f.Trigger == TriggerHTTP {
		description["invoke_url_template"] = h.URL() + "/" + f.Route
	}
	return description
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(encodeJSON(v)) // a caller that went away is not the host's concern
}
