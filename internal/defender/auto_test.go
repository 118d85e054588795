package defender_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
)

// granted is a credential whose token for Graph has a role only when it was given. Like
// the real one it keeps tokens until they are forgotten.
type granted struct {
	role bool
	err  error
	kept map[string]string
}

func (g *granted) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	scope := o.Scopes[0]
	if g.err != nil && scope == "g/.default" {
		return azcore.AccessToken{}, g.err
	}
	if g.kept[scope] == "" {
		g.kept[scope] = jwt(scope)
		if g.role {
			g.kept[scope] = jwt(scope, "ThreatHunting.Read.All")
		}
	}
	return azcore.AccessToken{Token: g.kept[scope], ExpiresOn: now.Add(time.Hour)}, nil
}

func (g *granted) Forget(scopes ...string) { delete(g.kept, scopes[0]) }

// either is both APIs of one tenant, and the instant it is there.
type either struct {
	*defender.Auto
	cred  *granted
	at    time.Time
	gone  int // status of what is left of Defender for Endpoint; 0: it serves
	calls []string
}

func newEither(t *testing.T) *either {
	t.Helper()
	e := &either{cred: &granted{kept: map[string]string{}}, at: now}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api := "mde"
		if strings.Contains(r.URL.Path, "runHuntingQuery") {
			api = "graph"
		}
		e.calls = append(e.calls, api)
		if api == "mde" && e.gone != 0 {
			w.WriteHeader(e.gone)
			return
		}
		_, _ = io.WriteString(w, oneRow)
	}))
	t.Cleanup(server.Close)
	client := func(api defender.API, scope string) *defender.Client {
		c, err := defender.New(defender.Config{API: api, BaseURL: server.URL, Scope: scope, Credential: e.cred, Now: func() time.Time { return e.at }})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	e.Auto = defender.NewAuto(client(defender.Graph, "g/.default"), client(defender.MDE, "m/.default"))
	return e
}

func (e *either) fetch(t *testing.T) error {
	t.Helper()
	if err := e.Ready(t.Context()); err != nil {
		return err
	}
	_, err := e.Fetch(t.Context(), once{}, table, slice, func(_ context.Context, produce func(io.Writer) error) error { return produce(new(bytes.Buffer)) })
	return err
}

// The API that is asked follows the role in Graph's token, which is looked at each hour,
// and its name goes with it.
func TestAuto_MovesToGraphWithTheRole(t *testing.T) {
	e := newEither(t)
	if got := e.API(); got != "graph or mde" {
		t.Errorf("before the first look: %s", got)
	}
	step := func(what, api string) {
		t.Helper()
		if err := e.fetch(t); err != nil || e.API() != api || e.calls[len(e.calls)-1] != api {
			t.Errorf("%s: %s asked, %v; want %s", what, e.API(), err, api)
		}
	}
	step("without the role", "mde")
	e.cred.role = true
	e.cred.Forget("g/.default") // an hour's token has ended
	step("within the hour", "mde")
	e.at = e.at.Add(time.Hour)
	step("an hour later", "graph")
	e.cred.role = false
	e.cred.Forget("g/.default")
	e.at = e.at.Add(2 * time.Hour)
	step("it stays", "graph")
}

func TestAuto_WhatAnErrorOfTheTokenMeans(t *testing.T) {
	e := newEither(t)
	e.cred.err = fault.As(fault.Retry, errors.New("busy"))
	if err := e.fetch(t); fault.KindOf(err) != fault.Retry || len(e.calls) != 0 {
		t.Errorf("trouble that passes: %v after %v, want to wait", err, e.calls)
	}
	e.cred.err = fault.As(fault.Permanent, errors.New("no such API"))
	if err := e.fetch(t); err != nil || e.API() != "mde" {
		t.Errorf("Graph is not for this application: %s, %v; want mde", e.API(), err)
	}
}

// After the end of Defender for Endpoint's hunting API a 404 or 410 of it says so; before,
// and of Graph at any time, it is a wrong address.
func TestMDE_AfterItsEnd(t *testing.T) {
	end := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	for _, code := range []int{http.StatusNotFound, http.StatusGone} {
		for _, tt := range []struct {
			api  defender.API
			at   time.Time
			want string
		}{
			{defender.MDE, end, "ended on 2027-02-01: set DEFENDER_API to graph"},
			{defender.MDE, end.Add(-time.Second), "check cloud and base URL"},
			{defender.Graph, end, "check cloud and base URL"},
		} {
			c, _, _ := start(t, func(cfg *defender.Config) { cfg.API, cfg.Now = tt.api, func() time.Time { return tt.at } }, status(code, ""))
			if _, _, err := fetch(t, c); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%d of %s at %s: %v (%v), want %q", code, tt.api, tt.at, err, fault.KindOf(err), tt.want)
			}
		}
	}

	// The next call looks at once whether the role is there.
	e := newEither(t)
	e.at = end
	if err := e.fetch(t); err != nil || e.API() != "mde" {
		t.Fatalf("%s, %v", e.API(), err)
	}
	e.gone, e.cred.role = http.StatusGone, true
	if err := e.fetch(t); err == nil || !strings.Contains(err.Error(), "ended on 2027-02-01") {
		t.Errorf("its first refusal: %v", err)
	}
	if err := e.fetch(t); err != nil || e.API() != "graph" {
		t.Errorf("after it: %s, %v; want graph", e.API(), err)
	}
}
