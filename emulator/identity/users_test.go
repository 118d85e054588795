package identity_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/identity"
)

// An authorization code is good once, for a while, and for who began: the page refuses
// what does not fit the registration, the token endpoint what does not fit the page.
func TestAuthorize_ACodeIsGoodOnceForWhoBegan(t *testing.T) {
	d := newDirectory(t)
	if err := d.AllowPublicClient(appID, "http://localhost"); err != nil {
		t.Fatal(err)
	}
	if err := d.AddUser(identity.User{Tenant: tenant, Name: "ana@contoso.com", Password: "p", ObjectID: userObject,
		Scopes: map[string][]string{identity.AudienceGraph: {"ThreatHunting.Read.All"}}}); err != nil {
		t.Fatal(err)
	}
	const verifier, back, graph = "a-verifier", "http://localhost:5001", identity.AudienceGraph + "/.default openid offline_access"
	sum := sha256.Sum256([]byte(verifier))
	signIn := func(change func(url.Values)) string {
		q := url.Values{"client_id": {appID}, "response_type": {"code"}, "redirect_uri": {back}, "scope": {graph}, "state": {"s"}, "response_mode": {"form_post"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
		change(q)
		response, err := d.certs.Client().PostForm(d.authority.URL+"/"+tenant+"/oauth2/v2.0/authorize?"+q.Encode(), url.Values{"login": {"ana@contoso.com"}, "passwd": {"p"}})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for want, change := range map[string]func(url.Values){
		"AADSTS50011":   func(q url.Values) { q.Set("redirect_uri", "https://elsewhere.example") },
		"AADSTS9002325": func(q url.Values) { q.Del("code_challenge") },
		"AADSTS700016":  func(q url.Values) { q.Set("client_id", siteID) },
	} {
		if got := signIn(change); !strings.Contains(got, want) || strings.Contains(got, `name="code"`) {
			t.Errorf("want %s and no way on, got %s", want, got)
		}
	}
	code := func() string {
		found := regexp.MustCompile(`name="code" value="([^"]+)"`).FindStringSubmatch(signIn(func(url.Values) {}))
		if found == nil {
			t.Fatal("no code")
		}
		return found[1]
	}
	redeem := func(code string, change func(url.Values)) (int, string) {
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {appID}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {back}, "scope": {graph}}
		change(form)
		status, body := d.post(t, "/"+tenant+"/oauth2/v2.0/token", "application/x-www-form-urlencoded", form)
		said, _ := body["error_description"].(string)
		return status, said
	}
	as := func(url.Values) {}
	for want, change := range map[string]func(url.Values){
		"AADSTS501481:":  func(f url.Values) { f.Set("code_verifier", "another") },
		"AADSTS500112:":  func(f url.Values) { f.Set("redirect_uri", "http://localhost:5002") },
		"AADSTS9002313:": func(f url.Values) { f.Set("code", "made-up") },
	} {
		if status, said := redeem(code(), change); status != http.StatusBadRequest || !strings.HasPrefix(said, want) {
			t.Errorf("got %d %s, want %s", status, said, want)
		}
	}
	once := code()
	if status, said := redeem(once, as); status != http.StatusOK {
		t.Errorf("the first time: %d %s", status, said)
	}
	if _, said := redeem(once, as); !strings.HasPrefix(said, "AADSTS54005:") {
		t.Errorf("the second time: %s", said)
	}
	late := code()
	d.clock = d.clock.Add(11 * time.Minute)
	if _, said := redeem(late, as); !strings.HasPrefix(said, "AADSTS70008:") {
		t.Errorf("too late: %s", said)
	}
}
