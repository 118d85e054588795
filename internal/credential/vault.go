package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// vaultSecret is one secret of a Key Vault.
type vaultSecret struct {
	host, name string
	client     *azsecrets.Client
	identity   azcore.TokenCredential // the client signs in with
}

func newVaultSecret(cfg Config, name string) (*vaultSecret, error) {
	u, err := url.Parse(cfg.VaultURL)
	if err != nil {
		return nil, errors.New("vault URL: want a URL")
	}
	client, err := azsecrets.NewClient(cfg.VaultURL, cfg.VaultCredential, &azsecrets.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: cfg.Transport, Retry: cfg.retry},
		// A vault on this machine cannot have a name under the domain that it asks
		// tokens for.
		DisableChallengeResourceVerification: cfg.Loopback && address.IsLoopbackURL(cfg.VaultURL),
	})
	if err != nil {
		return nil, fmt.Errorf("vault %s: %w", u.Host, err)
	}
	return &vaultSecret{host: u.Host, name: name, client: client, identity: cfg.VaultCredential}, nil
}

func (v *vaultSecret) String() string { return fmt.Sprintf("secret %q in vault %s", v.name, v.host) }

// read returns the newest version of the secret.
func (v *vaultSecret) read(ctx context.Context) (value secret.String, err error) {
	defer func() {
		// The SDK indexes into the challenge's authorization URL and panics when it
		// names no tenant, as that of a server that is no Key Vault.
		if recover() != nil {
			err = fault.As(fault.Permanent, fmt.Errorf("Key Vault: %s: the server asks for a sign-in that no Key Vault asks for: check the vault URL", v))
		}
	}()
	response, err := v.client.GetSecret(ctx, v.name, "", nil)
	if tokens, ok := v.identity.(interface{ Forget(scopes ...string) }); ok && tokenRefused(err) {
		// The vault may refuse a token before its time: once more with a new one.
		tokens.Forget()
		response, err = v.client.GetSecret(ctx, v.name, "", nil)
	}
	if err != nil {
		return secret.String{}, v.explain(err)
	}
	var text string
	if response.Value != nil {
		text = *response.Value
	}
	if strings.TrimSpace(text) == "" {
		return secret.String{}, fault.As(fault.Permanent, fmt.Errorf("Key Vault: %s is empty: store a value in it", v))
	}
	return secret.New(text), nil
}

// tokenRefused tells whether the vault refused the token it was shown.
func tokenRefused(err error) bool {
	var refused *azcore.ResponseError
	return errors.As(err, &refused) &&
		answer.For(answer.Said{Service: answer.Vault, Status: refused.StatusCode}).Meaning == answer.TokenRefused
}

func (v *vaultSecret) explain(err error) error {
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) {
		return v.explainUnanswered(err)
	}
	inner := innerCode(refused)
	cause := fmt.Sprintf("HTTP %d %s", refused.StatusCode, refused.ErrorCode)
	if inner != "" {
		cause += " (" + inner + ")"
	}
	code := inner
	if code == "" {
		code = refused.ErrorCode
	}
	row := answer.For(answer.Said{Service: answer.Vault, Status: refused.StatusCode, Code: code})
	return fault.As(row.Kind, fmt.Errorf("Key Vault: %s: %s: %s", v, answer.Quote(cause, maxText), row.Remedy))
}

func (v *vaultSecret) explainUnanswered(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return fmt.Errorf("Key Vault: %s: %w", v, known) // the vault's credential has said it all
	}
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) {
		return fault.As(fault.Retry, fmt.Errorf("Key Vault: %s: no token for the vault: %s", v, oneLine(failed)))
	}
	var final interface{ NonRetriable() }
	if errors.As(err, &final) {
		// The SDK has an answer and does not trust it: a challenge for another service.
		return fault.As(fault.Permanent, fmt.Errorf("Key Vault: %s: %s: check the vault URL", v, oneLine(err)))
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fault.As(fault.Retry, fmt.Errorf("Key Vault: %s: the vault cannot be reached, check its URL and network rules: %w", v, err))
}

// innerCode returns the error.innererror.code of the vault's answer, which tells
// the several reasons of a 403 apart; "" if there is none.
func innerCode(refused *azcore.ResponseError) string {
	if refused.RawResponse == nil {
		return ""
	}
	body, err := runtime.Payload(refused.RawResponse)
	if err != nil {
		return ""
	}
	var said struct {
		Error struct {
			InnerError struct{ Code string }
		}
	}
	if json.Unmarshal(answer.TrimMark(body), &said) != nil || !codeForm.MatchString(said.Error.InnerError.Code) {
		return ""
	}
	return said.Error.InnerError.Code
}
