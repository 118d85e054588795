package credential

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// exchanging signs in as an application by the token of another identity that the
// application trusts.
type exchanging struct {
	who   signIn
	build func() (azcore.TokenCredential, error)
	// show tries to get what is exchanged. The SDK, which asks for it in the midst of a
	// sign-in, would hide the error.
	show  func(context.Context) error
	shown interface{ renew() } // whose token is exchanged; nil: a file's

	mu     sync.Mutex
	client azcore.TokenCredential
}

func (cfg Config) exchangedBy(who string) signIn {
	return signIn{who: fmt.Sprintf("%s by %s", cfg.application(), who), remedy: "check tenant id, client id, cloud and the federated credential of the app registration"}
}

// newFederated makes the credential of an application that trusts a user-assigned
// managed identity. The application may be of another tenant's users: it signs in to
// TenantID, while the identity belongs to where the app runs.
func newFederated(cfg Config) (azcore.TokenCredential, error) {
	own := cfg
	own.ClientID = cfg.IdentityClientID
	identity, err := newManagedIdentity(own)
	if err != nil {
		return nil, err
	}
	assertion := func(ctx context.Context) (string, error) {
		t, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{cfg.ExchangeScope}})
		return t.Token, err
	}
	options := &azidentity.ClientAssertionCredentialOptions{ClientOptions: cfg.clientOptions(), DisableInstanceDiscovery: cfg.ownAuthority()}
	return (&exchanging{
		who: cfg.exchangedBy("managed identity " + cfg.IdentityClientID),
		build: func() (azcore.TokenCredential, error) {
			return azidentity.NewClientAssertionCredential(cfg.TenantID, cfg.ClientID, assertion, options)
		},
		show:  func(ctx context.Context) error { _, err := assertion(ctx); return err },
		shown: identity.(*managedIdentity),
	}).ready()
}

// newWorkloadIdentity makes the credential of an application that trusts the Kubernetes
// service account whose token stands in a file, which Kubernetes replaces in time.
func newWorkloadIdentity(cfg Config) (azcore.TokenCredential, error) {
	options := &azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: cfg.clientOptions(), DisableInstanceDiscovery: cfg.ownAuthority(),
		TenantID: cfg.TenantID, ClientID: cfg.ClientID, TokenFilePath: cfg.TokenFile,
	}
	who := cfg.exchangedBy("the service account of file " + cfg.TokenFile)
	return (&exchanging{
		who:   who,
		build: func() (azcore.TokenCredential, error) { return azidentity.NewWorkloadIdentityCredential(options) },
		show: func(context.Context) error {
			_, err := os.Stat(cfg.TokenFile)
			var at *fs.PathError
			if errors.As(err, &at) {
				return fault.As(fault.Permanent, fmt.Errorf("%s: read the token: %w: check the file and its mount", who.who, at.Err))
			}
			return err
		},
	}).ready()
}

// ready makes the first client.
func (e *exchanging) ready() (azcore.TokenCredential, error) {
	client, err := e.build()
	e.client = client
	return e, err
}

// GetToken implements azcore.TokenCredential.
func (e *exchanging) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if err := e.show(ctx); err != nil {
		return azcore.AccessToken{}, err
	}
	e.mu.Lock()
	client := e.client
	e.mu.Unlock()
	t, err := client.GetToken(ctx, o)
	if err != nil {
		return azcore.AccessToken{}, e.who.explain(o, err)
	}
	return t, nil
}

// renew makes the next token a new one, and the one that is exchanged for it.
func (e *exchanging) renew() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shown != nil {
		e.shown.renew()
	}
	if client, err := e.build(); err == nil {
		e.client = client
	}
}
