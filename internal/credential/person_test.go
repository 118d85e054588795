package credential

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/internal/fault"
)

const (
	ana      = "ana@contoso.com"
	password = "c0rrect horse"
)

// withPeople adds a hunter to the directory, and lets her use the application.
func withPeople(t *testing.T) *directory {
	t.Helper()
	d := newDirectory(t)
	for _, err := range []error{
		d.AddUser(identity.User{Tenant: tenant, Name: ana, Password: password, ObjectID: "bbbbbbbb-0000-4000-8000-000000000001",
			Scopes: map[string][]string{identity.AudienceGraph: {"ThreatHunting.Read.All"}}}),
		d.AllowPublicClient(app, "http://localhost"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

var codeInMessage = regexp.MustCompile(`open the page (\S+) and enter the code (\S+) to`)

// enters does what a person does with the code: opens the page and signs in there.
func (d *directory) enters(t *testing.T, answer string) func(string) {
	return func(message string) {
		found := codeInMessage.FindStringSubmatch(message)
		if found == nil {
			t.Errorf("message without page and code: %q", message)
			return
		}
		d.fill(t, found[1], url.Values{"otc": {found[2]}, "login": {ana}, "passwd": {password}, "answer": {answer}})
	}
}

// fill posts a form to a page and returns what it shows then.
func (d *directory) fill(t *testing.T, page string, form url.Values) string {
	response, err := d.server.Client().PostForm(page, form)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d, %v: %s", response.StatusCode, err, text)
	}
	return string(text)
}

func TestDeviceCode_PersonSignsInElsewhere(t *testing.T) {
	d := withPeople(t)
	cfg := d.config(KindDeviceCode)
	asked := 0
	enters := d.enters(t, "yes")
	cfg.Say = func(message string) {
		asked++
		go func() { // while the SDK polls
			for d.Stats().Refused[70016] == 0 && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			enters(message)
		}()
	}
	cred, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph}})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := d.Verify(token.Token, identity.AudienceGraph)
		if err != nil || claims.UserName != ana || claims.Scopes != "ThreatHunting.Read.All" || claims.AppIDACR != "0" {
			t.Errorf("got %+v, %v; want a token of %s", claims, err, ana)
		}
		if got := Of(token.Token); !slices.Equal(got.Scopes, []string{"ThreatHunting.Read.All"}) || got.User != ana {
			t.Errorf("rights %+v", got)
		}
		// The second one is new, without the person: by the refresh token.
		cred.(*tokenCache).Forget()
	}
	if asked != 1 {
		t.Errorf("the person was asked %d times, want once", asked)
	}
}

func TestDeviceCode_SaysWhyNot(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		with         func(*directory) error
		want         string
	}{
		{"declined", "no", func(*directory) error { return nil }, "the person declined to sign in"},
		{"an application for programs only", "yes", func(d *directory) error {
			return d.RegisterApplication(identity.Principal{Tenant: tenant, ClientID: userObject, ObjectID: userObject})
		}, "allow public client flows"},
		{"no consent", "yes", func(d *directory) error {
			return d.AddUser(identity.User{Tenant: tenant, Name: ana, Password: password, ObjectID: userObject})
		}, "grant admin consent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := withPeople(t)
			if err := tt.with(d); err != nil {
				t.Fatal(err)
			}
			cfg := d.config(KindDeviceCode)
			if tt.name == "an application for programs only" {
				cfg.ClientID = userObject
			}
			cfg.Say = d.enters(t, tt.answer)
			_, err := d.signIn(t, cfg)
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (%v), want %q", err, fault.KindOf(err), tt.want)
			}
		})
	}
}

// opened makes the SDK's browser a program of ours, and returns the address that it was
// told to open.
func opened(t *testing.T) func() string {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, "address")
	script := fmt.Sprintf("#!/bin/sh\nprintf %%s \"$1\" > '%s.part' && mv '%s.part' '%s'\n", at, at, at)
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() string {
		for range 2000 {
			if text, err := os.ReadFile(at); err == nil {
				return string(text)
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Error("the SDK opened no browser")
		return ""
	}
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)">`)
	formField  = regexp.MustCompile(`name="(state|code|error|error_description)" value="([^"]*)"`)
)

// signsIn does with a page what a browser and a person in front of it do.
func (d *directory) signsIn(t *testing.T, page string, form url.Values) {
	text := d.fill(t, page, form)
	action := formAction.FindStringSubmatch(text)
	if action == nil {
		t.Errorf("the page does not lead back: %s", text)
		return
	}
	back := url.Values{}
	for _, field := range formField.FindAllStringSubmatch(text, -1) {
		back.Set(field[1], field[2])
	}
	d.fill(t, action[1], back)
}

func TestBrowser_PersonSignsInHere(t *testing.T) {
	skipWithoutShell(t)
	d := withPeople(t)
	address := opened(t)
	cfg := d.config(KindBrowser)
	cfg.Say, cfg.Username = func(string) {}, ana
	go func() {
		page := address()
		if !strings.Contains(page, "login_hint="+url.QueryEscape(ana)) {
			t.Errorf("the page is not told who signs in: %s", page)
		}
		if text := d.fill(t, page, url.Values{"login": {ana}, "passwd": {"wrong"}}); !strings.Contains(text, "AADSTS50126") {
			t.Errorf("a wrong password is answered by %s", text)
		}
		d.signsIn(t, page, url.Values{"login": {ana}, "passwd": {password}})
	}()
	got, err := d.signIn(t, cfg)
	if err != nil || got.UserName != ana || got.Scopes != "ThreatHunting.Read.All" {
		t.Errorf("got %+v, %v; want a token of %s", got, err, ana)
	}
}

func TestBrowser_PersonCancels(t *testing.T) {
	skipWithoutShell(t)
	d := withPeople(t)
	address := opened(t)
	cfg := d.config(KindBrowser)
	cfg.Say = func(string) {}
	go func() { d.signsIn(t, address(), url.Values{"answer": {"no"}}) }()
	if _, err := d.signIn(t, cfg); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "AADSTS65004") {
		t.Errorf("got %v (%v), want that the person declined", err, fault.KindOf(err))
	}
}

// Without a keyring nothing is kept, which is said and is no failure.
func TestTokenCache_WithoutAKeyringOnlyWarns(t *testing.T) {
	d := withPeople(t)
	folder := t.TempDir()
	cfg := d.config(KindDeviceCode)
	cfg.TokenCache = folder + "/"
	cfg.openCache = func(string) (azidentity.Cache, error) { return azidentity.Cache{}, fmt.Errorf("no keyring") }
	var said []string
	enters := d.enters(t, "yes")
	cfg.Say = func(message string) {
		said = append(said, message)
		if codeInMessage.MatchString(message) {
			enters(message)
		}
	}
	if _, err := d.signIn(t, cfg); err != nil {
		t.Fatal(err)
	}
	if len(said) != 2 || !strings.Contains(said[0], "no keyring") {
		t.Errorf("said %q, want a warning first", said)
	}
	if kept, err := os.ReadDir(folder); err != nil || len(kept) != 0 {
		t.Errorf("the folder holds %v, %v; want nothing", kept, err)
	}
}

// With a keyring the next start is silent.
func TestTokenCache_NextStartIsSilent(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", "")
	d := withPeople(t)
	folder := t.TempDir()
	cfg := d.config(KindDeviceCode)
	cfg.TokenCache = folder + "/"
	if _, err := openCache("defender2adx"); err != nil {
		t.Skipf("this machine has no keyring: %v", err)
	}
	asked := 0
	enters := d.enters(t, "yes")
	cfg.Say = func(message string) { asked++; enters(message) }
	for range 2 {
		if got, err := d.signIn(t, cfg); err != nil || got.UserName != ana {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if asked != 1 {
		t.Errorf("the person was asked %d times in two starts, want once", asked)
	}
	kept, err := os.ReadDir(folder)
	if err != nil || len(kept) != 1 {
		t.Fatalf("the folder holds %v, %v; want the account record", kept, err)
	}
	text, err := os.ReadFile(filepath.Join(folder, kept[0].Name()))
	if err != nil || !strings.Contains(string(text), ana) || strings.Contains(string(text), "token") {
		t.Errorf("account record %s, %v; want who, and no token", text, err)
	}
}

// Nobody is at the terminal of an app.
func TestNew_DelegatedKindsNeedAPerson(t *testing.T) {
	for _, kind := range []Kind{KindDeviceCode, KindBrowser} {
		if _, err := New(Config{Kind: kind, TenantID: tenant, ClientID: app}); err == nil || !strings.Contains(err.Error(), "a person must be at the terminal") {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}
