package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	grantCode    = "authorization_code"
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"
)

// userGrants are the grants by which people get tokens; clients still write the second
// one as drafts of the protocol did.
var userGrants = []string{grantCode, grantDevice, "device_code", grantRefresh}

// deviceCode begins a sign-in on another device.
func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) {
	form, ok := s.form(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	p, tenant, refused := s.client(form.Get("client_id"), r.PathValue("tenant"))
	if refused == nil {
		_, refused = resourceOf(form.Get("scope"))
	}
	code, waiting := newCode(), &pass{tenant: tenant, userCode: newUserCode(), expires: s.now().Add(deviceCodeLife)}
	if refused == nil {
		waiting.clientID = p.ClientID
		s.device[code] = waiting
	}
	s.mu.Unlock()
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	page := "https://" + r.Host + devicePage
	writeJSON(w, http.StatusOK, map[string]any{
		"user_code": waiting.userCode, "device_code": code, "verification_uri": page,
		"expires_in": int(deviceCodeLife.Seconds()), "interval": 5,
		"message": fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to authenticate.", page, waiting.userCode),
	})
}

// userToken answers a token request that speaks for a person.
func (s *Server) userToken(w http.ResponseWriter, r *http.Request, form url.Values) {
	answer, refused, err := s.grantUser(r, form)
	switch {
	case refused != nil:
		s.refuse(w, r, refused)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

func (s *Server) grantUser(r *http.Request, form url.Values) (map[string]any, *refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, tenant, refused := s.client(form.Get("client_id"), r.PathValue("tenant"))
	if refused != nil {
		return nil, refused, nil
	}
	if !p.public {
		return nil, noCredential(), nil
	}
	var by *pass
	switch grant := form.Get("grant_type"); grant {
	case grantCode:
		by, refused = s.redeem(form)
	case grantRefresh:
		by = s.refresh[form.Get("refresh_token")]
		if by == nil || !s.now().Before(by.expires) {
			refused = invalidGrant(700082, "The refresh token has expired due to inactivity.")
		}
	default:
		by, refused = s.polled(form.Get("device_code"))
	}
	if refused == nil && (by.clientID != p.ClientID || by.tenant != tenant) {
		refused = invalidGrant(70000, "The provided grant was issued to another client or tenant.")
	}
	if refused != nil {
		return nil, refused, nil
	}
	identifier, refused := resourceOf(form.Get("scope"))
	if refused != nil {
		return nil, refused, nil
	}
	audience, ok := s.resource(identifier)
	if !ok {
		return nil, unknownResource(identifier, tenant), nil
	}
	granted := by.user.Scopes[audience]
	if len(granted) == 0 {
		return nil, invalidGrant(65001, fmt.Sprintf("The user or administrator has not consented to use the application with ID '%s'. Send an interactive authorization request for this user and resource.", p.ClientID)), nil
	}
	answer, err := s.issueUser(p, by.user, audience, r.Host, granted)
	if err == nil {
		by.used = true
		s.stats.Issued[audience]++
	}
	return answer, nil, err
}

// redeem checks an authorization code, which is good once, for who began.
func (s *Server) redeem(form url.Values) (*pass, *refusal) {
	by := s.codes[form.Get("code")]
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case by == nil:
		return nil, invalidGrant(9002313, "Invalid request. Request is malformed or invalid.")
	case by.used:
		return nil, invalidGrant(54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	case !s.now().Before(by.expires):
		return nil, invalidGrant(70008, "The provided authorization code or refresh token has expired due to inactivity.")
	case by.redirect != form.Get("redirect_uri"):
		return nil, invalidGrant(500112, "The reply address does not match the reply address provided when requesting the authorization code.")
	case base64.RawURLEncoding.EncodeToString(sum[:]) != by.challenge:
		return nil, invalidGrant(501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return by, nil
}

// polled looks whether the person has signed in on the other device.
func (s *Server) polled(code string) (*pass, *refusal) {
	by := s.device[code]
	switch {
	case by == nil || by.used:
		return nil, &refusal{http.StatusBadRequest, 70020, "bad_verification_code", "The provided value for the input parameter 'device_code' is not valid."}
	case !s.now().Before(by.expires):
		return nil, &refusal{http.StatusBadRequest, 70020, "expired_token", "The provided value for the input parameter 'device_code' is not valid. This device code has expired."}
	case by.refused:
		return nil, &refusal{http.StatusBadRequest, 50199, "authorization_declined", "The user declined to sign in."}
	case by.user == nil:
		return nil, &refusal{http.StatusBadRequest, 70016, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue polling."}
	}
	return by, nil
}

func invalidGrant(code int, message string) *refusal {
	return &refusal{http.StatusBadRequest, code, "invalid_grant", message}
}

// issueUser signs the tokens of a person who signed in to an application. The caller
// holds mu.
func (s *Server) issueUser(p *principal, u *User, audience, host string, scopes []string) (map[string]any, error) {
	access := s.claims(p, audience, byNobody)
	access.IDType, access.ObjectID, access.Subject, access.Roles = "user", u.ObjectID, u.ObjectID, nil
	access.Scopes, access.UserName = strings.Join(scopes, " "), u.Name
	signed, err := s.sign(access)
	if err != nil {
		return nil, err
	}
	id, err := s.sign(jwt.MapClaims{
		"aud": p.ClientID, "iss": "https://" + host + "/" + u.Tenant + "/v2.0", "iat": access.IssuedAt, "nbf": access.IssuedAt, "exp": access.Expires,
		"oid": u.ObjectID, "sub": u.ObjectID, "tid": u.Tenant, "preferred_username": u.Name, "ver": "2.0",
	})
	if err != nil {
		return nil, err
	}
	refresh := newCode()
	s.refresh[refresh] = &pass{clientID: p.ClientID, tenant: p.Tenant, user: u, expires: s.now().Add(refreshLife)}
	info, _ := json.Marshal(map[string]string{"uid": u.ObjectID, "utid": u.Tenant}) // always marshals
	life := access.Expires - access.IssuedAt
	full := slices.Clone(scopes)
	for i, scope := range full {
		full[i] = audience + "/" + scope
	}
	full = append(full, audience+"/.default") // what was asked for is named, too
	return map[string]any{
		"token_type": "Bearer", "scope": strings.Join(full, " "), "expires_in": life, "ext_expires_in": life,
		"access_token": signed, "id_token": id, "refresh_token": refresh, "client_info": base64.RawURLEncoding.EncodeToString(info),
	}, nil
}
