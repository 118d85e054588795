package identity

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// managedAPIVersion is the only version that App Service documents.
// Source: "How to use managed identities for App Service and Azure Functions",
// REST endpoint reference.
const managedAPIVersion = "2019-08-01"

// ManagedIdentity serves GET /msi/token as App Service does inside a function
// app, over plain http. header is the value clients must send as
// X-IDENTITY-HEADER; they take it from IDENTITY_HEADER, and the address from
// IDENTITY_ENDPOINT. The caller names a user-assigned identity by client, object
// or resource id, or nothing for the system-assigned one.
func (s *Server) ManagedIdentity(header string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /msi/token", func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-IDENTITY-HEADER")), []byte(header)) != 1 {
			refuseManaged(w, http.StatusUnauthorized, "The X-IDENTITY-HEADER header is missing or wrong.")
			return
		}
		s.managedToken(w, r.URL.Query())
	})
	return mux
}

func (s *Server) managedToken(w http.ResponseWriter, query url.Values) {
	if version := query.Get("api-version"); version != managedAPIVersion {
		refuseManaged(w, http.StatusBadRequest, "The api-version '"+version+"' is not supported.")
		return
	}
	identifier := query.Get("resource")
	if identifier == "" {
		refuseManaged(w, http.StatusBadRequest, "The parameter resource is required.")
		return
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.managedIdentity(func(p *principal) bool { return p.named(query) })
	if p == nil {
		refuseManaged(w, http.StatusBadRequest, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
		return
	}
	audience, ok := s.resource(identifier)
	if !ok {
		refuseManaged(w, http.StatusBadRequest, unknownResource(identifier, p.Tenant).text())
		return
	}
	signed, claims, err := s.issue(p, audience, byCertificate)
	if err != nil {
		refuseManaged(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.stats.Issued[audience]++
	writeJSON(w, http.StatusOK, map[string]string{
		"access_token": signed,
		"expires_on":   strconv.FormatInt(claims.Expires, 10),
		"resource":     identifier,
		"token_type":   "Bearer",
		"client_id":    p.ClientID,
	})
}

// named tells whether a request means p. A user-assigned identity is named by one
// of three ids, the last two of which clients spell in two ways.
func (p *principal) named(query url.Values) bool {
	for _, id := range []struct{ parameter, value string }{
		{"client_id", p.ClientID},
		{"object_id", p.ObjectID},
		{"principal_id", p.ObjectID},
		{"mi_res_id", p.resourceID},
		{"msi_res_id", p.resourceID},
	} {
		if query.Has(id.parameter) {
			return strings.EqualFold(query.Get(id.parameter), id.value)
		}
	}
	return p.resourceID == ""
}

func refuseManaged(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{
		"statusCode":    status,
		"message":       message,
		"correlationId": uuid.NewString(),
	})
}
