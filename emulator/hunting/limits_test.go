package hunting_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// wallClock is a clock that a test moves.
type wallClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *wallClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *wallClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func rows(t *testing.T, r reply) int {
	t.Helper()
	var doc struct {
		Results []json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil || r.status != 200 {
		t.Fatalf("%d %.300s: %v", r.status, r.body, err)
	}
	return len(doc.Results)
}

func TestQuota_IsASlidingWindow(t *testing.T) {
	clock := &wallClock{at: now}
	limits := hunting.Limits{CallsPerMinute: 3}
	w := newWorld(t, func(o *hunting.Options) {
		o.Wall = clock.now
		o.Limits = map[hunting.API]hunting.Limits{hunting.Graph: limits, hunting.MDE: limits}
	})
	status := func(r reply) int { return r.status }
	var got []int
	got = append(got, status(w.graph("AlertInfo")))
	clock.advance(40 * time.Second)
	got = append(got, status(w.graph("AlertInfo")), status(w.graph("AlertInfo")), status(w.graph("AlertInfo")))
	clock.advance(20 * time.Second) // the first call leaves the window, the others do not
	got = append(got, status(w.graph("AlertInfo")), status(w.graph("AlertInfo")))
	if diff := cmp.Diff(got, []int{200, 200, 200, 429, 200, 429}); diff != "" {
		t.Error(diff)
	}
	refused := w.graph("AlertInfo")
	code, message := failure(t, refused)
	if code != "TooManyRequests" || message != "Please retry again later." || refused.header.Get("Retry-After") != "40" {
		t.Errorf("%v %s", refused.header, refused.body)
	}

	for range 3 { // a quota of its own
		if r := w.mde("DeviceInfo"); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	refused = w.mde("DeviceInfo")
	if code, message := failure(t, refused); refused.status != 429 || code != "429" || message != "API calls quota exceeded! maximum allowed 3 per 00:01:00" {
		t.Errorf("%d %s", refused.status, refused.body)
	}
	if r := w.server.Stats(); r.Calls != 11 || r.QuotaRefusals != 4 || len(r.Log) != 11 || r.Log[0].Table != "AlertInfo" || r.Log[3].Status != 429 {
		t.Errorf("%+v", r)
	}
}

func TestQuota_OfAnHourAndWindowLengths(t *testing.T) {
	clock := &wallClock{at: now}
	w := newWorld(t, func(o *hunting.Options) {
		o.Wall = clock.now
		o.RetryAfter = hunting.RetryDate
		o.Limits = map[hunting.API]hunting.Limits{hunting.MDE: {CallsPerMinute: 2, Minute: 2 * time.Second, CallsPerHour: 4, Hour: time.Minute}}
	})
	for range 2 {
		for range 2 {
			if r := w.mde("DeviceInfo"); r.status != 200 {
				t.Fatal(r.body)
			}
		}
		clock.advance(3 * time.Second)
	}
	r := w.mde("DeviceInfo")
	if _, message := failure(t, r); r.status != 429 || message != "API calls quota exceeded! maximum allowed 4 per 00:01:00" {
		t.Errorf("%d %s", r.status, r.body)
	}
	at, err := http.ParseTime(r.header.Get("Retry-After"))
	if err != nil || at.Before(now.Add(time.Minute)) || at.After(now.Add(time.Minute+time.Second)) {
		t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	clock.advance(time.Minute)
	if r := w.mde("DeviceInfo"); r.status != 200 {
		t.Error(r.body)
	}
}

func TestQuota_OfCPULastsToTheNextQuarter(t *testing.T) {
	clock := &wallClock{at: now.Add(2*time.Minute + 26*time.Second)}
	w := newWorld(t, func(o *hunting.Options) {
		o.Wall = clock.now
		o.RetryAfter = hunting.RetryNone
		o.Limits = map[hunting.API]hunting.Limits{hunting.Graph: {CPU: 2 * time.Second, CPUPerRow: time.Second}}
	})
	w.append("AlertInfo", `{}`, `{}`)
	if r := w.graph("AlertInfo | count"); r.status != 200 {
		t.Fatal(r.body)
	}
	r := w.graph("AlertInfo | count")
	_, message := failure(t, r)
	want := "You have exceeded processing resources allocated to this tenant. You can run queries again in 00:12:34."
	if r.status != 429 || message != want || r.header.Get("Retry-After") != "" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	clock.advance(12*time.Minute + 34*time.Second)
	if r := w.graph("AlertInfo | count"); r.status != 200 {
		t.Error(r.body)
	}
}

func TestRowLimit_CutsOrRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.append("AlertInfo", `{}`, `{}`, `{}`)
	for _, tt := range []struct {
		limit, want int
		refuse      bool
	}{{2, 2, false}, {3, 3, false}, {3, 3, true}, {2, 400, true}} {
		w.server.SetLimits(hunting.Graph, hunting.Limits{Rows: tt.limit, RefuseRows: tt.refuse})
		r := w.graph("AlertInfo")
		if tt.want == 400 {
			if _, m := failure(t, r); r.status != 400 || !strings.Contains(m, "exceeded the allowed result size") {
				t.Errorf("%+v: %d %s", tt, r.status, r.body)
			}
		} else if n := rows(t, r); n != tt.want {
			t.Errorf("%+v: %d rows", tt, n)
		}
	}
}

func TestByteLimit_RefusesBeforeAnythingIsSent(t *testing.T) {
	w := newWorld(t, nil)
	w.append("AlertInfo", `{"Title":"`+strings.Repeat("x", 500)+`"}`, `{"Title":"`+strings.Repeat("x", 500)+`"}`)
	w.server.SetLimits(hunting.Graph, hunting.Limits{Bytes: 1000})
	r := w.graph("AlertInfo")
	if _, m := failure(t, r); r.status != 400 || !strings.Contains(m, "exceeded the allowed result size") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if n := rows(t, w.graph("AlertInfo | take 1")); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestQueryTime_EndsAQuery(t *testing.T) {
	tn, err := tenant.Generate(tenant.Options{Now: now, Only: []string{"DeviceEvents"}, Lean: map[string]int{"DeviceEvents": 300_000}})
	if err != nil {
		t.Fatal(err)
	}
	short := hunting.Limits{QueryTime: time.Nanosecond}
	w := newWorld(t, func(o *hunting.Options) {
		o.Tenant = tn
		o.Limits = map[hunting.API]hunting.Limits{hunting.Graph: short, hunting.MDE: short}
	})
	r := w.graph("DeviceEvents | summarize dcount(DeviceId)")
	if code, message := failure(t, r); r.status != 504 || code != "UnknownError" || message != "" {
		t.Errorf("graph: %d %s", r.status, r.body)
	}
	r = w.mde("DeviceEvents | summarize dcount(DeviceId)")
	if _, message := failure(t, r); r.status != 400 || !strings.Contains(message, "preempted") {
		t.Errorf("mde: %d %s", r.status, r.body)
	}
}

func TestDefaults_AreThePublishedOnes(t *testing.T) {
	graph, mde := hunting.Defaults(hunting.Graph), hunting.Defaults(hunting.MDE)
	if graph.Rows != 100_000 || graph.Bytes != 50_000_000 || graph.CallsPerMinute != 45 || graph.CallsPerHour != 0 || graph.QueryTime != 3*time.Minute {
		t.Errorf("%+v", graph)
	}
	if mde.CallsPerHour != 1500 || mde.QueryTime != 200*time.Second {
		t.Errorf("%+v", mde)
	}
}

func TestFaults_AnswerAsTheService(t *testing.T) {
	none := hunting.RetryNone
	cut := 1
	tests := []struct {
		name   string
		fault  hunting.Fault
		status int
		check  func(r reply) bool
	}{
		{"minute", hunting.Fault{Refuse: hunting.ThrottleMinute}, 429, func(r reply) bool { return r.header.Get("Retry-After") == "60" }},
		{"minute without a hint", hunting.Fault{Refuse: hunting.ThrottleMinute, RetryAfter: &none}, 429, func(r reply) bool { return r.header.Get("Retry-After") == "" }},
		{"hour", hunting.Fault{Refuse: hunting.ThrottleHour, Wait: 7 * time.Second}, 429, func(r reply) bool { return r.header.Get("Retry-After") == "7" }},
		{"cpu", hunting.Fault{Refuse: hunting.ThrottleCPU}, 429, func(r reply) bool { return strings.Contains(r.body, "again in 00:12:34.") }},
		{"too large", hunting.Fault{Refuse: hunting.TooLarge}, 400, func(r reply) bool { return strings.Contains(r.body, "allowed result size") }},
		{"preempted", hunting.Fault{Refuse: hunting.Preempted}, 400, func(r reply) bool { return strings.Contains(r.body, "was preempted") }},
		{"expired", hunting.Fault{Refuse: hunting.ExpiredToken}, 401, func(r reply) bool { return strings.Contains(r.body, "InvalidAuthenticationToken") }},
		{"500", hunting.Fault{Refuse: hunting.ServerError}, 500, func(r reply) bool { return strings.Contains(r.body, `"UnknownError","message":""`) }},
		{"502", hunting.Fault{Refuse: hunting.BadGateway}, 502, func(r reply) bool { return strings.HasPrefix(r.body, "<html>") }},
		{"504", hunting.Fault{Refuse: hunting.GatewayTimeout}, 504, func(r reply) bool { return strings.Contains(r.body, "UnknownError") }},
		{"504 empty", hunting.Fault{Refuse: hunting.EmptyTimeout}, 504, func(r reply) bool { return r.body == "" }},
		{"silent cut", hunting.Fault{Cut: &cut}, 200, func(r reply) bool { return strings.HasSuffix(r.body, `"results":[{"AlertId":"a"}]}`) }},
		{"clean end", hunting.Fault{EndAt: 10}, 200, func(r reply) bool { return r.err == nil && strings.HasSuffix(r.body, `"results":[{"AlertId`) }},
		{"reset", hunting.Fault{ResetAt: 10}, 200, func(r reply) bool { return r.err != nil && strings.HasSuffix(r.body, `"results":[{"AlertId`) }},
		{"reset behind the end", hunting.Fault{ResetAt: 10_000}, 200, func(r reply) bool { return r.err == nil && strings.HasSuffix(r.body, "]}") }},
		{"drip", hunting.Fault{Drip: time.Microsecond, DripBytes: 64}, 200, func(r reply) bool { return strings.HasSuffix(r.body, "]}") }},
	}
	for _, zipped := range []bool{true, false} {
		w := newWorld(t, nil)
		w.append("AlertInfo", `{"AlertId":"a"}`, `{"AlertId":"b"}`)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				w.server.SetFault(func(c hunting.Call) hunting.Fault {
					if c.Table != "AlertInfo" || c.API != hunting.Graph || c.Number == 0 || c.Query == "" {
						t.Errorf("%+v", c)
					}
					return tt.fault
				})
				r := w.send(graphPath, identity.AudienceGraph, body("AlertInfo"), func(r *http.Request) {
					if !zipped {
						r.Header.Set("Accept-Encoding", "identity")
					}
				})
				if r.status != tt.status || !tt.check(r) {
					t.Errorf("%d %v %v %q", r.status, r.err, r.header, r.body)
				}
			})
		}
	}
}

func TestFault_HangsUntilReleased(t *testing.T) {
	w := newWorld(t, nil)
	hold := make(chan struct{})
	asked := make(chan struct{})
	w.server.SetFault(func(hunting.Call) hunting.Fault { close(asked); return hunting.Fault{Hold: hold} })
	done := make(chan int)
	go func() { done <- w.graph("AlertInfo").status }()
	<-asked
	select {
	case status := <-done:
		t.Fatalf("answered with %d", status)
	default:
	}
	close(hold)
	if status := <-done; status != 200 {
		t.Errorf("%d", status)
	}
}

func TestAwkward_ChangesTheFormAndNotTheValues(t *testing.T) {
	row := `{"DeviceId":"d","ReportId":9007199254740993,"IsAzureADJoined":true,"OSBuild":null,"AdditionalFields":"{}","Obj":{"x":["a"]},"Arr":["b"],"None":{}}`
	tests := []struct {
		name    string
		awkward hunting.Awkward
		want    string
	}{
		{"annotated", hunting.Awkward{Annotate: true, PlainNulls: true}, `{"@odata.type":"#microsoft.graph.security.huntingRowResult","DeviceId":"d","ReportId@odata.type":"#Int64","ReportId":9007199254740993,"IsAzureADJoined":true,"OSBuild":null,"AdditionalFields":"{}",` +
			`"Obj":{"@odata.type":"#microsoft.graph.security.dynamicColumnValue","x":["a"]},"Arr@odata.type":"#Collection(String)","Arr":["b"],"None":{"@odata.type":"#microsoft.graph.security.dynamicColumnValue"}}`},
		{"null as an empty object", hunting.Awkward{},
			`{"DeviceId":"d","ReportId":9007199254740993,"IsAzureADJoined":true,"OSBuild":{},"AdditionalFields":"{}","Obj":{"x":["a"]},"Arr":["b"],"None":{}}`},
		{"null as null", hunting.Awkward{PlainNulls: true}, row},
		{"text and numbers", hunting.Awkward{TextDynamics: true, NumericBools: true, OmitNulls: true},
			`{"DeviceId":"d","ReportId":9007199254740993,"IsAzureADJoined":1,"AdditionalFields":"{}","Obj":"{\"x\":[\"a\"]}","Arr":"[\"b\"]","None":"{}"}`},
	}
	for _, tt := range tests {
		w := newWorld(t, func(o *hunting.Options) { o.Awkward = tt.awkward })
		w.append("DeviceInfo", row)
		if r := w.graph("DeviceInfo"); !strings.HasSuffix(r.body, `"results":[`+tt.want+"]}") {
			t.Errorf("%s: %s", tt.name, r.body)
		}
	}
	w := newWorld(t, func(o *hunting.Options) { o.Awkward = hunting.Awkward{NoEmptyResults: true, PascalSchema: true} })
	if r := w.graph("AlertInfo"); !strings.HasSuffix(r.body, `"results":null}`) || !strings.Contains(r.body, `"Name":"AlertId"`) {
		t.Error(r.body)
	}
}

func TestServer_ServesManyAtOnce(t *testing.T) {
	w := newWorld(t, func(o *hunting.Options) { o.Limits = map[hunting.API]hunting.Limits{hunting.Graph: {}} })
	w.append("AlertInfo", `{"AlertId":"a"}`)
	token := w.token(identity.AudienceGraph)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				r := w.send(graphPath, "", body("AlertInfo"), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
				if r.status != 200 {
					t.Error(strconv.Itoa(r.status) + r.body)
				}
			}
		})
	}
	wg.Wait()
	if r := w.server.Stats(); r.Calls != 40 || r.Rows != 40 {
		t.Errorf("%d calls, %d rows", r.Calls, r.Rows)
	}
}
