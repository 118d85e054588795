package credential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecret_printsNowhere(t *testing.T) {
	s := NewSecret("confidential")
	type holder struct {
		Open   Secret
		hidden Secret
		ref    *Secret
	}
	h := holder{s, s, &s}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, h), fmt.Sprintf(verb, []Secret{s}))
	}
	var text, logged bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "secret", s, "holder", h)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "secret", s, "holder", h)
	document, err := json.Marshal(map[string]any{"a": s, "b": h})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(map[Secret]int{s: 1})
	if err != nil {
		t.Fatal(err)
	}
	printed = append(printed, text.String(), logged.String(), string(document), string(keys), fmt.Sprint(s), s.String(), s.GoString())
	for _, p := range printed {
		if strings.Contains(p, "confidential") || strings.Contains(strings.ToLower(p), fmt.Sprintf("%x", "confidential")) {
			t.Errorf("printed %q", p)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v %s %x", s, s, s, s, s); got != strings.TrimSpace(strings.Repeat(redacted+" ", 5)) {
		t.Errorf("got %q", got)
	}
	if got := string(document); !strings.Contains(got, `"a":"[redacted]"`) {
		t.Errorf("JSON: %s", got)
	}
}

func TestSecret_Reveal(t *testing.T) {
	if got := NewSecret("confidential").Reveal(); got != "confidential" {
		t.Errorf("got %q", got)
	}
	if got := (Secret{}).Reveal(); got != "" {
		t.Errorf("zero Secret: got %q", got)
	}
}

func TestSecret_Equal(t *testing.T) {
	for _, tt := range []struct {
		a, b Secret
		want bool
	}{
		{NewSecret("a"), NewSecret("a"), true},
		{NewSecret("a"), NewSecret("b"), false},
		{NewSecret("a"), NewSecret("ab"), false},
		{Secret{}, NewSecret(""), true},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q): got %v", tt.a.Reveal(), tt.b.Reveal(), got)
		}
	}
}

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
