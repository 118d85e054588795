package hunting_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const mark = "\ufeff"

// fails makes a world in which each call has the fault, with three rows.
func fails(t *testing.T, f hunting.Fault) *world {
	t.Helper()
	w := newWorld(t, func(o *hunting.Options) { o.Fault = func(hunting.Call) hunting.Fault { return f } })
	w.append("DeviceInfo", `{"DeviceId":"a"}`, `{"DeviceId":"b"}`, `{"DeviceId":"c"}`)
	return w
}

func TestFault_ResultsThatAreNotThere(t *testing.T) {
	for _, tt := range []struct {
		fault hunting.Fault
		ends  string
	}{
		{hunting.Fault{}, `"results":[{"DeviceId":"a"},{"DeviceId":"b"},{"DeviceId":"c"}]}`},
		{hunting.Fault{Results: hunting.EmptyResults}, `"results":[]}`},
		{hunting.Fault{Results: hunting.NullResults}, `"results":null}`},
		{hunting.Fault{Results: hunting.NoResults}, `"type":"String"}]}`},
		{hunting.Fault{DropRow: 2}, `"results":[{"DeviceId":"a"},{"DeviceId":"c"}]}`},
	} {
		w := fails(t, tt.fault)
		r := w.graph("DeviceInfo | project DeviceId")
		if r.status != 200 || !strings.HasSuffix(r.body, tt.ends) || !strings.Contains(r.body, `"schema":[{"name":"DeviceId"`) {
			t.Errorf("%+v: %d %s", tt.fault, r.status, r.body)
		}
		older := strings.Replace(tt.ends, `"results"`, `"Results"`, 1)
		older = strings.Replace(older, `"type"`, `"Type"`, 1)
		if r := w.mde("DeviceInfo | project DeviceId"); r.status != 200 || !strings.HasSuffix(r.body, older) {
			t.Errorf("older API, %+v: %d %s", tt.fault, r.status, r.body)
		}
	}
}

func TestFault_ByteOrderMark(t *testing.T) {
	w := fails(t, hunting.Fault{ByteOrderMark: true})
	for _, r := range []reply{w.graph("DeviceInfo | project DeviceId"), w.mde("DeviceInfo | project DeviceId"), w.graph("Nowhere")} {
		if !strings.HasPrefix(r.body, mark+"{") || strings.Count(r.body, mark) != 1 {
			t.Errorf("%d %.80q does not begin with one mark", r.status, r.body)
		}
	}
}

// What the product makes of each of the service's own ways.
func TestFault_AsTheProductTakesIt(t *testing.T) {
	parts := []plan.Slice{{Part: plan.PartAll, Hi: 100}, {Part: plan.PartAll, Lo: 100, Hi: plan.Buckets}}
	for _, tt := range []struct {
		name  string
		fault hunting.Fault
		want  fault.Kind
	}{
		{"time-out", hunting.Fault{Refuse: hunting.QueryTimeout}, fault.Split},
		{"result limit", hunting.Fault{Refuse: hunting.ResultLimit}, fault.Split},
		{"resources", hunting.Fault{Refuse: hunting.ResourcesConsumed}, fault.Split},
		{"too complex", hunting.Fault{Refuse: hunting.TooComplex}, fault.Split},
		{"unexpected", hunting.Fault{Refuse: hunting.UnexpectedError}, fault.Unavailable},
		{"stated wait", hunting.Fault{Refuse: hunting.WaitStated}, fault.Wait},
		{"missing permission", hunting.Fault{Refuse: hunting.MissingPermission}, fault.Permanent},
		{"time-out behind a mark", hunting.Fault{Refuse: hunting.QueryTimeout, ByteOrderMark: true}, fault.Split},
		{"a mark alone", hunting.Fault{ByteOrderMark: true}, fault.None},
	} {
		w := fails(t, tt.fault)
		_, err := w.client(defender.Graph).CountBuckets(t.Context(), once{}, plan.Table{Source: "DeviceInfo"}, parts, plan.Buckets)
		if fault.KindOf(err) != tt.want {
			t.Errorf("%s: %v (%v), want %v", tt.name, err, fault.KindOf(err), tt.want)
		}
	}
	snapshot := plan.CountQuery{Table: plan.Table{Source: "DeviceInfo", Load: plan.Snapshot}}
	counts, err := fails(t, hunting.Fault{Refuse: hunting.ArrivalNotResolved}).client(defender.Graph).Count(t.Context(), once{}, snapshot)
	if err != nil || counts.Rows() != 3 || counts.Checksum == "" {
		t.Errorf("a snapshot without arrival times: %+v, %v", counts, err)
	}
}

func TestLimits_OfAQuery(t *testing.T) {
	w := newWorld(t, func(o *hunting.Options) {
		o.Limits = map[hunting.API]hunting.Limits{hunting.Graph: {Branches: 3, Request: 400}}
	})
	w.append("DeviceInfo", `{"DeviceId":"a"}`)
	for query, want := range map[string]int{
		"DeviceInfo | union (DeviceInfo | take 1), (DeviceInfo | where DeviceId in ('a', 'b'))": http.StatusOK,
		"DeviceInfo | union DeviceInfo, DeviceInfo, DeviceInfo":                                 http.StatusBadRequest,
		"union DeviceInfo, DeviceInfo, DeviceInfo":                                              http.StatusOK,
		"DeviceInfo // " + strings.Repeat("x", 400):                                             http.StatusRequestEntityTooLarge,
	} {
		if r := w.graph(query); r.status != want {
			t.Errorf("%.90s: %d %.120s, want %d", query, r.status, r.body, want)
		}
	}
	parts := make([]plan.Slice, 5)
	for i := range parts {
		parts[i] = plan.Slice{Part: plan.PartAll, Lo: i, Hi: i + 1}
	}
	for _, limits := range []hunting.Limits{{Branches: 4}, {Request: 300}} {
		w.server.SetLimits(hunting.Graph, limits)
		_, err := w.client(defender.Graph).CountBuckets(t.Context(), once{}, plan.Table{Source: "DeviceInfo"}, parts, plan.Buckets)
		if fault.KindOf(err) != fault.Split {
			t.Errorf("%+v: %v (%v), want split", limits, err, fault.KindOf(err))
		}
	}
}
