package host

import (
	"context"
	"errors"
	"os"
	"time"
)

// parentPoll is how often the parent is looked for. The call costs a microsecond.
const parentPoll = time.Second

// ErrOrphaned is the cause of a context that ended with the parent process.
var ErrOrphaned = errors.New("the process that started this one is gone")

// WithParent returns a context that ends, with ErrOrphaned as its cause, when the
// process's parent is gone. A host that stops while an invocation runs leaves its
// handler behind, beside the next host's, and sends no signal. The system gives
// an orphan another parent, which is how it is told; on Windows it is not.
func WithParent(ctx context.Context) context.Context {
	return watchParent(ctx, os.Getppid, parentPoll)
}

func watchParent(ctx context.Context, parent func() int, every time.Duration) context.Context {
	ctx, end := context.WithCancelCause(ctx)
	first := parent()
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				end(nil)
				return
			case <-tick.C:
				if parent() != first {
					end(ErrOrphaned)
					return
				}
			}
		}
	}()
	return ctx
}
