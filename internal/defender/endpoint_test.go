package defender_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestEndpoints_OfEachCloud(t *testing.T) {
	const public, us = "https://login.microsoftonline.com/", "https://login.microsoftonline.us/"
	tests := []struct {
		cloud string
		api   defender.API
		want  defender.Endpoint
	}{
		{"global", defender.Graph, defender.Endpoint{Authority: public, BaseURL: "https://graph.microsoft.com", Scope: "https://graph.microsoft.com/.default"}},
		{"", defender.MDE, defender.Endpoint{Authority: public, BaseURL: "https://api.security.microsoft.com", Scope: "https://api.securitycenter.microsoft.com/.default"}},
		{"GCC", defender.Graph, defender.Endpoint{Authority: public, BaseURL: "https://graph.microsoft.com", Scope: "https://graph.microsoft.com/.default"}},
		{"gcc-high", defender.Graph, defender.Endpoint{Authority: us, BaseURL: "https://graph.microsoft.us", Scope: "https://graph.microsoft.us/.default"}},
		{"dod", defender.Graph, defender.Endpoint{Authority: us, BaseURL: "https://dod-graph.microsoft.us", Scope: "https://dod-graph.microsoft.us/.default"}},
		{"dod", defender.MDE, defender.Endpoint{Authority: us, BaseURL: "https://api-gov.securitycenter.microsoft.us", Scope: "https://api-gov.securitycenter.microsoft.us/.default"}},
	}
	for _, tt := range tests {
		got, err := defender.Endpoints(tt.cloud, tt.api)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("Endpoints(%q, %q): %v (-want +got):\n%s", tt.cloud, tt.api, err, diff)
		}
	}
	if _, err := defender.Endpoints("china", defender.Graph); err == nil {
		t.Error("Endpoints(china) is no error: runHuntingQuery is not offered there")
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
