package stack_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// fetches counts the hunting calls that read rows, by query text.
type fetches struct {
	delay time.Duration // of each

	mu sync.Mutex
	by map[string]int
}

func (f *fetches) see(c hunting.Call) hunting.Fault {
	if strings.Contains(c.Query, "summarize") {
		return hunting.Fault{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by[c.Query]++
	return hunting.Fault{Delay: f.delay}
}

// again returns how many fetches read what another had read before.
func (f *fetches) again() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, times := range f.by {
		n += times - 1
	}
	return n
}

// A large table moves over many short invocations, with its process killed
// between and within them. D2A_SCALE_ROWS sets the size, and then invocations of a
// minute and a quota that makes them many; the default suits CI, where the source
// answers so slowly that one invocation cannot be enough on any machine.
func TestScale_ManyInvocationsWithKills(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceNetworkEvents"
	rows, kills, between, delay := 48_000, 2, 6, 500*time.Millisecond
	settings := map[string]string{"MIGRATION_TIME_BUDGET": "2s", "MIGRATION_INGEST_GRACE": "1m", "MIGRATION_CALLS_IN_FLIGHT": "2"}
	if text := os.Getenv("D2A_SCALE_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		kills, between, delay = 5, 40, 0
		settings["MIGRATION_TIME_BUDGET"], settings["DEFENDER_CALLS_PER_MINUTE"] = "60s", "75" // of which we use 60
	}
	// So many slices that the kills fall between them.
	settings["MIGRATION_ROW_TARGET"] = strconv.Itoa(min(max(rows/40, 2000), 20_000))
	data := events(t, table, rows)
	seen := &fetches{by: map[string]int{}, delay: delay}
	s := configured(t, table, data, stack.Options{Hunting: hunting.Options{Fault: seen.see}})
	s.serve(settings, funchost.Options{Timing: funchost.Timing{QueueLease: 3 * time.Second, QueueVisibility: time.Second, RestartWindow: time.Millisecond}})
	killed := make(chan int)
	go func() {
		n := 0
		for k := 1; k <= kills; k++ {
			for s.count("slice sent") < between*k && s.count("run ended") == 0 {
				time.Sleep(2 * time.Millisecond)
			}
			if s.host.KillHandler(syscall.SIGKILL) == nil {
				n++
			}
		}
		killed <- n
	}()
	s.tick()
	ended := s.successesWithin(table, 1, 2*time.Minute+time.Duration(rows)*300*time.Microsecond)[0]
	if n := <-killed; n != kills {
		t.Errorf("the handler was killed %d times, want %d", n, kills)
	}
	if ended.RecordCount != int64(rows) {
		t.Errorf("the audit row counts %d rows, want %d", ended.RecordCount, rows)
	}
	s.equal()
	if s.count("time budget spent") == 0 {
		t.Error("no invocation spent its time budget: the table moved in those that were killed")
	}
	t.Logf("rows=%d slices=%d kills=%d put_off=%d fetched_again=%d", ended.RecordCount, s.count("slice verified"), kills, s.count("put off"), seen.again())
	// Two calls are in flight; only slices that were not frozen yet when the
	// process was killed may be read again.
	if n := seen.again(); n > 2*kills {
		t.Errorf("%d fetches repeated another one, want %d at most", n, 2*kills)
	}
}

// successesWithin is successes with a patience of its own.
func (s *site) successesWithin(table string, n int, patience time.Duration) []stack.Audit {
	s.t.Helper()
	return s.auditsWithin(patience, n, "Success of "+table, func(a stack.Audit) bool { return a.SourceTable == table && a.Status == "Success" })
}

// Two processes on one queue, every message delivered twice, and one process
// frozen in the middle of a commit until long after its lease: nothing repeats.
func TestTwoProcesses_OneFrozenBeyondItsLease(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceNetworkEvents"
	data := events(t, table, 15_000)
	s := configured(t, table, data, stack.Options{})
	settings := map[string]string{"MIGRATION_ROW_TARGET": "1000", "MIGRATION_INGEST_GRACE": "1m", "MIGRATION_CALLS_IN_FLIGHT": "1"}
	var deliveries atomic.Int32
	options := funchost.Options{
		Timing: funchost.Timing{QueueLease: 5 * time.Second, QueueVisibility: time.Second},
		Faults: funchost.Faults{Deliver: func(inv funchost.Invocation) funchost.Delivery {
			if inv.Function == "migrate" && deliveries.Add(1) <= 20 {
				return funchost.DeliverTwice
			}
			return funchost.DeliverOnce
		}},
	}
	s.serve(settings, options)
	first := s.host
	s.serve(settings, options)
	second := s.host
	frozen := make(chan struct{})
	go func() {
		defer close(frozen)
		for s.count("slice sent") < 4 {
			time.Sleep(time.Millisecond)
		}
		// Whichever of the two is at work: freezing the idle one proves nothing, so
		// both are, one after the other.
		for _, h := range []*funchost.Host{first, second} {
			if err := h.FreezeHandler(); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Second) // the lease is 15 s
			if err := h.ThawHandler(); err != nil {
				t.Error(err)
			}
		}
	}()
	s.tick()
	s.successes(table, 1)
	<-frozen
	s.equal()
	all, err := s.Audits()
	if err != nil {
		t.Fatal(err)
	}
	successes := 0
	for _, a := range all {
		if a.Status == "Success" && a.RecordCount > 0 {
			successes++
		}
		if a.Status == "Surplus" || a.Status == "Gap" {
			t.Errorf("audit row %+v", a)
		}
	}
	if successes != 1 {
		t.Errorf("%d runs moved rows, want one: %+v", successes, all)
	}
}
