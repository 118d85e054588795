package chaos

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"sync"
)

// dice decide what goes wrong. The n-th decision of a kind is a function of seed,
// kind and n, so that a seed keeps its faults although goroutines take turns in
// another order.
type dice struct {
	seed uint64

	mu     sync.Mutex
	rolled map[string]uint64
	off    bool
	faults map[string]int
}

func newDice(seed uint64) *dice {
	return &dice{seed: seed, rolled: map[string]uint64{}, faults: map[string]int{}}
}

// roll returns the source of the next decision of a kind.
func (d *dice) roll(kind string) *rand.Rand {
	d.mu.Lock()
	n := d.rolled[kind]
	d.rolled[kind]++
	d.mu.Unlock()
	h := fnv.New64a()
	_, _ = h.Write([]byte(kind)) // a hash takes everything
	return rand.New(rand.NewPCG(d.seed^h.Sum64(), n))
}

// strikes reports whether the next decision of a kind is a fault, and returns
// the source of what else is to be decided about it.
func (d *dice) strikes(kind string, chance float64) (*rand.Rand, bool) {
	if chance <= 0 || d.calm() {
		return nil, false
	}
	r := d.roll(kind)
	return r, r.Float64() < chance
}

// count records a fault that was done.
func (d *dice) count(fault string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[fault]++
}

// atMost counts a fault unless it was done often enough.
func (d *dice) atMost(n int, fault string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults[fault] >= n {
		return false
	}
	d.faults[fault]++
	return true
}

// rest ends all faults.
func (d *dice) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

func (d *dice) calm() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// done returns the faults so far by name.
func (d *dice) done() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.faults)
}

func between(r *rand.Rand, low, high int) int { return low + r.IntN(high-low+1) }
