package app

import (
	"context"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// storageToken is the identity by which storage is reached. Where storage refuses a
// token the SDK asks for another one, and would get the one that we keep: as a policy
// of its clients, beneath the one that sends the token, this forgets it first.
type storageToken struct {
	azcore.TokenCredential

	mu     sync.Mutex
	given  string   // last; "" once it was forgotten
	scopes []string // it was asked for with
}

// GetToken implements azcore.TokenCredential.
func (s *storageToken) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := s.TokenCredential.GetToken(ctx, o)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.given, s.scopes = token.Token, o.Scopes
	}
	return token, err
}

// Do implements policy.Policy. Of many requests with one token that is refused the first
// has it forgotten.
func (s *storageToken) Do(r *policy.Request) (*http.Response, error) {
	answer, err := r.Next()
	if err != nil || answer.StatusCode != http.StatusUnauthorized {
		return answer, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, keeps := s.TokenCredential.(interface{ Forget(scopes ...string) })
	if keeps && s.given != "" && r.Raw().Header.Get("Authorization") == "Bearer "+s.given {
		f.Forget(s.scopes...)
		s.given = ""
	}
	return answer, nil
}
