package kusto

import (
	"context"
	"net/http"
)

// Occupy takes one ingestion's place until release is called, as an ingestion of
// somebody else would. Without a bound it does nothing.
func (c *Cluster) Occupy() (release func()) {
	release, _ = c.awaitSlot(context.Background())
	return release
}

// awaitSlot waits for a place, as queued ingestion does.
func (c *Cluster) awaitSlot(ctx context.Context) (release func(), ok bool) {
	if c.slots == nil {
		return func() {}, true
	}
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, true
	case <-ctx.Done():
		return nil, false
	}
}

// lockToIngest takes a place of direct ingestion and the cluster's lock; end gives
// both back.
func (c *Cluster) lockToIngest() (end func(), err error) {
	release, err := c.takeSlot()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	return func() { c.mu.Unlock(); release() }, nil
}

// takeSlot takes a place or refuses, as direct ingestion does.
// Source: ADX documentation, "Capacity policy": a command beyond it is throttled.
func (c *Cluster) takeSlot() (release func(), err error) {
	if c.slots == nil {
		return func() {}, nil
	}
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	default:
		e := Throttled(http.StatusTooManyRequests)
		e.Text = "The management command was aborted due to throttling. Retrying after some backoff might help. Origin: 'CapacityPolicy/Ingestion'."
		return nil, e
	}
}
