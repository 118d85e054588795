package defender_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestClient_CountWindow(t *testing.T) {
	query := plan.CountQuery{Table: table, Window: plan.Window{From: now.Add(-3 * time.Hour), To: now}, Settle: time.Hour, Bin: time.Hour}
	body := `{"schema":[{"name":"Kind","type":"String"}],"results":[
		{"Kind":"window","Bin":"2026-03-02T08:00:00Z","Rows":7,"Now":null,"To":null},
		{"kind":"clock","bin":null,"rows":0,"now":"2026-03-02T10:06:00.1234567Z","to":"2026-03-02T09:06:00.1234567Z"},
		{"Kind":"null","Bin":null,"Rows":"3"},
		{"Kind":"window","Bin":"2026-03-02T07:00:00.0000000Z","Rows":5},
		{"Kind":"later","Bin":null,"Rows":11}]}`
	c, s, _ := start(t, nil, status(200, body))
	got, err := c.Count(t.Context(), once{}, query)
	if err != nil {
		t.Fatal(err)
	}
	at := func(hour int) time.Time { return time.Date(2026, 3, 2, hour, 0, 0, 0, time.UTC) }
	want := plan.Counts{
		Now: at(10).Add(6*time.Minute + 123456700), To: at(9).Add(6*time.Minute + 123456700),
		Bins: []plan.Bin{{Start: at(7), Rows: 5}, {Start: at(8), Rows: 7}}, Nulls: 3, Later: 11,
	}
	if diff := cmp.Diff(want, got); diff != "" || s.count() != 1 {
		t.Errorf("Count in %d calls (-want +got):\n%s", s.count(), diff)
	}
}

func TestClient_CountSnapshot(t *testing.T) {
	body := `{"Schema":[],"Results":[{"Kind":"clock","Bucket":null,"Rows":0,"Now":"2026-03-02T10:00:00Z","Newest":null},
		{"Kind":"","Bucket":255,"Rows":4,"Newest":"2026-03-01T00:00:00Z"},{"Kind":"","Bucket":0,"Rows":9,"Newest":"2026-03-01T10:00:00.5Z"},{"Bucket":"7","Rows":1,"Newest":""}]}`
	c, _, _ := start(t, nil, status(200, body))
	got, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: plan.Table{Source: "DeviceTvmSoftwareInventory", Load: plan.Snapshot}})
	want := plan.Counts{
		Now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), Newest: time.Date(2026, 3, 1, 10, 0, 0, 5e8, time.UTC),
		Buckets: []plan.BucketCount{{Lo: 0, Hi: 256, Rows: 9}, {Lo: 1792, Hi: 2048, Rows: 1}, {Lo: 65280, Hi: 65536, Rows: 4}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Count = %v (-want +got):\n%s", err, diff)
	}
}

func TestClient_CountBuckets(t *testing.T) {
	parts := []plan.Slice{
		{Part: plan.PartWindow, Window: slice.Window, Lo: 100, Hi: 1000},
		{Part: plan.PartNull, Hi: plan.Buckets},
		{Part: plan.PartWindow, Window: slice.Window, Lo: 1000, Hi: plan.Buckets},
	}
	body := `{"schema":[],"results":[{"Rows":4,"Bucket":2,"Part":2},{"Rows":2,"Bucket":1,"Part":0},{"Rows":1,"Bucket":0,"Part":0},{"Rows":3,"Bucket":1,"Part":2},{"Rows":0,"Bucket":0,"Part":1}]}`
	c, s, _ := start(t, nil, status(200, body))
	got, err := c.CountBuckets(t.Context(), once{}, table, parts, 512)
	want := [][]plan.BucketCount{{{Lo: 100, Hi: 512, Rows: 1}, {Lo: 512, Hi: 1000, Rows: 2}}, {}, {{Lo: 1000, Hi: 1024, Rows: 3}, {Lo: 1024, Hi: 1536, Rows: 4}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || s.count() != 1 {
		t.Errorf("CountBuckets = %v in %d calls (-want +got):\n%s", err, s.count(), diff)
	}
	c, s, _ = start(t, nil, status(200, body))
	if got, err := c.CountBuckets(t.Context(), once{}, table, nil, 512); err != nil || got != nil || s.count() != 0 {
		t.Errorf("CountBuckets of nothing = %v, %v in %d calls", got, err, s.count())
	}
}

func TestClient_CountsThatCannotBeRead(t *testing.T) {
	clock := `{"Kind":"clock","Rows":0,"Now":"2026-03-02T10:00:00Z","To":"2026-03-02T09:00:00Z"}`
	bodies := map[string]string{
		"no clock":         `{"Kind":"window","Bin":"2026-03-02T08:00:00Z","Rows":7}`,
		"no rows":          clock + `,{"Kind":"window","Bin":"2026-03-02T08:00:00Z"}`,
		"negative rows":    clock + `,{"Kind":"later","Rows":-1}`,
		"rows no number":   clock + `,{"Kind":"later","Rows":1.5}`,
		"no bin":           clock + `,{"Kind":"window","Rows":1}`,
		"bin no instant":   clock + `,{"Kind":"window","Rows":1,"Bin":"yesterday"}`,
		"unknown kind":     clock + `,{"Kind":"x","Rows":1}`,
		"clock without to": `{"Kind":"clock","Now":"2026-03-02T10:00:00Z"}`,
	}
	for name, rows := range bodies {
		t.Run(name, func(t *testing.T) {
			c, _, _ := start(t, nil, status(200, `{"schema":[],"results":[`+rows+`]}`))
			got, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: table, Window: slice.Window, Bin: time.Hour})
			if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("Count = %+v, %v (%v), want unavailable", got, err, fault.KindOf(err))
			}
		})
	}
}
