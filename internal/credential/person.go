package credential

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// signInTimeout is how long a person may take. Source: a device code of Entra ID is good
// for 15 minutes.
const signInTimeout = 15 * time.Minute

// asking is a credential of the SDK that asks a person.
type asking interface {
	azcore.TokenCredential
	Authenticate(context.Context, *policy.TokenRequestOptions) (azidentity.AuthenticationRecord, error)
}

// person is somebody at a terminal, who is asked once; then tokens come from what the
// SDK keeps.
type person struct {
	who    signIn
	record string // file of the account, "": none
	warn   func(string)
	kept   azidentity.Cache
	said   *refusals

	mu    sync.Mutex
	inner asking
}

// refusals keeps the last answer that refused something: the SDK, which polls while the
// person signs in, reads it up.
type refusals struct {
	mu   sync.Mutex
	body []byte
}

// Do implements policy.Policy.
func (r *refusals) Do(req *policy.Request) (*http.Response, error) {
	response, err := req.Next()
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		if body, err := runtime.Payload(response); err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.body = body
		}
	}
	return response, err
}

// restore puts the answer back into the SDK's error.
func (r *refusals) restore(err error) {
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) && failed.RawResponse != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		failed.RawResponse.Body = io.NopCloser(bytes.NewReader(r.body))
	}
}

// newDeviceCode makes the credential of a person who signs in on any device, by a code.
func newDeviceCode(cfg Config) (azcore.TokenCredential, error) {
	return newPerson(cfg, func(o azcore.ClientOptions, r azidentity.AuthenticationRecord, c azidentity.Cache) (asking, error) {
		return azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
			ClientOptions: o, DisableInstanceDiscovery: cfg.ownAuthority(), DisableAutomaticAuthentication: true,
			TenantID: cfg.TenantID, ClientID: cfg.ClientID, AuthenticationRecord: r, Cache: c,
			UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error { cfg.Say(m.Message); return nil },
		})
	})
}

// newBrowser makes the credential of a person who signs in in this machine's browser.
func newBrowser(cfg Config) (azcore.TokenCredential, error) {
	return newPerson(cfg, func(o azcore.ClientOptions, r azidentity.AuthenticationRecord, c azidentity.Cache) (asking, error) {
		return azidentity.NewInteractiveBrowserCredential(&azidentity.InteractiveBrowserCredentialOptions{
			ClientOptions: o, DisableInstanceDiscovery: cfg.ownAuthority(), DisableAutomaticAuthentication: true,
			TenantID: cfg.TenantID, ClientID: cfg.ClientID, LoginHint: cfg.Username, AuthenticationRecord: r, Cache: c,
		})
	})
}

func newPerson(cfg Config, open func(azcore.ClientOptions, azidentity.AuthenticationRecord, azidentity.Cache) (asking, error)) (azcore.TokenCredential, error) {
	who := "the person at this terminal"
	if cfg.Username != "" {
		who = cfg.Username
	}
	p := &person{said: &refusals{}, warn: cfg.Say, who: signIn{who: fmt.Sprintf("%s through %s", who, cfg.application()), remedy: "sign in again; the app registration must allow public client flows", person: true}}
	if cfg.TokenCache != "" {
		p.remember(cfg)
	}
	record, err := p.account()
	if err != nil {
		p.warn(err.Error())
	}
	options := cfg.clientOptions()
	options.PerRetryPolicies = append(options.PerRetryPolicies, p.said)
	p.inner, err = open(options, record, p.kept)
	return p, err
}

// remember sets up what outlives the process: the tokens in the SDK's cache, which a
// keyring locks, and beside it who signed in, which is no secret. Without a keyring
// nothing does.
func (p *person) remember(cfg Config) {
	name, folder := cfg.TokenCache, ""
	if strings.ContainsAny(name, `/\`) {
		name, folder = "defender2adx", cfg.TokenCache
	} else if base, err := os.UserConfigDir(); err == nil {
		folder = filepath.Join(base, "defender2adx")
	}
	kept, err := cfg.openCache(name)
	if err != nil || folder == "" {
		p.warn("DEFENDER_TOKEN_CACHE: this machine has no keyring that can lock a cache, so tokens are kept in memory only and the next start asks again")
		return
	}
	p.kept = kept
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join([]string{cfg.AuthorityHost, cfg.TenantID, cfg.ClientID, cfg.Username}, "\n"))))
	p.record = filepath.Join(folder, name+"-"+hex.EncodeToString(sum[:8])+".json")
}

// account reads who signed in last; none is no error.
func (p *person) account() (record azidentity.AuthenticationRecord, err error) {
	if p.record == "" {
		return record, nil
	}
	content, err := os.ReadFile(p.record)
	if errors.Is(err, os.ErrNotExist) {
		return record, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &record)
	}
	if err != nil {
		return azidentity.AuthenticationRecord{}, fmt.Errorf("read account record %s: %w: it is written anew", p.record, err)
	}
	return record, nil
}

// GetToken implements azcore.TokenCredential.
func (p *person) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, err := p.inner.GetToken(ctx, o)
	var required *azidentity.AuthenticationRequiredError
	if errors.As(err, &required) {
		var record azidentity.AuthenticationRecord
		if record, err = p.inner.Authenticate(ctx, &o); err == nil {
			p.save(record)
			t, err = p.inner.GetToken(ctx, o)
		}
	}
	if err != nil {
		p.said.restore(err)
		return azcore.AccessToken{}, p.who.explain(o, err)
	}
	return t, nil
}

// save writes down who signed in, so that the next start finds the tokens.
func (p *person) save(record azidentity.AuthenticationRecord) {
	if p.record == "" {
		return
	}
	content, err := json.Marshal(record)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(p.record), 0o700)
	}
	if err == nil {
		err = os.WriteFile(p.record, content, 0o600)
	}
	if err != nil {
		p.warn(fmt.Sprintf("write account record %s: %v: the next start asks again", p.record, err))
	}
}
