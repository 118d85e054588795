package hunting

import (
	"slices"
	"sync"
	"time"
)

// Stats is what the server has done so far.
type Stats struct {
	Calls         int64 // requests that reached a hunting path
	Rows, Bytes   int64 // of results, before compression
	QuotaRefusals int64 // 429 that a quota brought about, faults left out
	Log           []Entry
	REST          []Entry // calls of lists and file exports, which the figures above leave out
	RESTRefusals  int64   // of these, 429 that a quota brought about
	Files         int64   // requests for files of exports
	Expired       int64   // of these, by an address that was good no longer, or never was
}

// Entry is one call.
type Entry struct {
	At     time.Time // by the machine's clock
	API    API
	Table  string // first table of the query; "" if none is recognized; or a list's short name
	Status int    // 0: the client went away, or was cut off before an answer
	Rows   int
	Bytes  int64
	Took   time.Duration
}

// logged is how many calls the log remembers.
const logged = 100_000

type counters struct {
	mu    sync.Mutex
	stats Stats
}

func (c *counters) begin() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Calls++
	return c.stats.Calls
}

func (c *counters) end(e Entry, quotaRefused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.stats
	r.Rows += int64(e.Rows)
	r.Bytes += e.Bytes
	if quotaRefused {
		r.QuotaRefusals++
	}
	if len(r.Log) >= logged {
		r.Log = slices.Clone(r.Log[logged/2:])
	}
	r.Log = append(r.Log, e)
}

func (c *counters) endREST(e Entry, quotaRefused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.stats
	if quotaRefused {
		r.RESTRefusals++
	}
	if len(r.REST) >= logged {
		r.REST = slices.Clone(r.REST[logged/2:])
	}
	r.REST = append(r.REST, e)
}

func (c *counters) file(expired bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Files++
	if expired {
		c.stats.Expired++
	}
}

// Stats returns the counters and the log of the last calls.
func (s *Server) Stats() Stats {
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	r := s.counters.stats
	r.Log, r.REST = slices.Clone(r.Log), slices.Clone(r.REST)
	return r
}
