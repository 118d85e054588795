package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
)

const (
	// putTries is how often one Put sends its write when replies are lost. The
	// SDK tries again by itself below this.
	putTries = 3
	// settleTimeout bounds the read that settles a lost reply. It runs even when
	// the caller's context has ended, because that is when replies are lost. As long as
	// one try of the read may take.
	settleTimeout = tryTimeout
)

// Changed is the error of a Put that found another version than the one it was
// to replace. It is ErrConflict and of kind Retry.
type Changed struct {
	Stored Blob // what is there now; no ETag when the blob is gone
}

func (e *Changed) Error() string {
	if e.Stored.ETag == "" {
		return "blob is gone"
	}
	return "blob was changed by another writer"
}

// Is makes a Changed an ErrConflict.
func (e *Changed) Is(target error) bool { return target == ErrConflict }

// Put replaces the version w.IfMatch, or creates the blob, and returns the new
// ETag. The body must be unique among all writes ever made to the blob, because
// that is how a write is recognised as ours: when a reply is lost, or a
// repetition inside the SDK meets the first attempt's success (412), Put reads
// the blob back. Our body there is success, the old version is tried again, and
// anything else is a *Changed. A refusal by the lease is ErrLease. An outcome
// that cannot be settled is ErrUncertain; the write may then still take effect.
func (c *Container) Put(ctx context.Context, name string, w Write) (string, error) {
	for try := 1; ; try++ {
		tag, err := c.put(ctx, name, w)
		if err == nil || !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUncertain) {
			return tag, err
		}
		stored, readErr := c.settle(ctx, name)
		switch {
		case readErr != nil:
			return "", fmt.Errorf("%w (reading back: %v)", uncertain(err), readErr) //nolint:errorlint // told, not acted on
		case stored.ETag != "" && bytes.Equal(stored.Body, w.Body):
			return stored.ETag, nil
		case stored.ETag != w.IfMatch:
			return "", fault.As(fault.Retry, &Changed{Stored: stored})
		case errors.Is(err, ErrLease) || try == putTries || ctx.Err() != nil:
			return "", err
		}
	}
}

// settle reads what is stored; a blob that does not exist has no ETag.
func (c *Container) settle(ctx context.Context, name string) (Blob, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	stored, err := c.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return Blob{}, nil
	}
	return stored, err
}
