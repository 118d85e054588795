package defender_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// What a count does not speak of is not what it counts as empty.
func TestScenario_R1_CountWithoutALine(t *testing.T) {
	parts := []plan.Slice{{Part: plan.PartAll, Hi: 100}, {Part: plan.PartAll, Lo: 100, Hi: 200}, {Part: plan.PartAll, Lo: 200, Hi: plan.Buckets}}
	for name, tt := range map[string]struct {
		body string
		want [][]plan.BucketCount
	}{
		"a missing line": {`{"schema":[],"results":[{"Rows":0,"Bucket":0,"Part":0},{"Rows":7,"Bucket":0,"Part":2}]}`,
			[][]plan.BucketCount{{}, nil, {{Lo: 200, Hi: plan.Buckets, Rows: 7}}}},
		"no results":     {`{"schema":[{"name":"Rows","type":"Int64"}],"results":[]}`, make([][]plan.BucketCount, 3)},
		"results null":   {`{"schema":[{"name":"Rows","type":"Int64"}],"results":null}`, make([][]plan.BucketCount, 3)},
		"results absent": {`{"schema":[{"name":"Rows","type":"Int64"}]}`, make([][]plan.BucketCount, 3)},
	} {
		c, _, _ := start(t, nil, status(200, tt.body))
		got, err := c.CountBuckets(t.Context(), once{}, table, parts, plan.Buckets)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for _, results := range []string{`,"results":[]`, `,"results":null`, ""} {
		for _, load := range []plan.LoadType{plan.Full, plan.Snapshot} {
			c, _, _ := start(t, nil, status(200, `{"schema":[]`+results+`}`))
			counts, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: plan.Table{Source: "DeviceInfo", Load: load}, Window: slice.Window, Bin: time.Hour})
			if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s count with %q: %+v, %v (%v); want no count at all", load, results, counts, err, fault.KindOf(err))
			}
		}
	}
}

// One row of a snapshot is replaced by another: as many rows, the same newest
// arrival, another checksum.
func TestScenario_R4_ChecksumOfKeys(t *testing.T) {
	count := func(names ...string) plan.Counts {
		t.Helper()
		clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		data := tenant.New(clock)
		for _, name := range names {
			if err := data.Append("DeviceTvmSoftwareInventory", time.Time{}, `{"DeviceId":"d","SoftwareName":"`+name+`"}`); err != nil {
				t.Fatal(err)
			}
		}
		counts, err := emulated(t, data).Count(t.Context(), once{}, plan.CountQuery{Table: plan.Table{Source: "DeviceTvmSoftwareInventory", Load: plan.Snapshot}})
		if err != nil {
			t.Fatal(err)
		}
		if !counts.Newest.IsZero() || int(counts.Rows()) != len(names) || counts.Checksum == "" && len(names) > 0 {
			t.Errorf("counted %+v of %d rows without an arrival time", counts, len(names))
		}
		return counts
	}
	before, again, replaced := count("a", "b", "c"), count("c", "a", "b"), count("a", "b", "d")
	if before.Checksum != again.Checksum || before.Checksum == replaced.Checksum || before.Rows() != replaced.Rows() {
		t.Errorf("checksums %q, in another order %q, with a row replaced %q", before.Checksum, again.Checksum, replaced.Checksum)
	}
	// In the same range of buckets, too.
	read := func(sum string) string {
		c, _, _ := start(t, nil, status(200, `{"schema":[],"results":[{"Kind":"clock","Now":"2026-03-02T10:00:00Z","Rows":0},{"Bucket":3,"Rows":2,"Checksum":"`+sum+`"}]}`))
		counts, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: plan.Table{Source: "DeviceTvmSoftwareInventory", Load: plan.Snapshot}})
		if err != nil {
			t.Fatal(err)
		}
		return counts.Checksum
	}
	if a, b, none := read("12"), read("13"), read(""); a == b || none != "" {
		t.Errorf("checksums %q and %q of other keys, %q of none", a, b, none)
	}
	if first, second := count(), count(); first.Checksum != second.Checksum {
		t.Error("the checksum of nothing is not stable")
	}
}

// The counts of a snapshot's part carry the checksum, too. It is the same in ranges of
// any width; a window's counts go without.
func TestScenario_R4_ChecksumOfParts(t *testing.T) {
	tally := func(load plan.LoadType, width int, names ...string) string {
		t.Helper()
		data := tenant.New(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
		for _, name := range names {
			if err := data.Append("DeviceTvmSoftwareInventory", time.Time{}, `{"DeviceId":"d","SoftwareName":"`+name+`"}`); err != nil {
				t.Fatal(err)
			}
		}
		part := plan.Slice{Part: plan.PartAll, Hi: plan.Buckets}
		counted, err := emulated(t, data).CountBuckets(t.Context(), once{}, plan.Table{Source: "DeviceTvmSoftwareInventory", Load: load}, []plan.Slice{part}, width)
		if err != nil {
			t.Fatal(err)
		}
		rows, checksum := plan.Tally(counted[0])
		if int(rows) != len(names) {
			t.Errorf("counted %d of %d rows", rows, len(names))
		}
		return checksum
	}
	whole, ranges := tally(plan.Snapshot, plan.Buckets, "a", "b", "c"), tally(plan.Snapshot, 16, "c", "a", "b")
	replaced, none, window := tally(plan.Snapshot, 16, "a", "b", "d"), tally(plan.Snapshot, plan.Buckets), tally(plan.Full, 16, "a")
	if whole == "" || whole != ranges || replaced == "" || replaced == whole || none != "0" || window != "" {
		t.Errorf("checksums %q, in ranges %q, with a row replaced %q, of nothing %q, of a window %q", whole, ranges, replaced, none, window)
	}
}

// A snapshot that cannot be counted because of max(ingestion_time()) is counted
// once more without; another table's count is not touched.
func TestScenario_R4_ArrivalCannotBeAskedFor(t *testing.T) {
	const body = `{"schema":[],"results":[{"Kind":"clock","Now":"2026-03-02T10:00:00Z","Rows":0},{"Bucket":3,"Rows":2,"Checksum":"12"}]}`
	refused := status(400, envelope("BadRequest", "'summarize' operator: Failed to resolve scalar expression named 'ingestion_time()'. Fix semantic errors in your query."))
	c, s, _ := start(t, nil, refused, status(200, body))
	q := plan.CountQuery{Table: plan.Table{Source: "DeviceTvmSoftwareInventory", Load: plan.Snapshot}}
	var calls allowance
	counts, err := c.Count(t.Context(), &calls, q)
	if err != nil || counts.Rows() != 2 || s.count() != 2 || calls.taken.Load() != 2 {
		t.Fatalf("%+v, %v; %d calls went out and %d were taken, want 2 rows and 2 calls", counts, err, s.count(), calls.taken.Load())
	}
	if strings.Contains(s.queries[1], "ingestion_time") || !strings.Contains(s.queries[1], "Checksum") {
		t.Errorf("the second call asked %q", s.queries[1])
	}
	if _, err := c.Count(t.Context(), once{}, q); err != nil || s.count() != 3 {
		t.Errorf("%v after %d calls, want the next count in one", err, s.count())
	}
	q.Table.Source = "DeviceTvmSoftwareVulnerabilities"
	if _, err := c.Count(t.Context(), once{}, q); err != nil || !strings.Contains(s.queries[3], "max(ingestion_time())") {
		t.Errorf("%v; another table was asked %q", err, s.queries[3])
	}
	// Without it there is nothing left to leave out.
	c, s, _ = start(t, nil, refused)
	if _, err := c.Count(t.Context(), once{}, q); fault.KindOf(err) != fault.Permanent || s.count() != 2 {
		t.Errorf("refused again: %v (%v) after %d calls, want permanent after 2", err, fault.KindOf(err), s.count())
	}
}

// Graph writes null as {}: null in columns that hold no objects, as it is in
// others, and nothing in a count.
func TestScenario_R6_NullIsAnEmptyObject(t *testing.T) {
	const row = `{"Timestamp":{},"IsAzureADJoined": { },"ReportId":{},"LoggedOnUsers":{},"AdditionalFields":{},"ISP":{},"NewColumn":{},"Nested":{"Timestamp":{}},"OSBuild":1}`
	c, _, _ := start(t, nil, status(200, `{"schema":[],"results":[`+row+`,`+row+`]}`))
	rows, _, err := fetch(t, c)
	const want = `{"Timestamp":null,"IsAzureADJoined":null,"ReportId":null,"LoggedOnUsers":null,"AdditionalFields":null,"ISP":{},"NewColumn":{},"Nested":{"Timestamp":{}},"OSBuild":1}` + "\n"
	if err != nil || rows != want+want {
		t.Errorf("rows %s, %v; want twice %s", rows, err, want)
	}

	// A column that holds objects may hold an empty one.
	c, _, _ = start(t, nil, status(200, `{"schema":[],"results":[{"RawEventData":{},"IsAnonymousProxy":{}}]}`))
	var out strings.Builder
	packed, err := fetchInto(t.Context(), c, plan.Table{Source: "CloudAppEvents"}, slice, &out)
	if err != nil || packed.Bytes != int64(len(`{"RawEventData":{},"IsAnonymousProxy":null}`)+1) {
		t.Errorf("%d bytes, %v; want the object as it is", packed.Bytes, err)
	}

	const counts = `{"schema":[],"results":[{"Kind":"clock","Bucket":{},"Rows":0,"Now":"2026-03-02T10:00:00Z","Newest":{}},{"Kind":{},"Bucket":0,"Rows":9,"Now":{},"Newest":{}}]}`
	c, _, _ = start(t, nil, status(200, counts))
	got, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: plan.Table{Source: "DeviceTvmSoftwareInventory", Load: plan.Snapshot}})
	if err != nil || got.Rows() != 9 || !got.Newest.IsZero() {
		t.Errorf("snapshot without an arrival time: %+v, %v; want 9 rows", got, err)
	}
}
