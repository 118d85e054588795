package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const (
	chainSlice = 20 // rows
	chainRuns  = 3
	// chainIngest is how long ADX takes over a blob: a sixth of the time in which a run
	// of as many slices as it may have is fetched at our part of the quota.
	chainIngest = plan.MaxSlices * scaledMinute / scaledAllowed / 6
)

// oneTable lets one table alone have the quota: a chain of three runs, answers of
// twenty seconds, and an ADX that takes its time. fetching is the share of our
// allowance that was used between a run's plan and its last call, chain that of the
// whole time.
func (b *Bench) oneTable(ctx context.Context) (fetching, chain float64, provoked int64, err error) {
	rows := b.of((chainRuns-1)*plan.MaxSlices*chainSlice+plan.MaxSlices*chainSlice*9/10, 400)
	ingest := chainIngest
	if b.Short {
		ingest = time.Second
	}
	data, err := tenant.Generate(tenant.Options{Seed: 1, Now: time.Now(), Only: []string{benchTable}, Lean: map[string]int{benchTable: rows}})
	if err != nil {
		return 0, 0, 0, err
	}
	data.Run(time.Now)
	limits := stack.Unhurried()
	for api, l := range limits {
		l.CallsPerMinute, l.Minute = scaledLimit, scaledMinute
		limits[api] = l
	}
	s, err := b.openSlow(ctx, data, hunting.Options{Limits: limits, Latency: scaledLatency}, ingest)
	if err != nil {
		return 0, 0, 0, err
	}
	f := &chainWatcher{watcher: watcher{tables: 1, done: make(chan int64, 1), failed: make(chan string, 1)}}
	host, err := s.StartHost(ctx, b.App, settings(map[string]string{
		"DEFENDER_CALLS_PER_MINUTE": strconv.Itoa(scaledLimit), "DEFENDER_QUOTA_MINUTE": scaledMinute.String(), "MIGRATION_ROW_TARGET": strconv.Itoa(chainSlice),
	}), funchost.Options{OnLine: f.line})
	if err != nil {
		return 0, 0, 0, errors.Join(err, s.Close())
	}
	if err = stack.Tick(ctx, host); err == nil {
		select {
		case <-f.done:
		case reason := <-f.failed:
			err = fmt.Errorf("copy: %s", reason)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	stats := s.Hunting.Stats()
	if err = errors.Join(err, stop(ctx, host), s.Close()); err != nil {
		return 0, 0, 0, err
	}
	fetching, chain = f.shares(stats.Log)
	return fetching, chain, stats.QuotaRefusals, nil
}

// chainWatcher notes when runs were planned and ended. It takes lines from the host's
// goroutine alone.
type chainWatcher struct {
	watcher
	mu             sync.Mutex
	planned, ended []time.Time
}

func (f *chainWatcher) line(l funchost.Line) {
	var r struct{ Msg string }
	if json.Unmarshal([]byte(l.Text), &r) == nil {
		f.mu.Lock()
		switch r.Msg {
		case "planned":
			f.planned = append(f.planned, time.Now())
		case "run ended":
			f.ended = append(f.ended, time.Now())
		}
		f.mu.Unlock()
	}
	f.watcher.line(l)
}

// shares are calls over those allowed, while a run fetches and all the time.
func (f *chainWatcher) shares(log []hunting.Entry) (fetching, chain float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	const each = scaledMinute / scaledAllowed
	var calls, all int
	var spent time.Duration
	for i := range f.ended {
		last := f.planned[i]
		for _, e := range log {
			if e.Status != http.StatusTooManyRequests && !e.At.Before(f.planned[i]) && !e.At.After(f.ended[i]) {
				calls++
				if e.At.After(last) {
					last = e.At
				}
			}
		}
		spent += last.Sub(f.planned[i]) + each
	}
	for _, e := range log {
		if e.Status != http.StatusTooManyRequests {
			all++
		}
	}
	whole := f.ended[len(f.ended)-1].Sub(f.planned[0])
	return float64(calls) * float64(each) / float64(spent), float64(all) * float64(each) / float64(whole)
}
