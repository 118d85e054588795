package schema_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/schema"
)

func TestCatalogue_IsWholeAndSorted(t *testing.T) {
	types := []string{"bool", "datetime", "dynamic", "guid", "int", "long", "real", "string"}
	all, columns := schema.Catalogue(), 0
	for _, table := range all {
		columns += len(table.Columns)
		seen := map[string]bool{}
		for _, c := range table.Columns {
			if c.Name == "" || seen[c.Name] || !slices.Contains(types, c.Type) {
				t.Errorf("%s: column %q of type %q is unnamed, repeated or of no KQL type", table.Name, c.Name, c.Type)
			}
			seen[c.Name] = true
		}
		for _, name := range table.Key {
			if !seen[name] {
				t.Errorf("%s: key column %q does not exist", table.Name, name)
			}
		}
		if c, ok := table.Column(table.TimeColumn); table.TimeColumn != "" && (!ok || c.Type != "datetime") {
			t.Errorf("%s: time column %q is %q, want a datetime", table.Name, table.TimeColumn, c.Type)
		}
		if table.Category == "" {
			t.Errorf("%s has no category", table.Name)
		}
	}
	if len(all) != 66 || columns != 1629 {
		t.Errorf("catalogue has %d tables, %d columns; want 66, 1629", len(all), columns)
	}
	if !slices.IsSortedFunc(all, func(a, b schema.Table) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("catalogue is not sorted by name")
	}
}

func TestLookup_KnowsTheSpelling(t *testing.T) {
	got, ok := schema.Lookup("DeviceTvmInfoGathering")
	want := schema.Table{
		Name: "DeviceTvmInfoGathering", Category: "TVM", TimeColumn: "Timestamp", Key: []string{"DeviceId", "Timestamp"}, Snapshot: true,
		Columns: []schema.Column{
			{Name: "Timestamp", Type: "datetime"}, {Name: "LastSeenTime", Type: "datetime"}, {Name: "DeviceId", Type: "string"},
			{Name: "DeviceName", Type: "string"}, {Name: "OSPlatform", Type: "string"}, {Name: "AdditionalFields", Type: "dynamic"},
		},
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("Lookup = %v (-want +got):\n%s", ok, diff)
	}
	for _, name := range []string{"", "deviceinfo", "Nothing", "zzz"} {
		if got, ok := schema.Lookup(name); ok {
			t.Errorf("Lookup(%q) = %s, want none", name, got.Name)
		}
	}
}

// TVM tables without a time of their own cannot be copied by time; the catalogue
// must say so for each.
func TestCatalogue_TablesOfPresentStates(t *testing.T) {
	var got []string
	for _, table := range schema.Catalogue() {
		if table.TimeColumn == "" {
			got = append(got, table.Name)
		}
	}
	want := []string{
		"DeviceBaselineComplianceAssessment", "DeviceBaselineComplianceAssessmentKB", "DeviceBaselineComplianceProfiles",
		"DeviceTvmBrowserExtensions", "DeviceTvmBrowserExtensionsKB", "DeviceTvmCertificateInfo", "DeviceTvmHardwareFirmware",
		"DeviceTvmInfoGatheringKB", "DeviceTvmSecureConfigurationAssessmentKB", "DeviceTvmSoftwareEvidenceBeta",
		"DeviceTvmSoftwareInventory", "DeviceTvmSoftwareVulnerabilities", "DeviceTvmSoftwareVulnerabilitiesKB",
		"ExposureGraphEdges", "ExposureGraphNodes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables without a time column (-want +got):\n%s", diff)
	}
}
