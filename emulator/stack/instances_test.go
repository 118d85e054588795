package stack_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// Several tenants in one app: each arrives whole in its own place; one whose secret
// is wrong has audit rows that say so and holds up no other; a row of an instance that
// no setting names is rejected.
func TestInstances_EachArrivesInItsOwnPlace(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	s := start(t, events(t, table, 60), stack.Options{Instances: []stack.Instance{
		{Name: "West", Data: events(t, table, 90), Database: "westdata", Prefix: "W_"},
		{Name: "Twin", Prefix: "Twin_"}, // another application of the first tenant
		{Name: "Broken", Prefix: "B_", WrongSecret: true},
	}})
	s.setup("none")
	s.configure(table)
	for _, name := range []string{"WEST", "twin", "Broken", "gone", "nowhere"} {
		if err := s.CopyConfiguration(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	s.serve(map[string]string{ // an instance whose database there is not
		"DEFENDER_INSTANCES": "West,Twin,Broken,Nowhere", "DEFENDER_NOWHERE_TENANT_ID": stack.TenantID, "DEFENDER_NOWHERE_DATABASE": "nowhere", "DEFENDER_NOWHERE_TABLE_PREFIX": "N_",
	}, funchost.Options{})
	s.tick()
	of := func(instance, status string) stack.Audit {
		t.Helper()
		return s.audits(1, status+" of "+instance, func(a stack.Audit) bool { return a.Instance == instance && a.Status == status })[0]
	}
	want := map[string]int64{"": 60, "west": 90, "twin": 60}
	for instance, rows := range want {
		if a := of(instance, "Success"); a.RecordCount != rows {
			t.Errorf("%q: %d rows, want %d", instance, a.RecordCount, rows)
		}
	}
	if a := of("west", "Success"); a.TableName != "W_"+table+"Raw" {
		t.Errorf("the audit row names %s", a.TableName)
	}
	if a := of("broken", "Failed"); !strings.Contains(a.FailureReason, "defender-client-secret-broken") {
		t.Errorf("broken: %s", a.FailureReason)
	}
	if a := of("gone", "Failed"); !strings.Contains(a.FailureReason, "want one of default, West, Twin, Broken") {
		t.Errorf("gone: %s", a.FailureReason)
	}
	if a := of("nowhere", "Failed"); !strings.Contains(a.FailureReason, "nowhere") {
		t.Errorf("nowhere: %s", a.FailureReason)
	}
	tables, err := s.Configured()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range tables {
		if _, whole := want[c.Instance]; !whole {
			continue
		}
		if r, err := s.Compare(c); err != nil || !r.OK() || r.Source == 0 {
			t.Errorf("%s: %+v, %v", c.Name(), r, err)
		}
	}
	// A person's wake-up says whose table it means, and goes to no other.
	if status, body := s.http(http.MethodPost, "/api/tables/"+table+"/migrate"); status != http.StatusConflict || !strings.Contains(body, "default, broken, gone, nowhere, twin, west") {
		t.Errorf("no instance: %d %s", status, body)
	}
	before := len(s.audits(1, "of west", func(a stack.Audit) bool { return a.Instance == "west" }))
	if status, body := s.http(http.MethodPost, "/api/tables/"+table+"/migrate?instance=West"); status != http.StatusAccepted || !strings.Contains(body, "instance=west") {
		t.Errorf("West: %d %s", status, body)
	}
	s.audits(before+1, "of west", func(a stack.Audit) bool { return a.Instance == "west" })
	if status, body := s.http(http.MethodGet, "/api/setup"); !strings.Contains(body, `"ready":false`) || !strings.Contains(body, "nowhere") {
		t.Errorf("GET setup: %d %s", status, body)
	}
}

// The demo of several tenants: what can arrive does, and of the broken one the audit
// log says why.
func TestDemo_OfSeveralTenants(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	s := start(t, events(t, table, 40), stack.Options{Instances: []stack.Instance{
		{Name: "Second", Data: events(t, table, 30), Prefix: "S_", Database: "second"},
		{Name: "Broken", Data: events(t, table, 5), Prefix: "B_", WrongSecret: true},
	}})
	var out bytes.Buffer
	got, err := stack.Demo{App: s.app, Data: true, Display: stack.Plain{Out: &out}, Timeout: patience}.Run(t.Context(), s.Emulators)
	if err != nil || !got.OK() || got.Tables != 2 || got.SourceRows != 70 || !strings.HasSuffix(got.Line(), " instances=3") {
		t.Errorf("%s (failed tables: %d), %v\n%s", got.Line(), got.Failed, err, out.String())
	}
	if text := out.String(); !strings.Contains(text, "instance broken: 1 table, each with an audit row: ") || !strings.Contains(text, "store its value, not its id") || !strings.Contains(text, "second/"+table) {
		t.Errorf("the demo said\n%s", text)
	}
}
