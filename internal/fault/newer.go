package fault

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// ErrNewer marks an error about a document that only a newer version of the
// program can read.
var ErrNewer = errors.New("newer format")

// newerPause is how long a reader leaves such a document alone: an upgrade of all
// workers takes minutes, a decision to take one back may take days.
const newerPause = time.Hour

// newerPatience is how long a document may lie unread before somebody must be told: longer
// than any upgrade, shorter than the source's memory.
const newerPatience = 24 * time.Hour

// Newer returns an error of Kind Wait, an hour from now, for a document in a format
// above known. program is the version that wrote it; "" where that is not told.
// The document must not be written over: an older handler waits.
func Newer(now time.Time, format, known int, program string) error {
	return WaitUntil(now.Add(newerPause), fmt.Errorf(
		"%w %d, written by program version %s: an older handler waits for a newer one, since it knows formats up to %d; deploy the newer version again or wait until the upgrade has finished",
		ErrNewer, format, cmp.Or(program, "unknown"), known))
}

// Since adds to an error about a newer document when that was written, by the storage's
// clock; other errors and a zero time are left as they are.
func Since(err error, written time.Time) error {
	if !errors.Is(err, ErrNewer) || written.IsZero() {
		return err
	}
	return &unread{err, written}
}

// Overdue reports whether a document of a newer program has lain unread for more than a
// day: its program, which would have written it again, is not coming back by itself.
func Overdue(err error, now time.Time) bool {
	var u *unread
	return errors.As(err, &u) && now.Sub(u.written) > newerPatience
}

// unread is an error about a newer document with the time of its last write.
type unread struct {
	error
	written time.Time
}

func (u *unread) Unwrap() error { return u.error }
