package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/secret"
)

func TestString_PrintsNowhere(t *testing.T) {
	s := secret.New("confidential")
	type holder struct {
		Open   secret.String
		hidden secret.String
		ref    *secret.String
	}
	h := holder{s, s, &s}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, h), fmt.Sprintf(verb, []secret.String{s}))
	}
	var text, logged bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "secret", s, "holder", h)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "secret", s, "holder", h)
	document, err := json.Marshal(map[string]any{"a": s, "b": h})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(map[secret.String]int{s: 1})
	if err != nil {
		t.Fatal(err)
	}
	printed = append(printed, text.String(), logged.String(), string(document), string(keys), fmt.Sprint(s), s.String(), s.GoString())
	for _, p := range printed {
		if strings.Contains(p, "confidential") || strings.Contains(strings.ToLower(p), fmt.Sprintf("%x", "confidential")) {
			t.Errorf("printed %q", p)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v %s %x", s, s, s, s, s); got != strings.TrimSpace(strings.Repeat("[redacted] ", 5)) {
		t.Errorf("got %q", got)
	}
	if got := string(document); !strings.Contains(got, `"a":"[redacted]"`) {
		t.Errorf("JSON: %s", got)
	}
}

func TestString_Reveal(t *testing.T) {
	if (!secret.String{}.IsZero()) || !secret.New("").IsZero() || secret.New("confidential").IsZero() {
		t.Error("IsZero")
	}
	if got := secret.New("confidential").Reveal(); got != "confidential" {
		t.Errorf("got %q", got)
	}
	if got := (secret.String{}).Reveal(); got != "" {
		t.Errorf("zero String: got %q", got)
	}
}

func TestString_Equal(t *testing.T) {
	for _, tt := range []struct {
		a, b secret.String
		want bool
	}{
		{secret.New("a"), secret.New("a"), true},
		{secret.New("a"), secret.New("b"), false},
		{secret.New("a"), secret.New("ab"), false},
		{secret.String{}, secret.New(""), true},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q): got %v", tt.a.Reveal(), tt.b.Reveal(), got)
		}
	}
}
