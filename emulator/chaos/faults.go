package chaos

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"sync"
)

// faults decide what goes wrong. The n-th decision of a kind is a function of seed,
// kind and n, so that a seed keeps its faults although goroutines take turns in
// another order.
type faults struct {
	seed uint64

	mu       sync.Mutex
	rolled   map[string]uint64
	off      bool
	injected map[string]int
}

func newFaults(seed uint64) *faults {
	return &faults{seed: seed, rolled: map[string]uint64{}, injected: map[string]int{}}
}

// roll returns the source of the next decision of a kind.
func (f *faults) roll(kind string) *rand.Rand {
	f.mu.Lock()
	n := f.rolled[kind]
	f.rolled[kind]++
	f.mu.Unlock()
	h := fnv.New64a()
	_, _ = h.Write([]byte(kind)) // a hash takes everything
	return rand.New(rand.NewPCG(f.seed^h.Sum64(), n))
}

// inject reports whether the next decision of a kind is a fault, and returns
// the source of what else is to be decided about it.
func (f *faults) inject(kind string, chance float64) (*rand.Rand, bool) {
	if chance <= 0 || f.calm() {
		return nil, false
	}
	r := f.roll(kind)
	return r, r.Float64() < chance
}

// count records a fault that was done.
func (f *faults) count(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.injected[fault]++
}

// atMost counts a fault unless it was done often enough.
func (f *faults) atMost(n int, fault string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.injected[fault] >= n {
		return false
	}
	f.injected[fault]++
	return true
}

// rest ends all faults.
func (f *faults) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = true
}

func (f *faults) calm() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.off
}

// done returns the faults so far by name.
func (f *faults) done() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.injected)
}

func between(r *rand.Rand, low, high int) int { return low + r.IntN(high-low+1) }
