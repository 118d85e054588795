package defender_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/defender"
)

func TestParseAPI_KnowsOldNames(t *testing.T) {
	tests := []struct {
		text    string
		want    defender.API
		warning string // part of it
	}{
		{"", defender.Graph, ""},
		{"graph", defender.Graph, ""},
		{" Graph ", defender.Graph, ""},
		{"M365DGraph", defender.Graph, ""},
		{"mde", defender.MDE, "2027-02-01"},
		{"MDATP", defender.MDE, "2027-02-01"},
		{"M365D", defender.MDE, "is taken as mde"},
	}
	for _, tt := range tests {
		got, warning, err := defender.ParseAPI(tt.text)
		if err != nil || got != tt.want || (warning == "") != (tt.warning == "") || !strings.Contains(warning, tt.warning) {
			t.Errorf("ParseAPI(%q) = %q, %q, %v; want %q, a warning with %q", tt.text, got, warning, err, tt.want, tt.warning)
		}
	}
	if _, _, err := defender.ParseAPI("sentinel"); err == nil {
		t.Error("ParseAPI(sentinel) is no error")
	}
}

func TestNew_RefusesEveryFaultAtOnce(t *testing.T) {
	_, err := defender.New(defender.Config{API: "x", Version: "v2", BaseURL: "http://graph.microsoft.com"})
	for _, part := range []string{"API", "version", "credential", "scope", "base URL"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("New = %v, want a complaint about %s", err, part)
		}
	}
}
