package defender_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

var export = plan.Table{Source: "api/machines/SoftwareVulnerabilitiesExport", Load: plan.Snapshot}

const mdeScope = "https://api.securitycenter.microsoft.com/.default"

func startExports(t *testing.T, token string, script ...http.HandlerFunc) (*defender.Exports, *service, *credential) {
	t.Helper()
	client, s, cred := start(t, func(c *defender.Config) { c.API, c.Scope, c.BaseURL = defender.MDE, mdeScope, c.BaseURL+"/" }, script...)
	cred.token = token
	return defender.NewExports(client), s, cred
}

const twoFiles = `{"exportFiles":["https://a.blob.example/c/2021-01-11/1101/part-0.c000.json.gz?sv=1&sig=S3CRET","https://a.blob.example/c/2021-01-11/1101/part-1.c000.json.gz?sv=1&sig=S3CRET"],"generatedTime":%q}`

func TestExports_AsksAndReadsTheFiles(t *testing.T) {
	e, s, cred := startExports(t, "secret-token", status(200, "\ufeff"+fmt.Sprintf(twoFiles, "2021-01-11 11:01:00.1234567")))
	got, err := e.Export(t.Context(), once{}, export)
	if err != nil {
		t.Fatal(err)
	}
	var names, urls []string
	for _, f := range got.Files {
		names, urls = append(names, f.Name), append(urls, f.URL.Reveal())
	}
	if want := []string{"/c/2021-01-11/1101/part-0.c000.json.gz", "/c/2021-01-11/1101/part-1.c000.json.gz"}; !cmp.Equal(names, want) {
		t.Errorf("names %q", names)
	}
	if urls[1] != "https://a.blob.example/c/2021-01-11/1101/part-1.c000.json.gz?sv=1&sig=S3CRET" {
		t.Errorf("addresses %q", urls)
	}
	if !got.Generated.Equal(time.Date(2021, 1, 11, 11, 1, 0, 123456700, time.UTC)) {
		t.Errorf("generated %v", got.Generated)
	}
	r := s.calls[0]
	if r.Method != "GET" || r.URL.Path != "/api/machines/SoftwareVulnerabilitiesExport" || r.URL.RawQuery != "sasValidHours=6" || r.Header.Get("Authorization") != "Bearer secret-token" {
		t.Errorf("request %s %s", r.Method, r.URL)
	}
	if !cmp.Equal(cred.asked[0].Scopes, []string{mdeScope}) || e.API() != "mde" {
		t.Errorf("token asked for %v, API %s", cred.asked[0].Scopes, e.API())
	}
	if text := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(text, "S3CRET") {
		t.Errorf("an address is printed: %s", text)
	}
}

// The answers that are documented decode: three files each, but that of one example.
func TestExports_DecodeTheDocumentedAnswers(t *testing.T) {
	dir := sampledata.Path(t, "api-responses")
	found, err := filepath.Glob(filepath.Join(dir, "tvm-*-export-200.json"))
	if err != nil || len(found) < 5 {
		t.Fatalf("%d samples, %v", len(found), err)
	}
	for _, path := range found {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		e, _, _ := startExports(t, "t", status(200, string(body)))
		got, err := e.Export(t.Context(), once{}, export)
		if err != nil || len(got.Files) < 2 || got.Generated.IsZero() {
			t.Errorf("%s: %d files of %v, %v", filepath.Base(path), len(got.Files), got.Generated, err)
		}
		for _, f := range got.Files {
			if !strings.HasSuffix(f.Name, ".json.gz") || strings.Contains(f.Name, "?") || !strings.HasPrefix(f.URL.Reveal(), "https://") {
				t.Errorf("%s: file %q", filepath.Base(path), f.Name)
			}
		}
	}
}

func TestExports_NoFilesIsAnAnswer(t *testing.T) {
	e, _, _ := startExports(t, "t", status(200, `{"exportFiles":[],"generatedTime":"2021-01-11T11:01:00Z"}`))
	if got, err := e.Export(t.Context(), once{}, export); err != nil || len(got.Files) != 0 || got.Generated.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A file that is named twice is one file.
func TestExports_ReadAFileOnce(t *testing.T) {
	e, _, _ := startExports(t, "t", status(200, `{"exportFiles":["https://a.example/c/f.json.gz?sig=1","https://a.example/c/f.json.gz?sig=2"],"generatedTime":"2021-01-11T11:01:00Z"}`))
	if got, err := e.Export(t.Context(), once{}, export); err != nil || len(got.Files) != 1 {
		t.Errorf("got %d files, %v", len(got.Files), err)
	}
}

func TestExports_FailuresHaveAKindAndNoSecret(t *testing.T) {
	const stamp = "2021-01-11T11:01:00Z"
	tests := []struct {
		name, token string
		answer      http.HandlerFunc
		kind        fault.Kind
		text        string
	}{
		{"role missing", jwt("https://api.securitycenter.microsoft.com", "Machine.Read.All"), status(403, `{"error":{"code":"Forbidden","message":"The application does not have any of the required application permissions"}}`), fault.Permanent, "app role Vulnerability.Read.All is missing; roles in the token: Machine.Read.All"},
		{"another audience", jwt("https://graph.microsoft.com", "Vulnerability.Read.All"), status(403, `{"error":{"code":"Forbidden","message":"m"}}`), fault.Permanent, "https://api.securitycenter.microsoft.com is wanted"},
		{"a person without the permission", person("https://api.securitycenter.microsoft.com", "Machine.Read"), status(403, `{"error":{"code":"Forbidden","message":"m"}}`), fault.Permanent, "delegated permission Vulnerability.Read is missing"},
		{"no licence", "t", status(401, `{"error":{"code":"Unauthorized","message":"Tenant does not have a TVM license"}}`), fault.Permanent, "licence"},
		{"throttled", "t", status(429, `{"error":{"code":"TooManyRequests","message":"m"}}`, "Retry-After", "30"), fault.Wait, "429"},
		{"down", "t", status(503, ""), fault.Unavailable, "503"},
		{"not there", "t", status(404, ""), fault.Permanent, "/api/machines/SoftwareVulnerabilitiesExport"},
		{"no list", "t", status(200, `{"value":[]}`), fault.Unavailable, "no list of files"},
		{"no JSON", "t", status(200, `<html>`), fault.Unavailable, "no list of files"},
		{"no generation", "t", status(200, fmt.Sprintf(twoFiles, "")), fault.Unavailable, "generatedTime"},
		{"a path for an address", "t", status(200, `{"exportFiles":["/c/f.json.gz?sig=S3CRET"],"generatedTime":"`+stamp+`"}`), fault.Unavailable, "no https address"},
		{"plain http", "t", status(200, `{"exportFiles":["http://a.example/c/f.json.gz?sig=S3CRET"],"generatedTime":"`+stamp+`"}`), fault.Unavailable, "no https address"},
		{"two of one name", "t", status(200, `{"exportFiles":["https://a.example/f?sig=S3CRET","https://b.example/f?sig=S3CRET"],"generatedTime":"`+stamp+`"}`), fault.Unavailable, "two of one name"},
	}
	for _, tt := range tests {
		e, _, _ := startExports(t, tt.token, tt.answer)
		_, err := e.Export(t.Context(), once{}, export)
		if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "Defender for Endpoint: ") || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: %v of kind %v", tt.name, err, fault.KindOf(err))
		}
	}
}

// A token that is refused is forgotten and a new one tried, with a call of its own.
func TestExports_RefusedTokenIsReplacedOnce(t *testing.T) {
	e, s, cred := startExports(t, "t", status(401, ""), status(200, fmt.Sprintf(twoFiles, "2021-01-11T11:01:00Z")))
	if got, err := e.Export(t.Context(), once{}, export); err != nil || len(got.Files) != 2 || s.count() != 2 || cred.forgotten != 1 {
		t.Errorf("%d files, %v; %d calls, forgotten %d times", len(got.Files), err, s.count(), cred.forgotten)
	}
}

func TestExports_AskForNothingElse(t *testing.T) {
	e, s, _ := startExports(t, "t", status(200, "{}"))
	for _, source := range []string{"DeviceInfo", "api/machines", "api/unknown"} {
		if _, err := e.Export(t.Context(), once{}, plan.Table{Source: source}); fault.KindOf(err) != fault.Permanent || s.count() != 0 {
			t.Errorf("%s: %v", source, err)
		}
	}
}
