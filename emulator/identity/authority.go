package identity

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxFormBytes bounds the body of a token request.
const maxFormBytes = 1 << 20

// Authority serves what login.microsoftonline.com serves to an application: the
// OpenID configuration, the signing key, instance discovery, the token endpoints of both
// versions, and the pages where people sign in. The older one takes a resource where the newer one takes a scope.
// It must be reached over https; every address it gives out is on
// the host it was asked under.
func (s *Server) Authority() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.configuration)
	mux.HandleFunc("GET /{tenant}/.well-known/openid-configuration", s.configuration)
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.keys)
	mux.HandleFunc("GET /{tenant}/discovery/keys", s.keys)
	mux.HandleFunc("GET /common/discovery/instance", s.instance)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.token)
	mux.HandleFunc("POST /{tenant}/oauth2/token", s.tokenV1)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/devicecode", s.deviceCode)
	mux.HandleFunc("/{tenant}/oauth2/v2.0/authorize", s.authorize)
	mux.HandleFunc(devicePage, s.enterCode)
	return mux
}

func (s *Server) configuration(w http.ResponseWriter, r *http.Request) {
	tenant, ok := s.tenant(r.PathValue("tenant"))
	if !ok {
		s.refuse(w, r, unknownTenant(r.PathValue("tenant")))
		return
	}
	base := "https://" + r.Host + "/" + tenant
	if !strings.Contains(r.URL.Path, "/v2.0/") {
		writeJSON(w, http.StatusOK, map[string]any{
			"issuer":                 issuer(tenant),
			"authorization_endpoint": base + "/oauth2/authorize",
			"token_endpoint":         base + "/oauth2/token",
			"jwks_uri":               base + "/discovery/keys",
		})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                base + "/v2.0",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"device_authorization_endpoint":         base + "/oauth2/v2.0/devicecode",
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"form_post"},
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
	form, ok := s.form(w, r)
	if !ok {
		return
	}
	if slices.Contains(userGrants, form.Get("grant_type")) {
		s.userToken(w, r, form)
		return
	}
	resource, refused := resourceOf(form.Get("scope"))
	signed, claims, ok := s.granted(w, r, form, resource, refused)
	if !ok {
		return
	}
	life := claims.Expires - claims.IssuedAt
	writeJSON(w, http.StatusOK, map[string]any{
		"token_type":     "Bearer",
		"expires_in":     life,
		"ext_expires_in": life,
		"access_token":   signed,
	})
}

// tokenV1 is the older endpoint; its answer holds numbers as text.
func (s *Server) tokenV1(w http.ResponseWriter, r *http.Request) {
	form, ok := s.form(w, r)
	if !ok {
		return
	}
	resource, refused := form.Get("resource"), (*refusal)(nil)
	if resource == "" {
		refused = missingParameter("resource")
	}
	signed, claims, ok := s.granted(w, r, form, resource, refused)
	if !ok {
		return
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	life := number(claims.Expires - claims.IssuedAt)
	writeJSON(w, http.StatusOK, map[string]string{
		"token_type":     "Bearer",
		"expires_in":     life,
		"ext_expires_in": life,
		"expires_on":     number(claims.Expires),
		"not_before":     number(claims.NotBefore),
		"resource":       resource,
		"access_token":   signed,
	})
}

// form reads the request's body as a form, whatever its Content-Type says: the
// service asks for none. Trouble of the service's own is answered before.
func (s *Server) form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if refused := s.trouble(); refused != nil {
		s.refuse(w, r, refused)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBytes))
	if err != nil {
		s.refuse(w, r, missingParameter("grant_type"))
		return nil, false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		s.refuse(w, r, missingParameter("grant_type"))
		return nil, false
	}
	return form, true
}

// granted answers what is refused; ok is false then. unclear is why the resource
// could not be read.
func (s *Server) granted(w http.ResponseWriter, r *http.Request, form url.Values, resource string, unclear *refusal) (signed string, claims *Claims, ok bool) {
	signed, claims, refused, err := s.grant(r, form, resource, unclear)
	switch {
	case refused != nil:
		s.refuse(w, r, refused)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	return signed, claims, refused == nil && err == nil
}

// grant decides a client credentials request. The checks run in an order that
// never tells about an application before its tenant, nor about a resource
// before its caller is known.
func (s *Server) grant(r *http.Request, form url.Values, resource string, unclear *refusal) (string, *Claims, *refusal, error) {
	tenantName := r.PathValue("tenant")
	tenant, ok := s.tenant(tenantName)
	if !ok {
		return "", nil, unknownTenant(tenantName), nil
	}
	clientID, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		clientID, secret = user, password
	}
	switch grant := form.Get("grant_type"); {
	case grant == "":
		return "", nil, missingParameter("grant_type"), nil
	case grant != "client_credentials":
		return "", nil, unsupportedGrant(grant), nil
	case clientID == "" && !form.Has("client_assertion"):
		return "", nil, missingParameter("client_id"), nil
	case unclear != nil:
		return "", nil, unclear, nil
	}
	if clientID == "" {
		clientID = unverifiedSubject(form.Get("client_assertion"))
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	registered := s.principals[strings.ToLower(clientID)]
	if registered == nil || registered.in(tenant) == nil || registered.managed {
		return "", nil, unknownClient(clientID, tenantName), nil
	}
	p := registered.in(tenant)
	how := byCertificate
	switch assertion := form.Get("client_assertion"); {
	case secret != "":
		how = bySecret
		known, expired := p.authenticate(secret, s.now())
		if !known {
			return "", nil, wrongSecret(), nil
		}
		if expired {
			return "", nil, expiredSecret(clientID), nil
		}
	case assertion == "":
		return "", nil, noCredential(), nil
	case form.Get("client_assertion_type") != assertionType:
		return "", nil, missingParameter("client_assertion_type"), nil
	case isForeign(assertion):
		if refused := s.exchanged(registered, assertion); refused != nil {
			return "", nil, refused, nil
		}
	default:
		if refused := p.asserted(assertion, "https://"+r.Host+r.URL.Path, tenant, s.now()); refused != nil {
			return "", nil, refused, nil
		}
	}
	audience, ok := s.resource(resource)
	if !ok {
		return "", nil, unknownResource(resource, tenantName), nil
	}
	signed, claims, err := s.issue(p, audience, how)
	if err == nil {
		s.stats.Issued[audience]++
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

// writeJSON answers with v, without a newline behind it. Nothing here may be cached.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(status)
	body, _ := json.Marshal(v) // always marshals
	_, _ = w.Write(body)       // the client may be gone
}
