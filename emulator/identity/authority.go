package identity

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Authority serves what login.microsoftonline.com serves to an application: the
// OpenID configuration, the signing key, instance discovery, and the version 2.0
// token endpoint. It must be reached over https; every address it gives out is on
// the host it was asked under.
func (s *Server) Authority() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.configuration)
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.keys)
	mux.HandleFunc("GET /common/discovery/instance", s.instance)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.token)
	return mux
}

func (s *Server) configuration(w http.ResponseWriter, r *http.Request) {
	tenant, ok := s.tenant(r.PathValue("tenant"))
	if !ok {
		s.refuse(w, r, unknownTenant(r.PathValue("tenant")))
		return
	}
	base := "https://" + r.Host + "/" + tenant
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                base + "/v2.0",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"pairwise"},
	})
}

func (s *Server) keys(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.tenant(r.PathValue("tenant")); !ok {
		s.refuse(w, r, unknownTenant(r.PathValue("tenant")))
		return
	}
	encode := base64.RawURLEncoding.EncodeToString
	writeJSON(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA",
		"use": "sig",
		"kid": s.keyID,
		"n":   encode(s.key.N.Bytes()),
		"e":   encode(big.NewInt(int64(s.key.E)).Bytes()),
	}}})
}

// instance says that this host is an authority of its own, without aliases.
func (s *Server) instance(w http.ResponseWriter, r *http.Request) {
	endpoint, err := url.Parse(r.URL.Query().Get("authorization_endpoint"))
	if err != nil || endpoint.Host == "" {
		s.refuse(w, r, missingParameter("authorization_endpoint"))
		return
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(endpoint.Path, "/"), "/")
	tenant, ok := s.tenant(name)
	if !ok {
		s.refuse(w, r, unknownTenant(name))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": "https://" + r.Host + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []map[string]any{{
			"preferred_network": r.Host,
			"preferred_cache":   r.Host,
			"aliases":           []string{r.Host},
		}},
	})
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, missingParameter("grant_type"))
		return
	}
	signed, claims, refused, err := s.grant(r.PathValue("tenant"), r)
	switch {
	case refused != nil:
		s.refuse(w, r, refused)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		life := claims.Expires - claims.IssuedAt
		writeJSON(w, http.StatusOK, map[string]any{
			"token_type":     "Bearer",
			"expires_in":     life,
			"ext_expires_in": life,
			"access_token":   signed,
		})
	}
}

// grant decides a client credentials request. The checks run in an order that
// never tells about an application before its tenant, nor about a resource
// before its caller is known.
func (s *Server) grant(tenantName string, r *http.Request) (string, *Claims, *refusal, error) {
	tenant, ok := s.tenant(tenantName)
	if !ok {
		return "", nil, unknownTenant(tenantName), nil
	}
	clientID, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		clientID, secret = user, password
	}
	switch grant := r.PostForm.Get("grant_type"); {
	case grant == "":
		return "", nil, missingParameter("grant_type"), nil
	case grant != "client_credentials":
		return "", nil, unsupportedGrant(grant), nil
	case clientID == "":
		return "", nil, missingParameter("client_id"), nil
	}
	resource, refused := resourceOf(r.PostForm.Get("scope"))
	if refused != nil {
		return "", nil, refused, nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.principals[strings.ToLower(clientID)]
	if p == nil || p.Tenant != tenant || p.managed {
		return "", nil, unknownClient(clientID, tenantName), nil
	}
	if secret == "" {
		if r.PostForm.Has("client_assertion") {
			return "", nil, unknownAssertion(), nil
		}
		return "", nil, noCredential(), nil
	}
	known, expired := p.authenticate(secret, s.now())
	if !known {
		return "", nil, wrongSecret(), nil
	}
	if expired {
		return "", nil, expiredSecret(clientID), nil
	}
	audience, ok := s.resource(resource)
	if !ok {
		return "", nil, unknownResource(resource, tenantName), nil
	}
	signed, claims, err := s.issue(p, audience)
	if err == nil {
		s.readout.Issued[audience]++
	}
	return signed, claims, nil, err
}

// openIDScopes are scopes that client libraries add to any request and that name
// no resource.
var openIDScopes = []string{"openid", "profile", "offline_access", "email"}

// resourceOf returns the resource identifier of a client credentials scope.
func resourceOf(scope string) (string, *refusal) {
	if strings.TrimSpace(scope) == "" {
		return "", missingParameter("scope")
	}
	named := slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return slices.Contains(openIDScopes, s) })
	if len(named) != 1 {
		return "", invalidScope(scope)
	}
	resource, ok := strings.CutSuffix(named[0], "/.default")
	if !ok {
		return "", notDefaultScope(named[0])
	}
	if resource == "" {
		return "", invalidScope(scope)
	}
	return resource, nil
}

// tenant returns the directory id for an id or a domain name.
func (s *Server) tenant(name string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.tenants[strings.ToLower(name)]
	return id, ok
}

// writeJSON answers with v, which always marshals. Nothing here may be cached.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}
