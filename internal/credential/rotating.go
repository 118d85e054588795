package credential

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// readAgain is the least time between two readings of the vault when a person
// must act, and how long a refusal is repeated without asking anybody.
const readAgain = time.Minute

// rotating signs in with a client secret from the vault. A secret that Entra ID
// refuses is dropped and read again: it may have been replaced.
type rotating struct {
	vault *vault
	now   func() time.Time
	who   signIn
	build func(secret.String) (azcore.TokenCredential, error)

	mu      sync.Mutex
	client  azcore.TokenCredential // nil before the first reading and after a refusal
	secret  secret.String          // last one read
	readAt  time.Time
	worked  bool  // client has signed in
	refused error // permanent; why client is nil after a reading
}

func newRotating(cfg Config) (*rotating, error) {
	v, err := newVault(cfg)
	if err != nil {
		return nil, err
	}
	options := &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            cfg.clientOptions(),
		DisableInstanceDiscovery: cfg.Loopback && address.IsLoopbackURL(cfg.AuthorityHost),
	}
	return &rotating{
		vault: v,
		now:   cfg.Now,
		who: signIn{
			who:    fmt.Sprintf("application %s in tenant %s", cfg.ClientID, cfg.TenantID),
			remedy: "check tenant id, client id and cloud",
			secret: cfg.Vault.String(),
		},
		build: func(s secret.String) (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential(cfg.TenantID, cfg.ClientID, s.Reveal(), options)
		},
	}, nil
}

// GetToken implements azcore.TokenCredential.
func (r *rotating) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	client, err := r.current(ctx, nil)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	token, err := client.GetToken(ctx, o)
	if isSecretRefused(err) {
		r.refuse(client, r.who.explain(o, err))
		if client, err = r.current(ctx, client); err != nil {
			return azcore.AccessToken{}, err
		}
		if token, err = client.GetToken(ctx, o); isSecretRefused(err) {
			r.refuse(client, r.who.explain(o, err))
		}
	}
	if err != nil {
		return azcore.AccessToken{}, r.who.explain(o, err)
	}
	r.succeeded(client)
	return token, nil
}

func (r *rotating) succeeded(client azcore.TokenCredential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.worked = r.worked || r.client == client
}

// current returns the client for the newest known secret and reads the vault if
// there is none. failed is the client that the caller has just seen refused, or
// nil: the same secret is not tried twice in one call, but it is in the next one,
// for Entra ID refuses a brand-new secret for some minutes.
//
// It holds its lock while it reads, so that callers for several audiences share
// one reading.
func (r *rotating) current(ctx context.Context, failed azcore.TokenCredential) (azcore.TokenCredential, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	if r.refused != nil && r.now().Before(r.readAt.Add(readAgain)) {
		return nil, r.refused
	}
	before := r.secret
	value, err := r.vault.read(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Permanent {
			r.refused, r.readAt = err, r.now()
		}
		return nil, err
	}
	r.secret, r.readAt = value, r.now()
	if failed != nil && value.Equal(before) {
		return nil, r.refused
	}
	client, err := r.build(value)
	if err != nil {
		return nil, fault.As(fault.Permanent, fmt.Errorf("Entra ID: %s: %w", r.who.who, err))
	}
	r.client, r.refused, r.worked = client, nil, false
	return client, nil
}

// renew makes the next token a new one: the client goes, with the tokens it
// keeps, and a client for the same secret takes its place.
func (r *rotating) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return
	}
	if client, err := r.build(r.secret); err == nil {
		r.client = client
	}
}

// refuse drops client and remembers why, unless another caller has replaced it.
func (r *rotating) refuse(client azcore.TokenCredential, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != client {
		return
	}
	r.client, r.refused = nil, why
	if r.worked {
		// It was good before, so it was replaced: the vault is read at once.
		r.readAt = time.Time{}
	}
}

// isSecretRefused tells whether Entra ID has refused the client secret itself:
// wrong, expired or otherwise no proof of the application.
func isSecretRefused(err error) bool {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) {
		return false
	}
	refused, ok := readAnswer(failed.RawResponse)
	return ok && refused.row(failed.RawResponse.StatusCode).Meaning == answer.WrongSecret
}
