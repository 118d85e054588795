package bench

import (
	"context"

	"github.com/defender2adx/defender2adx/emulator/hunting"
)

// growthFigures copies a table of narrow rows by the default settings, at three
// sizes.
func growthFigures(ctx context.Context, b *Bench) error {
	for _, c := range []struct {
		name string
		rows int
	}{{"0.1m", b.of(100_000, 1000)}, {"1m", b.of(1_000_000, 2000)}, {"10m", b.of(10_000_000, 4000)}} {
		w, err := b.copyLean(ctx, c.rows)
		if err != nil {
			return err
		}
		b.figure("growth", c.name, "rows", w.rows, "seconds", w.took.Seconds(), "calls", w.calls, "peak_rss_mib", w.peakRSS)
	}
	return nil
}

// endToEndFigures is the rate of the whole local stack, all of whose parts share
// the machine's cores, and how much of their CPU time is the handler's.
func endToEndFigures(ctx context.Context, b *Bench) error {
	w, err := b.copyLean(ctx, b.of(1_000_000, 2000))
	if err != nil {
		return err
	}
	b.figure("endtoend", "lean", "rows_s", int64(float64(w.rows)/w.took.Seconds()), "handler_share", w.handlerCPU.Seconds()/w.allCPU.Seconds())
	return nil
}

func (b *Bench) copyLean(ctx context.Context, rows int) (work, error) {
	data, err := lean(rows)
	if err != nil {
		return work{}, err
	}
	s, err := b.open(ctx, data, hunting.Options{})
	if err != nil {
		return work{}, err
	}
	w, err := s.copyOnce(ctx, nil)
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return w, err
}
