package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// TableLease is a leased table state. Its methods may be called from several
// goroutines; writes happen one after the other. Once the lease is lost or
// released every write is an error of kind Retry.
type TableLease struct {
	store  *Store
	key    plan.Key
	name   string
	writer string // unique to this acquisition
	lease  *lease

	mu      sync.Mutex // guards what follows, over a whole write
	seq     int64
	body    []byte            // the state as last read or saved; empty when none
	etag    string            // of body
	ledgers map[string]string // ETag by RunId, of what was read or written last
}

func (h *TableLease) load(ctx context.Context) error {
	b, err := h.store.box.Get(ctx, h.name)
	if err != nil {
		return err
	}
	if len(b.Body) > 0 {
		if _, err := decodeState(b.Body, h.store.clock.read().wall); err != nil {
			return fault.Since(err, b.Modified)
		}
	}
	h.body, h.etag = b.Body, b.ETag
	return nil
}

// State returns a copy of the state as last read or saved; nil when the table
// has none.
func (h *TableLease) State() *plan.TableState {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.body) == 0 {
		return nil
	}
	s, err := decodeState(h.body, h.store.clock.read().wall)
	if err != nil {
		// Only bodies that were decoded or encoded here are kept.
		panic(fmt.Sprintf("state %s: %v", h.key, err))
	}
	return s
}

// SaveState writes the state under lease and compare-and-swap; its key and
// format are set here. When somebody else has written, the error is ErrFenced;
// when the lease is gone, ErrLeaseLost: either ends Context.
func (h *TableLease) SaveState(ctx context.Context, s *plan.TableState) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.saveState(ctx, *s); err != nil {
		return fmt.Errorf("save state %s: %w", h.key, err)
	}
	return nil
}

func (h *TableLease) saveState(ctx context.Context, s plan.TableState) error {
	if err := h.usable(); err != nil {
		return err
	}
	s.Instance, s.Source = h.key.Instance, h.key.Source
	s.Format = s.StoredFormat()
	body, err := json.Marshal(stateDocument{h.stamp(), s})
	if err != nil {
		return fault.As(fault.Permanent, err)
	}
	write := blobstore.Write{IfMatch: h.etag, LeaseID: h.lease.blob.ID(), Metadata: stateMetadata(&s), Body: body}
	tag, err := h.put(ctx, h.name, write)
	switch {
	case err == nil:
		h.body, h.etag = body, tag
		return nil
	case errors.Is(err, blobstore.ErrLease):
		err = fmt.Errorf("%w: %w", ErrLeaseLost, err)
	case errors.Is(err, blobstore.ErrConflict):
		err = fmt.Errorf("%w: %w", ErrFenced, err)
	default:
		return err
	}
	h.lease.lose(err)
	return fault.As(fault.Retry, err)
}

// Ledger reads the ledger of a run and remembers its version for SaveLedger; nil
// when there is none.
func (h *TableLease) Ledger(ctx context.Context, runID string) (*plan.Ledger, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, tag, err := h.store.readLedger(ctx, runID)
	if err != nil {
		return nil, fmt.Errorf("read ledger %s: %w", runID, err)
	}
	h.ledgers[runID] = tag
	return l, nil
}

// SaveLedger writes a ledger over the version that this holder read or wrote
// last, or as a new one. When somebody else has written, the error is ErrFenced.
// Ledgers have no lease of their own: the version is what keeps a worker that
// lost the table's lease from writing over its successor's.
func (h *TableLease) SaveLedger(ctx context.Context, l *plan.Ledger) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.saveLedger(ctx, *l); err != nil {
		return fmt.Errorf("save ledger %s (%d slices): %w", l.RunID, len(l.Slices), err)
	}
	return nil
}

func (h *TableLease) saveLedger(ctx context.Context, l plan.Ledger) error {
	if err := h.usable(); err != nil {
		return err
	}
	l.Format = l.StoredFormat()
	body, err := json.Marshal(ledgerDocument{h.stamp(), l})
	if err != nil {
		return fault.As(fault.Permanent, err)
	}
	write := blobstore.Write{IfMatch: h.ledgers[l.RunID], Metadata: ledgerMetadata(&l), Body: body}
	tag, err := h.put(ctx, ledgerName(l.RunID), write)
	if errors.Is(err, blobstore.ErrConflict) {
		return fault.As(fault.Retry, fmt.Errorf("%w: %w", ErrFenced, err))
	}
	if err != nil {
		return err
	}
	h.ledgers[l.RunID] = tag
	return nil
}

// put writes; a version in the way that an earlier write of this holder left
// behind, whose outcome could not be settled then, is written over.
func (h *TableLease) put(ctx context.Context, name string, w blobstore.Write) (string, error) {
	tag, err := h.store.box.Put(ctx, name, w)
	var changed *blobstore.Changed
	if errors.As(err, &changed) && changed.Stored.ETag != "" && stampOf(changed.Stored.Body).Writer == h.writer {
		w.IfMatch = changed.Stored.ETag
		tag, err = h.store.box.Put(ctx, name, w)
	}
	return tag, err
}

// OpenLedger finds the newest open ledger of the table by listing, for a table
// whose state is gone; nil when there is none. It remembers the version as
// Ledger does.
func (h *TableLease) OpenLedger(ctx context.Context) (*plan.Ledger, error) {
	runs, err := h.store.openLedgers(ctx, h.key)
	if err != nil {
		return nil, fmt.Errorf("list open ledgers of %s: %w", h.key, err)
	}
	for _, run := range runs {
		// nil: swept or deleted since it was listed.
		if l, err := h.Ledger(ctx, run); l != nil || err != nil {
			return l, err
		}
	}
	return nil, nil
}

// Deadline is the instant until which the lease is surely ours, zero once it is
// lost or released. It is worked out at each call from two clocks, neither of
// which a frozen process can hold back (see clock): ask right before each
// effect, and keep no answer.
func (h *TableLease) Deadline() time.Time { return h.lease.deadline() }

// ServiceNow is the time by the storage's clock, as its answers have told it; zero
// when our own clock was set since the last one.
func (h *TableLease) ServiceNow() time.Time {
	now, known := h.store.service.Now()
	if !known {
		return time.Time{}
	}
	return now
}

// Context ends when the lease is lost, with ErrLeaseLost or ErrFenced as cause,
// or when it is released.
func (h *TableLease) Context() context.Context { return h.lease.ctx }

// Release gives the lease back at once and ends Context. Give it a context that
// survives the work's. It may be called twice; a lost lease is no error.
func (h *TableLease) Release(ctx context.Context) error {
	if err := h.lease.release(ctx); err != nil {
		return fmt.Errorf("release state %s: %w", h.key, err)
	}
	return nil
}

// usable returns an error of kind Retry when the lease is over.
func (h *TableLease) usable() error {
	err := h.lease.err()
	if err != nil && !errors.Is(err, ErrLeaseLost) && !errors.Is(err, ErrFenced) {
		err = fmt.Errorf("%w: released", ErrLeaseLost)
	}
	return fault.As(fault.Retry, err)
}

func (h *TableLease) stamp() stamp {
	h.seq++
	return stamp{Writer: h.writer, WriteSeq: h.seq, Program: h.store.version}
}
