package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Reader reads what is known of a table, without its lease.
type Reader interface {
	// Read returns the table's state, nil when it has none.
	Read(ctx context.Context, key plan.Key) (*plan.TableState, error)
	// ReadLedger returns a run's ledger, nil when there is none.
	ReadLedger(ctx context.Context, runID string) (*plan.Ledger, error)
	// OpenLedger finds an open ledger of the table by listing; nil when there is none.
	OpenLedger(ctx context.Context, key plan.Key) (*plan.Ledger, error)
	// Versions reads what a list has shown, nil when it is not there.
	Versions(ctx context.Context, name string) (*plan.Versions, error)
}

// dry are ports through which an attempt reads all that it would read and writes
// nothing: neither state nor ledger, no row and no wake-up. The source is asked, and
// its calls are taken from the quota.
func dry(p Ports) Ports {
	p.Ingester = dryIngester{}
	p.ControlTables = dryControlTables{p.ControlTables}
	p.Stager, p.Store, p.Waker = nil, nil, nil // never reached
	return p
}

// dryIngester hides nothing: a run whose ledger is gone is planned again as if it had
// been hidden. Nothing comes as far as to be sent.
type dryIngester struct{}

var errDry = errors.New("internal error: a plan sends nothing")

func (dryIngester) Void(context.Context, string, string, int) error { return nil }

func (dryIngester) Enqueue(context.Context, plan.Ingestion) (string, error) {
	return "", fault.As(fault.Permanent, errDry)
}

func (dryIngester) Probe(context.Context, string) error { return fault.As(fault.Permanent, errDry) }

// dryControlTables is a decorator: rows are read as they are, and none is written.
type dryControlTables struct{ rows ControlTables }

func (d dryControlTables) Rows(ctx context.Context, key plan.Key, since time.Time) ([]plan.Row, error) {
	return d.rows.Rows(ctx, key, since)
}

func (dryControlTables) Deliver(context.Context, plan.Outgoing) error { return nil }

// dryLease is the lease of a table that nobody leased: what is saved is forgotten, and
// what is read comes from the store without one.
type dryLease struct {
	stored Reader
	key    plan.Key
	state  *plan.TableState
}

func (l *dryLease) State() *plan.TableState                                    { return l.state }
func (l *dryLease) SaveState(context.Context, *plan.TableState) error          { return nil }
func (l *dryLease) SaveLedger(context.Context, *plan.Ledger) error             { return nil }
func (l *dryLease) SaveVersions(context.Context, string, *plan.Versions) error { return nil }
func (l *dryLease) DropVersions(context.Context, string) error                 { return nil }
func (l *dryLease) Deadline() time.Time                                        { return time.Time{} }
func (l *dryLease) ServiceNow() time.Time                                      { return time.Time{} }
func (l *dryLease) Context() context.Context                                   { return context.Background() }
func (l *dryLease) Release(context.Context) error                              { return nil }

func (l *dryLease) OpenLedger(ctx context.Context) (*plan.Ledger, error) {
	return l.stored.OpenLedger(ctx, l.key)
}

func (l *dryLease) Ledger(ctx context.Context, runID string) (*plan.Ledger, error) {
	return l.stored.ReadLedger(ctx, runID)
}

func (l *dryLease) Versions(ctx context.Context, name string) (*plan.Versions, error) {
	return l.stored.Versions(ctx, name)
}
