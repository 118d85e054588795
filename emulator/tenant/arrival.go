package tenant

import (
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// arrival gives rows ingestion times by their number: chunks of neighbouring rows
// share one, and chunks follow one another with irregular gaps.
type arrival struct {
	start engine.Datetime
	step  engine.Datetime // mean distance of chunks, at least 1 tick
	chunk int             // rows of a chunk
	seed  uint64
}

// spread fits n rows into the span that ends at end, exclusive of its beginning.
func spread(n, chunk int, end time.Time, span time.Duration, seed uint64) arrival {
	chunks := max((n+chunk-1)/chunk, 1)
	step := max(engine.Datetime(span/100)/engine.Datetime(chunks), 1)
	return arrival{
		start: engine.FromTime(end) - step*engine.Datetime(chunks) + 1,
		step:  step,
		chunk: chunk,
		seed:  seed,
	}
}

func (a arrival) at(i int) engine.Datetime {
	c := uint64(i / a.chunk)
	return a.start + engine.Datetime(c)*a.step + engine.Datetime(mix(a.seed^c)%uint64(a.step))
}

// times lists the times of n rows.
func (a arrival) times(n int) []engine.Datetime {
	all := make([]engine.Datetime, n)
	for i := range all {
		all[i] = a.at(i)
	}
	return all
}

// mix is the output function of SplitMix64, a bijection that spreads every bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
