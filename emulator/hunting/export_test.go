package hunting_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// get asks for a list or an export.
func (w *world) get(path, audience string) reply {
	w.t.Helper()
	return w.send(path, audience, "", func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0 })
}

// may replaces the application's roles at an API.
func (w *world) may(audience string, roles ...string) {
	w.t.Helper()
	if err := w.ids.SetRoles(appID, audience, roles...); err != nil {
		w.t.Fatal(err)
	}
}

// exportFiles is the answer of a file export.
type exportFiles struct {
	Context   string    `json:"@odata.context"`
	Files     []string  `json:"exportFiles"`
	Generated time.Time `json:"generatedTime"`
}

func (w *world) export(name, query string) exportFiles {
	w.t.Helper()
	r := w.get("/api/machines/"+name+query, identity.AudienceDefender)
	var e exportFiles
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || r.status != 200 {
		w.t.Fatalf("%s: %d %s: %v", name, r.status, r.body, err)
	}
	return e
}

// download gives the status and the lines of a file.
func (w *world) download(address string) (int, []string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.http.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return resp.StatusCode, []string{resp.Header.Get("x-ms-error-code")}
	}
	zip, err := gzip.NewReader(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		w.t.Fatal(err)
	}
	return 200, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

const exportRoles = "Software.Read.All Vulnerability.Read.All SecurityBaselinesAssessment.Read.All"

// posture is a small tenant whose exports have rows.
func posture(t *testing.T) *tenant.Tenant {
	t.Helper()
	only := []string{"DeviceInfo", "DeviceTvmSoftwareVulnerabilitiesKB"}
	for _, e := range tenant.Exports() {
		only = append(only, e.Table)
	}
	tn, err := tenant.Generate(tenant.Options{Scale: 0.02, Now: now, Only: only})
	if err != nil {
		t.Fatal(err)
	}
	return tn
}

// exporting is a world that may ask for exports, as often as it wants to.
func exporting(t *testing.T, o hunting.REST) *world {
	t.Helper()
	if o.Limits == nil {
		o.Limits = map[hunting.Quota]hunting.Limits{hunting.QuotaFiles: {}}
	}
	w := newWorld(t, func(h *hunting.Options) { h.Tenant, h.REST = posture(t), o })
	w.tenant = nil
	w.may(identity.AudienceDefender, strings.Fields(exportRoles)...)
	return w
}

func TestExports_HoldTheRowsOfTheirHuntingTables(t *testing.T) {
	tn := posture(t)
	w := newWorld(t, func(o *hunting.Options) {
		o.Tenant, o.REST.Limits = tn, map[hunting.Quota]hunting.Limits{hunting.QuotaFiles: {}}
	})
	w.may(identity.AudienceDefender, strings.Fields(exportRoles)...)
	for _, e := range tenant.Exports() {
		t.Run(e.Name, func(t *testing.T) {
			got := w.export(e.Name, "")
			if len(got.Files) < 2 || !strings.HasSuffix(got.Context, "#microsoft.windowsDefenderATP.api.ExportFilesResponse") {
				t.Fatalf("got %+v", got)
			}
			ofDevice := map[string]int{}
			for row := range tn.Rows(e.Table) {
				var r struct{ DeviceId string }
				if err := json.Unmarshal(row, &r); err != nil {
					t.Fatal(err)
				}
				ofDevice[r.DeviceId]++
			}
			for _, file := range got.Files {
				status, lines := w.download(file)
				if status != 200 {
					t.Fatalf("%d %s", status, lines)
				}
				for _, line := range lines {
					var r struct {
						DeviceID    string `json:"deviceId"`
						Name, Group *string
					}
					if err := json.Unmarshal([]byte(line), &r); err != nil {
						t.Fatalf("%v: %s", err, line)
					}
					ofDevice[r.DeviceID]--
				}
			}
			for id, n := range ofDevice {
				if n != 0 {
					t.Errorf("device %s: %d rows more in the table than in the export", id, n)
				}
			}
		})
	}
}

// Each member that the documentation's example of an export has must be in ours, save
// those that it has under two names.
func TestExports_HaveTheMembersOfTheDocumentedAnswers(t *testing.T) {
	dir := sampledata.Path(t, "api-responses")
	w := exporting(t, hunting.REST{})
	for name, sample := range map[string]string{
		"SoftwareInventoryExport":              "tvm-softwareinventory-bymachine-200.json",
		"SoftwareVulnerabilitiesExport":        "tvm-softwarevulnerabilities-bymachine-200.json",
		"SecureConfigurationsAssessmentExport": "tvm-secureconfigurationsassessment-bymachine-200.json",
		"BaselineComplianceAssessmentExport":   "tvm-baselinecomplianceassessment-bymachine-200.json",
		"certificateAssessmentExport":          "tvm-certificateassessment-bymachine-200.json",
		"browserextensionsinventoryExport":     "tvm-browserextensionsinventory-bymachine-200.json",
		"HardwareFirmwareInventoryExport":      "tvm-hardwarefirmwareinventory-bymachine-200.json",
	} {
		_, lines := w.download(w.export(name, "").Files[0])
		compareMembers(t, name, documented(t, dir, sample), []byte(lines[0]))
	}
	for _, sample := range []string{"tvm-softwarevulnerabilities-export-200.json", "tvm-softwareinventory-export-200.json", "tvm-browserextensionsinventory-export-200.json",
		"tvm-secureconfigurationsassessment-export-200.json", "tvm-infogathering-export-200.json"} {
		text, err := os.ReadFile(filepath.Join(dir, sample))
		if err != nil {
			t.Fatal(err)
		}
		compareMembers(t, sample, text, []byte(w.get("/api/machines/SoftwareVulnerabilitiesExport", identity.AudienceDefender).body))
	}
}

// documented gives the first row of a documented list.
func documented(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Value []json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(text, &list); err != nil || len(list.Value) == 0 {
		t.Fatalf("%s: %v", name, err)
	}
	return list.Value[0]
}

// compareMembers wants every member of want in got, of the same kind where neither is
// null.
func compareMembers(t *testing.T, name string, want, got []byte) {
	t.Helper()
	var w, g map[string]any
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s: %v: %.300s", name, err, got)
	}
	kind := func(v any) string {
		switch v.(type) {
		case nil:
			return "null"
		case string:
			return "text"
		case float64:
			return "number"
		case bool:
			return "bool"
		case []any:
			return "list"
		}
		return "object"
	}
	for member, v := range w {
		has, ok := g[member]
		if !ok {
			t.Errorf("%s: the documented member %s is missing in %.300s", name, member, got)
		} else if a, b := kind(v), kind(has); a != b && a != "null" && b != "null" {
			t.Errorf("%s: %s is documented as %s, got %s", name, member, a, b)
		}
	}
}

func TestExports_StayUntilTheyAreMadeAnew(t *testing.T) {
	tn := posture(t)
	w := newWorld(t, func(o *hunting.Options) {
		o.Tenant, o.REST.Limits = tn, map[hunting.Quota]hunting.Limits{hunting.QuotaFiles: {}}
	})
	w.may(identity.AudienceDefender, strings.Fields(exportRoles)...)
	const name = "SoftwareVulnerabilitiesExport"
	first := w.export(name, "")
	if want := time.Date(2026, 11, 21, 11, 1, 0, 0, time.UTC); !first.Generated.Equal(want) {
		t.Errorf("generated at %s, want %s", first.Generated, want)
	}
	path := func(address string) string { p, _, _ := strings.Cut(address, "?"); return p }
	if _, err := tn.Delete("DeviceTvmSoftwareVulnerabilities", func(i int, _ []byte) bool { return i%2 == 0 }); err != nil {
		t.Fatal(err)
	}
	again := w.export(strings.ToLower(name), "")
	if again.Generated != first.Generated || len(again.Files) != len(first.Files) || path(again.Files[0]) != path(first.Files[0]) {
		t.Errorf("asked again: %+v, before %+v", again, first)
	}
	_, before := w.download(again.Files[0])

	w.server.Regenerate()
	anew := w.export(name, "")
	if !anew.Generated.After(first.Generated) || path(anew.Files[0]) == path(first.Files[0]) {
		t.Errorf("made anew: %+v, before %+v", anew, first)
	}
	if _, now := w.download(anew.Files[0]); len(now) >= len(before) {
		t.Errorf("made anew: %d rows, before %d", len(now), len(before))
	}
	if status, old := w.download(first.Files[0]); status != 200 || len(old) != len(before) {
		t.Errorf("a file of the generation before: %d, %d rows, want %d", status, len(old), len(before))
	}

	tn.Advance(6 * time.Hour)
	if later := w.export(name, ""); !later.Generated.Equal(first.Generated.Add(6 * time.Hour)) {
		t.Errorf("six hours later: generated at %s", later.Generated)
	}
}

func TestExports_SignatureDecidesWhoReadsAFile(t *testing.T) {
	clock := &wallClock{at: now}
	w := newWorld(t, func(o *hunting.Options) {
		o.Tenant, o.Wall, o.REST.Limits = posture(t), clock.now, map[hunting.Quota]hunting.Limits{hunting.QuotaFiles: {}}
	})
	w.may(identity.AudienceDefender, strings.Fields(exportRoles)...)
	hour, six := w.export("SoftwareInventoryExport", "").Files[0], w.export("SoftwareInventoryExport", "?sasValidHours=6").Files[0]
	read := func(address string) int { status, _ := w.download(address); return status }
	path, query, _ := strings.Cut(hour, "?")
	q, _ := url.ParseQuery(query)
	q.Set("se", now.Add(100*time.Hour).Format(time.RFC3339))
	var got []int
	got = append(got, read(hour), read(path), read(path+"?"+q.Encode()), read(strings.Replace(hour, "part-00393", "part-00394", 1)))
	clock.advance(time.Hour)
	got = append(got, read(hour), read(six))
	clock.advance(5 * time.Hour)
	got = append(got, read(six))
	if diff := cmp.Diff([]int{200, 409, 403, 403, 403, 200, 403}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if s := w.server.Stats(); s.Files != 6 || s.Expired != 4 {
		t.Errorf("%d files asked for, %d by bad addresses", s.Files, s.Expired)
	}
	for _, bad := range []string{"?sasValidHours=7", "?sasValidHours=0", "?sasValidHours=x", "?$top=1"} {
		if r := w.get("/api/machines/SoftwareInventoryExport"+bad, identity.AudienceDefender); r.status != 400 {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
}

func TestExports_Switches(t *testing.T) {
	w := exporting(t, hunting.REST{NoFiles: true})
	if r := w.get("/api/machines/SoftwareInventoryExport", identity.AudienceDefender); !strings.Contains(r.body, `"exportFiles":[]`) {
		t.Errorf("no files: %s", r.body)
	}
	w = exporting(t, hunting.REST{MovedDevices: true, FileRows: 40})
	groups := map[string]map[int]bool{} // of a device's row
	for _, f := range w.export("SoftwareInventoryExport", "").Files {
		_, lines := w.download(f)
		for _, line := range lines {
			var r struct {
				Device  string `json:"deviceId"`
				Group   int    `json:"rbacGroupId"`
				Name    string `json:"softwareName"`
				Version string `json:"softwareVersion"`
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			key := r.Device + " " + r.Name + " " + r.Version
			if groups[key] == nil {
				groups[key] = map[int]bool{}
			}
			groups[key][r.Group] = true
		}
	}
	twice := 0
	for _, g := range groups {
		if len(g) == 2 {
			twice++
		}
	}
	if twice == 0 || twice == len(groups) {
		t.Errorf("%d of %d rows are in the files of two groups, want those of one device", twice, len(groups))
	}
}

func TestExports_RefuseWhatTheServiceRefuses(t *testing.T) {
	clock := &wallClock{at: now}
	w := newWorld(t, func(o *hunting.Options) { o.Tenant, o.Wall = posture(t), clock.now })
	const path = "/api/machines/SoftwareVulnerabilitiesExport"
	r := w.get(path, identity.AudienceDefender)
	if code, message := failure(t, r); r.status != 403 || code != "Forbidden" ||
		message != "Missing application roles. API required roles: Vulnerability.Read.All, application roles: AdvancedQuery.Read.All." {
		t.Errorf("without the role: %d %s", r.status, r.body)
	}
	w.may(identity.AudienceDefender, strings.Fields(exportRoles)...)
	if r := w.get(path, identity.AudienceGraph); r.status != 403 {
		t.Errorf("a token for Graph: %d %s", r.status, r.body)
	}
	if r := w.get(path, ""); r.status != 401 {
		t.Errorf("no token: %d %s", r.status, r.body)
	}
	if r := w.send(path, identity.AudienceDefender, "{}", nil); r.status != 405 {
		t.Errorf("POST: %d %s", r.status, r.body)
	}
	if r := w.get("/api/machines/NoSuchExport", identity.AudienceDefender); r.status != 404 {
		t.Errorf("an unknown export: %d %s", r.status, r.body)
	}

	for range 5 {
		if r := w.get(path, identity.AudienceDefender); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	r = w.get("/api/machines/SoftwareInventoryExport", identity.AudienceDefender)
	if code, message := failure(t, r); r.status != 429 || code != "429" || message != "API calls quota exceeded! maximum allowed 5 per 00:01:00" || r.header.Get("Retry-After") != "60" {
		t.Errorf("the sixth of a minute: %d %s", r.status, r.body)
	}
	for i := 5; i < 20; i++ {
		clock.advance(time.Minute)
		if r := w.get(path, identity.AudienceDefender); r.status != 200 {
			t.Fatalf("call %d: %d %s", i+1, r.status, r.body)
		}
	}
	clock.advance(time.Minute)
	if r := w.get(path, identity.AudienceDefender); r.status != 429 || !strings.Contains(r.body, "maximum allowed 20 per 01:00:00") {
		t.Errorf("the 21st of an hour: %d %s", r.status, r.body)
	}
	if s := w.server.Stats(); s.Calls != 0 || s.RESTRefusals != 2 || len(s.REST) != 26 {
		t.Errorf("%d hunting calls, %d REST calls of which %d were over a quota", s.Calls, len(s.REST), s.RESTRefusals)
	}
}
