package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
)

// leaser is the part of a blob's lease that keeping it needs.
type leaser interface {
	ID() string
	Renew(ctx context.Context) error
	Release(ctx context.Context) error
}

// lease keeps a blob's lease by renewing it every third of its length, and knows
// how long it is surely ours. The service counts from when it takes up a request,
// which is after the request started here: so the lease is ours at least until
// the start of the last successful request plus the length. From that a tenth is
// taken off, for clocks that run at different rates and for the way from the look
// at the deadline to the effect.
type lease struct {
	blob   leaser
	length time.Duration
	clock  clock
	log    *slog.Logger

	ctx    context.Context // ends with the lease, not with the acquirer's context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // ends keep
	done   chan struct{}      // closed when keep has ended

	mu      sync.Mutex
	renewed reading // start of the last successful request
	over    error   // nil while the lease is held
}

func newLease(ctx context.Context, blob leaser, length time.Duration, start reading, c clock, log *slog.Logger) *lease {
	l := &lease{blob: blob, length: length, clock: c, log: log, renewed: start, done: make(chan struct{})}
	// The lease outlives the work: the last writes are made after its deadline.
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go l.keep(keep, ctx)
	return l
}

// keep renews until ctx ends or the lease is lost. A failed renewal is tried
// again every twelfth of the length until the deadline. Once the work's context
// has ended the lease is renewed for one more length: work that hangs must not
// lock its table for as long as the process lives.
func (l *lease) keep(ctx, work context.Context) {
	defer close(l.done)
	wait := l.length / 3
	for renewals := 4; ; {
		if work.Err() != nil {
			renewals--
		}
		if renewals < 0 {
			l.lose(fmt.Errorf("%w: the work did not end with its context", ErrLeaseLost))
			return
		}
		timer := time.NewTimer(min(wait, max(l.left(), 0)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		left := l.left()
		if left <= 0 {
			l.lose(fmt.Errorf("%w: not renewed in time", ErrLeaseLost))
			return
		}
		start := l.clock.read()
		try, cancel := context.WithTimeout(ctx, left)
		err := l.blob.Renew(try)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			l.extend(start)
			wait = l.length / 3
		case errors.Is(err, blobstore.ErrLease), errors.Is(err, blobstore.ErrNotFound):
			l.lose(fmt.Errorf("%w: %v", ErrLeaseLost, err)) //nolint:errorlint // told, not acted on
			return
		default:
			l.log.Warn("lease not renewed", "error", err, "left", l.left())
			wait = l.length / 12
		}
	}
}

func (l *lease) extend(start reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = start
}

// left returns for how long the lease is surely ours.
func (l *lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.length - l.length/10 - l.clock.read().since(l.renewed)
}

// deadline is now plus what is left, without monotonic part; zero when over.
func (l *lease) deadline() time.Time {
	if l.err() != nil {
		return time.Time{}
	}
	return l.clock.read().wall.Add(l.left())
}

// lose ends the lease for cause, the first time it is called.
func (l *lease) lose(cause error) {
	l.mu.Lock()
	if l.over == nil {
		l.over = cause
	}
	cause = l.over
	l.mu.Unlock()
	l.cancel(cause)
}

// err is why the lease is over; nil while it is surely ours.
func (l *lease) err() error {
	l.mu.Lock()
	over := l.over
	l.mu.Unlock()
	if over == nil && l.left() <= 0 {
		return fmt.Errorf("%w: not renewed in time", ErrLeaseLost)
	}
	return over
}

// release gives the lease back. It may be called twice.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	over := l.over != nil
	l.mu.Unlock()
	l.stop()
	<-l.done // no renewal may follow the release
	l.lose(context.Canceled)
	if over {
		return nil
	}
	return l.blob.Release(ctx)
}
