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

// vault reads one secret of a Key Vault.
type vault struct {
	ref      VaultRef
	client   *azsecrets.Client
	identity azcore.TokenCredential // the client signs in with
}

func newVault(cfg Config) (*vault, error) {
	client, err := azsecrets.NewClient(cfg.Vault.URL, cfg.VaultCredential, &azsecrets.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: cfg.Transport, Retry: cfg.retry},
		// A vault on this machine cannot have a name under the domain that it asks
		// tokens for.
		DisableChallengeResourceVerification: cfg.Loopback && address.IsLoopbackURL(cfg.Vault.URL),
	})
	if err != nil {
		return nil, fmt.Errorf("vault %s: %w", cfg.Vault.host(), err)
	}
	return &vault{ref: *cfg.Vault, client: client, identity: cfg.VaultCredential}, nil
}

// read returns the newest version of the secret. A value that cannot be a client
// secret as Entra ID issues it is refused here, where the cause can be named.
func (v *vault) read(ctx context.Context) (value secret.String, err error) {
	defer func() {
		// The SDK indexes into the challenge's authorization URL and panics when it
		// names no tenant, as that of a server that is no Key Vault.
		if recover() != nil {
			err = fault.As(fault.Permanent, fmt.Errorf("Key Vault: %s: the server asks for a sign-in that no Key Vault asks for: check the vault URL", v.ref))
		}
	}()
	response, err := v.client.GetSecret(ctx, v.ref.Secret, "", nil)
	if tokens, ok := v.identity.(interface{ Forget(scopes ...string) }); ok && tokenRefused(err) {
		// The vault may refuse a token before its time: once more with a new one.
		tokens.Forget()
		response, err = v.client.GetSecret(ctx, v.ref.Secret, "", nil)
	}
	if err != nil {
		return secret.String{}, v.explain(err)
	}
	var text string
	if response.Value != nil {
		text = *response.Value
	}
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "":
		return secret.String{}, fault.As(fault.Permanent, fmt.Errorf("Key Vault: %s is empty: store the client secret in it", v.ref))
	case trimmed != text:
		return secret.String{}, fault.As(fault.Permanent, fmt.Errorf("Key Vault: %s begins or ends with white space: store it again without", v.ref))
	}
	return secret.New(text), nil
}

// tokenRefused tells whether the vault refused the token it was shown.
func tokenRefused(err error) bool {
	var refused *azcore.ResponseError
	return errors.As(err, &refused) &&
		answer.For(answer.Said{Service: answer.Vault, Status: refused.StatusCode}).Meaning == answer.TokenRefused
}

func (v *vault) explain(err error) error {
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
	return fault.As(row.Kind, fmt.Errorf("Key Vault: %s: %s: %s", v.ref, answer.Quote(cause, maxText), row.Remedy))
}

func (v *vault) explainUnanswered(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return fmt.Errorf("Key Vault: %s: %w", v.ref, known) // the vault's credential has said it all
	}
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) {
		return fault.As(fault.Retry, fmt.Errorf("Key Vault: %s: no token for the vault: %s", v.ref, oneLine(failed)))
	}
	var final interface{ NonRetriable() }
	if errors.As(err, &final) {
		// The SDK has an answer and does not trust it: a challenge for another service.
		return fault.As(fault.Permanent, fmt.Errorf("Key Vault: %s: %s: check the vault URL", v.ref, oneLine(err)))
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fault.As(fault.Retry, fmt.Errorf("Key Vault: %s: the vault cannot be reached, check its URL and network rules: %w", v.ref, err))
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
