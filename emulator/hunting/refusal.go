package hunting

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// refusal is an answer that is no result. Sources: Defender for Endpoint common
// REST API error codes; Graph error responses; answers of the services as seen in
// documentation issues and forums.
type refusal struct {
	status     int
	graph, mde string // error codes
	message    string
	html       bool          // a page of the proxy in front instead of an error document
	throttle   bool          // by calls, not by CPU
	after      time.Duration // throttled: when to come again
}

func (r *refusal) Error() string { return r.message }

func badRequest(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, graph: "BadRequest", mde: "BadRequest", message: message}
}

func resultTooLarge() *refusal {
	return badRequest("Query execution has exceeded the allowed result size. Optimize your query by limiting the number of results and try again.")
}

func preempted() *refusal {
	return badRequest("Query execution has exceeded the allowed limits. The query execution was preempted. This could possibly be due to high CPU and/or memory resource consumption. Optimize your query by following best practices and try again.")
}

func tooComplex() *refusal {
	return badRequest("Query complexity exceeded. Reduce the number of parts of your query and try again.")
}

func tooManyCalls(limit int, window, after time.Duration) *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, graph: "TooManyRequests", mde: "429", throttle: true, after: after,
		message: fmt.Sprintf("API calls quota exceeded! maximum allowed %d per %s", limit, clockText(window)),
	}
}

func outOfCPU(after time.Duration) *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, graph: "TooManyRequests", mde: "429", after: after,
		message: "You have exceeded processing resources allocated to this tenant. You can run queries again in " + clockText(after) + ".",
	}
}

func unauthorized(graph string) *refusal {
	return &refusal{status: http.StatusUnauthorized, graph: "InvalidAuthenticationToken", mde: "Unauthorized", message: graph}
}

func forbidden(message string) *refusal {
	return &refusal{status: http.StatusForbidden, graph: "Forbidden", mde: "Forbidden", message: message}
}

func internalError() *refusal {
	return &refusal{status: http.StatusInternalServerError, graph: "UnknownError", mde: "InternalServerError"}
}

func gatewayTimeout() *refusal {
	return &refusal{status: http.StatusGatewayTimeout, graph: "UnknownError", mde: "InternalServerError"}
}

func proxyPage(status int) *refusal { return &refusal{status: status, html: true} }

// refusalOf words an error of the evaluator as the service does.
func refusalOf(err error) *refusal {
	var (
		own         *refusal
		syntax      *engine.SyntaxError
		semantic    *engine.SemanticError
		unsupported *engine.UnsupportedError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &syntax):
		return badRequest(sentence(syntax.Error()) + " Fix syntax errors in your query.")
	case errors.As(err, &semantic):
		return badRequest(sentence(semantic.Message) + " Fix semantic errors in your query.")
	case errors.As(err, &unsupported):
		return badRequest(sentence(unsupported.Error()) + " Fix semantic errors in your query.")
	}
	return badRequest(sentence(err.Error()))
}

func sentence(s string) string { return strings.TrimRight(s, ". ") + "." }

// RetryAfter says how the wait of a 429 is told.
type RetryAfter uint8

// The forms of Retry-After.
const (
	RetrySeconds RetryAfter = iota // a number of seconds
	RetryNone                      // no header: Graph does not promise it for hunting
	RetryDate                      // an HTTP date
)

// refuse writes a refusal in the API's form.
func (c *call) refuse(r *refusal) {
	c.entry.Status = r.status
	w, now := c.w, c.s.o.Wall()
	h := w.Header()
	h.Del("Content-Encoding")
	if r.html {
		h.Set("Content-Type", "text/html")
		h.Set("Server", "nginx")
		w.WriteHeader(r.status)
		title := strconv.Itoa(r.status) + " " + pageTitle(r.status)
		_, _ = w.Write([]byte("<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"))
		return
	}
	if r.status == http.StatusTooManyRequests {
		switch c.retryAfter {
		case RetrySeconds:
			h.Set("Retry-After", strconv.FormatInt(seconds(r.after), 10))
		case RetryDate:
			h.Set("Retry-After", now.Add(r.after+time.Second-1).UTC().Format(http.TimeFormat))
		case RetryNone:
		}
	}
	if r.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"`)
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	if c.fault.ByteOrderMark {
		_, _ = w.Write([]byte(byteOrderMark))
	}
	body, _ := json.Marshal(map[string]any{"error": c.errorBody(r, now)}) // strings always marshal
	_, _ = w.Write(body)                                                  // the client may be gone
}

func pageTitle(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "Request Entity Too Large"
	}
	return http.StatusText(status)
}

func (c *call) errorBody(r *refusal, now time.Time) any {
	if c.api != Graph {
		return struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Target  string `json:"target"`
		}{r.mde, r.message, c.requestID}
	}
	inner := map[string]string{
		"date":              now.UTC().Format("2006-01-02T15:04:05"),
		"request-id":        c.requestID,
		"client-request-id": c.clientRequestID(),
	}
	message := r.message
	if r.throttle { // Graph's own gate knows nothing of hunting
		message = "Please retry again later."
		inner["code"], inner["status"], inner["message"] = "429", "429", "Please retry after"
	}
	return struct {
		Code    string            `json:"code"`
		Message string            `json:"message"`
		Inner   map[string]string `json:"innerError"`
	}{r.graph, message, inner}
}

func (c *call) clientRequestID() string {
	if id := c.r.Header.Get("client-request-id"); uuid.Validate(id) == nil {
		return id
	}
	return c.requestID
}
