package credential

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// mint issues numbered tokens of a fixed life after a delay.
type mint struct {
	life, delay time.Duration

	mu    sync.Mutex
	asked int
	err   error
}

func (m *mint) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	select {
	case <-time.After(m.delay):
	case <-ctx.Done():
		return azcore.AccessToken{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.err != nil {
		return azcore.AccessToken{}, m.err
	}
	return azcore.AccessToken{Token: fmt.Sprint(m.asked), ExpiresOn: time.Now().Add(m.life)}, nil
}

func (m *mint) requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *mint) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func ask(ctx context.Context, c *tokenCache, claims string) (string, error) {
	t, err := c.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{graph}, Claims: claims})
	return t.Token, err
}

func TestCache_OneRequestPerLifeOfAToken(t *testing.T) {
	tests := []struct{ life, fresh, refresh time.Duration }{
		{time.Hour, 55*time.Minute - time.Second, 55 * time.Minute},
		{24 * time.Hour, 24*time.Hour - 5*time.Minute - time.Second, 24*time.Hour - 5*time.Minute},
		{time.Minute, 53 * time.Second, 54 * time.Second}, // a tenth of a short life
	}
	for _, tt := range tests {
		t.Run(tt.life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mint{life: tt.life}
				c := newCache(m, time.Now)
				var callers sync.WaitGroup
				for range 20 {
					callers.Go(func() {
						if got, err := ask(t.Context(), c, ""); err != nil || got != "1" {
							t.Errorf("got token %q, %v", got, err)
						}
					})
				}
				callers.Wait()
				time.Sleep(tt.fresh)
				if got, err := ask(t.Context(), c, ""); err != nil || got != "1" {
					t.Errorf("after %v: got token %q, %v", tt.fresh, got, err)
				}
				time.Sleep(tt.refresh - tt.fresh)
				if got, err := ask(t.Context(), c, ""); err != nil || got != "2" {
					t.Errorf("after %v: got token %q, %v", tt.refresh, got, err)
				}
				time.Sleep(10 * tt.life)
				if got, err := ask(t.Context(), c, ""); err != nil || got != "3" {
					t.Errorf("after a wait over its life: got token %q, %v", got, err)
				}
			})
		})
	}
}

func TestCache_ACallerThatGivesUpDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour, delay: 10 * time.Second}
		c := newCache(m, time.Now)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := ask(impatient, c, ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("impatient caller: got %v", err)
			}
			if m.requests() != 0 {
				t.Error("the impatient caller waited for the token")
			}
		})
		synctest.Wait() // the impatient one is first
		callers.Go(func() {
			if got, err := ask(t.Context(), c, ""); err != nil || got != "1" {
				t.Errorf("patient caller: got %q, %v", got, err)
			}
		})
		callers.Wait()
		if m.requests() != 1 {
			t.Errorf("got %d requests, want 1", m.requests())
		}
	})
}

func TestCache_ARequestThatHangsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(&mint{life: time.Hour, delay: 24 * time.Hour}, time.Now)
		start := time.Now()
		if _, err := ask(t.Context(), c, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if got := time.Since(start); got != fetchTimeout {
			t.Errorf("ended after %v, want %v", got, fetchTimeout)
		}
	})
}

func TestCache_FailedReplacementKeepsAGoodToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		c := newCache(m, time.Now)
		if _, err := ask(t.Context(), c, ""); err != nil {
			t.Fatal(err)
		}
		m.fail(errors.New("down"))
		time.Sleep(56 * time.Minute)
		for range 5 {
			if got, err := ask(t.Context(), c, ""); err != nil || got != "1" {
				t.Errorf("got %q, %v", got, err)
			}
		}
		if m.requests() != 2 {
			t.Errorf("got %d requests, want 2: the first and one attempt to replace it", m.requests())
		}
		time.Sleep(refreshAgain)
		_, _ = ask(t.Context(), c, "")
		if m.requests() != 3 {
			t.Errorf("got %d requests after the pause, want 3", m.requests())
		}
		time.Sleep(4 * time.Minute)
		if got, err := ask(t.Context(), c, ""); err == nil {
			t.Errorf("got token %q after its end", got)
		}
	})
}

func TestCache_AFailureIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour, err: errors.New("down")}
		c := newCache(m, time.Now)
		if _, err := ask(t.Context(), c, ""); err == nil {
			t.Fatal("no error")
		}
		m.fail(nil)
		if got, err := ask(t.Context(), c, ""); err != nil || got != "2" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestCache_ClaimsReplaceTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		c := newCache(m, time.Now)
		for _, tt := range []struct{ claims, want string }{{"", "1"}, {"revoked", "2"}, {"", "2"}, {"revoked", "3"}} {
			if got, err := ask(t.Context(), c, tt.claims); err != nil || got != tt.want {
				t.Errorf("claims %q: got %q, %v; want %q", tt.claims, got, err, tt.want)
			}
		}
		m.fail(errors.New("down"))
		if got, err := ask(t.Context(), c, "revoked"); err == nil {
			t.Errorf("got the refused token %q back", got)
		}
	})
}

func TestCache_KeepsAudiencesApart(t *testing.T) {
	m := &mint{life: time.Hour}
	c := newCache(m, time.Now)
	for i, o := range []policy.TokenRequestOptions{
		{Scopes: []string{graph}},
		{Scopes: []string{kusto}},
		{Scopes: []string{graph}, TenantID: tenant},
		{Scopes: []string{graph}, EnableCAE: true},
	} {
		for range 2 {
			got, err := c.GetToken(t.Context(), o)
			if want := fmt.Sprint(i + 1); err != nil || got.Token != want {
				t.Errorf("%+v: got %q, %v; want %q", o, got.Token, err, want)
			}
		}
	}
}
