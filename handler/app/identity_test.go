package app

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/defender"
)

// Each of host and scope is what the cloud says unless its own setting says
// otherwise: that of the API in use before that of the API by name.
func TestEndpoint_EachPartCanBeReplaced(t *testing.T) {
	of := func(change func(*config.Defender)) config.Defender {
		d := config.Defender{API: "graph", Cloud: "global", Region: "eu"}
		change(&d)
		return d
	}
	tests := []struct {
		name        string
		d           config.Defender
		base, scope string
	}{
		{"as the cloud says", of(func(*config.Defender) {}), "https://graph.microsoft.com", "https://graph.microsoft.com/.default"},
		{"mde near a region", of(func(d *config.Defender) { d.API = "mde" }), "https://eu.api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default"},
		{"Graph's address", of(func(d *config.Defender) { d.Graph.BaseURL, d.MDE.BaseURL = "https://g", "https://m" }), "https://g", "https://graph.microsoft.com/.default"},
		{"mde's address", of(func(d *config.Defender) { d.API, d.Graph.BaseURL, d.MDE.BaseURL = "mde", "https://g", "https://m" }), "https://m", "https://api.securitycenter.microsoft.com/.default"},
		{"mde's scope", of(func(d *config.Defender) { d.API, d.Graph.Scope, d.MDE.Scope = "mde", "g", "m" }), "https://eu.api.security.microsoft.com", "m"},
		{"the API in use", of(func(d *config.Defender) {
			d.BaseURL, d.Scope, d.Graph = "https://x", "y", config.Endpoint{BaseURL: "https://g", Scope: "g"}
		}), "https://x", "y"},
	}
	for _, tt := range tests {
		if e := endpoint(tt.d, defender.API(tt.d.API)); e.BaseURL != tt.base || e.Scope != tt.scope {
			t.Errorf("%s: got %+v; want %s, %s", tt.name, e, tt.base, tt.scope)
		}
	}
}

// Who signs in to the cluster does so in its Azure cloud.
func TestOwnIdentity_SignsInWhereTheClusterIs(t *testing.T) {
	for _, kind := range []string{"device-code", "browser", "workload-identity"} {
		if got := OwnIdentity(config.Config{ADX: config.ADX{Credential: kind, Authority: "https://login.microsoftonline.us/"}}); got.AuthorityHost != "https://login.microsoftonline.us/" {
			t.Errorf("%s signs in at %q", kind, got.AuthorityHost)
		}
	}
}
