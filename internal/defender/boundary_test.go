package defender_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// directory is a credential that takes tokens straight from the directory.
type directory struct{ *identity.Server }

const appID = "22222222-2222-4222-8222-222222222222"

func (d directory) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := d.Token(appID, strings.TrimSuffix(o.Scopes[0], "/.default"))
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, err
}

// emulated returns a client of a tenant whose queries are really evaluated.
func emulated(t *testing.T, data *tenant.Tenant) *defender.Client {
	t.Helper()
	const id = "11111111-1111-4111-8111-111111111111"
	ids, err := identity.New(identity.Options{Now: data.Now})
	if err == nil {
		err = ids.AddTenant(id)
	}
	if err == nil {
		err = ids.RegisterApplication(identity.Principal{Tenant: id, ClientID: appID, ObjectID: "33333333-3333-4333-8333-333333333333",
			Roles: map[string][]string{identity.AudienceGraph: {"ThreatHunting.Read.All"}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	service, err := hunting.New(hunting.Options{Tenant: data, Verify: ids.Verify})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(service)
	t.Cleanup(server.Close)
	c, err := defender.New(defender.Config{
		BaseURL: server.URL, Scope: identity.AudienceGraph + "/.default", Credential: directory{ids}, Transport: server.Client().Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Rows lie one tick to either side of every edge, and on it: what is counted
// into a part is what is fetched with it, each row of the window once.
func TestClient_RowsOnTheEdgesBelongToOnePart(t *testing.T) {
	clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w := plan.Window{From: clock.Add(-6*time.Hour + 12345*plan.Tick), To: clock.Add(-2*time.Hour + 67890*plan.Tick)}
	bin := clock.Add(-4 * time.Hour)
	data := tenant.New(clock)
	inside := 0
	for i, edge := range []time.Time{w.From, bin, w.To} {
		for off := -1; off <= 1; off++ {
			at := edge.Add(time.Duration(off) * plan.Tick)
			if at.After(w.From) && !at.After(w.To) {
				inside++
			}
			if err := data.Append("DeviceInfo", at, fmt.Sprintf(`{"DeviceId":"d%d%d"}`, i, off)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := emulated(t, data)
	events := plan.Table{Source: "DeviceInfo", Load: plan.Full}
	counts, err := c.Count(t.Context(), once{}, plan.CountQuery{Table: events, Window: w, Settle: time.Hour, Bin: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if int(counts.Rows()) != inside || counts.Later != 1 || !counts.To.Equal(w.To) {
		t.Errorf("%d rows in the window up to %v and %d later, want %d up to %v and 1", counts.Rows(), counts.To, counts.Later, inside, w.To)
	}
	fetch := func(s plan.Slice) int64 {
		t.Helper()
		got, err := fetchInto(t.Context(), c, events, s, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return got.Rows
	}
	cells := plan.Cells(w, counts.Bins, time.Hour)
	for _, cell := range cells {
		if got := fetch(cell); got != cell.Rows {
			t.Errorf("%v: %d rows counted, %d fetched", cell, cell.Rows, got)
		}
	}
	if len(cells) < 3 {
		t.Errorf("%d cells, want the edges of bins in between", len(cells))
	}

	// Down to single buckets, halves hold what the whole holds.
	s := plan.Slice{No: 1, Part: plan.PartWindow, Window: w, Hi: plan.Buckets}
	for whole := fetch(s); s.Hi-s.Lo > 1; {
		a, b := s, s
		a.Hi = s.Lo + (s.Hi-s.Lo)/2
		b.Lo = a.Hi
		left, right := fetch(a), fetch(b)
		if left+right != whole {
			t.Fatalf("%v holds %d rows, its halves %d and %d", s, whole, left, right)
		}
		if s, whole = a, left; right > left {
			s, whole = b, right
		}
	}
}
