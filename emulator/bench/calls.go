package bench

import (
	"cmp"
	"context"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
)

// The targets are the settings' defaults.
const (
	rowTarget  = 95_000
	byteTarget = 40_000_000
)

// callFigures counts every call that the emulated tenant saw, planning included.
// A table's first run learns the width of its rows; its later runs know it.
func callFigures(ctx context.Context, b *Bench) error {
	var paged batch
	for _, c := range []struct {
		name string
		calm batch // what the first run copies
		rest batch
	}{
		{"0.3kb", batch{rows: b.of(950_000, 2000), width: 300}, batch{rows: b.of(950_000, 2000), width: 300}},
		{"1kb", batch{rows: b.of(600_000, 2000), width: 1000}, batch{rows: b.of(600_000, 2000), width: 1000}},
		{"2kb", batch{rows: b.of(300_000, 2000), width: 2000}, batch{rows: b.of(300_000, 2000), width: 2000}},
		{"skew-hour", batch{rows: b.of(600_000, 2000), width: 1000, hotHour: 0.5}, batch{rows: b.of(600_000, 2000), width: 1000, hotHour: 0.5}},
		{"skew-device", batch{rows: b.of(600_000, 2000), width: 1000, hotDevice: 0.1}, batch{rows: b.of(600_000, 2000), width: 1000, hotDevice: 0.1}},
		{"skew-both", batch{rows: b.of(600_000, 2000), width: 1000, hotHour: 0.5, hotDevice: 0.1}, batch{rows: b.of(600_000, 2000), width: 1000, hotHour: 0.5, hotDevice: 0.1}},
		// The rows of the second run are wider by four tenths.
		{"drift", batch{rows: 5000, width: 1000}, batch{rows: b.of(600_000, 2000), width: 1400}},
		// Older than all that is held: rows expire while they are copied.
		{"30d", batch{rows: b.of(600_000, 2000), width: 1000, from: 725 * time.Hour}, batch{rows: 5000, width: 1000}},
	} {
		const border = 62 * time.Hour
		c.calm.from, c.calm.to = cmp.Or(c.calm.from, 120*time.Hour), border+time.Hour
		c.rest.from, c.rest.to = border-time.Hour, 2*time.Hour
		first, later, err := b.countCalls(ctx, border, &c.calm, &c.rest)
		if err != nil {
			return err
		}
		if c.calm.rows >= c.rest.rows {
			b.callFigure(c.name+"-first", first, c.calm)
		}
		if c.calm.rows <= c.rest.rows {
			b.callFigure(c.name, later, c.rest)
		}
		if c.name == "1kb" {
			paged = c.rest
		}
	}
	for _, page := range []struct {
		name string
		rows int
	}{{"rownum-10k", 10_000}, {"rownum-25k", 25_000}} {
		// One call counts the rows, then one fetches each page.
		b.callFigure(page.name, int64(1+ceil(paged.rows, page.rows)), paged)
	}
	return nil
}

func (b *Bench) callFigure(name string, calls int64, c batch) {
	ideal := max(1, ceil(c.rows, rowTarget), ceil(c.bytes, byteTarget))
	b.figure("calls", name, "calls", calls, "ideal", ideal, "of_ideal", float64(calls)/float64(ideal))
}

func ceil(a, b int) int { return (a + b - 1) / b }

// countCalls returns the calls of a table's first run, which copies what arrived
// before the border, and of its next run.
func (b *Bench) countCalls(ctx context.Context, border time.Duration, calm, rest *batch) (first, later int64, err error) {
	data, err := load(calm, rest)
	if err != nil {
		return 0, 0, err
	}
	s, err := b.open(ctx, data, hunting.Options{})
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
	}()
	w, err := s.copyOnce(ctx, map[string]string{"MIGRATION_SETTLE": border.String()})
	if err != nil {
		return 0, 0, err
	}
	first = w.calls
	w, err = s.copyOnce(ctx, nil)
	return first, w.calls, err
}
