package blobstore

import (
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// driftPer is how long two clocks take to part by one unit: 500 parts in a
	// million is the most that time daemons correct for.
	driftPer = 2000
	// jump is a difference between the process's wall and monotonic clocks that
	// only a set clock or a suspended machine makes.
	jump = 200 * time.Millisecond
)

// ServiceClock tells the blob service's time, learned from the Date headers of
// its answers. A header of whole second D says that the service's clock stood in
// [D, D+1s) at some instant between sending and receiving. Each answer so bounds
// the difference of the clocks, and the bounds of many answers are narrower than
// a second. Two processes therefore differ by a second and a round trip at most.
type ServiceClock struct {
	local   func() time.Time
	elapsed func(since, now time.Time) time.Duration // by the monotonic clock

	mu       sync.Mutex
	known    bool
	low, top time.Duration // bounds of service minus local wall clock
	at       time.Time     // local, when the bounds were last moved
}

// NewServiceClock returns a clock that knows nothing yet; local is the wall clock. It
// is a policy for each try of a client's requests.
func NewServiceClock(local func() time.Time) *ServiceClock {
	return &ServiceClock{local: local, elapsed: func(since, now time.Time) time.Duration { return now.Sub(since) }}
}

// Do implements policy.Policy: it learns from every answer, retried ones too.
func (c *ServiceClock) Do(req *policy.Request) (*http.Response, error) {
	sent := c.local()
	resp, err := req.Next()
	if err == nil {
		if date, parseErr := http.ParseTime(resp.Header.Get("Date")); parseErr == nil {
			c.learn(sent, c.local(), date)
		}
	}
	return resp, err
}

func (c *ServiceClock) learn(sent, received, date time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	low, top := date.Sub(received.Round(0)), date.Add(time.Second).Sub(sent.Round(0))
	if c.stillKnown(received) {
		drift := c.elapsed(c.at, received) / driftPer
		oldLow, oldTop := c.low-drift, c.top+drift
		// Bounds that exclude each other mean that a clock was set: the new ones count.
		if oldLow <= top && low <= oldTop {
			low, top = max(low, oldLow), min(top, oldTop)
		}
	}
	c.known, c.low, c.top, c.at = true, low, top, received
}

// stillKnown is false before the first answer and after the local clock jumped.
func (c *ServiceClock) stillKnown(now time.Time) bool {
	skew := now.Round(0).Sub(c.at.Round(0)) - c.elapsed(c.at, now)
	c.known = c.known && skew.Abs() < jump
	return c.known
}

// Now returns the service's time; false when an answer is needed first.
func (c *ServiceClock) Now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	local := c.local()
	return local.Round(0).UTC().Add(c.offset()), c.stillKnown(local)
}

// ToLocal returns an instant of the service's clock by ours.
func (c *ServiceClock) ToLocal(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.Add(-c.offset())
}

// ToService returns an instant of our clock by the service's.
func (c *ServiceClock) ToService(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.Round(0).UTC().Add(c.offset())
}

func (c *ServiceClock) offset() time.Duration { return c.low + (c.top-c.low)/2 }
