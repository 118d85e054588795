package adx

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestQueries_OfLandedAndForeign(t *testing.T) {
	cases := []struct{ got, want string }{
		{landedQuery("DeviceInfoRaw", []string{"d2a1"}, time.Time{}), `['DeviceInfoRaw'] | where RunId in ("d2a1") | summarize Rows = count(), Nulls = countif(isnull(Records)) by RunId, Slice`},
		{foreignQuery("T", "d2a", noon), `['T'] | where ingestion_time() > datetime(2026-01-02T12:00:00.1234567Z) and isnotempty(RunId) and RunId !startswith_cs "d2a" | take 1 | project RunId`},
		{landedQuery("T", []string{"d2a1", "d2a2"}, noon), `['T'] | where isnull(ingestion_time()) or ingestion_time() > datetime(2026-01-01T12:00:00.1234567Z) | where RunId in ("d2a1", "d2a2") | summarize Rows = count(), Nulls = countif(isnull(Records)) by RunId, Slice`},
		{overlapQuery("T", "d2a1", []plan.Slice{{No: 3, Hi: 9}, {No: 4, Lo: 9, Hi: plan.Buckets}}, time.Time{}), `['T'] | where RunId == "d2a1" and Slice in (3, 4) and isnotnull(Records) and isnull(Records._truncated) | lookup kind=inner (datatable(Slice: int, Lo: int, Hi: int) [3, 0, 9, 4, 9, 65536]) on Slice | summarize Rows = count(), Lo = max(Lo), Hi = min(Hi) by Row = hash(tostring(Records)) | where Lo >= Hi | summarize Rows = sum(Rows), Different = count()`},
		{foreignQuery("T", "d2a", time.Time{}), `['T'] | where isnotempty(RunId) and RunId !startswith_cs "d2a" | take 1 | project RunId`},
	}
	for _, tc := range cases {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("query (-want +got):\n%s", diff)
		}
	}
}

func TestFirstCopy_EndsWhereItsRowsAreComplete(t *testing.T) {
	later, latest := noon.Add(time.Second), noon.Add(time.Minute)
	cases := []struct {
		name  string
		found []arrival
		last  time.Time
		ok    bool
	}{
		{"two copies", []arrival{{noon, 10}, {later, 10}}, noon, true},
		{"the first in two parts", []arrival{{noon, 4}, {later, 6}, {latest, 10}}, later, true},
		{"three copies", []arrival{{noon, 10}, {later, 10}, {latest, 10}}, noon, true},
		{"at one moment", []arrival{{noon, 20}}, noon, false},
		{"a part came before the whole", []arrival{{noon, 7}, {later, 10}}, later, false},
		{"arrivals unknown", []arrival{{time.Time{}, 10}, {noon, 10}}, time.Time{}, false},
		{"no surplus", []arrival{{noon, 10}}, noon, false},
		{"nothing", nil, time.Time{}, false},
	}
	for _, tc := range cases {
		last, ok := firstCopy(tc.found, 10)
		if ok != tc.ok || ok && !last.Equal(tc.last) {
			t.Errorf("%s: got %v, %v, want %v, %v", tc.name, last, ok, tc.last, tc.ok)
		}
	}
}

func TestLanded_ReadsCountsBySlice(t *testing.T) {
	s := newStandIn(t)
	s.answer = func(kind, db, _ string) reply {
		if kind != "query" || db != "db1" {
			t.Errorf("asked %s of %s", kind, db)
		}
		return reply{columns: "RunId:string, Slice:int, Rows:long, Nulls:long", rows: []string{`["r",1,10,0]`, `["r",2,20,3]`, `["r",null,5,0]`, `["s",1,7,0]`}}
	}
	got, err := s.client(t).Landed(t.Context(), "T", []string{"r", "s"}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	want := plan.LandedRuns{"r": {1: {Rows: 10}, 2: {Rows: 20, Nulls: 3}}, "s": {1: {Rows: 7}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("landed (-want +got):\n%s", diff)
	}
}

func TestRows_OldestFirstWithNullsAsZero(t *testing.T) {
	s := newStandIn(t)
	row := func(destination string, more ...any) string {
		text, _ := json.Marshal(append([]any{"DeviceInfo", destination}, more...))
		return string(text)
	}
	s.answer = func(_, _, text string) reply {
		if !strings.Contains(text, `where (SourceTable == "DeviceInfo" or SourceTable in~ ("MachineInfo")) and Instance =~ "west"`) || !strings.Contains(text, "IngestedAt > datetime(2026-01-02T12:00:00.1234567Z)") {
			t.Errorf("asked %s", text)
		}
		return reply{
			columns: "SourceTable:string, DestinationTable:string, WatermarkColumn:string, LastRefreshedTime:datetime, LastRefreshedTimeInString:string, " +
				"LoadType:string, IsActive:bool, Instance:string, Frequency:string, Retention:string, RunId:string, Generation:long, IngestedAt:datetime",
			rows: []string{
				row("new", "None", "2026-01-02T12:00:00.1234567Z", "s", "Full", true, "west", "1d", "90d", "r", 4, "2026-01-02T12:00:01Z"),
				row("old", "", nil, "", "incr", nil, "west", "", "", "", nil, nil),
			},
		}
	}
	got, err := s.client(t).Rows(t.Context(), plan.Key{Instance: "west", Source: "DeviceInfo"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := []plan.Row{
		{SourceTable: "DeviceInfo", DestinationTable: "old", LoadType: "incr", Instance: "west"},
		{SourceTable: "DeviceInfo", DestinationTable: "new", WatermarkColumn: "None", LastRefreshedTime: noon, LastRefreshedTimeInString: "s",
			LoadType: "Full", IsActive: true, Instance: "west", Frequency: "1d", Retention: "90d", RunID: "r", Generation: 4, Ingested: noon.Truncate(time.Second).Add(time.Second)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
