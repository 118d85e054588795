package pipeline

import (
	"context"
	"time"

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
	p.Ingester = dryIngester{p.Ingester}
	p.ControlTables = dryControlTables{p.ControlTables}
	p.Stager, p.Store, p.Waker = nil, nil, nil // never reached
	return p
}

type dryIngester struct{ Ingester }

func (dryIngester) Void(context.Context, string, string, int) error { return nil }

type dryControlTables struct{ ControlTables }

func (dryControlTables) Deliver(context.Context, plan.Outgoing) error { return nil }

// dryLease is the lease of a table that nobody leased: what is saved is forgotten.
type dryLease struct {
	Reader
	key   plan.Key
	state *plan.TableState
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
	return l.Reader.OpenLedger(ctx, l.key)
}
func (l *dryLease) Ledger(ctx context.Context, runID string) (*plan.Ledger, error) {
	return l.ReadLedger(ctx, runID)
}
