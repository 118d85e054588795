package quota_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/quota"
)

// calls lets as many processes with as many workers each call for a time and
// returns when they did.
func calls(t *testing.T, s *service, processes, workers int, length time.Duration, change func(*quota.Config)) []time.Time {
	t.Helper()
	end := time.Now().Add(length)
	var mu sync.Mutex
	var begun []time.Time
	var wg sync.WaitGroup
	for range processes {
		q := s.open(t, 0, change)
		for range workers {
			wg.Go(func() {
				for time.Now().Before(end) {
					err := q.Take(t.Context(), "DeviceInfo", false)
					if until, ok := fault.Until(err); ok {
						time.Sleep(time.Until(until))
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					begun = append(begun, time.Now())
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	slices.SortFunc(begun, time.Time.Compare)
	return begun
}

// The end of one minute and the beginning of the next are one window to the
// service, and so are two processes; the hour has a limit, too.
func TestScenario_O30_BurstAcrossTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		time.Sleep(59 * time.Second)
		begun := calls(t, s, 2, 1, 2*time.Minute, nil)
		if n := most(begun, time.Minute); n > 45 {
			t.Errorf("%d calls in a minute", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		begun := calls(t, &service{}, 2, 1, 90*time.Minute, func(c *quota.Config) { c.PerHour = 600 })
		if n := most(begun, time.Hour); n > 600 {
			t.Errorf("%d calls in an hour", n)
		}
		if n := most(begun, time.Minute); n > 45 {
			t.Errorf("%d calls in a minute", n)
		}
	})
}

// Five tables with eight slices each want to be read at once.
func TestScenario_P13_FortyWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := calls(t, &service{}, 5, 8, 5*time.Minute, nil)
		if n := most(begun, time.Minute); n > 45 {
			t.Errorf("%d calls in a minute, the tenant allows 45", n)
		}
		if len(begun) < 5*30 {
			t.Errorf("%d calls in five minutes: forty workers keep each other from calling", len(begun))
		}
	})
}
