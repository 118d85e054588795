package hunting_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// issuer is a credential that takes tokens straight from the directory.
type issuer struct{ w *world }

func (i issuer) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := i.w.ids.Token(appID, strings.TrimSuffix(o.Scopes[0], "/.default"))
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, err
}

func (w *world) client(api defender.API) *defender.Client {
	w.t.Helper()
	scope := identity.AudienceGraph
	if api == defender.MDE {
		scope = identity.AudienceDefender
	}
	c, err := defender.New(defender.Config{
		API: api, BaseURL: w.http.URL, Scope: scope + "/.default", Credential: issuer{w}, Transport: w.http.Client().Transport,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// once is a Caller that makes each call once.
type once struct{}

func (once) Do(ctx context.Context, try func(context.Context) error) error { return try(ctx) }

func discarded(_ context.Context, produce func(io.Writer) error) error { return produce(io.Discard) }

func fetched(t *testing.T, c *defender.Client, table plan.Table, s plan.Slice) []string {
	t.Helper()
	var buf bytes.Buffer
	got, err := c.Fetch(t.Context(), once{}, table, s, func(_ context.Context, produce func(io.Writer) error) error { return produce(&buf) })
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(text) == 0 {
		lines = nil
	}
	if int(got.Rows) != len(lines) || got.Bytes != int64(len(text)) {
		t.Errorf("received %+v, read %d lines of %d bytes", got, len(lines), len(text))
	}
	return lines
}

func multiset(rows []string) map[string]int {
	m := make(map[string]int)
	for _, r := range rows {
		m[r]++
	}
	return m
}

func TestProduct_CountsAndFetchesEveryRowOnce(t *testing.T) {
	tn, err := tenant.Generate(tenant.Options{Scale: 0.03, Now: now, Only: []string{"DeviceEvents", "DeviceTvmSoftwareVulnerabilities", "DeviceBaselineComplianceAssessment"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range []defender.API{defender.Graph, defender.MDE} {
		w := newWorld(t, func(o *hunting.Options) {
			o.Tenant = tn
			o.Awkward = hunting.Awkward{Annotate: true, PascalSchema: api == defender.Graph}
		})
		c := w.client(api)
		t.Run(string(api)+" window", func(t *testing.T) {
			table := plan.Table{Source: "DeviceEvents", Load: plan.Full}
			window := plan.Window{From: now.AddDate(0, 0, -30), To: now}
			counts, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: table, Window: window, Settle: time.Hour, Bin: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if !counts.Now.Equal(now) || !counts.To.Equal(now.Add(-time.Hour)) || int(counts.Rows()) != tn.Count("DeviceEvents") || counts.Nulls != 0 {
				t.Errorf("%+v", counts)
			}
			half := plan.Slice{No: 1, Part: plan.PartWindow, Window: plan.Window{From: window.From, To: counts.To}, Hi: plan.Buckets}
			a, b, _ := half.Split(1)
			b1, b2 := b, b
			b1.Hi, b2.Lo = plan.Buckets/4, plan.Buckets/4
			var got []string
			for _, s := range []plan.Slice{a, b1, b2} {
				got = append(got, fetched(t, c, table, s)...)
			}
			var want []string
			for row := range tn.Rows("DeviceEvents") {
				want = append(want, string(row))
			}
			if diff := cmp.Diff(multiset(got), multiset(want)); diff != "" {
				t.Errorf("%.2000s", diff)
			}
			tally, err := c.CountBuckets(t.Context(), once{}, table, []plan.Slice{a, b1, b2}, 4096)
			if err != nil {
				t.Fatal(err)
			}
			total := int64(0)
			for _, part := range tally {
				for _, r := range part {
					total += r.Rows
				}
			}
			if int(total) != len(want) {
				t.Errorf("tallied %d of %d", total, len(want))
			}
		})
		for _, name := range []string{"DeviceTvmSoftwareVulnerabilities", "DeviceBaselineComplianceAssessment"} {
			t.Run(string(api)+" snapshot "+name, func(t *testing.T) {
				table := plan.Table{Source: name, Load: plan.Snapshot}
				counts, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: table})
				if err != nil {
					t.Fatal(err)
				}
				if int(counts.Rows()) != tn.Count(name) || counts.Newest.IsZero() {
					t.Errorf("%d rows, newest %s", counts.Rows(), counts.Newest)
				}
				rows := fetched(t, c, table, plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets})
				if len(rows) != tn.Count(name) {
					t.Errorf("%d rows", len(rows))
				}
			})
		}
	}
}

func TestProduct_KnowsEachFailure(t *testing.T) {
	w := newWorld(t, nil)
	w.append("DeviceInfo", `{"DeviceId":"a"}`, `{"DeviceId":"b"}`)
	table := plan.Table{Source: "DeviceInfo", Load: plan.Full}
	whole := plan.Slice{No: 1, Part: plan.PartWindow, Window: plan.Window{From: now.AddDate(0, 0, -30), To: now}, Hi: plan.Buckets}
	none := hunting.RetryNone
	for _, api := range []defender.API{defender.Graph, defender.MDE} {
		c := w.client(api)
		for _, tt := range []struct {
			name  string
			fault hunting.Fault
			want  fault.Kind
		}{
			{"minute", hunting.Fault{Refuse: hunting.ThrottleMinute}, fault.Wait},
			{"minute without a hint", hunting.Fault{Refuse: hunting.ThrottleMinute, RetryAfter: &none}, fault.Wait},
			{"cpu", hunting.Fault{Refuse: hunting.ThrottleCPU, RetryAfter: &none}, fault.Wait},
			{"too large", hunting.Fault{Refuse: hunting.TooLarge}, fault.Split},
			{"preempted", hunting.Fault{Refuse: hunting.Preempted}, fault.Split},
			{"500", hunting.Fault{Refuse: hunting.ServerError}, fault.Unavailable},
			{"502", hunting.Fault{Refuse: hunting.BadGateway}, fault.Unavailable},
			{"504", hunting.Fault{Refuse: hunting.EmptyTimeout}, fault.Unavailable},
			{"reset", hunting.Fault{ResetAt: 20}, fault.Unavailable},
			{"clean end", hunting.Fault{EndAt: 20}, fault.Unavailable},
		} {
			w.server.SetFault(func(hunting.Call) hunting.Fault { return tt.fault })
			if _, err := c.Fetch(t.Context(), once{}, table, whole, discarded); fault.KindOf(err) != tt.want {
				t.Errorf("%s %s: %v is %v, want %v", api, tt.name, err, fault.KindOf(err), tt.want)
			}
		}
		w.server.SetFault(nil)
		if _, err := c.Fetch(t.Context(), once{}, plan.Table{Source: "DeviceNope"}, whole, discarded); fault.KindOf(err) != fault.Permanent {
			t.Errorf("%s unknown table: %v", api, err)
		}
		first := true
		w.server.SetFault(func(hunting.Call) hunting.Fault {
			if first {
				first = false
				return hunting.Fault{Refuse: hunting.ExpiredToken}
			}
			return hunting.Fault{}
		})
		if got, err := c.Fetch(t.Context(), once{}, table, whole, discarded); err != nil || got.Rows != 2 {
			t.Errorf("%s after a refused token: %+v, %v", api, got, err)
		}
		w.server.SetFault(nil)
	}
}
