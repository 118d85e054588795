package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
)

// fakeLease answers renewals as told and records when they came.
type fakeLease struct {
	answer   func(n int) error
	renewals []time.Duration // since begin
	begin    time.Time
	released int
}

func (f *fakeLease) ID() string { return "id" }

func (f *fakeLease) Renew(context.Context) error {
	f.renewals = append(f.renewals, time.Since(f.begin))
	return f.answer(len(f.renewals))
}

func (f *fakeLease) Release(context.Context) error { f.released++; return nil }

func TestLease_Keep(t *testing.T) {
	ok := func(int) error { return nil }
	cut := errors.New("cut")
	gone := fmt.Errorf("409: %w", blobstore.ErrLease)
	tests := []struct {
		name   string
		answer func(n int) error
		after  time.Duration
		want   string // renewals
		lost   bool
	}{
		{"every third", ok, 90 * time.Second, "[20s 40s 1m0s 1m20s]", false},
		{"a failed renewal is tried again sooner", func(n int) error {
			if n == 2 {
				return cut
			}
			return nil
		}, 70 * time.Second, "[20s 40s 45s 1m5s]", false},
		{"lost for good at once", func(int) error { return gone }, 21 * time.Second, "[20s]", true},
		{"held until the deadline", func(int) error { return cut }, 53 * time.Second, "[20s 25s 30s 35s 40s 45s 50s]", false},
		{"lost at the deadline", func(int) error { return cut }, 55 * time.Second, "[20s 25s 30s 35s 40s 45s 50s]", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeLease{answer: tt.answer, begin: time.Now()}
				c := newClock(nil)
				l := newLease(t.Context(), f, time.Minute, c.read(), c, slog.New(slog.DiscardHandler))
				time.Sleep(tt.after)
				synctest.Wait()
				if lost := errors.Is(context.Cause(l.ctx), ErrLeaseLost); lost != tt.lost || lost != l.deadline().IsZero() {
					t.Errorf("after %v lost is %v with deadline %v, want %v", tt.after, lost, l.deadline(), tt.lost)
				}
				if err := l.release(context.Background()); err != nil {
					t.Error(err)
				}
				if got := fmt.Sprint(f.renewals); got != tt.want {
					t.Errorf("renewals at %s, want %s", got, tt.want)
				}
				if released := f.released == 1; released == tt.lost {
					t.Errorf("%d releases of a lease whose loss is %v", f.released, tt.lost)
				}
			})
		})
	}
}

func TestLease_DeadlineCountsFromTheStartOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLease{begin: time.Now(), answer: func(int) error { time.Sleep(7 * time.Second); return nil }}
		c := newClock(nil)
		l := newLease(t.Context(), f, time.Minute, c.read(), c, slog.New(slog.DiscardHandler))
		time.Sleep(30 * time.Second) // renewed at 20 s, answered at 27 s
		synctest.Wait()
		if got, want := l.deadline().Sub(f.begin), 74*time.Second; got != want {
			t.Errorf("deadline %v after the start, want %v: 20 s, a minute, less a tenth", got, want)
		}
		_ = l.release(context.Background())
	})
}

func TestLease_FrozenProcessSeesThatItIsOver(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name       string
		wall, mono time.Duration // passed on either clock
		want       time.Duration // deadline less now; 0: over
	}{
		{"nothing odd", 10 * time.Second, 10 * time.Second, 44 * time.Second},
		{"suspended: the monotonic clock stood still", 2 * time.Minute, 10 * time.Second, 0},
		{"wall clock set back", -time.Hour, 2 * time.Minute, 0},
		{"wall clock set back a little", -10 * time.Second, 20 * time.Second, 34 * time.Second},
		{"stopped by a signal: both went on", 2 * time.Minute, 2 * time.Minute, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var wall, mono time.Duration
				c := clock{func() time.Time { return start.Add(wall) }, func() time.Duration { return mono }}
				f := &fakeLease{answer: func(int) error { return nil }}
				l := newLease(t.Context(), f, time.Minute, c.read(), c, slog.New(slog.DiscardHandler))
				synctest.Wait() // keep sleeps on a timer that never fires in time
				wall, mono = tt.wall, tt.mono
				var got time.Duration
				if d := l.deadline(); !d.IsZero() {
					got = d.Sub(start.Add(tt.wall))
				}
				if got != tt.want {
					t.Errorf("left %v, want %v", got, tt.want)
				}
				if over := l.err() != nil; over != (tt.want == 0) {
					t.Errorf("err() = %v", l.err())
				}
				_ = l.release(context.Background())
			})
		})
	}
}

func TestLease_OutlivesTheAcquirersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fakeLease{begin: time.Now(), answer: func(int) error { return nil }}
		c := newClock(nil)
		l := newLease(ctx, f, time.Minute, c.read(), c, slog.New(slog.DiscardHandler))
		time.Sleep(5 * time.Minute)
		cancel()
		time.Sleep(time.Minute)
		if l.ctx.Err() != nil || l.err() != nil {
			t.Errorf("a minute after the work: context %v, lease %v; want both good for the last writes", l.ctx.Err(), l.err())
		}
		time.Sleep(time.Minute)
		if !errors.Is(l.err(), ErrLeaseLost) || l.ctx.Err() == nil {
			t.Errorf("two minutes after the work: context %v, lease %v; want the lease given up", l.ctx.Err(), l.err())
		}
	})
}
