package credential

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOf_ReadsRights(t *testing.T) {
	jwt := func(payload string, e *base64.Encoding) string {
		return "e30." + e.EncodeToString([]byte(payload)) + ".sig"
	}
	two := Rights{Roles: []string{"ThreatHunting.Read.All", "Machine.Read.All"}}
	payload := `{"aud":"x","roles":["ThreatHunting.Read.All","Machine.Read.All"]}`
	tests := []struct {
		name, token string
		want        Rights
	}{
		{"two roles", jwt(payload, base64.RawURLEncoding), two},
		{"padded", jwt(payload, base64.URLEncoding), two},
		{"of a person", jwt(`{"scp":"ThreatHunting.Read.All User.Read","upn":"ana@contoso.com"}`, base64.RawURLEncoding),
			Rights{Scopes: []string{"ThreatHunting.Read.All", "User.Read"}, User: "ana@contoso.com"}},
		{"of a person, as version 2.0 has it", jwt(`{"scp":"S","preferred_username":"ana"}`, base64.RawURLEncoding), Rights{Scopes: []string{"S"}, User: "ana"}},
		{"no roles", jwt(`{"aud":"x"}`, base64.RawURLEncoding), Rights{}},
		{"roles of another form", jwt(`{"roles":"x"}`, base64.RawURLEncoding), Rights{}},
		{"not JSON", jwt(`x`, base64.RawURLEncoding), Rights{}},
		{"not base64", "a.?.c", Rights{}},
		{"opaque", "token", Rights{}},
		{"empty", "", Rights{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Of(tt.token)); diff != "" {
				t.Errorf("Of (-want +got):\n%s", diff)
			}
		})
	}
}
