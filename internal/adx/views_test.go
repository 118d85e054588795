package adx_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/adx"
)

// ask answers a query: a text for each row, its values as KQL writes them, separated
// by a bar.
func (w *world) ask(t *testing.T, text string) []string {
	t.Helper()
	client, err := azkustodata.New(azkustodata.NewConnectionStringBuilder(w.url).WithTokenCredential(named("person")), azkustodata.WithHttpClient(w.bundle.Client()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answer, err := client.Query(t.Context(), "db1", azkql.New("").AddUnsafe(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var out []string
	for _, row := range answer.Tables()[0].Rows() {
		var cells []string
		for _, v := range row.Values() {
			cells = append(cells, v.String())
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

// records appends rows to a raw table; a record is JSON text.
func (w *world) records(t *testing.T, table, run string, slice int, at string, records ...string) {
	t.Helper()
	for _, r := range records {
		w.run(t, fmt.Sprintf(".append %s <| print Records = parse_json(%s), RunId = '%s', Slice = int(%d), SnapshotTime = datetime(%s)",
			table, literal(r), run, slice, at))
	}
}

func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(text) + "'"
}

func TestViews_ReadEveryFormThatDefenderWrites(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	long := strings.Repeat("x", 32<<10)
	tests := []struct{ name, column, view, record, want string }{
		{"bool", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": true}`, "true"},
		{"bool as SByte", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": 1}`, "true"},
		{"bool as SByte of false", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": 0}`, "false"},
		{"bool as text", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": "1"}`, "true"},
		{"bool as a word", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": "False"}`, "false"},
		{"bool as a real", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": 1.0}`, "true"},
		{"bool of Graph's null", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": {}}`, ""},
		{"bool null", "IsAzureADJoined", "DeviceInfo", `{"IsAzureADJoined": null}`, ""},
		{"bool absent", "IsAzureADJoined", "DeviceInfo", `{}`, ""},
		{"dynamic as an object", "tostring(ActivityObjects[0].UserName)", "CloudAppEvents", `{"ActivityObjects": [{"UserName": "bob"}]}`, "bob"},
		{"dynamic as text", "tostring(ActivityObjects[0].UserName)", "CloudAppEvents", `{"ActivityObjects": "[{\"UserName\": \"bob\"}]"}`, "bob"},
		{"dynamic of Graph's null", "isnull(ActivityObjects)", "CloudAppEvents", `{"ActivityObjects": {}}`, "true"},
		{"dynamic of an empty list", "tostring(ActivityObjects)", "CloudAppEvents", `{"ActivityObjects": []}`, "[]"},
		{"text of an object", "AdditionalFields", "DeviceInfo", `{"AdditionalFields": {"a": 1}}`, `{"a":1}`},
		{"date without a fraction", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05Z"}`, "2026-01-02T03:04:05Z"},
		{"date with one digit", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05.6Z"}`, "2026-01-02T03:04:05.6Z"},
		{"date with two digits", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05.61Z"}`, "2026-01-02T03:04:05.61Z"},
		{"date with three digits", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05.612Z"}`, "2026-01-02T03:04:05.612Z"},
		{"date with four digits", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05.6123Z"}`, "2026-01-02T03:04:05.6123Z"},
		{"date with five digits", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05.61234Z"}`, "2026-01-02T03:04:05.61234Z"},
		{"date with seven digits", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05.1234567Z"}`, "2026-01-02T03:04:05.1234567Z"},
		{"date with a space", "Timestamp", "DeviceInfo", `{"Timestamp": "2026-01-02 03:04:05.746663+00:00"}`, "2026-01-02T03:04:05.746663Z"},
		{"date of year 1", "Timestamp", "DeviceInfo", `{"Timestamp": "0001-01-01T00:00:00Z"}`, "0001-01-01T00:00:00Z"},
		{"date of Graph's null", "Timestamp", "DeviceInfo", `{"Timestamp": {}}`, ""},
		{"number beyond 2^53", "ReportId", "DeviceProcessEvents", `{"ReportId": 9223372036854775807}`, "9223372036854775807"},
		{"number beyond 2^53 as text", "ReportId", "DeviceProcessEvents", `{"ReportId": "9007199254740993"}`, "9007199254740993"},
		{"number of Graph's null", "ReportId", "DeviceProcessEvents", `{"ReportId": {}}`, ""},
		{"real", "CvssScore", "DeviceTvmSoftwareVulnerabilitiesKB", `{"CvssScore": 9.8}`, "9.8"},
		{"real as a whole number", "CvssScore", "DeviceTvmSoftwareVulnerabilitiesKB", `{"CvssScore": 9}`, "9"},
		{"guid", "AIAgentId", "AIAgentsInfo", `{"AIAgentId": "2b0d7b3d-9a4e-4a27-8b5d-0f7a2d3f1a11"}`, "2b0d7b3d-9a4e-4a27-8b5d-0f7a2d3f1a11"},
		{"NUL in a text", "strlen(ProcessCommandLine)", "DeviceProcessEvents", `{"ProcessCommandLine": "a\u0000b"}`, "3"},
		{"emoji", "ProcessCommandLine", "DeviceProcessEvents", `{"ProcessCommandLine": "a😀b"}`, "a😀b"},
		{"command line of 32 KB", "ProcessCommandLine", "DeviceProcessEvents", `{"ProcessCommandLine": "` + long + `"}`, long},
		{"text null", "ProcessCommandLine", "DeviceProcessEvents", `{"ProcessCommandLine": null}`, ""},
		{"column that nobody knows", "tostring(_Extra)", "DeviceInfo", `{"Timestamp": "2026-01-02T03:04:05Z", "New": 5}`, `{"New":5}`},
		{"no such column", "tostring(_Extra)", "DeviceInfo", `{"DeviceId": "d"}`, `{}`},
	}
	for i, tc := range tests {
		run := fmt.Sprintf("d2a%d", i)
		w.records(t, tc.view+"Raw", run, 1, "null", tc.record)
		w.run(t, fmt.Sprintf(".append MigrationVoidSlices <| print TableName = '%sRaw', RunId = 'd2a%d', Slice = int(-1), Timestamp = now(), Hidden = true", tc.view, i-1))
		if got := w.ask(t, tc.view+" | project "+tc.column); !slices.Equal(got, []string{tc.want}) {
			t.Errorf("%s: %.200q, want %.200q", tc.name, got, tc.want)
		}
		w.run(t, fmt.Sprintf(".append MigrationVoidSlices <| print TableName = '%sRaw', RunId = '%s', Slice = int(-1), Timestamp = now(), Hidden = true", tc.view, run))
	}
}

// audit appends the audit row of a run that ended, as of a snapshot planned at an instant.
func (w *world) audit(t *testing.T, source, instance, run, status, planned string) {
	t.Helper()
	w.run(t, fmt.Sprintf(".append MigrationAuditLog <| MigrationAuditLog | take 0 | union (print TableName = '%[1]sRaw', Timestamp = datetime(%[5]s) + 10m, Status = '%[4]s', "+
		"SourceTable = '%[1]s', Instance = '%[2]s', RunId = '%[3]s', WindowFrom = datetime(%[5]s), WindowTo = datetime(%[5]s))", source, instance, run, status, planned))
}

func TestSnapshots_LatestAsOfAndChanges(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	const source = "DeviceTvmSoftwareVulnerabilities"
	vulnerability := func(device, cve, severity string) string {
		return fmt.Sprintf(`{"DeviceId": %q, "SoftwareVendor": "v", "SoftwareName": "s", "SoftwareVersion": "1", "CveId": %q, "VulnerabilitySeverityLevel": %q}`, device, cve, severity)
	}
	snapshot := func(run, status, planned string, records ...string) {
		w.records(t, source+"Raw", run, 1, planned, records...)
		if status != "" {
			w.audit(t, source, "", run, status, planned)
		}
	}
	snapshot("d2a1", "Success", "2026-03-01", vulnerability("a", "1", "High"), vulnerability("a", "2", "Low"), vulnerability("b", "1", "High"))
	// A device that stands twice, a thing gone, one new, one changed.
	snapshot("d2a2", "Success", "2026-03-02", vulnerability("a", "1", "Critical"), vulnerability("b", "1", "High"), vulnerability("b", "1", "High"), vulnerability("c", "3", "Low"))
	snapshot("d2a3", "Failed", "2026-03-03", vulnerability("x", "9", "Low"))
	snapshot("d2a4", "Torn", "2026-03-04", vulnerability("y", "9", "Low"))
	snapshot("d2a5", "Success", "2026-03-05", vulnerability("a", "1", "Critical"), vulnerability("d", "4", "Low"))
	snapshot("d2a6", "", "2026-03-06", vulnerability("z", "9", "Low")) // half way

	state := " | project DeviceId, CveId, VulnerabilitySeverityLevel | sort by DeviceId asc, CveId asc"
	second := []string{"a|1|Critical", "b|1|High", "c|3|Low"}
	tests := []struct {
		name, query string
		want        []string
	}{
		{"latest", source + "Latest()" + state, []string{"a|1|Critical", "d|4|Low"}},
		{"as Defender shows it", source + state, []string{"a|1|Critical", "d|4|Low"}},
		{"as of the first", source + "AsOf(datetime(2026-03-01 12:00))" + state, []string{"a|1|High", "a|2|Low", "b|1|High"}},
		{"as of the instant of the second, the twin gone", source + "AsOf(datetime(2026-03-02))" + state, second},
		{"the failed one never shows", source + "AsOf(datetime(2026-03-03 12:00))" + state, second},
		{"the torn one shows where the last whole one is old", source + "AsOf(datetime(2026-03-04 12:00)) | project DeviceId, _Torn", []string{"y|true"}},
		{"and not before that", source + "AsOf(datetime(2026-03-04))" + state, second},
		{"before the first", source + "AsOf(datetime(2026-02-28))" + state, nil},
		{"the planned instant", source + "Latest() | distinct SnapshotTime, _Torn, Instance", []string{"2026-03-05T00:00:00Z|false|"}},
		{"changes", source + "Changes(datetime(2026-03-01), datetime(2026-03-02)) | project DeviceId, CveId, Change, ChangedColumns | sort by DeviceId asc, CveId asc",
			[]string{`a|1|Changed|["VulnerabilitySeverityLevel"]`, `a|2|Fixed|[]`, `c|3|New|[]`}},
		{"changes across a failed and a torn one", source + "Changes(datetime(2026-03-02), datetime(2026-03-05)) | project DeviceId, Change, VulnerabilitySeverityLevel | sort by DeviceId asc",
			[]string{"b|Fixed|High", "c|Fixed|Low", "d|New|Low"}},
		{"no changes", source + "Changes(datetime(2026-03-05), datetime(2026-03-07)) | count", []string{"0"}},
	}
	for _, tc := range tests {
		if diff := cmp.Diff(tc.want, w.ask(t, tc.query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}

	// A table that is empty now is a state as any other.
	snapshot("d2a7", "Success", "2026-03-07")
	if got := w.ask(t, source+"Latest() | count"); got[0] != "0" {
		t.Errorf("the state after everything was fixed has %s rows", got[0])
	}
	if got := w.ask(t, source+" | count"); got[0] != "0" {
		t.Errorf("the view after everything was fixed has %s rows", got[0])
	}
}

func TestSetup_MakesNoViewWhereTheNameIsTaken(t *testing.T) {
	w := newWorld(t)
	w.run(t, ".create table DeviceInfo (Timestamp: datetime, DeviceId: string)",
		".create function with (folder = 'Mine') AlertInfo() { print Mine = 1 }",
		".create table Log (At: datetime, Id: string)",
		".create materialized-view DeviceTvmSoftwareInventoryLatest on table Log { Log | summarize max(At) by Id }")
	for range 2 {
		var notes []string
		for _, step := range w.setUp(t, adx.Options{}) {
			if step.Outcome == adx.Note && strings.HasPrefix(step.Name, "view ") {
				notes = append(notes, step.Name)
				if !strings.Contains(step.Remedy, "--view-prefix") {
					t.Errorf("%s: remedy %q", step.Name, step.Remedy)
				}
			}
		}
		if want := []string{"view AlertInfo", "view DeviceInfo", "view DeviceTvmSoftwareInventoryLatest"}; !slices.Equal(notes, want) {
			t.Errorf("notes of %q, want %q", notes, want)
		}
	}
	if got := w.ask(t, "AlertInfo"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("somebody's function answers %q", got)
	}
	w.setUp(t, adx.Options{ViewPrefix: "Hunting"})
	w.records(t, "DeviceInfoRaw", "d2a1", 1, "null", `{"DeviceId": "a"}`)
	if got := w.ask(t, "HuntingDeviceInfo | project DeviceId"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the view of another name has %q", got)
	}
	if _, err := w.client(t, "person").Setup(t.Context(), adx.Options{ViewPrefix: "a b"}); err == nil {
		t.Error("a prefix that is no name is accepted")
	}
}

func TestViews_UniteTheTablesOfAllInstances(t *testing.T) {
	rounds.Long(t)
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	for _, row := range []string{"'AlertInfo', 'AlertInfoRaw', ''", "'AlertInfo', 'AlertInfoTwo', 'two'", "'DeviceTvmCertificateInfo', 'CertificatesOne', 'one'", "'DeviceTvmCertificateInfo', 'CertificatesTwo', 'two'"} {
		w.run(t, ".append MigrationConfiguration <| MigrationConfiguration | take 0 | union (datatable (SourceTable: string, DestinationTable: string, Instance: string) ["+row+"] | extend LoadType = 'Snapshot', IsActive = true)")
	}
	w.setUp(t, adx.Options{})
	w.records(t, "AlertInfoRaw", "d2a1", 1, "null", `{"AlertId": "1", "Severity": "Low"}`)
	w.records(t, "AlertInfoTwo", "d2b1", 1, "null", `{"AlertId": "1", "Severity": "High"}`)
	if got, want := w.ask(t, "AlertInfo | project AlertId, Severity, Instance | sort by Severity asc"), []string{"1|High|two", "1|Low|"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// Each instance has its own newest snapshot.
	certificate := `{"DeviceId": "a", "Thumbprint": "t"}`
	w.records(t, "CertificatesOne", "d2a2", 1, "2026-03-01", certificate)
	w.audit(t, "DeviceTvmCertificateInfo", "one", "d2a2", "Success", "2026-03-01")
	w.records(t, "CertificatesTwo", "d2b2", 1, "2026-03-02", certificate)
	w.audit(t, "DeviceTvmCertificateInfo", "two", "d2b2", "Success", "2026-03-02")
	w.records(t, "CertificatesTwo", "d2b3", 1, "2026-03-03", `{"DeviceId": "b", "Thumbprint": "t"}`)
	w.audit(t, "DeviceTvmCertificateInfo", "two", "d2b3", "Success", "2026-03-03")
	for _, tc := range []struct {
		query string
		want  []string
	}{
		{"DeviceTvmCertificateInfo | project DeviceId, Instance | sort by Instance asc", []string{"a|one", "b|two"}},
		{"DeviceTvmCertificateInfoLatest() | project DeviceId, Instance | sort by Instance asc", []string{"a|one", "b|two"}},
		{"DeviceTvmCertificateInfoChanges(datetime(2026-03-02), datetime(2026-03-03)) | project DeviceId, Instance, Change | sort by Change asc", []string{"a|two|Fixed", "b|two|New"}},
	} {
		if got := w.ask(t, tc.query); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.query, got, tc.want)
		}
	}
}

func TestViews_ShowNoSnapshotOnItsWay(t *testing.T) {
	w := newWorld(t)
	w.setUp(t, adx.Options{})
	const source = "DeviceTvmSoftwareInventory"
	w.records(t, source+"Raw", "", 0, "null", `{"DeviceId": "old"}`) // by a watermark, or by the original script
	shot := time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z")
	w.records(t, source+"Raw", "d2a1", 1, shot, `{"DeviceId": "new"}`)
	if got := w.ask(t, source+" | project DeviceId"); !slices.Equal(got, []string{"old"}) {
		t.Errorf("while the first snapshot is on its way the view has %q", got)
	}
	w.audit(t, source, "", "d2a1", "Success", shot)
	if got := w.ask(t, source+" | project DeviceId"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("after the first snapshot the view has %q", got)
	}
	w.records(t, source+"Raw", "d2a2", 1, "null", `{"DeviceId": "later"}`) // turned to Incr
	if got := w.ask(t, source+" | project DeviceId | sort by DeviceId"); !slices.Equal(got, []string{"new", "later"}) {
		t.Errorf("when the table is copied by a watermark again the view has %q", got)
	}
}
