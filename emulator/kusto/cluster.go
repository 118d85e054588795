// Package kusto stands in for an Azure Data Explorer cluster on a developer's
// machine: queries, management commands and queued ingestion with tags and
// status, as the official SDKs use them.
//
// One address serves engine and data management alike. Rows live in memory, in
// immutable extents; a query sees the extents of one moment. What the service
// refuses is refused here, with its codes: unknown entities, rights that a
// principal lacks, data that does not fit, oversized results. What this package
// does not know it refuses by name, with 400; nothing is accepted and ignored.
//
// Streaming ingestion is not built. Policies are stored and shown; those that act
// are encoding, ingestiontime, update, row_level_security, restricted_view_access,
// and a retention of zero.
package kusto

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// Options describe a cluster.
type Options struct {
	// Databases exist from the start, empty. At least one.
	Databases []string

	// Authorize turns a bearer token into a principal such as
	// "aadapp=<client id>;<tenant>". Nil asks for no token: every caller is Admin.
	Authorize func(bearer string) (principal string, err error)

	// Groups are the members of the directory's groups, principals both, for
	// current_principal_is_member_of.
	Groups map[string][]string

	// Authority is the address of the token service that clients are told of, such
	// as https://127.0.0.1:41012; empty tells them nothing, and they take the public
	// cloud's.
	Authority string

	// Now is the cluster's clock. Nil is the machine's. Delays always pass in
	// real time.
	Now func() time.Time

	// Storage is what .get ingestion resources answers and what the ingestion
	// reads. The zero value has no queued ingestion.
	Storage Storage

	// Client reaches blobs, queue and status table, and every other blob that an
	// ingestion names. It must trust their certificate. Nil is
	// http.DefaultClient.
	Client *http.Client

	// Latency is how long a queued ingestion waits before it is taken in, in place
	// of the service's batching. Zero does not wait.
	Latency time.Duration

	// Poll is the pause between two looks at an empty queue; zero is 75 ms.
	Poll time.Duration

	// Workers is how many blobs are taken in at a time; zero is 4, and fewer than
	// two are not allowed, because the service keeps no order either.
	Workers int

	// SkippedAsFailed reports a blob that was skipped for its tag as Failed and
	// Permanent with the code Skipped_IngestByTagAlreadyExists, as some clients of
	// the service see it, instead of as Skipped.
	SkippedAsFailed bool

	// RefuseKnownTags makes an append whose ingestIfNotExists names a tag of the
	// table an error, as one page of the documentation says, instead of an empty
	// success, as another says.
	RefuseKnownTags bool

	// IngestionCapacity is how many ingestions may be under way at a time, queued
	// and direct ones together. Queued ones wait; direct ones are refused with 429.
	// Zero is no bound.
	IngestionCapacity int

	// StaleReads is how far behind a query may be that asks neither for strong
	// consistency nor for results that are at most a second old: it sees the tables
	// as they stood that long ago, in real time. Zero: every query sees everything.
	StaleReads time.Duration

	// NoIndexedEncoding refuses the encoding policy BigObjectIndexed32, as a cluster
	// without that preview does.
	NoIndexedEncoding bool

	// LooseTies gives rows that a query's sort holds for equal in another order at
	// each query.
	LooseTies bool

	// LooseHash makes hash() another function at each query.
	LooseHash bool

	// Faults are consulted on every request and delivery.
	Faults Faults
}

// Cluster is the store, the rights and the commands. Its methods may be called
// from several goroutines.
type Cluster struct {
	opts  Options
	token tokenKey
	drain drain
	slots chan struct{} // one for each ingestion under way; nil: no bound

	started   time.Time // by the cluster's clock
	mu        sync.RWMutex
	databases map[string]*database
	faults    Faults
	stamped   engine.Datetime // the last commit
}

type database struct {
	name      string
	id        string
	tables    map[string]*table
	functions map[string]*function
	views     map[string]*view
	policies  map[string]string
	roles     map[Role]map[string]grant
	failures  []Failure
}

// function is a stored function.
type function struct {
	engine.Function
	folder, doc string
}

// view is a materialized view, evaluated when it is read.
type view struct {
	name, source, query string
	folder, doc         string
	created             time.Time
}

// New makes a cluster of empty databases.
func New(opts Options) (*Cluster, error) {
	if len(opts.Databases) == 0 {
		return nil, fmt.Errorf("make kusto cluster: no database named")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Client == nil {
		opts.Client = http.DefaultClient
	}
	if opts.Poll <= 0 {
		opts.Poll = 75 * time.Millisecond
	}
	switch {
	case opts.Workers == 0:
		opts.Workers = 4
	case opts.Workers < 2:
		return nil, fmt.Errorf("make kusto cluster: %d workers, want at least 2", opts.Workers)
	}
	c := &Cluster{opts: opts, token: newTokenKey(), databases: make(map[string]*database), faults: opts.Faults, started: opts.Now()}
	if opts.IngestionCapacity > 0 {
		c.slots = make(chan struct{}, opts.IngestionCapacity)
	}
	for _, name := range opts.Databases {
		c.databases[name] = &database{
			name:      name,
			id:        newID(),
			tables:    make(map[string]*table),
			functions: make(map[string]*function),
			views:     make(map[string]*view),
			policies:  make(map[string]string),
			roles:     make(map[Role]map[string]grant),
		}
	}
	return c, nil
}

// SetFaults replaces the faults from the next request and delivery on.
func (c *Cluster) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = f
}

func (c *Cluster) currentFaults() Faults {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.faults
}

// database finds a database. The service compares database names without regard
// to case. The caller holds the lock.
func (c *Cluster) database(name string) (*database, error) {
	if db, ok := c.databases[name]; ok {
		return db, nil
	}
	for _, db := range c.databases {
		if strings.EqualFold(db.name, name) {
			return db, nil
		}
	}
	return nil, entityNotFound("Database", name)
}

// standing is the database of requests that name none, or NetDefaultDB: the first
// of Options.Databases. The caller holds the lock.
func (c *Cluster) standing() (*database, error) { return c.database(c.opts.Databases[0]) }

// stamp gives the instant of a commit: the clock's, but later than every one
// before it. The caller holds the lock.
func (c *Cluster) stamp() engine.Datetime {
	c.stamped = max(engine.FromTime(c.opts.Now()), c.stamped+1)
	return c.stamped
}

func (db *database) table(name string) (*table, error) {
	if t, ok := db.tables[name]; ok {
		return t, nil
	}
	return nil, entityNotFound("Table", name)
}

func (db *database) tableNames() []string { return sortedKeys(db.tables) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
