package credential

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoles(t *testing.T) {
	jwt := func(payload string, e *base64.Encoding) string {
		return "e30." + e.EncodeToString([]byte(payload)) + ".sig"
	}
	two := []string{"ThreatHunting.Read.All", "Machine.Read.All"}
	payload := `{"aud":"x","roles":["ThreatHunting.Read.All","Machine.Read.All"]}`
	tests := []struct {
		name, token string
		want        []string
	}{
		{"two roles", jwt(payload, base64.RawURLEncoding), two},
		{"padded", jwt(payload, base64.URLEncoding), two},
		{"no roles", jwt(`{"aud":"x"}`, base64.RawURLEncoding), nil},
		{"roles of another form", jwt(`{"roles":"x"}`, base64.RawURLEncoding), nil},
		{"not JSON", jwt(`x`, base64.RawURLEncoding), nil},
		{"not base64", "a.?.c", nil},
		{"opaque", "token", nil},
		{"empty", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Roles(tt.token)); diff != "" {
				t.Errorf("Roles (-want +got):\n%s", diff)
			}
		})
	}
}
