package quota_test

import (
	"context"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/quota"
	"github.com/defender2adx/defender2adx/internal/secret"
)

func TestMain(m *testing.M) { os.Exit(azuritetest.Main(m)) }

func TestTake_OnAzurite(t *testing.T) {
	storage := blobstore.Config{ConnectionString: secret.New(azuritetest.Shared(t).ConnectionString())}
	t.Run("no reservation is lost in races", func(t *testing.T) { testRaces(t, storage) })
	t.Run("short windows hold for workers with clocks apart", func(t *testing.T) { testShortWindows(t, storage) })
	t.Run("names the tenant's blob", func(t *testing.T) { testName(t, storage) })
}

func testRaces(t *testing.T, storage blobstore.Config) {
	const workers, each = 4, 15
	var wg sync.WaitGroup
	for range workers {
		q, err := quota.New(quota.Config{Storage: storage, Cloud: "global", Tenant: "races", PerMinute: 1_000_000, PerHour: 1_000_000})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range each {
				if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	q, err := quota.New(quota.Config{Storage: storage, Cloud: "global", Tenant: "races", PerMinute: 1_000_000, PerHour: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	// The hour, since a test must not fail for starting late in a minute.
	if u, err := q.Usage(t.Context()); err != nil || u.Hour.Calls != workers*each {
		t.Errorf("Usage = %+v, %v; want %d calls", u, err, workers*each)
	}
}

// worker is a process with a virtual clock of its own. It sets the Date header
// that Azurite's answers would have if the service shared that virtual time.
type worker struct {
	time time.Time     // true virtual time
	skew time.Duration // of the local clock
	*quota.Quota
}

// Do implements policy.Transporter.
func (w *worker) Do(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultClient.Do(req)
	w.time = w.time.Add(20 * time.Millisecond)
	if err == nil {
		resp.Header.Set("Date", w.time.UTC().Format(http.TimeFormat))
	}
	return resp, err
}

func (w *worker) sleep(_ context.Context, d time.Duration) error {
	w.time = w.time.Add(d)
	return nil
}

// testShortWindows steps the worker that is furthest behind, so that virtual time
// goes on for all alike, whatever the real machine does.
func testShortWindows(t *testing.T, storage blobstore.Config) {
	const limit, window, rounds = 60, 20 * time.Second, 120
	begin := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	workers := make([]*worker, 4)
	for i := range workers {
		w := &worker{time: begin, skew: skews[i]}
		c := quota.Config{
			Storage: storage, Cloud: "global", Tenant: "short", PerMinute: limit, Minute: window, MaxSleep: time.Second,
			Clock: func() time.Time { return w.time.Add(w.skew) }, Sleep: w.sleep,
		}
		c.Storage.Client.Transport = w
		var err error
		if w.Quota, err = quota.New(c); err != nil {
			t.Fatal(err)
		}
		workers[i] = w
	}
	var calls []time.Time
	for len(calls) < rounds {
		w := slices.MinFunc(workers, func(a, b *worker) int { return a.time.Compare(b.time) })
		err := w.Take(t.Context(), "DeviceInfo", false)
		switch until, wait := fault.Until(err); {
		case wait:
			w.time = until.Add(-w.skew)
		case err != nil:
			t.Fatal(err)
		default:
			calls = append(calls, w.time)
		}
	}
	slices.SortFunc(calls, time.Time.Compare)
	if n := most(calls, window); n > limit {
		t.Errorf("%d calls in a window of %v, limit %d", n, window, limit)
	}
	length := calls[len(calls)-1].Sub(begin)
	if allowed := 0.8 * limit * length.Seconds() / window.Seconds(); float64(len(calls)) < 0.95*allowed {
		t.Errorf("%d calls in %v, want 95 %% of %.0f", len(calls), length, allowed)
	}
}

func testName(t *testing.T, storage blobstore.Config) {
	q, err := quota.New(quota.Config{Storage: storage, Cloud: "GCC-High", Tenant: "Contoso.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Take(t.Context(), "DeviceInfo", false); err != nil {
		t.Fatal(err)
	}
	raw, err := container.NewClientFromConnectionString(storage.ConnectionString.Reveal(), blobstore.DefaultContainer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.NewBlobClient("quota/gcc-high-contoso%2Ecom.json").GetProperties(t.Context(), nil); err != nil {
		t.Errorf("the tenant's blob: %v", err)
	}
}
