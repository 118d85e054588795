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

// Every cloud as a person writes it, by every API: where the handler asks, and what for,
// through the settings. docs/config.md has the same table.
func TestSettings_EveryCloudByEveryAPI(t *testing.T) {
	const global = "https://api.securitycenter.microsoft.com"
	for _, tt := range []struct{ cloud, authority, graph, mde, audience string }{
		{"", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://api.security.microsoft.com", global},
		{"Global", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://api.security.microsoft.com", global},
		{"us", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://us.api.security.microsoft.com", global},
		{"EU", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://eu.api.security.microsoft.com", global},
		{"uk", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://uk.api.security.microsoft.com", global},
		{"au", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://au.api.security.microsoft.com", global},
		{"swa", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://swa.api.security.microsoft.com", global},
		{"ina", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://ina.api.security.microsoft.com", global},
		{"aea", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://aea.api.security.microsoft.com", global},
		{"gcc", "https://login.microsoftonline.com/", "https://graph.microsoft.com", "https://api-gcc.securitycenter.microsoft.us", "https://api-gcc.securitycenter.microsoft.us"},
		{"gcc-high", "https://login.microsoftonline.us/", "https://graph.microsoft.us", "https://api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us"},
		{"dod", "https://login.microsoftonline.us/", "https://dod-graph.microsoft.us", "https://api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us"},
	} {
		for _, api := range []string{"graph", "mde", "auto"} {
			env := map[string]string{
				"DEFENDER_CLOUD": tt.cloud, "DEFENDER_API": api, "DEFENDER_TENANT_ID": "11111111-2222-3333-4444-555555555555", "DEFENDER_CREDENTIAL": "managed-identity",
				"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "d", "MIGRATION_QUEUE": "migrations", "AzureWebJobsStorage": "UseDevelopmentStorage=true",
			}
			cfg, err := config.Read(func(name string) string { return env[name] })
			if err != nil {
				t.Fatalf("%s by %s: %v", tt.cloud, api, err)
			}
			d := cfg.Defender
			for _, used := range apis(d) {
				base, audience := tt.graph, tt.graph
				if used == defender.MDE {
					base, audience = tt.mde, tt.audience
				}
				if e := endpoint(d, used); e.BaseURL != base || e.Scope != audience+"/.default" || place(d).Authority() != tt.authority {
					t.Errorf("%s by %s: %s is asked with %s of %s; want %s with %s of %s", tt.cloud, used, e.BaseURL, e.Scope, place(d).Authority(), base, audience, tt.authority)
				}
			}
		}
	}
}
