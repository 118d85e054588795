package quota_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/quota"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// service is a blob service in memory: one blob, compare-and-swap, a Date header
// of whole seconds, and a network that takes its time. In a synctest bubble that
// time is virtual, so hours of calls by many workers pass in an instant; the real
// service's rules are checked against Azurite in azurite_test.go.
type service struct {
	mu       sync.Mutex
	body     []byte
	version  int
	down     bool
	lose     int // answers of writes to lose from now on
	requests int
	conflict int
}

// Do implements policy.Transporter.
func (s *service) Do(req *http.Request) (*http.Response, error) {
	pause(req.Context(), 2, 40)
	status, body, lost := s.handle(req)
	resp := &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: req, Proto: "HTTP/1.1",
		Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}, "Etag": {s.tag()}},
		Body:   io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	pause(req.Context(), 2, 40)
	if lost {
		return nil, errors.New("connection reset by peer")
	}
	return resp, req.Context().Err()
}

func pause(ctx context.Context, low, high int) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(low+rand.IntN(high-low)) * time.Millisecond):
	}
}

func (s *service) tag() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf(`"%d"`, s.version)
}

func (s *service) handle(req *http.Request) (status int, body []byte, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	match := req.Header.Get("If-Match")
	switch {
	case s.down:
		return http.StatusServiceUnavailable, nil, false
	case req.Method == http.MethodGet && s.version == 0:
		return http.StatusNotFound, nil, false
	case req.Method == http.MethodGet:
		return http.StatusOK, s.body, false
	case match == "" && s.version > 0, match != "" && match != fmt.Sprintf(`"%d"`, s.version):
		s.conflict++
		return http.StatusPreconditionFailed, nil, false
	}
	s.body, _ = io.ReadAll(req.Body)
	s.version++
	if s.lose > 0 {
		s.lose--
		return 0, nil, true
	}
	return http.StatusCreated, nil, false
}

// open returns one worker's quota in the service; change may be nil. The
// worker's clock is off by the skew.
func (s *service) open(t *testing.T, skew time.Duration, change func(*quota.Config)) *quota.Quota {
	t.Helper()
	c := quota.Config{
		Storage: blobstore.Config{ConnectionString: secret.New("AccountName=a;AccountKey=a2V5;BlobEndpoint=http://storage.invalid/a")},
		Cloud:   "global", Tenant: "contoso",
		Clock: func() time.Time { return time.Now().Add(skew) },
	}
	c.Storage.Client.Transport = s
	c.Storage.Client.Retry = policy.RetryOptions{MaxRetries: -1}
	if change != nil {
		change(&c)
	}
	q, err := quota.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// skews are the local clocks of as many workers.
var skews = []time.Duration{0, 400 * time.Millisecond, -37 * time.Minute, 5 * time.Hour}

func TestTake_WorkersTogetherStayWithinTheLimitAndUseIt(t *testing.T) {
	tests := []struct {
		name    string
		workers int
		config  quota.Config
		length  time.Duration
		limit   int // in any window
		window  time.Duration
		allowed int // over the length
	}{
		{"one worker", 1, quota.Config{}, 8 * time.Minute, 45, time.Minute, 8 * 36},
		{"two workers", 2, quota.Config{}, 8 * time.Minute, 45, time.Minute, 8 * 36},
		{"four workers", 4, quota.Config{}, 8 * time.Minute, 45, time.Minute, 8 * 36},
		{"four workers, hourly limit", 4, quota.Config{PerHour: 300}, 75 * time.Minute, 300, time.Hour, 75 * 4},
		{"hourly limit, by the minute", 2, quota.Config{PerHour: 1500}, 20 * time.Minute, 45, time.Minute, 400},
		{"four workers, nothing left free", 4, quota.Config{FreeShare: -1}, 8 * time.Minute, 45, time.Minute, 8 * 42},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{}
				end := time.Now().Add(tt.length)
				var mu sync.Mutex
				var calls []time.Time
				var wg sync.WaitGroup
				for i := range tt.workers {
					q := s.open(t, skews[i], func(c *quota.Config) { c.PerHour, c.FreeShare = tt.config.PerHour, tt.config.FreeShare })
					wg.Go(func() {
						for time.Now().Before(end) {
							err := q.Take(t.Context(), "DeviceInfo", false)
							if until, ok := fault.Until(err); ok {
								time.Sleep(until.Sub(time.Now().Add(skews[i])))
								continue
							}
							if err != nil {
								t.Error(err)
								return
							}
							mu.Lock()
							calls = append(calls, time.Now())
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				slices.SortFunc(calls, time.Time.Compare)
				if n := most(calls, tt.window); n > tt.limit {
					t.Errorf("%d calls in a window of %v, limit %d", n, tt.window, tt.limit)
				}
				if float64(len(calls)) < 0.95*float64(tt.allowed) {
					t.Errorf("%d calls in %v, want 95 %% of %d", len(calls), tt.length, tt.allowed)
				}
				if tt.workers > 1 && s.conflict == 0 {
					t.Error("no two workers ever raced")
				}
			})
		})
	}
}

// most returns the largest number of instants, sorted, in any half-open window.
func most(instants []time.Time, window time.Duration) (n int) {
	first := 0
	for i := range instants {
		for instants[i].Sub(instants[first]) >= window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

func TestTake_OneWorkerNeedsOneRequestACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		q := s.open(t, 0, nil)
		for range 5 {
			if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		if s.requests != 6 { // the first look, then one write each
			t.Errorf("%d requests for 5 calls, want 6", s.requests)
		}
	})
}

func TestTake_LongWaitIsAnErrorThatReservesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		const skew = 5 * time.Hour
		q := s.open(t, skew, func(c *quota.Config) { c.PerMinute, c.MaxSleep = 2, time.Second })
		if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Fatal(err)
		}
		var first time.Time
		for range 3 {
			start := time.Now()
			err := q.Take(t.Context(), "DeviceInfo", false)
			until, ok := fault.Until(err)
			if !ok || !errors.Is(err, quota.ErrWait) {
				t.Fatalf("Take beyond the limit: %v (%v)", err, fault.KindOf(err))
			}
			if time.Since(start) > time.Second {
				t.Errorf("slept %v for nothing", time.Since(start))
			}
			if first.IsZero() {
				first = until
			}
		}
		if u, err := q.Usage(t.Context()); err != nil || u.Minute.Calls != 1 {
			t.Errorf("Usage after three refusals = %+v, %v; want the one call", u, err)
		}
		if ahead := first.Sub(time.Now().Add(skew)); ahead < 50*time.Second || ahead > time.Minute+3*time.Second {
			t.Errorf("wait until %v ahead on the local clock, want about a minute", ahead)
		}
	})
}

func TestHold_BindsEveryWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		a, b := s.open(t, 0, nil), s.open(t, -37*time.Minute, nil)
		for _, q := range []*quota.Quota{a, b} {
			if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
				t.Fatal(err)
			}
		}
		until := time.Now().Add(2 * time.Minute)
		for _, hold := range []time.Duration{2 * time.Minute, time.Minute} { // never shortened
			if err := a.PauseUntil(t.Context(), time.Now().Add(hold)); err != nil {
				t.Fatal(err)
			}
		}
		err := b.Take(t.Context(), "DeviceInfo", false)
		got, ok := fault.Until(err)
		if want := until.Add(-37 * time.Minute); !ok || got.Sub(want).Abs() > 1200*time.Millisecond {
			t.Errorf("Take under a hold: %v until %v, want %v", err, got, want)
		}
		if u, err := b.Usage(t.Context()); err != nil || u.NotBefore.Sub(got).Abs() > 100*time.Millisecond {
			t.Errorf("Usage shows a hold until %v (%v), want %v", u.NotBefore, err, got)
		}
		time.Sleep(time.Until(until) + 1200*time.Millisecond)
		for _, q := range []*quota.Quota{a, b} {
			if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
				t.Errorf("after the hold: %v", err)
			}
		}
	})
}

func TestHold_ReachesWhoSleepsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		a, b := s.open(t, 0, nil), s.open(t, 0, nil)
		for range 3 { // the burst
			if err := a.Take(t.Context(), "DeviceInfo", false); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error)
		go func() { done <- a.Take(t.Context(), "DeviceInfo", false) }()
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Take did not sleep: %v", err)
		default:
		}
		if err := b.PauseUntil(t.Context(), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; fault.KindOf(err) != fault.Wait {
			t.Errorf("the sleeper woke under a hold with %v", err)
		}
	})
}

// A hold longer than any that Defender asks for was written by a wrong clock.
func TestHold_BeyondBeliefIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		a, b := s.open(t, 0, nil), s.open(t, 0, nil)
		if err := a.PauseUntil(t.Context(), time.Now().Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := b.Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Errorf("Take under a hold of two days: %v", err)
		}
		if err := a.PauseUntil(t.Context(), time.Now().Add(23*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := b.Take(t.Context(), "DeviceInfo", false); fault.KindOf(err) != fault.Wait {
			t.Errorf("Take under a hold of a day: %v", err)
		}
	})
}

func TestHold_LiftedByDeletingTheBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		q := s.open(t, 0, nil)
		if err := q.PauseUntil(t.Context(), time.Now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := q.Take(t.Context(), "DeviceInfo", false); fault.KindOf(err) != fault.Wait {
			t.Fatalf("Take under a hold: %v", err)
		}
		s.mu.Lock()
		s.body, s.version = nil, 0
		s.mu.Unlock()
		if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Errorf("Take after the blob was deleted: %v", err)
		}
	})
}

func TestTake_SlotFarAheadOfAllReasonIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{version: 1}
		s.body = fmt.Appendf(nil, `{"Format":1,"Minute":{"Next":%q}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		if err := s.open(t, 0, nil).Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Error(err)
		}
	})
}

// A newer program may take the record over between two calls of an older one.
func TestTake_NewerRecordIsLeftAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		q := s.open(t, 0, nil)
		if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Fatal(err)
		}
		const newer = `{"Format":2,"Minute":[]}`
		s.mu.Lock()
		s.body, s.version = []byte(newer), s.version+1
		s.mu.Unlock()
		time.Sleep(5 * time.Second)
		for range 2 {
			err := q.Take(t.Context(), "DeviceInfo", false)
			if until, wait := fault.Until(err); !errors.Is(err, fault.ErrNewer) || !wait || time.Until(until) < 59*time.Minute {
				t.Errorf("Take: %v until %v, want a wait of an hour", err, until)
			}
		}
		if err := q.PauseUntil(t.Context(), time.Now().Add(time.Minute)); !errors.Is(err, fault.ErrNewer) {
			t.Errorf("PauseUntil: %v", err)
		}
		if string(s.body) != newer {
			t.Errorf("the record was written over: %s", s.body)
		}
	})
}

func TestTake_LostReplyCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		q := s.open(t, 0, nil)
		if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Fatal(err)
		}
		s.lose = 1
		if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Fatal(err)
		}
		if u, err := q.Usage(t.Context()); err != nil || u.Minute != (quota.Use{Calls: 2, Limit: 45}) {
			t.Errorf("Usage = %+v, %v; want two calls", u, err)
		}
	})
}

func TestTake_WithoutStorageThereAreNoCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		q := s.open(t, 0, nil)
		s.down = true
		for range 2 {
			err := q.Take(t.Context(), "DeviceInfo", false)
			if fault.KindOf(err) != fault.Retry || !strings.Contains(err.Error(), "no calls without their record: storage") || strings.Count(err.Error(), "storage") != 1 {
				t.Errorf("Take without storage: %v (%v)", err, fault.KindOf(err))
			}
		}
		if err := q.PauseUntil(t.Context(), time.Now()); fault.KindOf(err) != fault.Retry {
			t.Errorf("PauseUntil without storage: %v", err)
		}
		s.down = false
		if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
			t.Errorf("Take with storage back: %v", err)
		}
	})
}

func TestTake_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := (&service{}).open(t, 0, nil)
		for range 3 {
			if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := q.Take(ctx, "DeviceInfo", false)
		if !errors.Is(err, context.DeadlineExceeded) || fault.KindOf(err) != fault.Retry || time.Since(start) > 400*time.Millisecond {
			t.Errorf("after %v: %v (%v)", time.Since(start), err, fault.KindOf(err))
		}
	})
}

func TestTake_StaleReservationIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		stopped := 0
		q := s.open(t, 0, func(c *quota.Config) {
			c.Sleep = func(_ context.Context, d time.Duration) error {
				if stopped++; stopped == 1 {
					d += time.Minute // the process was stopped
				}
				time.Sleep(d)
				return nil
			}
		})
		for range 4 { // the fourth sleeps
			if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
				t.Fatal(err)
			}
		}
		u, err := q.Usage(t.Context())
		// The stale slot counts as a call of the window before.
		if want := 5; err != nil || stopped != 1 || !strings.Contains(string(s.body), fmt.Sprintf(`"WriteSeq":%d`, want)) {
			t.Errorf("after %d sleeps %+v, %s (%v); want %d reservations for 4 calls", stopped, u, s.body, err, want)
		}
	})
}

func TestNew_RefusesAllFaultsAtOnce(t *testing.T) {
	_, err := quota.New(quota.Config{PerHour: -1, FreeShare: 1, Minute: -1})
	for _, want := range []string{"-1 an hour", "free share", "windows", "tenant"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q in it", err, want)
		}
	}
}
