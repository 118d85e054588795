package chaos

import (
	"context"

	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/functions/deadletter"
	"github.com/defender2adx/defender2adx/functions/migrate"
	"github.com/defender2adx/defender2adx/functions/schedule"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/credential"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/queue"
	"github.com/defender2adx/defender2adx/internal/quota"
	"github.com/defender2adx/defender2adx/internal/state"
)

// process is the handler inside this process: the real adapters and functions,
// wired as the handler wires them, over a line that can be cut.
type process struct {
	world *world
	line  *line
	clock skewedClock
	ctx   context.Context // ends when the process is killed
	end   context.CancelFunc

	adx        *adx.Client
	migrate    *migrate.Function
	schedule   *schedule.Function
	deadletter *deadletter.Function

	mu     sync.Mutex
	killed bool
	work   map[string]int // deliveries under way by table
}

func (w *world) newProcess(mail *mailbox, place int) (*process, error) {
	p := &process{world: w, work: map[string]int{}, clock: skewedClock{w.plan.skewOf(place)}}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.line = newLine(p)
	if err := p.wire(mail); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// wire does what the handler's own wiring does, with every client on the line
// and with waits shortened.
func (p *process) wire(mail *mailbox) error {
	w := p.world
	settings := w.settings()
	cfg, err := config.Read(func(name string) string { return settings[name] })
	if err != nil {
		return err
	}
	storage := blobstore.Config{ConnectionString: cfg.Storage.ConnectionString, Container: cfg.Storage.Container, Client: azcore.ClientOptions{
		Transport: p.line,
		Retry:     policy.RetryOptions{MaxRetries: 3, TryTimeout: 10 * time.Second, RetryDelay: 2 * time.Millisecond, MaxRetryDelay: 20 * time.Millisecond},
	}}
	store, err := state.New(state.Config{Storage: storage, Lease: cfg.Migration.Lease, Version: "chaos", Logger: w.log, Clock: p.clock.Now})
	if err != nil {
		return err
	}
	perMinute, window := 100_000, time.Minute
	if w.plan.quota > 0 {
		perMinute, window = w.plan.quota, quotaWindow
	}
	calls, err := quota.New(quota.Config{
		Storage: storage, Cloud: cfg.Defender.Cloud, Tenant: cfg.Defender.TenantID, PerMinute: perMinute, Minute: window,
		FreeShare: cfg.Defender.FreeShare, Clock: p.clock.Now,
	})
	if err != nil {
		return err
	}
	self, source, err := p.credentials(cfg)
	if err != nil {
		return err
	}
	p.adx, err = adx.New(adx.Config{
		ClusterURL: cfg.ADX.ClusterURL, IngestURL: cfg.ADX.IngestURL, Database: cfg.ADX.Database, Credential: self,
		HTTP: p.line.client(), App: "Defender2ADX/chaos", AppID: cfg.Migration.AppID, StatusPoll: cfg.Migration.IngestPoll, Log: w.log,
	})
	if err != nil {
		return err
	}
	client, err := p.hunting(cfg, source)
	if err != nil {
		return err
	}
	waker := waker{p, mail}
	lane := pipeline.New(pipeline.Config{
		AppID: cfg.Migration.AppID, Settle: cfg.Migration.Settle, Lease: cfg.Migration.Lease, Budget: w.plan.budget, Grace: w.plan.grace,
		LookBack: cfg.Defender.LookBack, CallsInFlight: w.plan.parallel, Limits: plan.Limits{Rows: cfg.Migration.RowTarget, Bytes: cfg.Migration.ByteTarget},
		Poll: 40 * time.Millisecond, Pause: cfg.Defender.Pause, Nearby: 300 * time.Millisecond, PutOff: 10 * time.Millisecond, Waiting: 100 * time.Millisecond,
	}, pipeline.Ports{
		Source: client, Quota: hurried{calls, p.clock}, Stager: p.adx, Ingester: p.adx, Verifier: p.adx, ControlTables: p.adx, Store: leases{store}, Waker: waker, Clock: p.clock,
	}, w.log)
	audit := auditor{p.adx, client.API()}
	p.migrate = &migrate.Function{Pipeline: watched{lane, p}, Parse: queue.ParseWakeUp, Auditor: audit}
	p.schedule = &schedule.Function{Configuration: p.adx, States: store, Waker: waker, Auditor: audit,
		Sweep: func(ctx context.Context) (int, error) {
			return store.Sweep(ctx, time.Now().Add(-cfg.Migration.LedgerRetention))
		}}
	p.deadletter = &deadletter.Function{Parse: queue.ParseWakeUp, Auditor: audit}
	return nil
}

func (p *process) credentials(cfg config.Config) (self, source azcore.TokenCredential, err error) {
	if self, err = credential.New(credential.Config{Kind: credential.KindManagedIdentity, Transport: p.line}); err != nil {
		return nil, nil, err
	}
	source, err = credential.New(credential.Config{
		Kind: credential.KindSecret, TenantID: cfg.Defender.TenantID, ClientID: cfg.Defender.ClientID, AuthorityHost: cfg.Defender.Authority,
		Vault: &credential.VaultRef{URL: cfg.KeyVault, Secret: cfg.Defender.SecretName}, VaultCredential: self, Loopback: true, Transport: p.line,
	})
	return self, source, err
}

func (p *process) hunting(cfg config.Config, cred azcore.TokenCredential) (*defender.Client, error) {
	api, _, err := defender.ParseAPI(cfg.Defender.API)
	if err != nil {
		return nil, err
	}
	e, err := defender.Endpoints(cfg.Defender.Cloud, api)
	if err != nil {
		return nil, err
	}
	return defender.New(defender.Config{
		API: api, BaseURL: cfg.Defender.BaseURL, Version: cfg.Defender.GraphVersion, Scope: e.Scope, Credential: cred, Transport: p.line,
		AnswerTimeout: 3 * time.Second, IdleTimeout: 2 * time.Second, Logger: p.world.log,
	})
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
	w.dice.count("process: killed " + where)
	w.log.Info("CHAOS killed", "where", where)
	p.end()
	tables := p.tables()
	wait := pauseOf(w.dice.roll("lease runs out"), 200*time.Millisecond)
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
	r := w.dice.roll("frozen for")
	wait := 100*time.Millisecond + pauseOf(r, 700*time.Millisecond)
	w.log.Info("CHAOS frozen", "for", wait)
	p.line.freeze()
	tables := p.tables()
	w.tasks.Go(func() {
		for _, source := range tables {
			w.breakLease(context.Background(), source)
		}
		time.Sleep(wait)
		p.line.thaw()
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
	return tables[p.world.dice.roll("whose lease").IntN(len(tables))], true
}

// stop ends a process that lives and waits for its background.
func (p *process) stop() {
	p.line.thaw()
	_ = p.adx.Close() // it only gives connections back
	p.end()
	if t, ok := p.line.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// watched notes what the process works on.
type watched struct {
	*pipeline.Pipeline
	p *process
}

func (w watched) Migrate(ctx context.Context, req pipeline.Request) error {
	w.p.mu.Lock()
	w.p.work[req.Key.Source]++
	w.p.mu.Unlock()
	defer func() {
		w.p.mu.Lock()
		w.p.work[req.Key.Source]--
		w.p.mu.Unlock()
	}()
	return w.Pipeline.Migrate(ctx, req)
}

// hurried keeps nobody from calling for long: an instant that the service named
// in minutes comes in a fraction of a second.
type hurried struct {
	*quota.Quota
	clock skewedClock
}

func (h hurried) PauseUntil(ctx context.Context, until time.Time) error {
	return h.Quota.PauseUntil(ctx, h.clock.Now().Add(min(until.Sub(h.clock.Now()), 250*time.Millisecond)))
}

type leases struct{ *state.Store }

func (l leases) Acquire(ctx context.Context, key plan.Key) (pipeline.TableLease, error) {
	held, err := l.Store.Acquire(ctx, key)
	if err != nil {
		return nil, err
	}
	return held, nil
}

// skewedClock is a process's wall clock, ahead by so much.
type skewedClock struct{ ahead time.Duration }

func (c skewedClock) Now() time.Time { return time.Now().Add(c.ahead) }

func (skewedClock) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, d) }

// auditor writes the audit rows of what never reaches a pipeline.
type auditor struct {
	control pipeline.ControlTables
	api     string
}

func (a auditor) Reject(ctx context.Context, row plan.Row, cause error) error {
	return a.deliver(ctx, plan.Audit{TableName: row.DestinationTable, SourceTable: row.SourceTable, FailureReason: cause.Error()})
}

func (a auditor) Malformed(ctx context.Context, cause error) error {
	return a.deliver(ctx, plan.Audit{FailureReason: cause.Error()})
}

func (a auditor) GivenUp(ctx context.Context, w plan.WakeUp) error {
	return a.deliver(ctx, plan.Audit{SourceTable: w.Key.Source, FailureReason: "the wake-up failed too often and went to the poison queue"})
}

func (a auditor) deliver(ctx context.Context, audit plan.Audit) error {
	audit.Status, audit.Timestamp, audit.API = plan.Failed, time.Now(), a.api
	return a.control.Deliver(ctx, plan.Outgoing{Tag: "chaos" + suffix() + suffix(), Audit: &audit})
}
