package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

// The tenant's limit, its window scaled from a minute, and our part of it.
const (
	scaledMinute   = 6 * time.Second
	scaledLimit    = 45
	scaledAllowed  = 36
	scaledLatency  = 2 * time.Second   // of each call: twenty seconds
	scaledSettling = 3 * scaledLatency // a burst after idle time is over
)

// quotaFigures lets several handlers, each under a host of its own, work on ten
// tables of one tenant in slices so small that there is always a call to wait for.
// Answers take long, so that many calls have to be under way at a time.
func quotaFigures(ctx context.Context, b *Bench) error {
	for _, processes := range []int{1, 2, 4} {
		if !b.wants(strconv.Itoa(processes)) {
			continue
		}
		used, provoked, err := b.contend(ctx, processes)
		if err != nil {
			return err
		}
		b.figure("quota", strconv.Itoa(processes), "processes", processes, "used", used, "provoked_429", provoked)
	}
	if !b.wants("one-table") {
		return nil
	}
	fetching, chain, provoked, err := b.oneTable(ctx)
	if err != nil {
		return err
	}
	b.figure("quota", "one-table", "fetching", fetching, "chain", chain, "provoked_429", provoked)
	return nil
}

func (b *Bench) contend(ctx context.Context, processes int) (used float64, provoked int64, err error) {
	length := time.Duration(b.of(10, 1)) * scaledMinute
	tables := eventTables[:10]
	rows := map[string]int{}
	for _, t := range tables {
		rows[t] = 30 * int(length.Seconds()) // more than twice what can be copied in slices of 20
	}
	data, err := tenant.Generate(tenant.Options{Seed: 1, Now: time.Now(), Only: tables, Lean: rows})
	if err != nil {
		return 0, 0, err
	}
	data.Run(time.Now)
	limits := stack.Unhurried()
	for api, l := range limits {
		l.CallsPerMinute, l.Minute = scaledLimit, scaledMinute
		limits[api] = l
	}
	s, err := b.open(ctx, data, hunting.Options{Limits: limits, Latency: scaledLatency}, tables...)
	if err != nil {
		return 0, 0, err
	}
	var hosts []*funchost.Host
	defer func() {
		for _, h := range hosts {
			err = errors.Join(err, stop(ctx, h))
		}
		err = errors.Join(err, s.Close())
	}()
	changes := settings(map[string]string{
		"DEFENDER_CALLS_PER_MINUTE": strconv.Itoa(scaledLimit), "DEFENDER_QUOTA_MINUTE": scaledMinute.String(), "MIGRATION_ROW_TARGET": "20",
	})
	for range processes {
		h, err := s.StartHost(ctx, b.App, changes, funchost.Options{})
		if err != nil {
			return 0, 0, err
		}
		hosts = append(hosts, h)
	}
	if err := stack.Tick(ctx, hosts[0]); err != nil {
		return 0, 0, err
	}
	return s.share(ctx, length)
}

// share waits for the first calls to begin and counts those of the time after.
func (s *site) share(ctx context.Context, length time.Duration) (used float64, provoked int64, err error) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for s.Hunting.Stats().Calls < 8 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		}
	}
	timer := time.NewTimer(scaledSettling + length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, 0, context.Cause(ctx)
	}
	end := time.Now()
	// A call stands in the log once it is answered.
	if err := sleep.For(ctx, 2*scaledLatency); err != nil {
		return 0, 0, err
	}
	stats := s.Hunting.Stats()
	calls := 0
	for _, e := range stats.Log {
		if e.At.After(end.Add(-length)) && !e.At.After(end) && e.Status != http.StatusTooManyRequests {
			calls++
		}
	}
	allowed := scaledAllowed * length.Seconds() / scaledMinute.Seconds()
	if allowed == 0 {
		return 0, 0, fmt.Errorf("nothing is allowed in %v", length)
	}
	return float64(calls) / allowed, stats.QuotaRefusals, nil
}
