package hunting_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// listPage is a page of a list.
type listPage struct {
	Count *int              `json:"@odata.count"`
	Value []json.RawMessage `json:"value"`
	Next  string            `json:"@odata.nextLink"`
}

func (w *world) list(path string) listPage {
	w.t.Helper()
	audience := identity.AudienceDefender
	if strings.HasPrefix(path, "/v1.0/") {
		audience = identity.AudienceGraph
	}
	r := w.get(path, audience)
	var p listPage
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != 200 {
		w.t.Fatalf("%s: %d %.500s: %v", path, r.status, r.body, err)
	}
	return p
}

// listing is a world that may read every list as often as it wants to.
func listing(t *testing.T, tn *tenant.Tenant, o hunting.REST) *world {
	t.Helper()
	if o.Limits == nil {
		o.Limits = map[hunting.Quota]hunting.Limits{hunting.QuotaLists: {}, hunting.QuotaGraph: {}, hunting.QuotaAssessments: {}}
	}
	w := newWorld(t, func(h *hunting.Options) { h.Tenant, h.REST = tn, o })
	w.tenant = tn
	w.may(identity.AudienceDefender, hunting.Roles(hunting.MDE)...)
	w.may(identity.AudienceGraph, hunting.Roles(hunting.Graph)...)
	return w
}

// company is a small tenant whose lists have rows.
func company(t *testing.T) *tenant.Tenant {
	t.Helper()
	tn, err := tenant.Generate(tenant.Options{Scale: 0.05, Now: now, Only: []string{"DeviceInfo", "AlertInfo", "AlertEvidence", "DeviceTvmSoftwareInventory",
		"DeviceTvmSoftwareVulnerabilities", "DeviceTvmSoftwareVulnerabilitiesKB"}})
	if err != nil {
		t.Fatal(err)
	}
	return tn
}

// machines is a tenant of n machines and nothing else, seen one minute after another.
func machines(t *testing.T, n int) *tenant.Tenant {
	t.Helper()
	tn := tenant.New(now)
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"id":"m%03d","lastSeen":%q,"osPlatform":%q,"rbacGroupId":%d,"computerDnsName":null}`,
			i, now.Add(time.Duration(i-n)*time.Minute).Format(time.RFC3339), [...]string{"Windows11", "Linux"}[i%2], i%3)
	}
	if err := tn.SetList(tenant.Machines, rows...); err != nil {
		t.Fatal(err)
	}
	return tn
}

func ids(rows []json.RawMessage) []string {
	all := []string{}
	for _, r := range rows {
		all = append(all, tenant.EntityID(r))
	}
	return all
}

func TestLists_HaveTheMembersOfTheDocumentedAnswers(t *testing.T) {
	dir := sampledata.Path(t, "api-responses")
	w := listing(t, company(t), hunting.REST{})
	for path, samples := range map[string][]string{
		"/api/machines":                {"mde-machines-list-200.json", "mde-machines-list-200-two.json", "mde-export-machines-machines.json"},
		"/api/alerts?$expand=evidence": {"mde-alerts-list-expand-evidence-200.json"},
		"/api/vulnerabilities":         {"mde-vulnerabilities-list-200.json"},
		"/api/recommendations":         {"mde-recommendations-list-200.json"},
		"/api/Software":                {"mde-software-list-200.json"},
		"/api/machines/SoftwareVulnerabilityChangesByMachine?sinceTime=" + now.Add(-10*24*time.Hour).Format(time.RFC3339): {"tvm-softwarevulnerabilities-changesbymachine-200.json"},
	} {
		got := w.list(path)
		if len(got.Value) == 0 {
			t.Errorf("%s is empty", path)
			continue
		}
		for _, sample := range samples {
			compareMembers(t, sample, documented(t, dir, sample), got.Value[0])
		}
	}
	var expanded struct{ Evidence []json.RawMessage }
	if err := json.Unmarshal(documented(t, dir, "mde-alerts-list-expand-evidence-200.json"), &expanded); err != nil {
		t.Fatal(err)
	}
	for _, row := range w.list("/api/alerts?$expand=evidence").Value {
		var a struct{ Evidence []json.RawMessage }
		if err := json.Unmarshal(row, &a); err != nil {
			t.Fatal(err)
		}
		if len(a.Evidence) > 0 {
			compareMembers(t, "evidence", expanded.Evidence[0], a.Evidence[0])
			break
		}
	}
	score, err := os.ReadFile(filepath.Join(dir, "mde-exposurescore-200.json"))
	if err != nil {
		t.Fatal(err)
	}
	compareMembers(t, "exposure score", score, []byte(w.get("/api/exposureScore", identity.AudienceDefender).body))
}

// The score of the exposure bears the time of the call, so that two calls are two rows.
func TestExposureScore_IsStampedByTheCall(t *testing.T) {
	at := now
	w := newWorld(t, func(h *hunting.Options) {
		h.Now = func() time.Time { return at }
		h.REST = hunting.REST{Limits: map[hunting.Quota]hunting.Limits{hunting.QuotaLists: {}}}
	})
	w.may(identity.AudienceDefender, hunting.Roles(hunting.MDE)...)
	for range 2 {
		at = at.Add(1500 * time.Millisecond)
		if body := w.get("/api/exposureScore", identity.AudienceDefender).body; !strings.Contains(body, `"time":"`+at.Format(time.RFC3339Nano)+`"`) {
			t.Errorf("at %v: %s", at, body)
		}
	}
}

// Microsoft documents these members for Graph's alerts and incidents.
func TestLists_OfGraphHaveTheDocumentedMembers(t *testing.T) {
	w := listing(t, company(t), hunting.REST{})
	for path, members := range map[string]string{
		"/v1.0/security/alerts_v2": "id providerAlertId incidentId status severity classification determination serviceSource detectionSource detectorId tenantId title description recommendedActions category assignedTo alertWebUrl incidentWebUrl " +
			"actorDisplayName threatDisplayName threatFamilyName mitreTechniques createdDateTime lastUpdateDateTime resolvedDateTime firstActivityDateTime lastActivityDateTime comments evidence systemTags",
		"/v1.0/security/incidents": "id tenantId status incidentWebUrl redirectIncidentId displayName createdDateTime lastUpdateDateTime assignedTo classification determination severity customTags comments systemTags description lastModifiedBy resolvingComment summary",
	} {
		var row map[string]any
		p := w.list(path + "?$count=true")
		if err := json.Unmarshal(p.Value[0], &row); err != nil {
			t.Fatal(err)
		}
		for _, m := range strings.Fields(members) {
			if _, ok := row[m]; !ok {
				t.Errorf("%s: no member %s", path, m)
			}
		}
		if p.Count == nil || *p.Count != len(p.Value) {
			t.Errorf("%s: $count says %v, %d rows", path, p.Count, len(p.Value))
		}
		newest := func(row json.RawMessage) string {
			var r struct{ LastUpdateDateTime string }
			_ = json.Unmarshal(row, &r)
			return r.LastUpdateDateTime
		}
		if !slices.IsSortedFunc(p.Value, func(a, b json.RawMessage) int { return strings.Compare(newest(b), newest(a)) }) {
			t.Errorf("%s is not newest first", path)
		}
	}
}

func TestLists_TellWhatTheHuntingTablesTell(t *testing.T) {
	tn := company(t)
	w := listing(t, tn, hunting.REST{})
	distinct := func(table, column string) map[string]bool {
		found := map[string]bool{}
		for row := range tn.Rows(table) {
			var r map[string]any
			if err := json.Unmarshal(row, &r); err != nil {
				t.Fatal(err)
			}
			if text, _ := r[column].(string); text != "" {
				found[text] = true
			}
		}
		return found
	}
	of := func(path string) map[string]bool {
		found := map[string]bool{}
		for _, id := range ids(w.list(path).Value) {
			found[id] = true
		}
		return found
	}
	for path, want := range map[string]map[string]bool{
		"/api/machines":            distinct("DeviceInfo", "DeviceId"),
		"/api/vulnerabilities":     distinct("DeviceTvmSoftwareVulnerabilitiesKB", "CveId"),
		"/v1.0/security/alerts_v2": distinct("AlertInfo", "AlertId"),
	} {
		if diff := cmp.Diff(want, of(path)); diff != "" || len(want) == 0 {
			t.Errorf("%s (-hunting +list):\n%s", path, diff)
		}
	}
}

func TestLists_Filter(t *testing.T) {
	w := listing(t, machines(t, 6), hunting.REST{})
	at := func(i int) string { return now.Add(time.Duration(i-6) * time.Minute).Format(time.RFC3339) }
	for filter, want := range map[string]string{
		"lastSeen ge " + at(4):                                       "m004 m005",
		"lastSeen gt " + at(4):                                       "m005",
		"lastSeen lt " + at(1):                                       "m000",
		"lastSeen le " + at(1) + " and osPlatform eq 'Linux'":        "m001",
		"osPlatform eq 'linux' and (rbacGroupId eq 0 or id eq 'm5')": "m003",
		"not osPlatform eq 'Linux' and rbacGroupId ne 0":             "m002 m004",
		"startswith(id,'m00') and lastSeen ge 2026-11-21T11:58:00Z":  "m004 m005",
		"computerDnsName ne null or id eq 'm001'":                    "m001",
		"computerDnsName eq null and rbacGroupId gt 1":               "m002 m005",
		"computerDnsName gt 'a' or lastSeen ge 2026-11-22":           "",
		"lastSeen gt 2018-08-01Z and rbacGroupId eq 1":               "m001 m004",
	} {
		r := w.get("/api/machines?$filter="+url.QueryEscape(filter), identity.AudienceDefender)
		var p listPage
		_ = json.Unmarshal([]byte(r.body), &p) // a refusal has no value
		if got := strings.Join(ids(p.Value), " "); got != want || (r.status == 404) != (want == "") {
			t.Errorf("%s: got %q (%d %.200s), want %q", filter, got, r.status, r.body, want)
		}
	}
	for filter, message := range map[string]string{
		"lastSeen ge '2026-01-01T00:00:00Z'":      "incompatible types",
		"lastSeen ge 2026-01-01T00:00:00 00:00":   "a literal is expected",
		"firstSeen ge 2026-01-01Z":                "The property 'firstSeen' cannot be used",
		"LastSeen ge 2026-01-01Z":                 "The property 'LastSeen' cannot be used",
		"lastSeen has 2026-01-01Z":                "operator 'has' is not allowed",
		"contains(id,'a')":                        "unknown function",
		"lastSeen ge 2026-01-01Z or":              "cannot be used",
		"(lastSeen ge 2026-01-01Z":                "')' or operator expected",
		"lastSeen ge 2026-01-01Z osPlatform eq 1": "Syntax error",
		"id eq 'open":                             "unterminated",
	} {
		r := w.get("/api/machines?$filter="+url.QueryEscape(filter), identity.AudienceDefender)
		if code, text := failure(t, r); r.status != 400 || code != "ODataError" || !strings.Contains(text, message) {
			t.Errorf("%s: got %d %s, want 400 with %q", filter, r.status, r.body, message)
		}
	}
}

func TestLists_GoByPages(t *testing.T) {
	w := listing(t, machines(t, 5), hunting.REST{})
	if p := w.list("/api/machines?$top=2&$skip=4"); p.Next != "" || !slices.Equal(ids(p.Value), []string{"m004"}) {
		t.Errorf("the last page: %+v", p)
	}
	if p := w.list("/api/machines?$top=2"); p.Next != "" || len(p.Value) != 2 {
		t.Errorf("a page of machines names no next one: %+v", p)
	}
	if r := w.get("/api/machines?$skip=5", identity.AudienceDefender); r.status != 404 || !strings.Contains(r.body, "ResourceNotFound") {
		t.Errorf("no machines: %d %s", r.status, r.body)
	}
	for _, query := range []string{"$top=10001", "$top=0", "$top=x", "$skip=-1", "$orderby=id", "$select=id", "$expand=evidence", "$count=true", "$search=a"} {
		if r := w.get("/api/machines?"+query, identity.AudienceDefender); r.status != 400 {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	w.server.SetREST(hunting.REST{Links: true, EmptyLists: true})
	var all []string
	for next := "/api/machines?$top=2&$filter=rbacGroupId+lt+3"; next != ""; {
		p := w.list(next)
		all = append(all, ids(p.Value)...)
		next = strings.TrimPrefix(p.Next, w.http.URL)
	}
	if want := []string{"m000", "m001", "m002", "m003", "m004"}; !slices.Equal(all, want) {
		t.Errorf("by links: %v", all)
	}
	if r := w.get("/api/machines?$skip=5", identity.AudienceDefender); r.status != 200 || !strings.Contains(r.body, `"value":[]`) {
		t.Errorf("no machines, as a list: %d %s", r.status, r.body)
	}
	w.server.SetREST(hunting.REST{PageRows: 3})
	if p := w.list("/api/machines?$top=100"); len(p.Value) != 3 || p.Next == "" {
		t.Errorf("a page of three: %d rows, next %q", len(p.Value), p.Next)
	}
	w.server.SetREST(hunting.REST{Links: true, LinkHost: "elsewhere.example"})
	if p := w.list("/api/machines?$top=2"); !strings.HasPrefix(p.Next, "https://elsewhere.example/api/machines?") {
		t.Errorf("a foreign link: %s", p.Next)
	}

	graph := listing(t, company(t), hunting.REST{})
	rows := make([]string, 120)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"id":"%d","lastUpdateDateTime":"2026-11-20T00:00:00Z"}`, i)
	}
	if err := graph.tenant.SetList(tenant.Incidents, rows...); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for next := "/v1.0/security/incidents?$top=500&$filter=lastUpdateDateTime+ge+2026-11-01T00:00:00Z"; next != ""; {
		p := graph.list(next)
		if seen += len(p.Value); len(p.Value) > 50 {
			t.Fatalf("a page of %d incidents", len(p.Value))
		}
		next = strings.TrimPrefix(p.Next, graph.http.URL)
	}
	if seen != 120 {
		t.Errorf("by links: %d incidents, want 120", seen)
	}
}

func TestLists_EvidenceComesOnlyExpanded(t *testing.T) {
	w := listing(t, company(t), hunting.REST{})
	evidence := func(path string) (n int) {
		for _, row := range w.list(path).Value {
			var a struct{ Evidence []json.RawMessage }
			if err := json.Unmarshal(row, &a); err != nil || a.Evidence == nil {
				t.Fatalf("%v: %s", err, row)
			}
			n += len(a.Evidence)
		}
		return n
	}
	if with, without := evidence("/api/alerts?$expand=evidence"), evidence("/api/alerts"); with == 0 || without != 0 {
		t.Errorf("evidence: %d expanded, %d else", with, without)
	}
	if r := w.get("/api/alerts?$expand=domains", identity.AudienceDefender); r.status != 400 {
		t.Errorf("another expansion: %d %s", r.status, r.body)
	}
}

func TestLists_Switches(t *testing.T) {
	read := func(w *world) (all []string, versions map[string]bool) {
		versions = map[string]bool{}
		for skip := 0; ; skip += 3 {
			r := w.get(fmt.Sprintf("/api/machines?$top=3&$skip=%d", skip), identity.AudienceDefender)
			var p listPage
			_ = json.Unmarshal([]byte(r.body), &p) // a 404 has no value
			for _, row := range p.Value {
				all = append(all, tenant.EntityID(row))
				versions[string(row)] = true
			}
			if len(p.Value) < 3 {
				return all, versions
			}
		}
	}
	twice := func(all []string) (n int) {
		slices.Sort(all)
		return len(all) - len(slices.Compact(all))
	}
	t.Run("shift", func(t *testing.T) {
		w := listing(t, machines(t, 10), hunting.REST{Shift: true})
		all, _ := read(w)
		missed := 10 - (len(all) - twice(slices.Clone(all)))
		if missed == 0 || twice(slices.Clone(all)) == 0 {
			t.Errorf("one reading: %v", all)
		}
	})
	t.Run("twins", func(t *testing.T) {
		all, versions := read(listing(t, machines(t, 10), hunting.REST{Twins: true}))
		if twice(all) == 0 || len(versions) != 10 {
			t.Errorf("one reading: %v", all)
		}
	})
	t.Run("touch", func(t *testing.T) {
		tn := machines(t, 10)
		tn.Run(time.Now)
		all, versions := read(listing(t, tn, hunting.REST{Touch: true}))
		if n := twice(slices.Clone(all)); n == 0 || len(versions) != len(all) {
			t.Errorf("one reading: %v, %d versions", all, len(versions))
		}
	})
	t.Run("shown", func(t *testing.T) {
		var shown []string
		w := listing(t, machines(t, 4), hunting.REST{Shown: func(list string, rows [][]byte) { shown = append(shown, fmt.Sprint(list, len(rows))) }})
		read(w)
		if want := []string{"machines3", "machines1"}; !slices.Equal(shown, want) {
			t.Errorf("shown %v", shown)
		}
	})
}

func TestLists_RefuseWhatTheServicesRefuse(t *testing.T) {
	clock := &wallClock{at: now}
	w := newWorld(t, func(o *hunting.Options) { o.Tenant, o.Wall = machines(t, 1), clock.now })
	r := w.get("/api/machines", identity.AudienceDefender)
	if code, message := failure(t, r); r.status != 403 || code != "Forbidden" || !strings.HasPrefix(message, "Missing application roles. API required roles: Machine.Read.All") {
		t.Errorf("without the role: %d %s", r.status, r.body)
	}
	if r := w.get("/v1.0/security/alerts_v2", identity.AudienceGraph); r.status != 403 || !strings.Contains(r.body, "SecurityAlert.Read.All, application roles: ThreatHunting.Read.All.") {
		t.Errorf("Graph without the role: %d %s", r.status, r.body)
	}
	w.may(identity.AudienceDefender) // without any role at all the answer is as documented
	if dir := os.Getenv("D2A_SHARED_DATA"); dir != "" {
		var want struct {
			Error struct{ Code, Message string }
		}
		text, err := os.ReadFile(filepath.Join(dir, "api-responses", "mde-error-403-missing-role.json"))
		if err != nil || json.Unmarshal(text, &want) != nil {
			t.Fatal(err)
		}
		if code, message := failure(t, w.get("/api/machines", identity.AudienceDefender)); code != want.Error.Code || message != want.Error.Message {
			t.Errorf("got %s %q, documented is %+v", code, message, want)
		}
	}
	w.may(identity.AudienceDefender, "Machine.Read.All")
	w.may(identity.AudienceGraph, "SecurityAlert.Read.All")
	if r := w.get("/api/machines", identity.AudienceGraph); r.status != 403 {
		t.Errorf("Graph's token at Defender: %d %s", r.status, r.body)
	}
	if r := w.get("/v1.0/security/alerts_v2", identity.AudienceDefender); r.status != 401 {
		t.Errorf("Defender's token at Graph: %d %s", r.status, r.body)
	}
	if r := w.get("/v1.0/security/incidents", identity.AudienceGraph); r.status != 403 {
		t.Errorf("incidents with the role of alerts: %d %s", r.status, r.body)
	}
	for i := range 100 {
		if r := w.get("/api/machines", identity.AudienceDefender); r.status != 200 || r.header.Get("Date") != now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") {
			t.Fatalf("call %d: %d %v %s", i, r.status, r.header, r.body)
		}
	}
	r = w.get("/api/machines", identity.AudienceDefender)
	if _, message := failure(t, r); r.status != 429 || message != "API calls quota exceeded! maximum allowed 100 per 00:01:00" || r.header.Get("Retry-After") != "60" {
		t.Errorf("call 101: %d %s", r.status, r.body)
	}
	for range 100 {
		if r := w.get("/v1.0/security/alerts_v2", identity.AudienceGraph); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if r := w.get("/v1.0/security/alerts_v2", identity.AudienceGraph); r.status != 429 {
		t.Errorf("Graph, call 101: %d %s", r.status, r.body)
	}
	if s := w.server.Stats(); s.Calls != 0 || s.RESTRefusals != 2 {
		t.Errorf("%d hunting calls, %d over a quota", s.Calls, s.RESTRefusals)
	}
}

func TestChanges_AreThoseSinceAPeriod(t *testing.T) {
	tn := tenant.New(now)
	rows := make([]string, 10)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"id":"v%d","status":"New","eventTimestamp":%q}`, i, now.Add(-time.Duration(10-i)*time.Hour).Format(time.RFC3339))
	}
	if err := tn.SetList(tenant.Changes, rows...); err != nil {
		t.Fatal(err)
	}
	w := listing(t, tn, hunting.REST{})
	const path = "/api/machines/SoftwareVulnerabilityChangesByMachine?"
	since := func(d time.Duration) string { return "sinceTime=" + now.Add(-d).Format(time.RFC3339) }
	if p := w.list(path + since(5*time.Hour)); len(p.Value) != 6 { // the period of 06:00 holds 07:00
		t.Errorf("since 07:00: %v", ids(p.Value))
	}
	var all []string
	for next := path + since(24*time.Hour) + "&pageSize=4"; next != ""; {
		p := w.list(next)
		all = append(all, ids(p.Value)...)
		next = strings.TrimPrefix(p.Next, w.http.URL)
	}
	if len(all) != 10 {
		t.Errorf("by pages: %v", all)
	}
	if p := w.list(path + since(24*time.Hour) + "&$top=4"); len(p.Value) != 4 || p.Next != "" {
		t.Errorf("$top names no next page: %+v", p)
	}
	if p := w.list(path + since(-time.Hour)); p.Value == nil || len(p.Value) != 0 {
		t.Errorf("since a time to come: %v", ids(p.Value))
	}
	for query, code := range map[string]string{
		"": "MissingRequiredParameter", since(14*24*time.Hour + time.Second): "InvalidInput", "sinceTime=yesterday": "InvalidInput",
		since(time.Hour) + "&pageSize=200001": "InvalidInput", since(time.Hour) + "&$skiptoken=x": "InvalidInput", since(time.Hour) + "&$filter=a": "InvalidInput",
	} {
		if r := w.get(path+query, identity.AudienceDefender); r.status != 400 || !strings.Contains(r.body, `"code":"`+code+`"`) {
			t.Errorf("%s: got %d %s, want 400 %s", query, r.status, r.body, code)
		}
	}
	w.server.SetREST(hunting.REST{})
	for i := range 30 {
		if r := w.get(path+since(time.Hour), identity.AudienceDefender); r.status != 200 {
			t.Fatalf("call %d: %d %s", i, r.status, r.body)
		}
	}
	if r := w.get(path+since(time.Hour), identity.AudienceDefender); r.status != 429 {
		t.Errorf("call 31 of a minute: %d %s", r.status, r.body)
	}
}
