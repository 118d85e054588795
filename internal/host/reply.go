package host

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Reply is the outcome of one invocation in the host's terms.
type Reply struct {
	// Redeliver asks the host to count the invocation as failed: a queue message
	// is delivered again until its dequeue count is used up, a timer waits for its
	// next tick. False counts as done and deletes the message.
	Redeliver bool
	// Logs are lines for the function's own log. The host drops them when
	// Redeliver is set and shows them without a level otherwise.
	Logs []string
}

// Write sends the reply: 200 when done, 500 to redeliver. The body is a JSON
// object in either case and its type is always declared: an empty body, a null or
// a type that Go would guess makes the host wait for ever or fail a good result.
func (r Reply) Write(w http.ResponseWriter) {
	status := http.StatusOK
	if r.Redeliver {
		status = http.StatusInternalServerError
	}
	r.write(w, status)
}

func (r Reply) write(w http.ResponseWriter, status int) {
	document := struct {
		Outputs     struct{}
		Logs        []string
		ReturnValue *struct{}
	}{Logs: r.Logs}
	if document.Logs == nil {
		document.Logs = []string{}
	}
	writeJSON(w, status, document)
}

// writeJSON sends v, which always encodes: it holds strings and structs only.
// A failing connection has nobody left to be told.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, _ := json.Marshal(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
