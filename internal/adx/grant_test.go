package adx_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// rolesOf returns the lines of a setup that speak of roles, "outcome name".
func rolesOf(steps []adx.Step) (out []string) {
	for _, s := range steps {
		if strings.HasPrefix(s.Name, "role") {
			out = append(out, string(s.Outcome)+" "+s.Name)
		}
	}
	return out
}

// A new identity gets what it works with, and no right to make anything; a second setup
// finds it there.
func TestSetup_GrantsWhatTheAppNeeds(t *testing.T) {
	w := newWorld(t)
	if err := w.cluster.Revoke("db1", "aadapp=app;tenant", "Viewer", "Ingestor"); err != nil {
		t.Fatal(err)
	}
	o := adx.Options{Grants: append(adx.AppGrants("aadapp=app;tenant"), adx.Grant{Role: "viewers", Principal: "aaduser=soc@contoso.com", Why: "it's read"})}
	want := []string{"done role viewers for aadapp=app;tenant", "done role ingestors for aadapp=app;tenant", "done role viewers for aaduser=soc@contoso.com"}
	if diff := cmp.Diff(want, rolesOf(w.setUp(t, o))); diff != "" {
		t.Error(diff)
	}
	app := w.client(t, "app")
	if _, err := app.Latest(t.Context()); err != nil {
		t.Errorf("the app cannot read: %v", err)
	}
	if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "a1", Audit: &plan.Audit{TableName: "DeviceInfoRaw", Status: plan.Skipped}}); err != nil {
		t.Errorf("the app cannot append: %v", err)
	}
	if steps, err := app.Setup(t.Context(), adx.Options{Tables: []string{"OtherRaw"}}); err == nil && named1(steps, "table OtherRaw").Outcome == adx.Done {
		t.Error("the app made a table")
	}
	for i := range want {
		want[i] = strings.Replace(want[i], "done", "already there", 1)
	}
	if diff := cmp.Diff(want, rolesOf(w.setUp(t, o))); diff != "" {
		t.Error(diff)
	}
}
