package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// readAgain is the least time between two readings of the secrets when a person
// must act, and how long a refusal is repeated without asking anybody: nobody mends a
// secret faster.
const readAgain = time.Minute

// rotating signs in with secrets that lie somewhere: a client secret, or a
// certificate with its key. What Entra ID refuses is dropped and read again: it may
// have been replaced.
type rotating struct {
	sources []source
	now     func() time.Time
	who     signIn
	// build makes the credential of what the sources gave, in their order. Its errors
	// are a person's to mend.
	build func([]secret.String) (azcore.TokenCredential, error)

	mu      sync.Mutex
	client  azcore.TokenCredential // nil before the first reading and after a refusal
	secrets []secret.String        // last ones read
	readAt  time.Time
	worked  bool  // client has signed in
	refused error // permanent; why client is nil after a reading
}

// newRotating makes one that reads refs, the first of which is named where Entra ID
// refuses what it was shown.
func newRotating(cfg Config, refs []secret.Ref, what string, build func([]secret.String) (azcore.TokenCredential, error)) (*rotating, error) {
	r := &rotating{now: cfg.Now, build: build, who: signIn{who: cfg.application(), remedy: "check tenant id, client id and cloud"}}
	for _, ref := range refs {
		s, err := newSource(cfg, ref, what)
		if err != nil {
			return nil, err
		}
		r.sources = append(r.sources, s)
	}
	r.who.secret = r.sources[0].String()
	return r, nil
}

// newSecret makes the credential of an application with a client secret.
func newSecret(cfg Config) (azcore.TokenCredential, error) {
	options := &azidentity.ClientSecretCredentialOptions{ClientOptions: cfg.clientOptions(), DisableInstanceDiscovery: cfg.ownAuthority()}
	return newRotating(cfg, []secret.Ref{cfg.Secret}, "the client secret", func(s []secret.String) (azcore.TokenCredential, error) {
		if text := s[0].Reveal(); strings.TrimSpace(text) != text {
			// Entra ID issues none like it, and would only say that it is wrong.
			return nil, errors.New("begins or ends with white space: store it again without")
		}
		return azidentity.NewClientSecretCredential(cfg.TenantID, cfg.ClientID, s[0].Reveal(), options)
	})
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

// current returns the client for the newest known secrets and reads them if there is
// none. failed is the client that the caller has just seen refused, or
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
	before := r.secrets
	values, err := r.read(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Permanent {
			r.refused, r.readAt = err, r.now()
		}
		return nil, err
	}
	r.secrets, r.readAt = values, r.now()
	if failed != nil && slices.EqualFunc(values, before, secret.String.Equal) {
		return nil, r.refused
	}
	client, err := r.build(values)
	if err != nil {
		r.refused = fault.As(fault.Permanent, fmt.Errorf("Entra ID: %s: %s: %w", r.who.who, r.who.secret, err))
		return nil, r.refused
	}
	r.client, r.refused, r.worked = client, nil, false
	return client, nil
}

// read reads all sources anew.
func (r *rotating) read(ctx context.Context) ([]secret.String, error) {
	var values []secret.String
	for _, s := range r.sources {
		value, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// renew makes the next token a new one: the client goes, with the tokens it
// keeps, and a client for the same secret takes its place.
func (r *rotating) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return
	}
	if client, err := r.build(r.secrets); err == nil {
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
		// It was good before, so it was replaced: it is read again at once.
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
