package schema_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// What is said of a source in one place must fit what is said in another, and no name
// may mean two things.
func TestSources_FitEachOther(t *testing.T) {
	types := []string{"bool", "datetime", "dynamic", "guid", "int", "long", "real", "string"}
	type limits struct {
		api                string
		perMinute, perHour int
	}
	names, buckets := map[string]string{}, map[string]limits{}
	for _, table := range schema.Catalogue() {
		names[strings.ToLower(table.Name)], names[strings.ToLower(table.Name)+"raw"] = table.Name, table.Name
	}
	for _, s := range schema.Sources() {
		for _, name := range slices.Compact([]string{s.Name, s.Short, s.Destination}) {
			if other := names[strings.ToLower(name)]; other != "" {
				t.Errorf("%s: the name %s is one of %s, too", s.Name, name, other)
			}
			names[strings.ToLower(name)] = s.Name
		}
		if s.Destination != s.View+"Raw" {
			t.Errorf("%s: destination %s does not belong to view %s", s.Name, s.Destination, s.View)
		}
		if _, hunting := schema.Lookup(s.View); hunting {
			t.Errorf("%s: view %s is a hunting table's", s.Name, s.View)
		}
		if s.Short != strings.ToLower(s.Short) || strings.ContainsAny(s.Short, "/%") {
			t.Errorf("%s: short name %q, want lower case without a slash", s.Name, s.Short)
		}
		if !s.Kind.RowsUnknown() || s.API != schema.APIGraph && s.API != schema.APIMDE || !strings.HasSuffix(s.Path, "/"+s.Name) || s.Role == "" {
			t.Errorf("%s: kind %q, API %q, path %q, role %q", s.Name, s.Kind, s.API, s.Path, s.Role)
		}
		seen := map[string]bool{}
		for _, c := range s.Columns {
			if c.Name == "" || seen[c.Name] || !slices.Contains(types, c.Type) {
				t.Errorf("%s: column %q of type %q is unnamed, repeated or of no KQL type", s.Name, c.Name, c.Type)
			}
			seen[c.Name] = true
		}
		for _, name := range slices.Concat(s.Key, s.Watermarks) {
			if !seen[name] {
				t.Errorf("%s: column %q does not exist", s.Name, name)
			}
		}
		// Hashes of versions tell what an overlap has shown before; only the time of a version
		// tells which of them may be forgotten.
		incremental := slices.Contains(s.Loads, "Incr")
		if incremental != (len(s.Watermarks) == 1 && s.Watermarks[0] == s.Version && s.Overlap > 0) || !incremental && s.Version != "" {
			t.Errorf("%s: loads %v with watermarks %v, version %q and overlap %v", s.Name, s.Loads, s.Watermarks, s.Version, s.Overlap)
		}
		if s.Kind == schema.List && !s.Single && (s.SizeParameter == "" || s.PageSize <= 0) {
			t.Errorf("%s: pages of %d by %q", s.Name, s.PageSize, s.SizeParameter)
		}
		if _, hunting := schema.Lookup(s.Twin); s.Twin != "" && !hunting {
			t.Errorf("%s: twin %q is no hunting table", s.Name, s.Twin)
		}
		if whole, ok := schema.SourceNamed(s.Whole); s.Whole != "" && (!ok || whole.Kind != schema.Files || s.Reach == 0) {
			t.Errorf("%s: the changes of %q, which is no export, or reach back for ever", s.Name, s.Whole)
		}
		of := limits{s.API, s.PerMinute, s.PerHour}
		if other, ok := buckets[s.Bucket]; ok && other != of || s.Bucket == "" || s.PerMinute <= 0 {
			t.Errorf("%s: limits %v, others of bucket %s have %v", s.Name, of, s.Bucket, other)
		}
		buckets[s.Bucket] = of
	}
	if n := len(schema.Sources()); n != 18 {
		t.Errorf("%d sources, want 18", n)
	}
}

func TestSources_HaveManyNames(t *testing.T) {
	for _, tt := range []struct {
		name, source, short string
		kind                schema.Kind
	}{
		{"api/machines", "api/machines", "machines", schema.List},
		{"API/Machines", "api/machines", "machines", schema.List},
		{"MACHINES", "api/machines", "machines", schema.List},
		{"machinesraw", "api/machines", "machines", schema.List},
		{"security/alerts_v2", "security/alerts_v2", "alerts_v2", schema.List},
		{"softwarevulnerabilities", "api/machines/SoftwareVulnerabilitiesExport", "softwarevulnerabilities", schema.Files},
		{"api/machines/SoftwareVulnerabilityChangesByMachine", "api/machines/SoftwareVulnerabilityChangesByMachine", "softwarevulnerabilitychanges", schema.List},
	} {
		s, ok := schema.LookupSource(tt.name)
		if !ok || s.Name != tt.source || s.Short != tt.short || s.Kind != tt.kind {
			t.Errorf("LookupSource(%q) = %s, %s, %s, %v", tt.name, s.Name, s.Short, s.Kind, ok)
		}
	}
	for _, tt := range []struct {
		source, short string
		kind          schema.Kind
	}{
		{"DeviceInfo", "DeviceInfo", schema.Hunting},
		{"Unheard_Of", "Unheard_Of", schema.Hunting},
		{"api/machines", "machines", schema.List},
		{"api/Software", "software", schema.List},
		{"query/SignIns", "query-SignIns", schema.Query},
	} {
		if kind := schema.KindOf(tt.source); kind != tt.kind {
			t.Errorf("KindOf(%q) = %s, want %s", tt.source, kind, tt.kind)
		}
		if short := schema.ShortName(tt.source); short != tt.short || schema.FullName(short) != tt.source {
			t.Errorf("ShortName(%q) = %q, and back %q", tt.source, short, schema.FullName(short))
		}
	}
	if s, ok := schema.LookupSource("DeviceInfo"); ok {
		t.Errorf("LookupSource(DeviceInfo) = %s, want none", s.Name)
	}
}
