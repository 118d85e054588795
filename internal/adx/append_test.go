package adx

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456700, time.UTC)

func TestLiteral_FitsTheColumn(t *testing.T) {
	cases := []struct {
		value any
		typ   string
		want  string
	}{
		{"it's \"\\\n", "string", `"it's \"\\\n"`},
		{"", "string", `""`},
		{nil, "string", `""`},
		{"5", "int", `toint("5")`},
		{nil, "int", "int(null)"},
		{nil, "dynamic", "dynamic(null)"},
		{int64(-5), "int", "int(-5)"},
		{int64(3_000_000_000), "int", "int(2147483647)"},
		{int64(3_000_000_000), "long", "long(3000000000)"},
		{int64(7), "string", "tostring(long(7))"},
		{1234567.5, "real", "real(1234567.5)"},
		{0.0, "real", "real(0)"},
		{true, "bool", "bool(true)"},
		{noon, "datetime", "datetime(2026-01-02T12:00:00.1234567Z)"},
		{noon, "string", "tostring(datetime(2026-01-02T12:00:00.1234567Z))"},
		{time.Time{}, "datetime", "datetime(null)"},
		{time.Time{}, "string", `""`},
	}
	for _, tc := range cases {
		if got := literal(tc.value, tc.typ); got != tc.want {
			t.Errorf("literal(%v, %s) = %s, want %s", tc.value, tc.typ, got, tc.want)
		}
	}
}

func TestAppendCommand_FollowsTheTablesColumns(t *testing.T) {
	got := appendCommand("T", "tag-1", []column{{"B", "long"}, {"Theirs", "guid"}, {"A", "string"}},
		[][]cell{{{"A", "a"}, {"B", int64(2)}, {"C", "no such column"}}})
	want := `.append ['T'] with (tags = '["ingest-by:tag-1"]', ingestIfNotExists = '["tag-1"]') <| ` +
		`print ['B'] = long(2), ['Theirs'] = guid(null), ['A'] = "a"`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

func TestPlainTag_StaysDistinctWhenItHasToBeReplaced(t *testing.T) {
	if got := plainTag("d2a.DeviceInfo.17"); got != "d2a.DeviceInfo.17" {
		t.Errorf("a plain tag became %q", got)
	}
	a, b := plainTag(`x"]' a`), plainTag(`x"]' b`)
	if a == b || !tagText.MatchString(a) || plainTag(`x"]' a`) != a {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestSliceTag_IsAlphanumericAndSorted(t *testing.T) {
	if got := plan.IngestTag("d2a0001", 7); got != "d2a0001s000007" {
		t.Errorf("got %q", got)
	}
}

func schemaReply(columns string) reply {
	return reply{columns: "TableName:string, Schema:string", rows: []string{`["T","{\"OrderedColumns\":[` + columns + `]}"]`}}
}

const sixColumns = `{\"Name\":\"SourceTable\",\"CslType\":\"string\"},{\"Name\":\"DestinationTable\",\"CslType\":\"string\"},` +
	`{\"Name\":\"WatermarkColumn\",\"CslType\":\"string\"},{\"Name\":\"LastRefreshedTime\",\"CslType\":\"datetime\"},` +
	`{\"Name\":\"LoadType\",\"CslType\":\"string\"},{\"Name\":\"IsActive\",\"CslType\":\"bool\"}`

func TestDeliver_WritesWhatTheTableHas(t *testing.T) {
	s := newStandIn(t)
	var appended []string
	s.answer = func(_, _, text string) reply {
		if strings.HasPrefix(text, ".show table") {
			return schemaReply(sixColumns)
		}
		appended = append(appended, text)
		return reply{}
	}
	c := s.client(t)
	row := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", LastRefreshedTime: noon, LoadType: "Full", IsActive: true, RunID: "r"}
	for _, tag := range []string{"t1", "t2"} {
		if err := c.Deliver(t.Context(), plan.Outgoing{Tag: tag, Config: &row}); err != nil {
			t.Fatal(err)
		}
	}
	want := `.append ['MigrationConfiguration'] with (tags = '["ingest-by:t1"]', ingestIfNotExists = '["t1"]') <| ` +
		`print ['SourceTable'] = "DeviceInfo", ['DestinationTable'] = "DeviceInfoRaw", ['WatermarkColumn'] = "None", ` +
		`['LastRefreshedTime'] = datetime(2026-01-02T12:00:00.1234567Z), ['LoadType'] = "Full", ['IsActive'] = bool(true)`
	if diff := cmp.Diff([]string{want, strings.ReplaceAll(want, "t1", "t2")}, appended); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if n := strings.Count(strings.Join(s.texts, "\n"), ".show table"); n != 1 {
		t.Errorf("the columns were read %d times, want once", n)
	}
}

func TestDeliver_ReadsTheColumnsAgainWhenTheyChanged(t *testing.T) {
	s := newStandIn(t)
	columns, appends := `{\"Name\":\"Old\",\"CslType\":\"string\"}`, 0
	s.answer = func(kind, _, text string) reply {
		switch {
		case kind == "query":
			return reply{columns: "Tagged:bool"}
		case strings.HasPrefix(text, ".show table"):
			return schemaReply(columns)
		case strings.Contains(text, "['Old']") && appends > 0:
			return reply{code: 400, body: restError("BadRequest", "Query schema does not match table schema", `,"@permanent":true`)}
		}
		appends++
		return reply{}
	}
	c := s.client(t)
	audit := plan.Audit{TableName: "T", Status: plan.Success}
	if err := c.Deliver(t.Context(), plan.Outgoing{Tag: "a", Audit: &audit}); err != nil {
		t.Fatal(err)
	}
	columns = `{\"Name\":\"New\",\"CslType\":\"string\"}`
	if err := c.Deliver(t.Context(), plan.Outgoing{Tag: "b", Audit: &audit}); err != nil {
		t.Fatal(err)
	}
	if appends != 2 {
		t.Errorf("%d rows were appended, want 2", appends)
	}
}

func TestDeliver_RefusesAnEmptyEntry(t *testing.T) {
	err := newStandIn(t).client(t).Deliver(t.Context(), plan.Outgoing{Tag: "x"})
	if fault.KindOf(err) != fault.Permanent {
		t.Errorf("got %v, want a permanent error", err)
	}
}

func TestAuditCells_NullWindowAndRealSeconds(t *testing.T) {
	columns := []column{{"WindowFrom", "datetime"}, {"WindowTo", "datetime"}, {"DurationSeconds", "real"}, {"Bytes", "long"}, {"RecordCount", "int"}}
	got := appendCommand("T", "t", columns, [][]cell{auditCells(plan.Audit{WindowTo: noon, Duration: 1500 * time.Millisecond, Bytes: 1 << 40, RecordCount: 9})})
	want := "print ['WindowFrom'] = datetime(null), ['WindowTo'] = datetime(2026-01-02T12:00:00.1234567Z), " +
		"['DurationSeconds'] = real(1.5), ['Bytes'] = long(1099511627776), ['RecordCount'] = int(9)"
	if !strings.HasSuffix(got, want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A control table that is missing is an error and is not made by the row, which takes
// a right that the app need not have: every row goes by .append.
func TestScenario_C6_RowsAreAppendedToTablesThatExist(t *testing.T) {
	for name, out := range map[string]plan.Outgoing{
		"configuration": {Tag: "c", Config: &plan.Row{SourceTable: "DeviceInfo"}},
		"audit":         {Tag: "a", Audit: &plan.Audit{TableName: "DeviceInfo"}},
	} {
		s := newStandIn(t)
		s.answer = func(_, _, text string) reply {
			if strings.HasPrefix(text, ".show table") {
				return schemaReply(auditColumns)
			}
			return reply{code: 400, body: restError("BadRequest_EntityNotFound", "no such table", `,"@permanent":true`)}
		}
		if err := s.client(t).Deliver(t.Context(), out); err == nil {
			t.Errorf("%s: a row for a table that is missing was delivered", name)
		}
		appends := 0
		for _, text := range s.texts {
			if strings.HasPrefix(text, ".append ") {
				appends++
			} else if !strings.HasPrefix(text, ".show ") && strings.HasPrefix(text, ".") {
				t.Errorf("%s: the command may make a table: %q", name, text)
			}
		}
		if appends == 0 {
			t.Errorf("%s: nothing was appended: %q", name, s.texts)
		}
	}
}
