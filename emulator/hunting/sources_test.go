package hunting_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// Every source that the product knows is served at its path with the role that the
// product names for it and no other, and its rows have what the product tells them
// apart by.
func TestSources_AreAllServed(t *testing.T) {
	tn, err := tenant.Generate(tenant.Options{Scale: 0.05, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	w := listing(t, tn, hunting.REST{Limits: map[hunting.Quota]hunting.Limits{
		hunting.QuotaLists: {}, hunting.QuotaGraph: {}, hunting.QuotaAssessments: {}, hunting.QuotaFiles: {},
	}})
	for _, s := range schema.Sources() {
		t.Run(s.Short, func(t *testing.T) {
			audience, roles := identity.AudienceDefender, hunting.Roles(hunting.MDE)
			if s.API == schema.APIGraph {
				audience, roles = identity.AudienceGraph, hunting.Roles(hunting.Graph)
			}
			path := s.Path + "?" + s.Query
			if s.Since != "" {
				path += s.Since + "=" + now.Add(-s.Reach+time.Hour).Format(time.RFC3339)
			}
			w.may(audience, slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == s.Role })...)
			if r := w.get(path, audience); r.status != 403 || !strings.Contains(r.body, "API required roles: "+s.Role) {
				t.Errorf("without %s: %d %.300s", s.Role, r.status, r.body)
			}
			w.may(audience, s.Role)
			r := w.get(path, audience)
			if r.status != 200 {
				t.Fatalf("%d %.300s", r.status, r.body)
			}
			row := []byte(r.body)
			switch {
			case s.Kind == schema.Files:
				var e exportFiles
				if err := json.Unmarshal(row, &e); err != nil || len(e.Files) == 0 {
					t.Fatalf("%v: %.300s", err, row)
				}
				_, lines := w.download(e.Files[0])
				row = []byte(lines[0])
			case !s.Single:
				var p listPage
				if err := json.Unmarshal(row, &p); err != nil || len(p.Value) == 0 {
					t.Fatalf("%v: %.300s", err, row)
				}
				row = p.Value[0]
			}
			var members map[string]any
			if err := json.Unmarshal(row, &members); err != nil {
				t.Fatal(err)
			}
			for _, name := range append(slices.Clone(s.Key), s.Version) {
				found := name == "" || s.Single // the score of all devices is of no group
				for member, v := range members {
					found = found || strings.EqualFold(member, name) && v != nil
				}
				if !found {
					t.Errorf("no member %s in %.300s", name, row)
				}
			}
		})
	}
}
