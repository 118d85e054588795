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
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/rowpath"
	"github.com/defender2adx/defender2adx/internal/schema"
)

const (
	// answerTimeout bounds the wait for an answer's first byte. A query may run
	// 180 s (Graph) or 200 s (Defender for Endpoint). Sources: Graph security API
	// overview; Defender for Endpoint, run-advanced-query-api.
	answerTimeout = 230 * time.Second
	// idleTimeout bounds the pause between two reads of an answer's body: once the first
	// byte is there the service streams, and a minute of silence is a connection that is
	// gone.
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
	cfg    Config
	base   *url.URL
	url    string // of hunting queries
	http   *http.Client
	tokens *tokens

	withoutArrival sync.Map // names of tables whose newest arrival cannot be asked for
}

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
	case !address.Trusted(base):
		errs = append(errs, fmt.Errorf("base URL: want https, since the token is sent along, got %q", clip(cfg.BaseURL, 100)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("set up the Defender client: %w", err)
	}
	path := "/api/advancedqueries/run"
	if cfg.API == Graph {
		path = "/" + cfg.Version + "/security/runHuntingQuery"
	}
	return &Client{cfg: cfg, base: base, url: base.String() + path, tokens: &tokens{source: cfg.Credential, scope: cfg.Scope, failed: -1}, http: &http.Client{
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

// API names the interface in use, for the audit row.
func (c *Client) API() string { return string(c.cfg.API) }

// Fetch hands the slice's rows, gzip of newline-delimited JSON, to stage, anew at
// each try. An answer of exactly the row cap is an error of kind Split.
func (c *Client) Fetch(ctx context.Context, call plan.Caller, t plan.Table, s plan.Slice, stage func(context.Context, func(io.Writer) error) error) (plan.Received, error) {
	var res rowpath.Result
	q := question{table: t, text: fetchQuery(t, s)}
	opt := rowpath.Options{MaxRows: plan.MaxRows, RowLimit: c.cfg.RowLimit, EmptyIsNull: emptyIsNull(t)}
	if t.RowLimit > 0 {
		opt.RowLimit = int(plan.CutAt(t.RowLimit))
	}
	err := c.do(ctx, call, func(ctx context.Context) error {
		return stage(ctx, func(w io.Writer) (err error) {
			res, err = c.ask(ctx, q, w, opt)
			if err == nil && res.Capped {
				err = c.named(fault.As(fault.Split, errCapped))
			}
			return err
		})
	})
	if err != nil {
		return plan.Received{}, err
	}
	return plan.Received{Rows: res.Rows, Bytes: res.Bytes, Cut: res.Cut, Columns: kqlTypes(res.Columns)}, nil
}

// do makes a call, and once more, with a call of its own, where the token was
// refused and is forgotten. A second refusal of this call, when others have
// forgotten a token in between, is for the next delivery.
func (c *Client) do(ctx context.Context, call plan.Caller, try func(context.Context) error) error {
	err := call.Do(ctx, try)
	if fault.KindOf(err) == fault.Reauthenticate {
		err = call.Do(ctx, try)
	}
	if fault.KindOf(err) == fault.Reauthenticate {
		err = fault.As(fault.Retry, err)
	}
	return err
}

// emptyIsNull tells the columns in which {} is Graph's way to write null: those
// that are known and hold no objects. A name that differs in letter case alone is
// the same column, unless the catalogue has that one too.
func emptyIsNull(t plan.Table) func(column string) bool {
	known, ok := schema.Lookup(t.Source)
	if !ok {
		return nil
	}
	return func(column string) bool {
		c, ok := known.Column(column)
		if !ok {
			i := slices.IndexFunc(known.Columns, func(c schema.Column) bool { return strings.EqualFold(c.Name, column) })
			if i < 0 {
				return false
			}
			c = known.Columns[i]
		}
		return c.Type != "dynamic"
	}
}

// errCapped is an answer with as many rows as the service gives at most.
var errCapped = fmt.Errorf("the answer has the service's maximum of %d rows and is taken as cut", plan.MaxRows)

// question is one query and what its errors speak of.
type question struct {
	table plan.Table
	text  string
	parts int // that it counts; 0: it is no count of parts

	source *schema.Source // that is asked, where it is no hunting; else nil
}

// access is the right that a question needs, for errors.
type access struct {
	role  string // app role
	scope string // delegated permission
	verb  string // what a person's role in Defender must allow
}

func (a access) allows(right string) bool { return right == a.role || right == a.scope }

// access returns what the question needs at the API.
func (q question) access(api API) access {
	if q.source == nil {
		return access{api.Role(), api.Scope(), "hunt"}
	}
	scope := q.source.Role
	if api == MDE {
		scope = strings.TrimSuffix(scope, ".All") // as that API names what it delegates
	}
	return access{q.source.Role, scope, "read " + q.source.Name}
}

// addressOf is where a question goes, without its query.
func (c *Client) addressOf(q question) string {
	if q.source == nil {
		return c.url
	}
	return c.base.JoinPath(q.source.Path).String()
}

// service names who is asked, as every error of the client begins.
func (c *Client) service() string {
	if c.cfg.API == MDE {
		return "Defender for Endpoint"
	}
	return "Microsoft Graph"
}

// named puts the service's name before an error, which keeps its kind.
func (c *Client) named(err error) error { return fmt.Errorf("%s: %w", c.service(), err) }

// ask sends one query and writes the rows of its answer to w.
func (c *Client) ask(ctx context.Context, q question, w io.Writer, opt rowpath.Options) (rowpath.Result, error) {
	started := c.cfg.Now()
	sent, err := c.tokens.get(ctx)
	if err != nil {
		return rowpath.Result{}, err
	}
	ctx, watch := newWatchdog(ctx)
	defer watch.stop()
	reply, err := c.post(ctx, watch, q.text, sent)
	if err != nil {
		return rowpath.Result{}, c.named(err)
	}
	if reply.StatusCode != http.StatusOK {
		return rowpath.Result{}, c.named(c.failure(q, c.readRefusal(watch, reply), sent))
	}
	defer reply.Body.Close()
	res, err := c.read(ctx, q, watch, reply, w, opt)
	c.cfg.Logger.Debug("hunting call", "api", c.cfg.API, "table", q.table.Source, "rows", res.Rows, "bytes", res.Bytes,
		"dur_ms", c.cfg.Now().Sub(started).Milliseconds(), "ok", err == nil)
	return res, err
}

// Ready gets a token, which is kept by the credential.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.tokens.get(ctx)
	return err
}

// post sends the query with a token and returns the answer's head.
func (c *Client) post(ctx context.Context, watch *watchdog, query string, sent token) (*http.Response, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(struct{ Query string }{query}); err != nil {
		return nil, fault.As(fault.Permanent, fmt.Errorf("encode query: %w", err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, &body)
	if err != nil {
		return nil, fault.As(fault.Permanent, fmt.Errorf("make request: %w", err))
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	return c.send(ctx, watch, request, sent)
}

// send sends a request with a token and returns the answer's head.
func (c *Client) send(ctx context.Context, watch *watchdog, request *http.Request, sent token) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+sent.text)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("User-Agent", "Defender2ADX")
	watch.start(c.cfg.AnswerTimeout, "no answer")
	reply, err := c.http.Do(request)
	watch.rest()
	if err != nil {
		return nil, c.broken(ctx, watch, err)
	}
	if reply.StatusCode != http.StatusUnauthorized {
		c.tokens.passed(sent)
	}
	return reply, nil
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
	return fault.As(fault.Unavailable, fmt.Errorf("the connection failed: %w", err))
}

// read writes the rows of an answer with status 200.
func (c *Client) read(ctx context.Context, q question, watch *watchdog, reply *http.Response, w io.Writer, opt rowpath.Options) (rowpath.Result, error) {
	body, err := unpacked(watch.body(reply.Body, c.cfg.IdleTimeout), reply.Header)
	if err != nil {
		return rowpath.Result{}, c.named(c.broken(ctx, watch, err))
	}
	defer body.Close()
	res, err := rowpath.Copy(w, body, opt)
	var (
		destination *rowpath.WriteError
		inside      *rowpath.AnswerError
	)
	switch {
	case errors.As(err, &destination):
		return res, err // not the service's doing, and not to be named after it
	case errors.As(err, &inside):
		err = c.inAnswer(q, inside)
	case errors.Is(err, rowpath.ErrTooLong):
		err = fault.As(fault.Permanent, err)
	case err != nil:
		err = c.broken(ctx, watch, err)
	case q.source != nil && !res.Found:
		err = fault.As(fault.Unavailable, errors.New("the answer is no list"))
	case q.source == nil && res.Rows == 0 && res.Columns == nil:
		err = fault.As(fault.Unavailable, errors.New("the answer has neither a schema nor rows"))
	default:
		return res, nil
	}
	return res, c.named(err)
}
