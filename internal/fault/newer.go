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

// Newer returns an error of Kind Wait, an hour from now, for a document in a format
// above known. program is the version that wrote it; "" where that is not told.
// The document must not be written over: an older handler waits.
func Newer(now time.Time, format, known int, program string) error {
	return WaitUntil(now.Add(newerPause), fmt.Errorf(
		"%w %d, written by program version %s: an older handler waits for a newer one, since it knows formats up to %d; deploy the newer version again or wait until the upgrade has finished",
		ErrNewer, format, cmp.Or(program, "unknown"), known))
}
