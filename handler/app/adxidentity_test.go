package app

import (
	"maps"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/internal/config"
)

// Defender and ADX are signed in to as two applications of two tenants, the one of ADX
// also where the settings of Defender without a name are faulty; with nothing of its own
// ADX is signed in to as Defender's, as ever.
func TestCredentials_ADXAndDefenderOfTwoTenants(t *testing.T) {
	const (
		hunted, hunter  = "11111111-2222-3333-4444-555555555555", "12222222-2222-3333-4444-555555555555"
		home, writer    = "21111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"
		site, siteThere = "23333333-2222-3333-4444-555555555555", "24444444-2222-3333-4444-555555555555"
	)
	directory, err := identity.New(identity.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		directory.AddTenant(hunted), directory.AddTenant(home),
		directory.RegisterApplication(identity.Principal{Tenant: hunted, ClientID: hunter, ObjectID: hunter}, identity.Secret{Value: "of the hunter"}),
		directory.RegisterApplication(identity.Principal{Tenant: home, ClientID: writer, ObjectID: writer}, identity.Secret{Value: "of the writer"}),
		directory.RegisterManagedIdentity(identity.Principal{Tenant: home, ClientID: site, ObjectID: siteThere}, "/subscriptions/s/u"),
		directory.Federate(writer, identity.Federation{Issuer: identity.Issuer(home), Subject: siteThere, Audience: identity.AudienceExchange}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	entra := httptest.NewTLSServer(directory.Authority())
	t.Cleanup(entra.Close)
	endpoint := httptest.NewServer(directory.ManagedIdentity("proof"))
	t.Cleanup(endpoint.Close)
	t.Setenv("IDENTITY_ENDPOINT", endpoint.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "proof")

	for _, tt := range []struct {
		name      string
		env       map[string]string
		adx, from string // client and tenant of the token for ADX
		instance  string // that Defender is asked through
	}{
		{"nothing of its own", map[string]string{"ADX_CREDENTIAL": "secret", "ADX_CLIENT_ID": site}, hunter, hunted, ""},
		{"a secret of its own", map[string]string{"ADX_CREDENTIAL": "secret", "ADX_TENANT_ID": home, "ADX_CLIENT_ID": writer, "ADX_CLIENT_SECRET": "of the writer", "ADX_CREDENTIAL_IDENTITY": site}, writer, home, ""},
		{"trust of its own", map[string]string{"ADX_CREDENTIAL": "federated", "ADX_TENANT_ID": home, "ADX_CLIENT_ID": writer, "ADX_CREDENTIAL_IDENTITY": site}, writer, home, ""},
		{"Defender without a name is faulty", map[string]string{"ADX_CREDENTIAL": "secret", "ADX_TENANT_ID": home, "ADX_CLIENT_ID": writer, "ADX_CLIENT_SECRET": "of the writer", "ADX_CREDENTIAL_IDENTITY": site, "ADX_AUTHORITY": entra.URL,
			"DEFENDER_TENANT_ID": "contoso", "DEFENDER_CLIENT_SECRET": "KeyVault:no_name", "DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": hunted, "DEFENDER_WEST_CLIENT_SECRET": "of the hunter"}, writer, home, "West"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{
				"DEFENDER_TENANT_ID": hunted, "DEFENDER_CLIENT_ID": hunter, "DEFENDER_CLIENT_SECRET": "of the hunter", "DEFENDER_AUTHORITY": entra.URL,
				"ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "d", "MIGRATION_QUEUE": "migrations", "AzureWebJobsStorage": "UseDevelopmentStorage=true",
			}
			maps.Copy(env, tt.env)
			cfg, err := config.Read(func(name string) string { return env[name] })
			if err != nil {
				t.Fatal(err)
			}
			i, err := cfg.Instance(tt.instance)
			if err != nil || i.Fault != nil {
				t.Fatal(err, i.Fault)
			}
			o := Options{Transport: entra.Client().Transport}
			all, err := newCredentials(cfg, o)
			if err != nil {
				t.Fatal(err)
			}
			source, err := sourceCredential(i, all.own, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, of := range []struct {
				who            azcore.TokenCredential
				audience       string
				client, tenant string
			}{
				{all.adx, identity.AudienceKusto, tt.adx, tt.from},
				{source, identity.AudienceGraph, hunter, hunted},
				{all.own, identity.AudienceVault, site, home},
			} {
				token, err := of.who.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{of.audience + "/.default"}})
				if err != nil {
					t.Errorf("token for %s: %v", of.audience, err)
					continue
				}
				if got, err := directory.Verify(token.Token, of.audience); err != nil || got.AppID != of.client || got.TenantID != of.tenant {
					t.Errorf("token for %s: %+v, %v; want one of %s in %s", of.audience, got, err, of.client, of.tenant)
				}
			}
		})
	}
}
