package tenant

import "time"

// clock stands at one instant, or runs from it.
type clock struct {
	at      time.Time
	machine func() time.Time // nil: standing
	since   time.Time        // machine time at which it was at
}

func (c *clock) now() time.Time {
	if c.machine == nil {
		return c.at
	}
	return c.at.Add(c.machine().Sub(c.since))
}

// Now is the tenant's clock, UTC. Rows with a later ingestion time are not yet
// there.
func (t *Tenant) Now() time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.clock.now()
}

// Stand stops the clock at an instant.
func (t *Tenant) Stand(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock = clock{at: at.UTC()}
}

// Run lets the clock go on from where it is, as fast as machine does; time.Now for
// real time.
func (t *Tenant) Run(machine func() time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock = clock{at: t.clock.now(), machine: machine, since: machine()}
}

// Advance moves the clock by d, standing or running.
func (t *Tenant) Advance(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock.at = t.clock.at.Add(d)
}
