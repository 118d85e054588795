package identity_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/emulator/identity"
)

func TestManagedIdentity_OfficialCredential(t *testing.T) {
	d := newDirectory(t)
	endpoint := httptest.NewServer(d.ManagedIdentity(header))
	t.Cleanup(endpoint.Close)
	t.Setenv("IDENTITY_ENDPOINT", endpoint.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", header)

	tests := []struct {
		name string
		id   azidentity.ManagedIDKind
		want string
	}{
		{"system-assigned", nil, siteObject},
		{"by client id", azidentity.ClientID(userID), userObject},
		{"by object id", azidentity.ObjectID(userObject), userObject},
		{"by resource id", azidentity.ResourceID(userRes), userObject},
		{"unknown", azidentity.ClientID(appID), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: test.id})
			if err != nil {
				t.Fatal(err)
			}
			token, err := credential.GetToken(t.Context(), scope(identity.AudienceKusto))
			if test.want == "" {
				if err == nil {
					t.Error("got a token, want an error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			claims, err := d.Verify(token.Token, identity.AudienceKusto)
			if err != nil {
				t.Fatal(err)
			}
			if claims.ObjectID != test.want || claims.AppIDACR != "2" || len(claims.Roles) != 0 {
				t.Errorf("got %+v, want object id %s and no roles", claims, test.want)
			}
		})
	}
}

func TestManagedIdentity_RefusesOtherRequests(t *testing.T) {
	d := newDirectory(t)
	handler := d.ManagedIdentity(header)
	const good = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net"
	tests := []struct {
		name, target, header string
		want                 int
	}{
		{"good", good, header, 200},
		{"no header", good, "", 401},
		{"wrong header", good, "guess", 401},
		{"no version", "/msi/token?resource=https://vault.azure.net", header, 400},
		{"old version", "/msi/token?api-version=2017-09-01&resource=https://vault.azure.net", header, 400},
		{"no resource", "/msi/token?api-version=2019-08-01", header, 400},
		{"unknown resource", "/msi/token?api-version=2019-08-01&resource=https://nothing.example", header, 400},
		{"other path", "/token", header, 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, test.target, nil)
			if test.header != "" {
				r.Header.Set("X-IDENTITY-HEADER", test.header)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, test.want)
			}
		})
	}
}
