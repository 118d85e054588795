package funchost

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

type fakeStatus struct {
	status *scheduleStatus
	fail   error
	saves  int
}

func (s *fakeStatus) Load(context.Context, string) (*scheduleStatus, error) {
	return s.status, s.fail
}

func (s *fakeStatus) Save(_ context.Context, _ string, status scheduleStatus) error {
	s.status = &status
	s.saves++
	return nil
}

type tick struct {
	At      string // since the start of the test
	PastDue bool
}

// runTimer lets a timer run for d from midnight of 2000-01-01, where synctest
// begins, each run taking as long as lasts says.
func runTimer(t *testing.T, l *timerListener, d time.Duration, lasts func(run int) time.Duration) []tick {
	t.Helper()
	var ticks []tick
	start := time.Now()
	l.log = slog.New(slog.DiscardHandler)
	l.function = "tick"
	l.invoke = func(_ context.Context, status *scheduleStatus, pastDue bool) error {
		ticks = append(ticks, tick{time.Since(start).String(), pastDue})
		if lasts != nil {
			time.Sleep(lasts(len(ticks)))
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.listen(ctx, t.Context())
		close(done)
	}()
	time.Sleep(d)
	cancel()
	<-done
	return ticks
}

func mustSchedule(t *testing.T, text string) schedule {
	t.Helper()
	s, err := parseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTimerListener_TicksBySchedule(t *testing.T) {
	bubbleStart := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name         string
		schedule     string
		runOnStartup bool
		status       *scheduleStatus
		lasts        func(int) time.Duration
		want         []tick
	}{
		{"every five minutes", "0 */5 * * * *", false, nil, nil,
			[]tick{{"5m0s", false}, {"10m0s", false}, {"15m0s", false}, {"20m0s", false}}},
		{"an interval", "00:10:00", false, nil, nil,
			[]tick{{"10m0s", false}, {"20m0s", false}}},
		{"run on startup", "0 */10 * * * *", true, nil, nil,
			[]tick{{"0s", false}, {"10m0s", false}, {"20m0s", false}}},
		{"a long run is followed by exactly one", "0 */5 * * * *", false, nil,
			func(run int) time.Duration {
				if run == 1 {
					return 12*time.Minute + 30*time.Second
				}
				return time.Second
			},
			[]tick{{"5m0s", false}, {"17m30s", false}, {"20m0s", false}}},
		{"missed ticks are made up for once", "0 */10 * * * *", false,
			&scheduleStatus{Last: bubbleStart.Add(-time.Hour), Next: bubbleStart.Add(-50 * time.Minute), LastUpdated: bubbleStart.Add(-time.Hour)}, nil,
			[]tick{{"0s", true}, {"10m0s", false}, {"20m0s", false}}},
		{"missed before the first run", "0 */10 * * * *", true,
			&scheduleStatus{Next: bubbleStart.Add(-50 * time.Minute), LastUpdated: bubbleStart.Add(-time.Hour)}, nil,
			[]tick{{"0s", true}, {"10m0s", false}, {"20m0s", false}}},
		{"nothing missed", "0 */10 * * * *", false,
			&scheduleStatus{Last: bubbleStart.Add(-10 * time.Minute), Next: bubbleStart, LastUpdated: bubbleStart.Add(-10 * time.Minute)}, nil,
			[]tick{{"10m0s", false}, {"20m0s", false}}},
		{"another schedule than recorded misses nothing", "0 */10 * * * *", false,
			&scheduleStatus{Last: bubbleStart.Add(-time.Hour), Next: bubbleStart.Add(-30 * time.Minute), LastUpdated: bubbleStart.Add(-time.Hour)}, nil,
			[]tick{{"10m0s", false}, {"20m0s", false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &fakeStatus{status: tt.status}
				l := &timerListener{schedule: mustSchedule(t, tt.schedule), runOnStartup: tt.runOnStartup, store: store}
				got := runTimer(t, l, 24*time.Minute, tt.lasts)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("runs (-want +got):\n%s", diff)
				}
				want := scheduleStatus{Last: bubbleStart.Add(20 * time.Minute), LastUpdated: bubbleStart.Add(20 * time.Minute)}
				want.Next = l.schedule.next(want.Last)
				if diff := cmp.Diff(&want, store.status); diff != "" {
					t.Errorf("status at the end (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTimerListener_FirstStartRecordsTheNextTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStatus{}
		start := time.Now().UTC()
		l := &timerListener{schedule: mustSchedule(t, "0 0 * * * *"), store: store}
		if got := runTimer(t, l, time.Minute, nil); got != nil {
			t.Errorf("runs = %v, want none", got)
		}
		want := &scheduleStatus{Next: start.Add(time.Hour), LastUpdated: start}
		if diff := cmp.Diff(want, store.status); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestTimerListener_FailedRunIsRecordedToo(t *testing.T) {
	store := &fakeStatus{}
	l := &timerListener{schedule: mustSchedule(t, "0 0 * * * *"), store: store, log: slog.New(slog.DiscardHandler)}
	l.invoke = func(context.Context, *scheduleStatus, bool) error { return errors.New("handler said 500") }
	l.run(t.Context(), false)
	if store.saves != 1 || store.status.Last.IsZero() {
		t.Errorf("%d saves, status %+v", store.saves, store.status)
	}
}

func TestTimerListener_UnreadableStatusIsNotOverwrittenAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStatus{fail: errors.New("storage is busy")}
		l := &timerListener{schedule: mustSchedule(t, "0 0 * * * *"), store: store}
		if got := runTimer(t, l, time.Minute, nil); got != nil || store.saves != 0 {
			t.Errorf("runs = %v, saves = %d, want neither", got, store.saves)
		}
	})
}

func TestSchedule_Next(t *testing.T) {
	const layout = "2006-01-02 15:04:05"
	tests := []struct{ schedule, after, want string }{
		{"0 */5 * * * *", "2026-03-02 10:00:00", "2026-03-02 10:05:00"},
		{"0 */5 * * * *", "2026-03-02 10:04:59", "2026-03-02 10:05:00"},
		{"*/5 * * * *", "2026-03-02 10:00:30", "2026-03-02 10:05:00"},
		{"*/15 * * * * *", "2026-03-02 10:00:15", "2026-03-02 10:00:30"},
		{"0 30 9 * * 1-5", "2026-03-06 09:30:00", "2026-03-09 09:30:00"},
		{"0 30 9 * Jan Mon", "2026-03-06 09:30:00", "2027-01-04 09:30:00"},
		{"0 0 0 13 * Fri", "2026-03-14 00:00:00", "2026-11-13 00:00:00"}, // both days have to match
		{"* * * 13 * Fri", "2026-11-13 23:59:59", "2027-08-13 00:00:00"},
		{"0 0 0 31 * *", "2026-03-31 00:00:00", "2026-05-31 00:00:00"},
		{"01:00:00", "2026-03-02 10:00:00", "2026-03-02 11:00:00"},
	}
	for _, tt := range tests {
		after, err := time.Parse(layout, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := mustSchedule(t, tt.schedule).next(after); got.Format(layout) != tt.want {
			t.Errorf("%q after %s = %s, want %s", tt.schedule, tt.after, got.Format(layout), tt.want)
		}
	}
}

func TestParseSchedule_Refusals(t *testing.T) {
	for _, text := range []string{"", "0 5 * *", "@daily", "0 0 0 L * *", "0 0 0 * * MON#1", "0 0 0 * * * 2026", "0 61 * * * *", "0 0 0 ? * *", "0\t0 0 * * *"} {
		if s, err := parseSchedule(text); err == nil {
			t.Errorf("parseSchedule(%q) = %+v, want an error", text, s)
		}
	}
}

func TestSchedule_SubMinute(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]bool{"*/30 * * * * *": true, "0 * * * * *": false, "0,20 0 10 * * *": true, "00:00:59": true, "00:01:00": false} {
		if got := mustSchedule(t, text).subMinute(now); got != want {
			t.Errorf("%q: subMinute = %v, want %v", text, got, want)
		}
	}
}
