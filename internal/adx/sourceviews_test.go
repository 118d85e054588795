package adx_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// An export has a device that changed its group in two files, its documents have other
// letter cases than its examples, and its views show each thing once.
func TestSourceViews_OfAnExport(t *testing.T) {
	w := newWorld(t)
	w.run(t, adx.ControlScripts()...)
	const source, view = "api/machines/SoftwareInventoryExport", "SoftwareInventoryExport"
	w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = '"+source+"', DestinationTable = 'SoftwareInventoryRaw', LoadType = 'Snapshot', IsActive = true)")
	w.setUp(t, adx.Options{})
	snapshot := func(run, planned string, records ...string) {
		w.records(t, "SoftwareInventoryRaw", run, 1, planned, records...)
		w.audit(t, source, "", run, "Success", planned)
	}
	const nginx = `"softwareVendor": "f5", "softwareName": "nginx", "softwareVersion": "1"`
	snapshot("d2a1", "2026-03-01", `{"deviceId": "a", `+nginx+`, "rbacGroupName": "old"}`, `{"deviceId": "a", `+nginx+`, "rbacGroupName": "new"}`,
		`{"deviceId": "b", `+nginx+`}`)
	snapshot("d2a2", "2026-03-02", `{"DeviceId": "a", "SoftwareVendor": "f5", "SoftwareName": "nginx", "SoftwareVersion": "1", "NumberOfWeaknesses": "3", "Other": 1}`,
		`{"deviceId": "c", `+nginx+`, "numberOfWeaknesses": 2}`, `{"deviceId": "c", `+nginx+`, "numberOfWeaknesses": 2, "rbacGroupName": "moved"}`)
	for query, want := range map[string][]string{
		view + " | project deviceId, numberOfWeaknesses, tostring(_Extra) | sort by deviceId asc":                                                  {`a|3|{"Other":1}`, `c|2|{}`},
		view + "Latest() | project deviceId | sort by deviceId asc":                                                                                {"a", "c"},
		view + "AsOf(datetime(2026-03-01)) | project deviceId | sort by deviceId asc":                                                              {"a", "b"},
		view + "Changes(datetime(2026-03-01), datetime(2026-03-02)) | project deviceId, Change | where Change != 'Changed' | sort by deviceId asc": {"b|Fixed", "c|New"},
		"MigrationStorage() | project TableName, Rows":                                                                                             {"SoftwareInventoryRaw|6"},
		"MigrationForget('nginx') | project TableName, Rows":                                                                                       {"SoftwareInventoryRaw|6"},
	} {
		if diff := cmp.Diff(want, w.ask(t, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	if again := w.changed(t, adx.Options{}); len(again) != 0 {
		t.Errorf("setup again does %q", again)
	}
}

// Nobody writes the members of lists and exports in a third way: what the published
// answers of the services have is spelled as the catalogue has it or in Pascal case. A
// member in another form, snake_case or one of OData's, would stand in _Extra.
func TestSourceViews_KnowEverySpellingOfPublishedAnswers(t *testing.T) {
	folded := func(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
	spellings, members := map[string][]string{}, 0
	for _, source := range schema.Sources() {
		for _, c := range source.Columns {
			spellings[folded(c.Name)] = append(spellings[folded(c.Name)], c.Name, strings.ToUpper(c.Name[:1])+c.Name[1:])
		}
	}
	files, err := filepath.Glob(filepath.Join(sampledata.Path(t, "api-responses"), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Value []map[string]json.RawMessage `json:"value"`
		}
		if json.Unmarshal(text, &answer) != nil {
			continue // no list
		}
		for _, record := range answer.Value {
			for name := range record {
				if known := spellings[folded(name)]; known != nil {
					if members++; !slices.Contains(known, name) {
						t.Errorf("%s has %s, which is none of %q", filepath.Base(file), name, known)
					}
				}
			}
		}
	}
	if members < 100 {
		t.Errorf("%d members were compared: too few for this test to show anything", members)
	}
}

// What lists show can be read through their views, each value with its type.
func TestSourceViews_OfListsHaveTypedValues(t *testing.T) {
	w := newWorld(t)
	w.run(t, adx.ControlScripts()...)
	machine := `{"id": "m1", "computerDnsName": "host1.contoso.example", "firstSeen": "2025-08-02T14:55:03.7791856Z", "lastSeen": "2026-03-01T07:09:05.5Z", "osPlatform": "Windows11", "osBuild": 22631,
		"aadDeviceId": null, "isAadJoined": true, "rbacGroupId": 140, "machineTags": ["a", "b"], "ipAddresses": [{"ipAddress": "10.0.0.4", "macAddress": null}], "managedBy": "Intune"}`
	alert := `{"id": "da1_2", "incidentId": 1126, "investigationId": null, "severity": "Low", "title": "Odd \"thing\"", "alertCreationTime": "2026-01-26T20:33:57.7220239Z", "lastUpdateTime": "2026-01-26T20:33:59.2Z",
		"resolvedTime": null, "mitreTechniques": [], "relatedUser": {"userName": "temp123", "domainName": "MIDDLEEAST"}, "comments": [{"comment": "seen", "createdBy": "ada"}],
		"evidence": [{"entityType": "User", "aadUserId": null}, {"entityType": "Process", "processId": 24348}]}`
	lists := []struct {
		source, raw, column string
		records             []string
		query               string
		want                []string
	}{
		{"api/machines", "MachinesRaw", "lastSeen", []string{machine},
			"Machines | project ['id'], osBuild + 1, isAadJoined, rbacGroupId, firstSeen, lastSeen + 1h, isempty(aadDeviceId), array_length(machineTags), tostring(ipAddresses[0].ipAddress), tostring(_Extra)",
			[]string{`m1|22632|true|140|2025-08-02T14:55:03.7791856Z|2026-03-01T08:09:05.5Z|true|2|10.0.0.4|{"managedBy":"Intune"}`}},
		{"api/alerts", "AlertsRaw", "lastUpdateTime", []string{alert},
			"Alerts | project ['id'], incidentId + 1, isempty(investigationId), ['title'], lastUpdateTime - alertCreationTime, isnull(resolvedTime), tostring(relatedUser.userName), tostring(comments[0]['comment']), array_length(evidence), tolong(evidence[1].processId)",
			[]string{`da1_2|1127|true|Odd "thing"|1.4779761s|true|temp123|seen|2|24348`}},
		{"security/incidents", "SecurityIncidentsRaw", "lastUpdateDateTime", sampleRows(t, "graph-incidents-200.json"),
			"SecurityIncidents | project ['id'], lastUpdateDateTime, redirectIncidentId, tostring(customTags), tostring(comments[0].createdByDisplayName), isempty(resolvingComment), tolong(_Extra.priorityScore) | sort by ['id'] asc",
			[]string{`4101|2026-02-28T09:35:45.1133333Z||["Demo","Zoë"]|DavidS|true|71`, `4102|2026-02-14T00:00:01Z|4101|[]||true|`}},
		{"security/alerts_v2", "SecurityAlertsRaw", "lastUpdateDateTime", sampleRows(t, "graph-alerts_v2-200.json"),
			"SecurityAlerts | project ['id'], lastUpdateDateTime, incidentId, threatFamilyName, isnull(resolvedDateTime), array_length(comments), tostring(comments[0]['comment']), array_length(evidence), tostring(evidence[0]['@odata.type']), tolong(evidence[1].processId), tostring(customDetails.Case) | sort by ['id'] asc",
			[]string{
				`ad5d1a2f-0000-4000-8000-000000000002|2026-03-01T00:00:00Z|4102||true|0||0|||`,
				`da637900000000000001_-100000001|2026-03-02T09:19:27.77Z|4101|Wacapew|true|2|seen before: "quoted"|3|#microsoft.graph.security.deviceEvidence|4780|C-17`,
			}},
	}
	for _, c := range lists {
		w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = '"+c.source+"', DestinationTable = '"+c.raw+"', WatermarkColumn = '"+c.column+"', LoadType = 'Incr', IsActive = true)")
	}
	w.setUp(t, adx.Options{})
	for _, c := range lists {
		w.records(t, c.raw, "d2a1", 1, "null", c.records...)
		if diff := cmp.Diff(c.want, w.ask(t, c.query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.source, diff)
		}
	}
}

// sampleRows are the rows of an answer in the documented shape.
func sampleRows(t *testing.T, file string) (rows []string) {
	t.Helper()
	text, err := os.ReadFile("../defender/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var sample struct{ Value []json.RawMessage }
	if err := json.Unmarshal(text, &sample); err != nil {
		t.Fatal(err)
	}
	for _, row := range sample.Value {
		rows = append(rows, string(row))
	}
	return rows
}

// A list that is copied by a watermark has every version.
func TestSourceViews_OfAList(t *testing.T) {
	w := newWorld(t)
	w.run(t, adx.ControlScripts()...)
	w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = 'api/machines', DestinationTable = 'MachinesRaw', WatermarkColumn = 'lastSeen', LoadType = 'Incr', IsActive = true)")
	w.setUp(t, adx.Options{})
	w.records(t, "MachinesRaw", "d2a1", 1, "null", `{"id": "a", "lastSeen": "2026-03-01T00:00:00Z", "isAadJoined": true}`, `{"id": "a", "LastSeen": "2026-03-02T00:00:00Z"}`)
	got := w.ask(t, "Machines | project ['id'], lastSeen, isAadJoined | sort by lastSeen asc")
	if want := []string{"a|2026-03-01T00:00:00Z|true", "a|2026-03-02T00:00:00Z|"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
