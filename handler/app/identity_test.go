package app

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/defender"
)

// Each of authority, host and scope is what the cloud says unless its own setting says
// otherwise: that of the API in use before that of the API by name.
func TestEndpoint_EachPartCanBeReplaced(t *testing.T) {
	const authority = "https://login.microsoftonline.com/"
	of := func(change func(*config.Defender)) config.Defender {
		d := config.Defender{API: "graph", Cloud: "global", Region: "eu"}
		change(&d)
		return d
	}
	tests := []struct {
		name                   string
		d                      config.Defender
		base, scope, authority string
	}{
		{"as the cloud says", of(func(*config.Defender) {}), "https://graph.microsoft.com", "https://graph.microsoft.com/.default", authority},
		{"mde near a region", of(func(d *config.Defender) { d.API = "mde" }), "https://eu.api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default", authority},
		{"Graph's address", of(func(d *config.Defender) { d.Graph.BaseURL, d.MDE.BaseURL = "https://g", "https://m" }), "https://g", "https://graph.microsoft.com/.default", authority},
		{"mde's address", of(func(d *config.Defender) { d.API, d.Graph.BaseURL, d.MDE.BaseURL = "mde", "https://g", "https://m" }), "https://m", "https://api.securitycenter.microsoft.com/.default", authority},
		{"mde's scope", of(func(d *config.Defender) { d.API, d.Graph.Scope, d.MDE.Scope = "mde", "g", "m" }), "https://eu.api.security.microsoft.com", "m", authority},
		{"the API in use", of(func(d *config.Defender) {
			d.BaseURL, d.Scope, d.Graph = "https://x", "y", config.Endpoint{BaseURL: "https://g", Scope: "g"}
		}), "https://x", "y", authority},
		{"authority", of(func(d *config.Defender) { d.Authority = "https://login.example" }), "https://graph.microsoft.com", "https://graph.microsoft.com/.default", "https://login.example"},
	}
	for _, tt := range tests {
		api, e, err := endpoint(tt.d)
		if err != nil || api != defender.API(tt.d.API) || e.BaseURL != tt.base || e.Scope != tt.scope || e.authority != tt.authority {
			t.Errorf("%s: got %s %+v, %v; want %s, %s, %s", tt.name, api, e, err, tt.base, tt.scope, tt.authority)
		}
	}
}
