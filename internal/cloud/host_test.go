package cloud_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/cloud"
)

// Each cloud is known again by each of its own hosts.
func TestOfHost_KnowsWhatTheTableHas(t *testing.T) {
	for _, c := range cloud.All() {
		for _, address := range []string{c.Authority(), c.Graph().BaseURL, c.Graph().Scope, c.MDE().BaseURL, c.MDE().Scope} {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cloud.OfHost(u.Hostname())
			if err != nil || !slices.Contains(got, c.Name) {
				t.Errorf("%s of %s is of %v, %v", address, c.Name, got, err)
			}
		}
	}
}

func TestOfHost_OlderOnesAndOthers(t *testing.T) {
	for host, want := range map[string]string{
		"LOGIN.windows.net": "global gcc", "login.microsoftonline.us": "gcchigh dod", "api-eu.securitycenter.microsoft.com": "global",
		"eu.api.security.microsoft.com": "global", "api-gcc.security.microsoft.us": "gcc", "api-gov.security.microsoft.us": "gcchigh dod",
		"proxy.contoso.com": "", "127.0.0.1": "", "": "", "login.microsoftonline.com.example.org": "", "xgraph.microsoft.com": "",
	} {
		if got, err := cloud.OfHost(host); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s is of %v, %v; want %q", host, got, err, want)
		}
	}
	for host, want := range map[string]string{
		"login.chinacloudapi.cn": "China", "microsoftgraph.chinacloudapi.cn": "China", "login.partner.microsoftonline.cn": "China", "login.microsoftonline.de": "closed",
	} {
		if got, err := cloud.OfHost(host); err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%s is of %v, %v; want an error with %q", host, got, err, want)
		}
	}
}

func TestAuthorityOfCluster_GoesByTheAzureCloud(t *testing.T) {
	for host, want := range map[string]string{
		"c.westeurope.kusto.windows.net": "login.microsoftonline.com", "trd-x.z5.kusto.fabric.microsoft.com": "login.microsoftonline.com",
		"c.usgovvirginia.kusto.usgovcloudapi.net": "login.microsoftonline.us", "C.CHINAEAST2.KUSTO.CHINACLOUDAPI.CN": "login.chinacloudapi.cn",
	} {
		if got := cloud.AuthorityOfCluster(host); got != "https://"+want+"/" {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
