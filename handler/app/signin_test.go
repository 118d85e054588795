package app

import (
	"context"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/internal/config"
)

// A person signs in by a code and is told what the token is good for.
func TestSignIn_APersonAndTheirRights(t *testing.T) {
	const tenant, client, ana = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555", "ana@contoso.com"
	for _, tt := range []struct {
		name, api string
		scopes    map[string][]string
		rights    string
		missing   string
	}{
		{"allowed", "graph", map[string][]string{identity.AudienceGraph: {"User.Read", "ThreatHunting.Read.All"}}, "User.Read, ThreatHunting.Read.All", ""},
		{"allowed by Defender for Endpoint", "mde", map[string][]string{identity.AudienceDefender: {"AdvancedQuery.Read"}}, "AdvancedQuery.Read", ""},
		{"not allowed", "graph", map[string][]string{identity.AudienceGraph: {"User.Read"}}, "User.Read", "it needs the app role ThreatHunting.Read.All"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			directory, err := identity.New(identity.Options{Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{
				directory.AddTenant(tenant),
				directory.RegisterApplication(identity.Principal{Tenant: tenant, ClientID: client, ObjectID: client}),
				directory.AllowPublicClient(client),
				directory.AddUser(identity.User{Tenant: tenant, Name: ana, Password: "p", ObjectID: client, Scopes: tt.scopes}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			entra := httptest.NewTLSServer(directory.Authority())
			t.Cleanup(entra.Close)
			settings := map[string]string{"DEFENDER_TENANT_ID": tenant, "DEFENDER_CLIENT_ID": client, "DEFENDER_API": tt.api,
				"DEFENDER_CREDENTIAL": "device-code", "DEFENDER_AUTHORITY": entra.URL}
			cfg, i, err := config.ReadInstance(func(name string) string { return settings[name] }, "")
			if err != nil {
				t.Fatal(err)
			}
			say := func(message string) {
				found := regexp.MustCompile(`open the page (\S+) and enter the code (\S+) to`).FindStringSubmatch(message)
				if found == nil {
					t.Errorf("said %q", message)
					return
				}
				response, err := entra.Client().PostForm(found[1], url.Values{"otc": {found[2]}, "login": {ana}, "passwd": {"p"}})
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := SignIn(ctx, cfg, i, Options{Transport: entra.Client().Transport, Say: say})
			if err != nil {
				t.Fatal(err)
			}
			if got.As != ana || strings.Join(got.Rights, ", ") != tt.rights || (got.Missing == "") != (tt.missing == "") || !strings.Contains(got.Missing, tt.missing) {
				t.Errorf("got %+v; want %s with %s, missing %q", got, ana, tt.rights, tt.missing)
			}
		})
	}
}
