package credential

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Rights is what an access token says of itself.
type Rights struct {
	Roles  []string // of an application, as ThreatHunting.Read.All
	Scopes []string // delegated by a person; of an application there are none
	User   string   // the person; "" is an application
}

// Of returns the rights in an access token, for a message that says what it lacks. The
// token is not verified, so they decide nothing. One that is opaque has none.
func Of(token string) Rights {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Rights{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return Rights{}
	}
	var claims struct {
		Roles    []string `json:"roles"`
		Scopes   string   `json:"scp"`
		UPN      string   `json:"upn"`
		Username string   `json:"preferred_username"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return Rights{}
	}
	r := Rights{Roles: claims.Roles, User: claims.UPN}
	if r.User == "" {
		r.User = claims.Username
	}
	if claims.Scopes != "" {
		r.Scopes = strings.Fields(claims.Scopes)
	}
	return r
}
