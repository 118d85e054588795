package bench

import (
	"context"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// eventTables have the columns of the made-up rows, or take any.
var eventTables = []string{
	benchTable, "DeviceEvents", "DeviceFileEvents", "DeviceProcessEvents", "DeviceLogonEvents", "DeviceRegistryEvents", "DeviceImageLoadEvents",
	"DeviceNetworkInfo", "DeviceInfo", "DeviceFileCertificateInfo", "DeviceTvmInfoGathering", "DeviceTvmCertificateInfo",
}

// memoryFigures lets the handler meet the largest answers that its default
// settings can lead to: slices are packed for the narrow rows that it has seen,
// and the rows that come then are as wide as the service's cap allows. What ten times
// the rows need is compared with as many calls in flight, two; by default there are
// fourteen, which the last two cases meet.
func memoryFigures(ctx context.Context, b *Bench) error {
	for _, c := range []struct {
		name, api string
		width     int // 95,000 rows of it are the answer
		limit     int64
		tables    int
		slices    int    // of each
		inFlight  string // "": by default
	}{
		{"graph-50mb", "graph", 522, 50_000_000, 1, 2, "2"},
		{"graph-50mb-10x", "graph", 522, 50_000_000, 1, 20, "2"},
		{"mde-124mb", "mde", 1302, 124_500_000, 1, 2, "2"},
		{"mde-124mb-10x", "mde", 1302, 124_500_000, 1, 20, "2"},
		{"mde-124mb-12-tables", "mde", 1302, 124_500_000, 12, 2, ""},
		{"one-table-14", "mde", 1302, 124_500_000, 1, 14, ""}, // as many answers at a time as a process takes
	} {
		if !b.wants(c.name) {
			continue
		}
		rows := c.slices * 94_900
		if b.Short {
			rows = c.slices * 400
		}
		w, err := b.drift(ctx, map[string]string{"DEFENDER_API": c.api, "MIGRATION_CALLS_IN_FLIGHT": c.inFlight, "DEFENDER_CALLS_PER_HOUR": "1000000"}, c.limit, c.tables, rows, c.width)
		if err != nil {
			return err
		}
		b.Log.Info("memory", "case", c.name, "rows", w.rows, "calls", w.calls, "bytes", w.bytes, "seconds", w.took.Seconds())
		b.figure("memory", c.name, "peak_rss_mib", w.peakRSS)
	}
	return nil
}

// drift teaches the handler a width by a few narrow rows, then lets a fresh
// process copy wide ones, of so many tables at a time.
func (b *Bench) drift(ctx context.Context, changes map[string]string, limit int64, tables, rows, width int) (work, error) {
	names := eventTables[:tables]
	var batches []*batch
	for _, t := range names {
		batches = append(batches,
			&batch{table: t, rows: 2000, width: 400, from: 120 * time.Hour, to: 100 * time.Hour},
			&batch{table: t, rows: rows, width: width, from: 80 * time.Hour, to: 2 * time.Hour})
	}
	data, err := load(batches...)
	if err != nil {
		return work{}, err
	}
	limits := stack.Unhurried()
	for name, l := range limits {
		l.Bytes = limit
		limits[name] = l
	}
	s, err := b.open(ctx, data, hunting.Options{Limits: limits}, names...)
	if err != nil {
		return work{}, err
	}
	w, err := s.copyLearned(ctx, changes, 90*time.Hour)
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return w, err
}

// copyLearned copies what arrived before the border, ago, and then measures a
// fresh process that copies the rest.
func (s *site) copyLearned(ctx context.Context, changes map[string]string, border time.Duration) (work, error) {
	first := map[string]string{"MIGRATION_SETTLE": border.String()}
	for k, v := range changes {
		first[k] = v
	}
	if _, err := s.copyOnce(ctx, first); err != nil {
		return work{}, err
	}
	return s.copyOnce(ctx, changes)
}
