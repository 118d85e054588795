package vault

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// ServeHTTP answers GET /secrets/{name}/ and GET /secrets/{name}/{version}, and lists
// secrets and the versions of one. It must be reached over https.
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

// admit checks caller, version and, if the path has one, name.
func (s *Server) admit(r *http.Request) *refusal {
	if refused := s.authorize(r); refused != nil {
		return refused
	}
	switch asked := r.URL.Query().Get("api-version"); {
	case asked == "":
		return badParameter("api-version must be specified")
	case !apiVersion.MatchString(asked):
		return badParameter(fmt.Sprintf("The specified version (%s) is not recognized. Consider using the latest supported version.", asked))
	}
	if name := r.PathValue("name"); name != "" && !secretName.MatchString(name) {
		return badParameter(fmt.Sprintf("The request URI contains an invalid name: %s", name))
	}
	return nil
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	if refused := s.admit(r); refused != nil {
		s.refuse(w, refused)
		return
	}
	name, id := r.PathValue("name"), r.PathValue("version")

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
		"value":      v.value,
		"id":         "https://" + r.Host + "/secrets/" + entry.name + "/" + v.id,
		"attributes": v.attributes(),
		"tags":       map[string]string{},
	})
}

func (v *version) attributes() map[string]any {
	return map[string]any{
		"enabled":         v.enabled,
		"created":         v.created.Unix(),
		"updated":         v.created.Unix(),
		"recoveryLevel":   "Recoverable+Purgeable",
		"recoverableDays": 90,
	}
}

// pageSize is the most items of one page. Source: Key Vault REST, Get Secrets.
const pageSize = 25

// list gives secrets, by name, or the versions of one, oldest first; no values.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	if refused := s.admit(r); refused != nil {
		s.refuse(w, refused)
		return
	}
	query := r.URL.Query()
	size, skip := pageSize, 0
	for name, to := range map[string]*int{"maxresults": &size, "$skiptoken": &skip} {
		if text := query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || name == "maxresults" && (n < 1 || n > pageSize) {
				s.refuse(w, badParameter(fmt.Sprintf("Parameter %s is not valid.", name)))
				return
			}
			*to = n
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []map[string]any{}
	item := func(id string, v *version) {
		items = append(items, map[string]any{"id": "https://" + r.Host + "/secrets/" + id, "attributes": v.attributes(), "tags": map[string]string{}})
	}
	if name := r.PathValue("name"); name != "" {
		if entry := s.secrets[strings.ToLower(name)]; entry != nil {
			for i := range entry.versions {
				item(entry.name+"/"+entry.versions[i].id, &entry.versions[i])
			}
		}
	} else {
		for _, key := range slices.Sorted(maps.Keys(s.secrets)) {
			entry := s.secrets[key]
			item(entry.name, &entry.versions[len(entry.versions)-1])
		}
	}
	items = items[min(skip, len(items)):]
	var next any
	if len(items) > size {
		items = items[:size]
		query.Set("$skiptoken", strconv.Itoa(skip+size))
		next = "https://" + r.Host + r.URL.Path + "?" + query.Encode()
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": items, "nextLink": next})
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
