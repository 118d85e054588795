package adx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// idlePerHost is for uploads, which run a few at a time against one account.
const idlePerHost = 16

// transports returns the client for blobs and the one for everything else, which
// takes a new token from credential where one is refused. Neither has a time limit
// of its own or follows redirects: the SDK sends tokens.
func transports(given *http.Client, credential *recordingCredential) (blobs, kusto *http.Client) {
	base := http.Client{}
	if given != nil {
		base = *given
	}
	if base.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConnsPerHost = idlePerHost
		base.Transport = own
	}
	base.Timeout = 0
	base.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	through := wholeBody{newToken{queueWatch{base.Transport}, credential}}
	kusto = &http.Client{Transport: through, CheckRedirect: base.CheckRedirect}
	return &base, kusto
}

// wholeBody reads a request's body before it sends anything. The Kusto SDK puts
// the buffer of a statement back into its pool as soon as the call returns, and a
// transport may still be reading it after a cancelled call: the next statement
// would be torn. Statements are small, so they are copied.
type wholeBody struct{ next http.RoundTripper }

func (t wholeBody) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody || req.ContentLength != 0 {
		return t.next.RoundTrip(req)
	}
	data, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, err
	}
	sent := req.Clone(req.Context())
	sent.ContentLength = int64(len(data))
	sent.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	sent.Body, _ = sent.GetBody()
	return t.next.RoundTrip(sent)
}

// CloseIdleConnections lets http.Client reach the transport below.
func (t wholeBody) CloseIdleConnections() { closeIdle(t.next) }

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// newToken sends a request once more, with a token asked for anew, when ADX refuses
// the cached one: a token may be withdrawn before its time.
type newToken struct {
	next       http.RoundTripper
	credential *recordingCredential // nil: no tokens are sent
}

func (t newToken) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	refused, hadToken := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !hadToken || t.credential == nil || req.GetBody == nil && req.Body != nil && req.Body != http.NoBody {
		return resp, err
	}
	fresh, ok := t.credential.another(req.Context(), refused)
	if !ok {
		return resp, nil
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return resp, nil
		}
	}
	_ = resp.Body.Close() // a refusal without content
	again.Header.Set("Authorization", "Bearer "+fresh)
	return t.next.RoundTrip(again)
}

// CloseIdleConnections lets http.Client reach the transport below.
func (t newToken) CloseIdleConnections() { closeIdle(t.next) }

// queueWatch notes in the context of a call whether a message may have got into a
// queue: the SDK keeps no more than that no queue confirmed it.
type queueWatch struct{ next http.RoundTripper }

func (t queueWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	sent, ok := req.Context().Value(queueMemory{}).(*atomic.Bool)
	if !ok || req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/messages") {
		return resp, err
	}
	var dial *net.OpError
	neverThere := errors.As(err, &dial) && dial.Op == "dial"
	refused := err == nil && resp.StatusCode >= 400 && resp.StatusCode < 500
	if !neverThere && !refused {
		sent.Store(true)
	}
	return resp, err
}

// CloseIdleConnections lets http.Client reach the transport below.
func (t queueWatch) CloseIdleConnections() { closeIdle(t.next) }

type queueMemory struct{}

// watchQueue returns a context in which maybe becomes true with the first message
// that a queue may hold.
func watchQueue(ctx context.Context) (_ context.Context, maybe *atomic.Bool) {
	maybe = new(atomic.Bool)
	return context.WithValue(ctx, queueMemory{}, maybe), maybe
}

// recordingCredential is a credential that leaves its last error in the context of
// the call: the SDK keeps only the error's text, and with it the kind would be lost.
// It also records the scopes it was asked for.
type recordingCredential struct {
	azcore.TokenCredential
	scopes atomic.Pointer[[]string]
}

// forgetter is a credential that keeps tokens and can drop them.
type forgetter interface{ Forget(scopes ...string) }

// another returns a token other than the refused one, which another call may have
// got already; false where there is none to be had.
func (r *recordingCredential) another(ctx context.Context, refused string) (string, bool) {
	scopes := r.scopes.Load()
	if scopes == nil {
		return "", false
	}
	token, err := r.GetToken(ctx, policy.TokenRequestOptions{Scopes: *scopes})
	if f, ok := r.TokenCredential.(forgetter); err == nil && token.Token == refused && ok {
		f.Forget(*scopes...)
		token, err = r.GetToken(ctx, policy.TokenRequestOptions{Scopes: *scopes})
	}
	return token.Token, err == nil && token.Token != refused
}

// GetToken asks the credential.
func (r *recordingCredential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	r.scopes.Store(&o.Scopes)
	token, err := r.TokenCredential.GetToken(ctx, o)
	if m, ok := ctx.Value(tokenMemory{}).(*lastError); ok && err != nil {
		m.set(err)
	}
	return token, err
}

type tokenMemory struct{}

type lastError struct {
	mu  sync.Mutex
	err error
}

func (l *lastError) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func rememberToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, tokenMemory{}, &lastError{})
}

// tokenError returns what the credential said during the call, nil if it was
// content or not asked.
func tokenError(ctx context.Context) error {
	l, ok := ctx.Value(tokenMemory{}).(*lastError)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
