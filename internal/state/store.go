// Package state keeps table states, run ledgers and the leases on them in blobs.
//
// A table state is changed only by the holder of its blob's lease and only from
// the version that the holder read last; a ledger only from the version that its
// writer read last. So a process that lost its lease can change nothing that its
// successor has touched. A write is done or an error, never a guess: a lost
// reply is settled by reading back. The package decides nothing about runs; what
// a state or a ledger means is package plan's.
//
// Blobs: state/<instance>/<source>.json and ledger/<run>.json, and versions/<name>.bin
// of what lists have shown, name parts escaped (see instancePart for the default instance). Each blob's metadata
// repeats what a list shows, so that a list reads no blob.
package state

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// A lease's length as Azure allows it; endless leases are refused here, since a
// killed process would keep its table for ever. Source: "Lease Blob" of the REST
// reference.
const (
	minLease     = 15 * time.Second
	maxLease     = 60 * time.Second
	defaultLease = maxLease
)

var (
	// ErrHeld: somebody else holds the table's lease.
	ErrHeld = errors.New("lease is held by another worker")
	// ErrLeaseLost: our lease ended before it was released, or may have ended.
	ErrLeaseLost = errors.New("lease lost")
	// ErrFenced: another worker has written since we read. Nothing was changed.
	ErrFenced = errors.New("changed by another worker")
)

// Config configures a Store.
type Config struct {
	Storage blobstore.Config
	Lease   time.Duration // 15 s to 60 s, default 60 s; whole seconds
	Writer  string        // names this process in what it writes; default random
	Version string        // of this program, for whoever meets a newer format; default "unknown"
	Logger  *slog.Logger  // default discards

	// Clock is the wall clock that Deadline and the waits of ErrHeld are given in;
	// default time.Now. Callers compare a Deadline with this clock.
	Clock func() time.Time
}

// Store is the table states and ledgers of one container.
type Store struct {
	box      *blobstore.Container
	lease    time.Duration
	writer   string
	version  string
	log      *slog.Logger
	clock    clock
	service  *blobstore.ServiceClock
	acquired atomic.Int64
}

// New checks the configuration and sends nothing.
func New(c Config) (*Store, error) {
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Lease < minLease || c.Lease > maxLease || c.Lease%time.Second != 0 {
		return nil, fmt.Errorf("lease: want whole seconds from %v to %v, got %v", minLease, maxLease, c.Lease)
	}
	wall := c.Clock
	if wall == nil {
		wall = time.Now
	}
	service := blobstore.NewServiceClock(wall)
	c.Storage.Client.PerRetryPolicies = append(slices.Clone(c.Storage.Client.PerRetryPolicies), policy.Policy(service))
	box, err := blobstore.Open(c.Storage)
	if err != nil {
		return nil, err
	}
	if c.Writer == "" {
		c.Writer = rand.Text()
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{box: box, lease: c.Lease, writer: c.Writer, version: c.Version, log: c.Logger, clock: newClock(c.Clock), service: service}, nil
}

// Acquire leases the table's state and loads it; a table without state gets an
// empty blob to lease. TableLease by another, the error is ErrHeld of kind Wait until
// one lease length from now. The holder's Context ends with the lease; the lease
// itself outlives ctx and is renewed until Release.
func (s *Store) Acquire(ctx context.Context, key plan.Key) (*TableLease, error) {
	h, err := s.acquire(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("acquire state %s: %w", key, err)
	}
	return h, nil
}

func (s *Store) acquire(ctx context.Context, key plan.Key) (*TableLease, error) {
	name := stateName(key)
	start := s.clock.read()
	held, err := s.box.Lease(ctx, name, s.lease)
	if errors.Is(err, blobstore.ErrNotFound) {
		// Empty bodies are all alike, but here any writer's empty blob will do.
		_, err = s.box.Put(ctx, name, blobstore.Write{})
		if err != nil && !errors.Is(err, blobstore.ErrConflict) {
			return nil, err
		}
		start = s.clock.read()
		held, err = s.box.Lease(ctx, name, s.lease)
	}
	if errors.Is(err, blobstore.ErrLease) {
		return nil, fault.WaitUntil(start.wall.Add(s.lease), ErrHeld)
	}
	if err != nil {
		return nil, err
	}

	h := &TableLease{
		store: s, key: key, name: name,
		writer:  fmt.Sprintf("%s.%d", s.writer, s.acquired.Add(1)),
		ledgers: make(map[string]string),
		lease:   newLease(ctx, held, s.lease, start, s.clock, s.log.With("table", key.String())),
	}
	if err := h.load(ctx); err != nil {
		// The wait of the next worker ends at the lease's end if this fails too.
		_ = h.Release(context.WithoutCancel(ctx))
		return nil, err
	}
	return h, nil
}

// Read returns a table's state without lease, for display; nil when it has none.
func (s *Store) Read(ctx context.Context, key plan.Key) (*plan.TableState, error) {
	state, _, err := s.readState(ctx, stateName(key))
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", key, err)
	}
	return state, nil
}

// readState returns nil and an ETag for an empty blob, nil and none for no blob.
func (s *Store) readState(ctx context.Context, name string) (*plan.TableState, string, error) {
	b, err := s.box.Get(ctx, name)
	if errors.Is(err, blobstore.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil || len(b.Body) == 0 {
		return nil, b.ETag, err
	}
	state, err := decodeState(b.Body, s.clock.read().wall)
	return state, b.ETag, fault.Since(err, b.Modified)
}

// ReadLedger returns a run's ledger without lease, for display; nil when there
// is none.
func (s *Store) ReadLedger(ctx context.Context, runID string) (*plan.Ledger, error) {
	l, _, err := s.readLedger(ctx, runID)
	if err != nil {
		return nil, fmt.Errorf("read ledger %s: %w", runID, err)
	}
	return l, nil
}

func (s *Store) readLedger(ctx context.Context, runID string) (*plan.Ledger, string, error) {
	b, err := s.box.Get(ctx, ledgerName(runID))
	if errors.Is(err, blobstore.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	l, err := decodeLedger(b.Body, s.clock.read().wall)
	return l, b.ETag, fault.Since(err, b.Modified)
}

// Summary is what a list tells of a table.
type Summary struct {
	Key        plan.Key
	OpenRun    string    // "" when none
	Watermark  time.Time // zero: nothing copied yet
	NotBefore  time.Time // zero: no wait
	Modified   time.Time // last save, the storage service's clock
	TableLease bool      // some worker holds the lease now
	Versions   string    // record of what a list has shown; "" when none
}

// List returns every table that has a state, by blob name, in one request for
// each 5,000 tables.
func (s *Store) List(ctx context.Context) ([]Summary, error) {
	var list []Summary
	for it, err := range s.box.List(ctx, statePrefix) {
		if err != nil {
			return nil, fmt.Errorf("list states: %w", err)
		}
		key, ok := parseStateName(it.Name)
		if !ok || it.Bytes == 0 {
			continue
		}
		list = append(list, summary(key, it))
	}
	return list, nil
}

// Open returns the tables whose state names an open run.
func (s *Store) Open(ctx context.Context) ([]plan.Key, error) {
	tables, err := s.List(ctx)
	var open []plan.Key
	for _, t := range tables {
		if t.OpenRun != "" {
			open = append(open, t.Key)
		}
	}
	return open, err
}

// Sweep deletes the ledgers that were last written before olderThan and that no
// table state names as its open run, and returns how many. An open one among them
// was left behind by a kill beside its checkpoint. So are records of what lists have
// shown, which go with them uncounted.
func (s *Store) Sweep(ctx context.Context, olderThan time.Time) (n int, err error) {
	tables, err := s.List(ctx)
	if err != nil {
		return 0, err
	}
	inWork := map[string]bool{}
	for _, t := range tables {
		inWork[t.OpenRun] = true
	}
	for it, err := range s.box.List(ctx, ledgerPrefix) {
		if err != nil {
			return n, fmt.Errorf("list ledgers: %w", err)
		}
		run, _ := parseLedgerName(it.Name)
		if inWork[run] || !it.Modified.Before(olderThan) {
			continue
		}
		switch err := s.box.Delete(ctx, it.Name, it.ETag); {
		case err == nil:
			n++
		case errors.Is(err, blobstore.ErrNotFound), errors.Is(err, blobstore.ErrConflict):
			// Swept or written by somebody else in the meantime.
		default:
			return n, fmt.Errorf("delete ledger %s: %w", run, err)
		}
	}
	return n, s.sweepVersions(ctx, tables, olderThan)
}

// OpenLedger finds the newest open ledger of a table by listing, without its lease;
// nil when there is none.
func (s *Store) OpenLedger(ctx context.Context, key plan.Key) (*plan.Ledger, error) {
	runs, err := s.openLedgers(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("list open ledgers of %s: %w", key, err)
	}
	for _, run := range runs {
		// nil: swept or deleted since it was listed.
		if l, err := s.ReadLedger(ctx, run); l != nil || err != nil {
			return l, err
		}
	}
	return nil, nil
}

// openLedgers returns the RunIds of the table's open ledgers, newest first: the
// RunIds of one app order by time.
func (s *Store) openLedgers(ctx context.Context, key plan.Key) ([]string, error) {
	var runs []string
	for it, err := range s.box.List(ctx, ledgerPrefix) {
		if err != nil {
			return nil, err
		}
		if it.Metadata[metaOpen] == "1" && ledgerOf(it, key) {
			if run, ok := parseLedgerName(it.Name); ok {
				runs = append(runs, run)
			}
		}
	}
	slices.SortFunc(runs, func(a, b string) int { return strings.Compare(b, a) })
	return runs, nil
}
