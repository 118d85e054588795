package defender

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

const (
	// answerTimeout bounds the wait for an answer's first byte. A query may run
	// 180 s (Graph) or 200 s (Defender for Endpoint). Sources: Graph security API
	// overview; Defender for Endpoint, run-advanced-query-api.
	answerTimeout = 230 * time.Second
	// idleTimeout bounds the pause between two reads of an answer's body.
	idleTimeout = 60 * time.Second
	// streamBuffer bounds what the transport holds of an answer that nobody reads
	// yet; Go's own default is eight times as much. It lets 10 MB of packed rows a
	// second through at a round trip of 50 ms.
	streamBuffer = 512 << 10
	// maxErrorBytes of an error's body are read; it may be a page of HTML.
	maxErrorBytes = 64 << 10
)

// Config says where and as whom a Client asks. Credential, BaseURL and Scope
// are required; the zero value of the rest is the default.
type Config struct {
	API        API    // default Graph
	BaseURL    string // https URL, without the API's path; plain http only to this machine
	Version    string // of Graph: v1.0 (default) or beta
	Scope      string // of the token, ending in /.default
	Credential azcore.TokenCredential
	Transport  http.RoundTripper // default: http.DefaultTransport's settings, with small buffers
	RowLimit   int               // bytes of one row; default rowpath.DefaultRowLimit

	AnswerTimeout time.Duration // until the first byte of an answer; default 230 s
	IdleTimeout   time.Duration // between two reads of its body; default 60 s
	Now           func() time.Time
	Logger        *slog.Logger // default: none
}

// Client asks one tenant's hunting API. It is safe for concurrent use.
type Client struct {
	cfg  Config
	url  string
	http *http.Client
}

// forgetter is a credential that can drop a token it keeps, so that the next
// one asked for is new.
type forgetter interface{ Forget(scopes ...string) }

// New checks cfg and returns a client. It makes no call.
func New(cfg Config) (*Client, error) {
	cfg.API = cmp.Or(cfg.API, Graph)
	cfg.Version = cmp.Or(cfg.Version, "v1.0")
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, answerTimeout)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, idleTimeout)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Transport == nil {
		cfg.Transport = transport()
	}
	var errs []error
	if cfg.API != Graph && cfg.API != MDE {
		errs = append(errs, fmt.Errorf("API: want graph or mde, got %q", cfg.API))
	}
	if cfg.Version != "v1.0" && cfg.Version != "beta" {
		errs = append(errs, fmt.Errorf("version: want v1.0 or beta, got %q", cfg.Version))
	}
	if cfg.Credential == nil {
		errs = append(errs, errors.New("a credential is required"))
	}
	if cfg.Scope == "" {
		errs = append(errs, errors.New("a scope is required"))
	}
	base, err := url.Parse(strings.TrimRight(cfg.BaseURL, "/"))
	switch {
	case err != nil || base.Host == "" || base.User != nil || base.RawQuery != "":
		errs = append(errs, fmt.Errorf("base URL: want an https URL of scheme, host and path, got %q", clip(cfg.BaseURL, 100)))
	case base.Scheme != "https" && !(base.Scheme == "http" && loopback(base.Hostname())):
		errs = append(errs, fmt.Errorf("base URL: want https, since the token is sent along, got %q", clip(cfg.BaseURL, 100)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("set up the Defender client: %w", err)
	}
	path := "/api/advancedqueries/run"
	if cfg.API == Graph {
		path = "/" + cfg.Version + "/security/runHuntingQuery"
	}
	return &Client{cfg: cfg, url: base.String() + path, http: &http.Client{
		Transport: cfg.Transport,
		// A redirect would send query and token elsewhere; none is ever expected.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func transport() http.RoundTripper {
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // somebody's own
		return http.DefaultTransport
	}
	t := shared.Clone()
	t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: streamBuffer}
	return t
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// API names the interface in use, for the audit row.
func (c *Client) API() string { return string(c.cfg.API) }

// Fetch hands the slice's rows, gzip of newline-delimited JSON, to stage, anew at
// each try. An answer of exactly the row cap is an error of kind Split.
func (c *Client) Fetch(ctx context.Context, call plan.Caller, t plan.Table, s plan.Slice, stage func(context.Context, func(io.Writer) error) error) (plan.Received, error) {
	var res rowpath.Result
	query := fetchQuery(t, s)
	err := call.Do(ctx, func(ctx context.Context) error {
		return stage(ctx, func(w io.Writer) (err error) {
			res, err = c.ask(ctx, t, query, w, rowpath.Options{MaxRows: plan.MaxRows, RowLimit: c.cfg.RowLimit})
			if err == nil && res.Capped {
				err = fault.As(fault.Split, errCapped)
			}
			return err
		})
	})
	if err != nil {
		return plan.Received{}, err
	}
	return plan.Received{Rows: res.Rows, Bytes: res.Bytes, Cut: res.Cut}, nil
}

// errCapped is an answer with as many rows as the service gives at most.
var errCapped = fmt.Errorf("the answer has the service's maximum of %d rows and is taken as cut", plan.MaxRows)

// ask sends one query and writes the rows of its answer to w. The table is the
// one that errors speak of.
func (c *Client) ask(ctx context.Context, t plan.Table, query string, w io.Writer, opt rowpath.Options) (rowpath.Result, error) {
	started := c.cfg.Now()
	ctx, watch := newWatchdog(ctx)
	defer watch.stop()
	reply, token, err := c.post(ctx, watch, query, "")
	if err != nil {
		return rowpath.Result{}, err
	}
	if reply.StatusCode == http.StatusUnauthorized {
		r := c.readRefusal(watch, reply)
		if !r.tokenRefused() {
			return rowpath.Result{}, c.failure(t, r, token)
		}
		if f, ok := c.cfg.Credential.(forgetter); ok {
			f.Forget(c.cfg.Scope)
		}
		if reply, token, err = c.post(ctx, watch, query, challenge(reply.Header)); err != nil {
			return rowpath.Result{}, err
		}
	}
	if reply.StatusCode != http.StatusOK {
		return rowpath.Result{}, c.failure(t, c.readRefusal(watch, reply), token)
	}
	defer reply.Body.Close()
	res, err := c.read(ctx, t, watch, reply, w, opt)
	c.cfg.Logger.Debug("hunting call", "api", c.cfg.API, "table", t.Source, "rows", res.Rows, "bytes", res.Bytes,
		"dur_ms", c.cfg.Now().Sub(started).Milliseconds(), "ok", err == nil)
	return res, err
}

// Ready gets a token, which is kept by the credential.
func (c *Client) Ready(ctx context.Context) error {
	if _, err := c.cfg.Credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.cfg.Scope}}); err != nil {
		return fmt.Errorf("get a token for %s: %w", c.cfg.Scope, err)
	}
	return nil
}

// post sends the query with a token and returns the answer's head.
func (c *Client) post(ctx context.Context, watch *watchdog, query, claims string) (*http.Response, string, error) {
	token, err := c.cfg.Credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.cfg.Scope}, Claims: claims})
	if err != nil {
		// The credential knows best what its error asks for.
		return nil, "", fmt.Errorf("get a token for %s: %w", c.cfg.Scope, err)
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(struct{ Query string }{query}); err != nil {
		return nil, "", fault.As(fault.Permanent, fmt.Errorf("encode query: %w", err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, &body)
	if err != nil {
		return nil, "", fault.As(fault.Permanent, fmt.Errorf("make request: %w", err))
	}
	request.Header.Set("Authorization", "Bearer "+token.Token)
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("User-Agent", "Defender2ADX")
	watch.start(c.cfg.AnswerTimeout, "no answer")
	reply, err := c.http.Do(request)
	watch.rest()
	if err != nil {
		return nil, "", c.broken(ctx, watch, err)
	}
	return reply, token.Token, nil
}

// broken is an error of the connection or of an answer's body.
func (c *Client) broken(ctx context.Context, watch *watchdog, err error) error {
	if expired := watch.expired(); expired != nil {
		return fault.As(fault.Unavailable, expired)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // the caller's own end, not the service's doing
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return fault.As(fault.Unavailable, fmt.Errorf("call %s: %w", c.url, err))
}

// read writes the rows of an answer with status 200.
func (c *Client) read(ctx context.Context, t plan.Table, watch *watchdog, reply *http.Response, w io.Writer, opt rowpath.Options) (rowpath.Result, error) {
	body, err := unpacked(watch.body(reply.Body, c.cfg.IdleTimeout), reply.Header)
	if err != nil {
		return rowpath.Result{}, c.broken(ctx, watch, err)
	}
	defer body.Close()
	res, err := rowpath.Copy(w, body, opt)
	var (
		destination *rowpath.WriteError
		inside      *rowpath.AnswerError
	)
	switch {
	case errors.As(err, &destination):
		return res, err
	case errors.As(err, &inside):
		return res, c.inAnswer(t, inside)
	case errors.Is(err, rowpath.ErrTooLong):
		return res, fault.As(fault.Permanent, err)
	case err != nil:
		return res, c.broken(ctx, watch, err)
	case res.Rows == 0 && res.Columns == nil:
		return res, fault.As(fault.Unavailable, fmt.Errorf("call %s: the answer has neither a schema nor rows", c.url))
	}
	return res, nil
}
