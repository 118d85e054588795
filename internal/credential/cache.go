package credential

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/sync/singleflight"
)

const (
	// refreshAhead is how long before its end a token is replaced, so that it
	// outlives the request it is used for. A token of short life is replaced when a
	// tenth of it remains. The SDK replaces its own tokens five minutes ahead.
	refreshAhead = 5 * time.Minute
	// refreshAgain is the pause after a failed replacement of a token that is
	// still good: ten tries before it ends.
	refreshAgain = 30 * time.Second
	// fetchTimeout bounds one request for a token with all its repetitions and, the
	// first time, the reading of the vault. It is not the caller's: others wait for
	// the same token. A request takes a second; a minute lets the SDK repeat it.
	fetchTimeout = time.Minute
)

// tokenCache keeps tokens by audience and asks its source for each of them once at a
// time.
type tokenCache struct {
	source  azcore.TokenCredential
	now     func() time.Time
	timeout time.Duration // of one request
	flight  singleflight.Group

	mu     sync.Mutex
	tokens map[string]cachedToken
}

// cachedToken is a token and the instant from which it should be replaced.
type cachedToken struct {
	token   azcore.AccessToken
	refresh time.Time
}

func newCache(source azcore.TokenCredential, now func() time.Time) *tokenCache {
	return &tokenCache{source: source, now: now, timeout: fetchTimeout, tokens: map[string]cachedToken{}}
}

// GetToken implements azcore.TokenCredential.
//
// Claims come from a service that has just refused the token we hold: they lead
// to a new one, which takes its place.
func (c *tokenCache) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	audience := fmt.Sprintf("%s|%s|%t", strings.Join(o.Scopes, " "), o.TenantID, o.EnableCAE)
	if t, ok := c.fresh(audience, o.Claims); ok {
		return t, nil
	}
	// The first caller may give up while the others still wait.
	fetchCtx := context.WithoutCancel(ctx)
	result := c.flight.DoChan(audience+"|"+o.Claims, func() (any, error) {
		if t, ok := c.fresh(audience, o.Claims); ok {
			return t, nil // fetched between our look and our turn
		}
		fetchCtx, cancel := context.WithTimeout(fetchCtx, c.timeout)
		defer cancel()
		t, err := c.source.GetToken(fetchCtx, o)
		if err != nil {
			return c.stillGood(audience, o.Claims, err)
		}
		c.keep(audience, t)
		return t, nil
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return azcore.AccessToken{}, r.Err
		}
		return r.Val.(azcore.AccessToken), nil
	case <-ctx.Done():
		return azcore.AccessToken{}, fmt.Errorf("Entra ID: no token for %s in time: %w", strings.Join(o.Scopes, " "), ctx.Err())
	}
}

// ManagedIdentity reports whether the tokens are those of a managed identity, which
// the platform keeps for up to a day whatever we forget.
func (c *tokenCache) ManagedIdentity() bool {
	_, ok := c.source.(*managedIdentity)
	return ok
}

// Forget drops the tokens for the scopes, or all where none is named, so that the
// next one asked for is new: a service has just refused the one we hold.
func (c *tokenCache) Forget(scopes ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix := strings.Join(scopes, " ") + "|"
	for audience := range c.tokens {
		if len(scopes) == 0 || strings.HasPrefix(audience, prefix) {
			delete(c.tokens, audience)
		}
	}
	// Beneath ours the SDK keeps tokens, too.
	if source, ok := c.source.(interface{ renew() }); ok {
		source.renew()
	}
}

func (c *tokenCache) fresh(audience, claims string) (azcore.AccessToken, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.tokens[audience]
	return h.token, ok && claims == "" && c.now().Before(h.refresh)
}

func (c *tokenCache) keep(audience string, t azcore.AccessToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	life := t.ExpiresOn.Sub(c.now())
	c.tokens[audience] = cachedToken{token: t, refresh: t.ExpiresOn.Add(-min(refreshAhead, life/10))}
}

// stillGood returns the token that could not be replaced for as long as it lasts,
// and cause when there is none.
func (c *tokenCache) stillGood(audience, claims string, cause error) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.tokens[audience]
	if !ok || claims != "" || !c.now().Before(h.token.ExpiresOn) {
		return azcore.AccessToken{}, cause
	}
	h.refresh = c.now().Add(refreshAgain)
	if h.refresh.After(h.token.ExpiresOn) {
		h.refresh = h.token.ExpiresOn
	}
	c.tokens[audience] = h
	return h.token, nil
}
