package vault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/defender2adx/defender2adx/emulator/identity"
)

// apiVersion is the form of the versions that Key Vault has had: the early dated
// ones, 7.x, and dated ones again.
var apiVersion = regexp.MustCompile(`^(7\.\d+|20\d\d-\d\d-\d\d)(-preview(\.\d+)?)?$`)

// refusal is an error answer.
type refusal struct {
	status  int
	code    string
	message string
	inner   string // innererror code, or empty
}

// Source of codes and texts: Key Vault documentation, "REST API error codes" and
// "Authentication, requests and responses", and answers of the service.

func unauthorized(message string) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "Unauthorized", message: message}
}

func forbidden(inner, message string) *refusal {
	return &refusal{status: http.StatusForbidden, code: "Forbidden", message: message, inner: inner}
}

func badParameter(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "BadParameter", message: message}
}

func notFound(id string) *refusal {
	return &refusal{status: http.StatusNotFound, code: "SecretNotFound", message: fmt.Sprintf("A secret with (name/id) %s was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", id)}
}

func throttled() *refusal {
	return &refusal{status: http.StatusTooManyRequests, code: "Throttled", message: "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"}
}

// ServeHTTP answers GET /secrets/{name}/ and GET /secrets/{name}/{version}. It must
// be reached over https.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	condition, retryAfter := s.condition, s.retryAfter
	s.mu.Unlock()
	switch condition {
	case Unreachable:
		panic(http.ErrAbortHandler)
	case Throttled:
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
		}
		s.refuse(w, throttled())
		return
	case Healthy:
	}
	s.routes.ServeHTTP(w, r)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	if refused := s.authorize(r); refused != nil {
		s.refuse(w, refused)
		return
	}
	switch asked := r.URL.Query().Get("api-version"); {
	case asked == "":
		s.refuse(w, badParameter("api-version must be specified"))
		return
	case !apiVersion.MatchString(asked):
		s.refuse(w, badParameter(fmt.Sprintf("The specified version (%s) is not recognized. Consider using the latest supported version.", asked)))
		return
	}
	name, id := r.PathValue("name"), r.PathValue("version")
	if !secretName.MatchString(name) {
		s.refuse(w, badParameter(fmt.Sprintf("The request URI contains an invalid name: %s", name)))
		return
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	entry, v := s.find(name, id)
	if v == nil {
		if id != "" {
			name += "/" + id
		}
		s.refuse(w, notFound(name))
		return
	}
	if !v.enabled {
		s.refuse(w, forbidden("SecretDisabled", "Operation get is not allowed on a disabled secret."))
		return
	}
	s.reads[entry.name]++
	writeJSON(w, http.StatusOK, map[string]any{
		"value": v.value,
		"id":    "https://" + r.Host + "/secrets/" + entry.name + "/" + v.id,
		"attributes": map[string]any{
			"enabled":         true,
			"created":         v.created.Unix(),
			"updated":         v.created.Unix(),
			"recoveryLevel":   "Recoverable+Purgeable",
			"recoverableDays": 90,
		},
		"tags": map[string]string{},
	})
}

// refuse writes an error; with a 401 goes the challenge that says where tokens
// come from.
func (s *Server) refuse(w http.ResponseWriter, r *refusal) {
	if r.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer authorization=%q, resource=%q", s.authority, identity.AudienceVault))
	}
	body := map[string]any{"code": r.code, "message": r.message}
	if r.inner != "" {
		body["innererror"] = map[string]string{"code": r.inner}
	}
	writeJSON(w, r.status, map[string]any{"error": body})
}

// writeJSON answers with v, without a newline behind it.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	body, _ := json.Marshal(v) // always marshals
	_, _ = w.Write(body)       // the client may be gone
}
