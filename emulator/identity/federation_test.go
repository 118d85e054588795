package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/defender2adx/defender2adx/emulator/identity"
)

// What Entra looks at in a token that is shown in place of a secret.
func TestFederation_ChecksWhatIsShown(t *testing.T) {
	d := newDirectory(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const cluster, account = "https://oidc.example/cluster/", "system:serviceaccount:soc:defender2adx"
	for _, f := range []identity.Federation{
		{Issuer: cluster, Subject: account, Audience: identity.AudienceExchange, Key: key.Public()},
		{Issuer: identity.Issuer(tenant), Subject: userObject, Audience: identity.AudienceExchange},
		{Issuer: identity.Issuer(tenant), Subject: siteObject, Audience: identity.AudienceExchange},
	} {
		if err := d.Federate(appID, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Consent(identity.Principal{Tenant: otherTenant, ClientID: appID, ObjectID: "33333333-aaaa-4bbb-8ccc-000000000009",
		Roles: map[string][]string{identity.AudienceGraph: {"ThreatHunting.Read.All"}}}); err != nil {
		t.Fatal(err)
	}
	now := d.clock
	account1 := func(change func(jwt.MapClaims)) string {
		claims := jwt.MapClaims{"iss": cluster, "sub": account, "aud": []string{identity.AudienceExchange}, "exp": now.Add(time.Hour).Unix(), "nbf": now.Unix()}
		change(claims)
		signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	of := func(clientID, audience string) string {
		token, err := d.Token(clientID, audience)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := account1(func(jwt.MapClaims) {})
	tests := []struct {
		name, tenant, shown string
		want                string // AADSTS code; "": a token
	}{
		{"service account", tenant, good, ""},
		{"service account, in a tenant that consented", otherTenant, good, ""},
		{"another issuer", tenant, account1(func(c jwt.MapClaims) { c["iss"] = "https://oidc.example/other/" }), "AADSTS700211"},
		{"another subject", tenant, account1(func(c jwt.MapClaims) { c["sub"] = "system:serviceaccount:soc:default" }), "AADSTS700213"},
		{"another audience", tenant, account1(func(c jwt.MapClaims) { c["aud"] = "https://kubernetes.default.svc" }), "AADSTS700212"},
		{"ended", tenant, account1(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Hour).Unix() }), "AADSTS700024"},
		{"without an end", tenant, account1(func(c jwt.MapClaims) { delete(c, "exp") }), "AADSTS700024"},
		{"signature of another", tenant, good[:len(good)-8] + "AAAAAAAA", "AADSTS700027"},
		{"managed identity", tenant, of(userID, identity.AudienceExchange), ""},
		{"managed identity, in a tenant that consented", otherTenant, of(userID, identity.AudienceExchange), ""},
		{"managed identity's token for another use", tenant, of(userID, identity.AudienceGraph), "AADSTS700236"},
		{"system-assigned identity", tenant, of(siteID, identity.AudienceExchange), "AADSTS700236"},
		{"an application's token", tenant, of(appID, identity.AudienceExchange), "AADSTS700213"},
		{"no token", tenant, "x.y.z", "AADSTS50027"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := d.post(t, "/"+tt.tenant+"/oauth2/v2.0/token", "application/x-www-form-urlencoded", url.Values{
				"grant_type": {"client_credentials"}, "client_id": {appID}, "scope": {identity.AudienceGraph + "/.default"},
				"client_assertion": {tt.shown}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			})
			if tt.want != "" {
				if said, _ := body["error_description"].(string); status < 400 || !strings.HasPrefix(said, tt.want+":") {
					t.Errorf("got %d %v, want %s", status, body, tt.want)
				}
				return
			}
			if status != http.StatusOK {
				t.Fatalf("got %d %v, want a token", status, body)
			}
			claims, err := d.Verify(body["access_token"].(string), identity.AudienceGraph)
			if err != nil || claims.TenantID != tt.tenant || claims.AppID != appID || !claims.HasRole("ThreatHunting.Read.All") {
				t.Errorf("got %+v, %v; want one of %s", claims, err, tt.tenant)
			}
		})
	}
}
