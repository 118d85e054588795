package adx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
)

const (
	// capacityTries is how often a command is sent that the cluster has no capacity
	// for. A small cluster takes one ingestion at a time, queued ones included, so
	// that an append often finds it busy for a few seconds.
	capacityTries = 5

	// capacityPause is the first pause, doubled each time: 1 to 2, 2 to 4, 4 to 8
	// and 8 to 16 s, half a minute at most in all.
	capacityPause = time.Second

	// capacityWait is for the message to wait when the tries are spent.
	capacityWait = time.Minute
)

// errNoCapacity marks a refusal because the cluster is busy: nothing was done.
var errNoCapacity = errors.New("no capacity")

// patiently repeats what the cluster has no capacity for, with growing pauses that
// differ from process to process. Then the error is of kind Wait.
func (c *Client) patiently(ctx context.Context, try func() error) error {
	pause := capacityPause
	for n := 1; ; n++ {
		err := try()
		if !errors.Is(err, errNoCapacity) {
			return err
		}
		if n == capacityTries {
			return fault.WaitUntil(c.now().Add(capacityWait), fmt.Errorf("%w; tried %d times", err, n))
		}
		if err := c.sleep(ctx, pause+rand.N(pause)); err != nil {
			return fault.As(fault.Retry, fmt.Errorf("ADX: wait for capacity: %w", err))
		}
		pause *= 2
	}
}
