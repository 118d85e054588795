package credential

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Roles returns the application permissions in an access token, as in
// ThreatHunting.Read.All, for a message that says what the token lacks. The token
// is not verified, so the roles decide nothing. A token that is opaque or has
// none gives nil.
func Roles(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil
	}
	var claims struct {
		Roles []string `json:"roles"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	return claims.Roles
}
