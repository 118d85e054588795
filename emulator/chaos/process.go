package chaos

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

// process is the handler inside this process: its program as it is, over a transport
// that can be cut.
type process struct {
	world     *world
	transport *faultTransport
	clock     *skewedClock
	ctx       context.Context // ends when the process is killed
	end       context.CancelFunc

	app    *app.App
	routes http.Handler

	mu     sync.Mutex
	killed bool
	work   map[string]int // deliveries under way by table
}

func (w *world) newProcess(local *localQueue, place int) (*process, error) {
	p := &process{world: w, work: map[string]int{}, clock: &skewedClock{world: w, ahead: w.plan.skewOf(place)}}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.transport = newFaultTransport(p)
	if err := p.wire(local); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// wire makes the handler's own program, with every client on the transport, wake-ups
// into the local queue and waits shortened.
func (p *process) wire(local *localQueue) error {
	w := p.world
	settings := w.settings()
	cfg, err := config.Read(func(name string) string { return settings[name] })
	if err != nil {
		return err
	}
	// Shorter than the settings allow.
	cfg.Migration.TimeBudget, cfg.Migration.IngestPoll, cfg.Migration.Retry = w.plan.budget, 40*time.Millisecond, 100*time.Millisecond
	for i := range cfg.Instances {
		d := &cfg.Instances[i].Defender
		d.CallsPerMinute = 100_000
		if w.plan.quota > 0 {
			d.CallsPerMinute, d.QuotaMinute = w.plan.quota, quotaWindow
		}
		d.QuotaHour = quotaWindow // of lists and exports, which are few
		if w.plan.quota == 0 {
			d.QuotaMinute = quotaWindow / 3
		}
	}
	p.app, err = app.New(cfg, app.Options{
		Version: "chaos", Log: w.log, Transport: p.transport, Clock: p.clock,
		Waits: app.Waits{
			Nearby: 300 * time.Millisecond, PutOff: 10 * time.Millisecond, Waiting: 100 * time.Millisecond,
			Answer: 3 * time.Second, Idle: 2 * time.Second,
			Storage: policy.RetryOptions{MaxRetries: 3, TryTimeout: 10 * time.Second, RetryDelay: 2 * time.Millisecond, MaxRetryDelay: 20 * time.Millisecond},
		},
		Ports: func(ports *pipeline.Ports) {
			ports.Quota, ports.ExportQuota = shortHold{ports.Quota, p.clock}, shortHold{ports.ExportQuota, p.clock}
			for i := range ports.Lists {
				ports.Lists[i].Quota = shortHold{ports.Lists[i].Quota, p.clock}
			}
			ports.Waker = waker{p, local}
		},
	})
	if err != nil {
		return err
	}
	p.routes = p.app.Router()
	return nil
}

// call runs one invocation as the host does and says whether it succeeded.
func (p *process) call(ctx context.Context, function string, body []byte) bool {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/"+function, bytes.NewReader(body))
	req.Header.Set("X-Azure-Functions-InvocationId", "chaos-"+suffix())
	answer := httptest.NewRecorder()
	p.routes.ServeHTTP(answer, req)
	return answer.Code == http.StatusOK
}

// kill ends the process at once. Its leases run out soon after, sooner than real
// ones do.
func (p *process) kill(where string) {
	p.mu.Lock()
	already := p.killed
	p.killed = true
	p.mu.Unlock()
	if already {
		return
	}
	w := p.world
	w.faults.count("process: killed " + where)
	w.log.Info("CHAOS killed", "where", where)
	tables := p.tables() // before its work ends
	p.end()
	wait := pauseOf(w.faults.roll("lease runs out"), 200*time.Millisecond)
	w.tasks.Go(func() {
		time.Sleep(wait)
		for _, source := range tables {
			w.breakLease(context.Background(), source)
		}
	})
}

// freeze stops the process until somebody else may hold its tables.
func (p *process) freeze() {
	w := p.world
	r := w.faults.roll("frozen for")
	wait := 100*time.Millisecond + pauseOf(r, 700*time.Millisecond)
	w.log.Info("CHAOS frozen", "for", wait)
	p.transport.freeze()
	tables := p.tables()
	w.tasks.Go(func() {
		for _, source := range tables {
			w.breakLease(context.Background(), source)
		}
		time.Sleep(wait)
		p.transport.thaw()
	})
}

func (p *process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// tables are those that the process works on.
func (p *process) tables() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for name, n := range p.work {
		if n > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (p *process) anyTable() (string, bool) {
	tables := p.tables()
	if len(tables) == 0 {
		return "", false
	}
	return tables[p.world.faults.roll("whose lease").IntN(len(tables))], true
}

// stop ends a process that lives and waits for its background.
func (p *process) stop() {
	p.transport.thaw()
	_ = p.app.Close() // it only gives connections back
	p.end()
	if t, ok := p.transport.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// working notes that a delivery of the table is under way, until the returned
// function is called.
func (p *process) working(table string) (end func()) {
	add := func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.work[table] += n
	}
	add(1)
	return func() { add(-1) }
}

// shortHold keeps nobody from calling for long: an instant that the service named
// in minutes comes in a fraction of a second.
type shortHold struct {
	pipeline.Quota
	clock *skewedClock
}

func (h shortHold) PauseUntil(ctx context.Context, until time.Time) error {
	return h.Quota.PauseUntil(ctx, h.clock.Now().Add(min(until.Sub(h.clock.Now()), 250*time.Millisecond)))
}

// skewedClock is a process's wall clock: ahead by so much, while the faults last by
// whatever it has jumped, and then by the hours of the ticks since.
type skewedClock struct {
	world  *world
	ahead  time.Duration
	jumped atomic.Int64 // ns
}

func (c *skewedClock) Now() time.Time {
	ahead := c.ahead
	if c.world.faults.calm() {
		ahead += time.Duration(c.world.hours.Load()) * time.Hour
	} else {
		ahead += time.Duration(c.jumped.Load())
	}
	return time.Now().Add(ahead)
}

// jump sets the clock wrong, or right again.
func (c *skewedClock) jump(r *rand.Rand) {
	by := jumpOf(r)
	c.jumped.Store(int64(by))
	c.world.log.Info("CHAOS clock jumps", "ahead", by)
}

func (*skewedClock) Sleep(ctx context.Context, d time.Duration) error { return sleep.For(ctx, d) }
