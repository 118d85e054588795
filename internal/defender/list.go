package defender

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/rowpath"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// roundCap: a page that ends at a round number of rows below the one asked for may be
// cut by a limit of the service's that nobody told us, so that the next one is asked for.
const roundCap = 100

// endSlack is how much later than the end that was asked for an instant may be as a row
// shows it: what the service compares may be rounded otherwise. A guess.
const endSlack = time.Minute

// maxPages bounds one read of a list, against a service whose links lead in a circle:
// twenty million rows in pages of a thousand.
const maxPages = 20_000

// Lists reads the lists of one API that share a quota. It is safe for concurrent use.
type Lists struct {
	client *Client
	bucket string // of schema.Source
}

// NewLists returns a reader of the bucket's lists, which must be of the client's API.
func NewLists(client *Client, bucket string) *Lists { return &Lists{client, bucket} }

// Serves reports whether the source is one of those lists.
func (l *Lists) Serves(source string) bool {
	s, ok := schema.SourceNamed(source)
	return ok && s.Kind == schema.List && s.Bucket == l.bucket
}

// API names the interface in use, for the audit row.
func (l *Lists) API() string { return l.client.API() }

// Ready gets a token, which is kept by the credential.
func (l *Lists) Ready(ctx context.Context) error { return l.client.Ready(ctx) }

// Read hands what the list shows from q.From on to stage, gzip of newline-delimited
// JSON: rows of any of its reads whose version is not known and was not shown before,
// once. Each page is a call, and a page that breaks off is asked for again; it holds one
// row at a time, and the versions. Errors have the kinds of Fetch but Split.
func (l *Lists) Read(ctx context.Context, call plan.Caller, q plan.ListQuery, stage func(context.Context, func(io.Writer) error) error) (plan.ListAnswer, error) {
	source, ok := schema.SourceNamed(q.Table.Source)
	if !ok || source.Kind != schema.List {
		return plan.ListAnswer{}, fault.As(fault.Permanent, fmt.Errorf("internal error: %s is no list", q.Table.Source))
	}
	var out plan.ListAnswer
	err := stage(ctx, func(w io.Writer) error {
		r := &listRead{client: l.client, source: source, query: q, call: call}
		r.out.Shown = &plan.Versions{}
		err := r.all(ctx, w)
		out = r.out
		return err
	})
	if fault.KindOf(err) == fault.Split {
		err = fault.As(fault.Unavailable, err) // there is nothing to divide
	}
	return out, err
}

// listRead is the work of one Read.
type listRead struct {
	client *Client
	source schema.Source
	query  plan.ListQuery
	call   plan.Caller
	out    plan.ListAnswer

	skipped int  // rows of this read before the page that is asked for
	linked  bool // the service named that page
}

func (r *listRead) all(ctx context.Context, w io.Writer) error {
	gz, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	for range max(1, r.query.Reads) {
		if err := r.once(ctx, gz); err != nil {
			return err
		}
	}
	if err := gz.Close(); err != nil {
		return &rowpath.WriteError{Err: err}
	}
	return nil
}

// once reads the chain of pages from its beginning to its end.
func (r *listRead) once(ctx context.Context, w io.Writer) error {
	at := r.first()
	r.skipped, r.linked = 0, false
	for pages := 1; at != nil; pages++ {
		if pages > maxPages {
			return r.client.named(fault.As(fault.Permanent, fmt.Errorf("%s has no end after %d pages", r.source.Name, maxPages)))
		}
		var page rowpath.Result
		err := r.client.do(ctx, r.call, func(ctx context.Context) (err error) {
			r.out.Pages++
			page, err = r.page(ctx, at, w)
			// Kept rows are written, also those of a page that broke off.
			r.out.Rows, r.out.Bytes, r.out.Cut = r.out.Rows+page.Rows, r.out.Bytes+page.Bytes, r.out.Cut+page.Cut
			return err
		})
		if err != nil {
			return err
		}
		r.skipped, r.linked = r.skipped+int(page.Read), page.Next != ""
		if at, err = r.next(page); err != nil {
			return r.client.named(err)
		}
	}
	return nil
}

// first is the address of the first page.
func (r *listRead) first() *url.URL {
	parts := []string{}
	add := func(name, value string) {
		// Blanks as %20: not every service reads a plus as one.
		parts = append(parts, name+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
	}
	if r.source.Query != "" {
		parts = append(parts, r.source.Query)
	}
	var wanted []string
	column, from, to := r.query.Table.DividedBy(), r.query.From, r.query.To
	switch {
	case from.IsZero():
	case r.source.Since != "":
		add(r.source.Since, from.UTC().Format(time.RFC3339))
	default:
		wanted = append(wanted, column+" ge "+from.UTC().Format(time.RFC3339))
	}
	if !to.IsZero() {
		wanted = append(wanted, column+" lt "+to.UTC().Format(time.RFC3339))
	}
	if len(wanted) > 0 {
		add("$filter", strings.Join(wanted, " and "))
	}
	if r.source.SizeParameter != "" {
		add(r.source.SizeParameter, strconv.Itoa(r.source.PageSize))
	}
	at := r.client.base.JoinPath(r.source.Path)
	at.RawQuery = strings.Join(parts, "&")
	return at
}

// next is the address of the page after one; nil where there is none.
func (r *listRead) next(page rowpath.Result) (*url.URL, error) {
	if page.Next != "" {
		return r.follow(page.Next)
	}
	full := page.Read >= int64(r.source.PageSize) || page.Read%roundCap == 0
	if r.source.SizeParameter != "$top" || page.Read == 0 || !full {
		return nil, nil // the end, and no fault
	}
	at := r.first()
	at.RawQuery += "&$skip=" + strconv.Itoa(r.skipped)
	return at, nil
}

// follow checks a link that the service gave: the token goes along, so that it must
// lead to whom the token is for.
func (r *listRead) follow(link string) (*url.URL, error) {
	at, err := r.client.base.Parse(link)
	if err != nil {
		return nil, fault.As(fault.Unavailable, errors.New("the link to the next page cannot be read"))
	}
	audience, err := url.Parse(strings.TrimSuffix(r.client.cfg.Scope, "/.default"))
	own := strings.EqualFold(at.Host, r.client.base.Host) || err == nil && strings.EqualFold(at.Host, audience.Host)
	if !own || !address.Trusted(at) || at.User != nil {
		return nil, fault.As(fault.Permanent, fmt.Errorf("the link to the next page leads to %s, which is not followed, since the token would go along; calls go to %s: check the base URL",
			clip(at.Host, 100), r.client.base.Host))
	}
	return at, nil
}

// page asks for one page and writes its new rows.
func (r *listRead) page(ctx context.Context, at *url.URL, w io.Writer) (rowpath.Result, error) {
	c, q := r.client, question{table: r.query.Table, source: &r.source}
	sent, err := c.tokens.get(ctx)
	if err != nil {
		return rowpath.Result{}, err
	}
	ctx, watch := newWatchdog(ctx)
	defer watch.stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return rowpath.Result{}, fault.As(fault.Permanent, errors.New("make request for a page of "+r.source.Name))
	}
	reply, err := c.send(ctx, watch, request, sent)
	if err != nil {
		return rowpath.Result{}, c.named(err)
	}
	if r.out.Now.IsZero() {
		r.out.Now, _ = http.ParseTime(reply.Header.Get("Date")) // of an empty list, too
	}
	if reply.StatusCode != http.StatusOK {
		refused := c.readRefusal(watch, reply)
		switch {
		case refused.status == http.StatusNotFound && r.linked:
			// A link that the service gave does not end the list, it has run out.
			return rowpath.Result{}, c.named(fault.As(fault.Unavailable, errors.New(refused.quote()+": the service no longer knows the page that it named")))
		case r.nothingThere(refused):
			return rowpath.Result{}, nil
		}
		return rowpath.Result{}, c.named(c.failure(q, refused, sent))
	}
	defer reply.Body.Close()
	opt := rowpath.Options{Plain: true, Member: "value", Keep: r.keep, KeepTypes: true}
	if limit := r.query.Table.RowLimit; limit > 0 {
		opt.RowLimit = int(plan.CutAt(limit))
	}
	if r.source.Single {
		if err := wrap(watch.body(reply.Body, c.cfg.IdleTimeout), reply); err != nil {
			return rowpath.Result{}, c.named(fault.As(fault.Unavailable, err))
		}
	}
	return c.read(ctx, q, watch, reply, w, opt)
}

// wrap makes an answer that is one row look like a list of it.
func wrap(body io.ReadCloser, reply *http.Response) error {
	body, err := unpacked(body, reply.Header)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	reply.Header.Del("Content-Encoding")
	reply.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(`{"value":[`), bytes.NewReader(text), strings.NewReader("]}")), reply.Body}
	return nil
}

// retired finds what a service says of an address that it has given up.
var retired = regexp.MustCompile(`(?i)retire|deprecat|decommission|discontinu|sunset|no longer|end of (life|support)|(has|have|was|were) ended`)

// nothingThere tells whether a 404 says that a list has no rows, and not that nothing is
// at the address, or no more. One list is documented to answer so; others of its API
// that name a code are believed as long as they have shown no row of which the answer
// would be the end.
func (r *listRead) nothingThere(said refusal) bool {
	named := strings.EqualFold(said.code, "NotFound") || strings.EqualFold(said.code, "ResourceNotFound")
	switch {
	case said.status != http.StatusNotFound || r.source.API != schema.APIMDE || retired.MatchString(said.message):
		return false
	case r.source.NoneIs404:
		silent := said.code == "" && said.message == "" && !strings.Contains(strings.ToLower(said.header.Get("Content-Type")), "html")
		return named || silent
	}
	return named && (r.skipped > 0 || r.query.Known.Len() == 0 && r.out.Shown.Len() == 0)
}

// keep remembers the version of a row and tells whether it is new.
func (r *listRead) keep(row []byte) bool {
	version, at := r.version(row)
	if r.younger(at) {
		return false
	}
	if at.IsZero() {
		at = cmp.Or(r.out.Now, r.client.cfg.Now()) // remembered as long as the youngest
	}
	return r.out.Shown.Add(version, at) && !r.query.Known.Has(version)
}

// younger reports whether a row with an instant belongs to a part that is read later: it
// has changed since the service chose what to show. A snapshot keeps it all the same,
// which may hold a thing twice and must not miss one.
func (r *listRead) younger(at time.Time) bool {
	to := r.query.To
	return !to.IsZero() && r.query.Table.Load != plan.Snapshot && at.After(to.Add(endSlack))
}

// version tells a row's version, and the instant that it bears; zero where it has none.
func (r *listRead) version(row []byte) (plan.Version, time.Time) {
	return versionOf(r.source, row)
}
