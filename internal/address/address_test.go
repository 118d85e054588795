package address_test

import (
	"net/url"
	"testing"

	"github.com/defender2adx/defender2adx/internal/address"
)

func TestIsLoopbackURL_OnlyWhatCanBeNothingElse(t *testing.T) {
	for in, want := range map[string]bool{
		"https://127.0.0.1:8443": true, "https://127.9.9.9": true, "https://[::1]:1": true,
		"http://localhost": true, "https://vault.localhost": true, "https://LOCALHOST": true,
		"https://vault.azure.net": false, "https://10.0.0.1": false, "https://127.0.0.1.example.org": false,
		"https://localhost.example.org": false, "https://notlocalhost": false, "::": false, "": false, "://": false,
	} {
		if got := address.IsLoopbackURL(in); got != want {
			t.Errorf("IsLoopbackURL(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestTrusted_PlainHTTPOnlyToThisMachine(t *testing.T) {
	for in, want := range map[string]bool{
		"https://name.kusto.windows.net": true, "https://127.0.0.1:1": true, "http://127.0.0.1:1": true, "http://localhost:1": true,
		"http://name.kusto.windows.net": false, "http://10.0.0.1": false, "ftp://127.0.0.1": false, "https://": false, "name": false, "": false,
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := address.Trusted(u); got != want {
			t.Errorf("Trusted(%q) = %v, want %v", in, got, want)
		}
	}
}
