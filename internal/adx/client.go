// Package adx is Azure Data Explorer as this program needs it: the place where
// rows are staged, ingested and verified, where configuration and audit rows
// live, and whose schema `handler setup` makes.
//
// It decides nothing about runs, never repeats a call that failed (whoever calls
// knows what a repetition costs), and stores no signature: a blob is known by its
// path, and the signature of the hour is added when it is used. Everything that
// writes is safe to repeat: blobs are committed only if their name is new, queued
// ingestions and appended rows carry an ingest-by tag.
package adx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-kusto-go/azkustodata/query"
	"github.com/Azure/azure-kusto-go/azkustoingest"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

const (
	// queryTimeout and commandTimeout bound one call. The service allows an hour;
	// what takes longer than this here is broken.
	queryTimeout   = 4 * time.Minute
	commandTimeout = 10 * time.Minute
)

// Config says which database is meant and who asks.
type Config struct {
	ClusterURL string // query endpoint, https://name.region.kusto.windows.net
	IngestURL  string // ingestion endpoint; "" derives https://ingest-... from ClusterURL
	Database   string // of the raw tables, and of what hides their slices
	// Control is the database of configuration and audit rows; "" is Database.
	Control string
	// Writers are the instances whose raw tables are in Database; none: every row of
	// the configuration is one of Database, under the name that it states.
	Writers []Writer
	// Credential is asked for tokens. nil sends none, which only a stand-in on a
	// loopback address accepts.
	Credential azcore.TokenCredential
	// HTTP carries every call; nil is a client of the package's own. Its Timeout is
	// not used: it would cut uploads.
	HTTP *http.Client

	App   string // name and version shown in ADX's own traces, such as Defender2ADX/1.0.0
	AppID string // shown there as the user

	Clock func() time.Time // nil is time.Now
	Log   *slog.Logger     // nil discards
}

// Writer is an instance that writes into a database.
type Writer struct {
	Instance string // key
	Prefix   string // before the name of every destination table
}

// Client speaks to one database. It is safe for concurrent use.
type Client struct {
	cluster, ingest string
	database        string
	control         string // database of the control tables; may be the same
	writers         []Writer
	credential      *recordingCredential // nil: no tokens
	app, appID      string
	now             func() time.Time
	sleep           func(context.Context, time.Duration) error
	log             *slog.Logger

	blobHTTP  *http.Client // uploads; as given
	kustoHTTP *http.Client // Kusto, status table and queue

	engine     func() (*azkustodata.Client, error)
	management func() (*azkustodata.Client, error)
	ingestion  func() (*azkustoingest.Ingestion, error)

	staging storage
	columns columnCache

	life context.Context // ends at Close; bounds what outlives a call
	end  context.CancelFunc
	mu   sync.Mutex
	open []func() error
}

// New checks the configuration and returns a client. It does no I/O; the first
// call connects. The error joins every fault found, in the operator's words.
func New(cfg Config) (*Client, error) {
	cluster, err := endpoint("ADX_CLUSTER_URL", cfg.ClusterURL)
	errs := []error{err}
	if cluster != nil {
		cluster.Host = strings.TrimPrefix(cluster.Host, "ingest-")
	}
	var ingest *url.URL
	switch {
	case cfg.IngestURL != "":
		ingest, err = endpoint("ADX_INGEST_URL", cfg.IngestURL)
		errs = append(errs, err)
	case cluster != nil:
		derived := *cluster
		if ingest = &derived; !address.IsLoopback(cluster.Hostname()) {
			ingest.Host = "ingest-" + cluster.Host
		}
	}
	if strings.TrimSpace(cfg.Database) == "" {
		errs = append(errs, errors.New("ADX_DATABASE: want the name of a database, got nothing"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	c := &Client{
		cluster: cluster.String(), ingest: ingest.String(), database: cfg.Database, control: cmp.Or(cfg.Control, cfg.Database), writers: cfg.Writers,
		app: cfg.App, appID: cfg.AppID, now: cfg.Clock, sleep: sleep.For, log: cfg.Log,
	}
	if cfg.Credential != nil {
		c.credential = &recordingCredential{TokenCredential: cfg.Credential}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.blobHTTP, c.kustoHTTP = transports(cfg.HTTP, c.credential)
	c.life, c.end = context.WithCancel(context.Background())
	c.engine = sync.OnceValues(func() (*azkustodata.Client, error) { return c.connect(c.cluster) })
	c.management = sync.OnceValues(func() (*azkustodata.Client, error) { return c.connect(c.ingest) })
	c.ingestion = sync.OnceValues(c.connectIngestion)
	c.staging.init(c)
	return c, nil
}

// Close stops what runs in the background and gives connections back. Tickets
// keep their last answer.
func (c *Client) Close() error {
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, closeOne := range c.open {
		errs = append(errs, closeOne())
	}
	c.open = nil
	c.blobHTTP.CloseIdleConnections()
	return errors.Join(errs...)
}

func (c *Client) connectionString(address string) *azkustodata.ConnectionStringBuilder {
	b := azkustodata.NewConnectionStringBuilder(address)
	if c.credential != nil {
		b = b.WithTokenCredential(c.credential)
	}
	b.ApplicationForTracing, b.UserForTracing = c.app, c.appID
	return b
}

func (c *Client) connect(address string) (*azkustodata.Client, error) {
	client, err := azkustodata.New(c.connectionString(address), azkustodata.WithHttpClient(c.kustoHTTP))
	if err != nil {
		return nil, err
	}
	return client, c.closeLater(client.Close)
}

func (c *Client) connectIngestion() (*azkustoingest.Ingestion, error) {
	client, err := azkustoingest.New(c.connectionString(c.ingest), azkustoingest.WithHttpClient(c.kustoHTTP),
		azkustoingest.WithoutEndpointCorrection(), azkustoingest.WithDefaultDatabase(c.database))
	if err != nil {
		return nil, err
	}
	return client, c.closeLater(client.Close)
}

// closeLater leaves closeOne to Close; where that was called already, it runs now.
func (c *Client) closeLater(closeOne func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return errors.Join(errors.New("the client is closed"), closeOne())
	}
	c.open = append(c.open, closeOne)
	return nil
}

// strong are the options of every query here: each decides something, so that it
// must see what came in before it, also on a cluster whose policy gives weak or
// cached reads by default: a second is the least age that can be asked for. Source:
// Kusto request properties.
var strong = []azkustodata.QueryOption{
	azkustodata.QueryConsistency("strongconsistency"),
	azkustodata.QueryResultsCacheMaxAge(time.Second),
}

// rows runs a query on the database and decodes its primary result; fields take
// the columns named in their `kusto` tags, and the zero value for null.
func rows[T any](ctx context.Context, c *Client, text string) ([]T, error) {
	return rowsOf[T](ctx, c, c.database, text)
}

// rowsOf is rows on another database of the cluster.
func rowsOf[T any](ctx context.Context, c *Client, database, text string) ([]T, error) {
	engine, err := c.engine()
	if err != nil {
		return nil, c.classify(ctx, viewers, err)
	}
	ctx, cancel := bounded(ctx, queryTimeout)
	defer cancel()
	answer, err := engine.Query(ctx, database, statement(text), strong...)
	if err != nil {
		return nil, c.classify(ctx, viewers, err)
	}
	return decode[T](ctx, c, answer)
}

// command runs a management command on the database and decodes its result.
// needs is the role that the caller must have for it.
func command[T any](ctx context.Context, c *Client, needs role, text string) ([]T, error) {
	engine, err := c.engine()
	if err != nil {
		return nil, c.classify(ctx, needs, err)
	}
	return manage[T](ctx, c, engine, c.database, needs, text)
}

func manage[T any](ctx context.Context, c *Client, on *azkustodata.Client, database string, needs role, text string) ([]T, error) {
	ctx, cancel := bounded(ctx, commandTimeout)
	defer cancel()
	answer, err := on.Mgmt(ctx, database, statement(text))
	if err != nil {
		return nil, c.classify(ctx, needs, err)
	}
	return decode[T](ctx, c, answer)
}

func decode[T any](ctx context.Context, c *Client, answer query.Dataset) ([]T, error) {
	for _, table := range answer.Tables() {
		if !table.IsPrimaryResult() {
			continue
		}
		decoded, err := query.ToStructs[T](table)
		if err != nil {
			return nil, c.classify(ctx, viewers, fmt.Errorf("decode the answer: %w", err))
		}
		return decoded, nil
	}
	return nil, c.classify(ctx, viewers, errors.New("the answer holds no result"))
}

// statement wraps text that is a constant but for what internal/kql quoted.
func statement(text string) *azkql.Builder { return azkql.New("").AddUnsafe(text) }

// bounded remembers a token's error beside the deadline, see recordingCredential.
func bounded(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(rememberToken(ctx), most)
}

// elsewhere reports whether the control tables are in another database.
func (c *Client) elsewhere() bool { return !strings.EqualFold(c.control, c.database) }

// controlTable is how a query in the client's database names a control table.
func (c *Client) controlTable(name string) string {
	if !c.elsewhere() {
		return name
	}
	return "database(" + kql.String(c.control) + ")." + name
}

func endpoint(setting, text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(text), "/"))
	plain := err == nil && u.Host != "" && u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == "" &&
		!strings.ContainsAny(u.Host, ";=")
	if plain && address.Trusted(u) {
		return u, nil
	}
	return nil, fmt.Errorf("%s: want an https URL without a path, such as https://name.region.kusto.windows.net, got %q", setting, redact(text))
}
