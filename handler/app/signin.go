package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/credential"
)

// SignedIn is a token for the hunting API, without the token.
type SignedIn struct {
	As      string // a person, or the application
	Scope   string
	Ends    time.Time
	Rights  []string
	Missing string // what hunting needs besides; "": nothing
}

// SignIn gets a token for the instance's hunting API; of two, for the first one that the
// token allows.
func SignIn(ctx context.Context, cfg config.Config, i config.Instance, o Options) (SignedIn, error) {
	identity := OwnIdentity(cfg)
	identity.Transport, identity.Say = o.transporter(), o.Say
	own, err := credential.New(identity)
	if err != nil {
		return SignedIn{}, fmt.Errorf("ADX_CREDENTIAL: %w", err)
	}
	cred, err := sourceCredential(i, own, o)
	if err != nil {
		return SignedIn{}, err
	}
	var out SignedIn
	for _, api := range apis(i.Defender) {
		scope := endpoint(i.Defender, api).Scope
		token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return SignedIn{}, err
		}
		said := credential.Of(token.Token)
		rights := slices.Concat(said.Roles, said.Scopes)
		out = SignedIn{As: cmp.Or(said.User, "application "+cmp.Or(i.Defender.ClientID, "(managed identity)")), Scope: scope, Ends: token.ExpiresOn, Rights: rights}
		if slices.ContainsFunc(rights, api.Allows) {
			break
		}
		out.Missing = fmt.Sprintf("it needs the app role %s, or of a person the delegated permission %s", api.Role(), api.Scope())
	}
	return out, nil
}
