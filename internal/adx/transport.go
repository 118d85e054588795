package adx

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// idlePerHost is for uploads, which run a few at a time against one account.
const idlePerHost = 16

// transports returns the client for blobs and the one for everything else.
// Neither has a time limit of its own or follows redirects: the SDK sends tokens.
func transports(given *http.Client) (blobs, kusto *http.Client) {
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
	kusto = &http.Client{Transport: wholeBody{base.Transport}, CheckRedirect: base.CheckRedirect}
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
func (t wholeBody) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// remembering is a credential that leaves its last error in the context of the
// call: the SDK keeps only the error's text, and with it the kind would be lost.
type remembering struct{ azcore.TokenCredential }

func (r remembering) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
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
