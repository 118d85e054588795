package credential

import (
	"context"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// managedIdentity is the identity of the app itself. Beneath ours the SDK keeps its
// tokens for the whole process, and beneath that the platform does, for up to 24
// hours. Source: managed identities, known issues.
type managedIdentity struct {
	explained

	mu    sync.Mutex
	round int            // each refused token begins one
	asked map[string]int // by audience: the round in which the platform was asked last
}

// anyClaims make the SDK ask the platform instead of its own memory; the platform is
// not told of them.
const anyClaims = `{}`

// GetToken implements azcore.TokenCredential.
func (m *managedIdentity) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	audience := strings.Join(o.Scopes, " ")
	m.mu.Lock()
	round := m.round
	if o.Claims == "" && m.asked[audience] < round {
		o.Claims = anyClaims
	}
	m.mu.Unlock()
	t, err := m.explained.GetToken(ctx, o)
	if err == nil && o.Claims != "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asked[audience] = max(m.asked[audience], round)
	}
	return t, err
}

// renew makes the next token for each audience one of the platform's.
func (m *managedIdentity) renew() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.round++
}
