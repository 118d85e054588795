// Package app is the program as a type: the adapters, the pipeline and the
// functions, wired once. The handler serves its routes to the Functions host;
// tests put a network of their own under it and shorten its waits.
package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/functions/deadletter"
	"github.com/defender2adx/defender2adx/functions/migrate"
	"github.com/defender2adx/defender2adx/functions/schedule"
	"github.com/defender2adx/defender2adx/functions/setup"
	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/queue"
	"github.com/defender2adx/defender2adx/internal/quota"
	"github.com/defender2adx/defender2adx/internal/state"
)

// Options are what no setting says. The zero value is the program as the host
// runs it, but for Version and Log.
type Options struct {
	Version string       // of this program; default "dev"
	Log     *slog.Logger // default discards

	// Warnings of the settings, for whoever asks whether all is set up.
	Warnings []string
	// Say tells a person who runs a command what to do to sign in; nil: nobody is there.
	Say func(string)
	// Transport carries every request of every adapter; nil leaves each its own.
	Transport http.RoundTripper
	// Clock is the process's wall clock; nil is the machine's.
	Clock pipeline.Clock
	// Waits shortens waits that no setting names.
	Waits Waits
	// Ports may replace what the pipeline of each instance works through, after it was
	// wired; the functions take their wake-ups from there, too.
	Ports func(*pipeline.Ports)
}

// Waits are waits that no setting names. Zero fields stay what the services need.
type Waits struct {
	Nearby  time.Duration // longest wait spent by the process and not by the message; default nearby
	PutOff  time.Duration // delay of a wake-up put off because the budget is spent; default atOnce
	Waiting time.Duration // delay of a wake-up that waits for ADX; default waiting

	Answer  time.Duration       // see defender.Config.AnswerTimeout
	Idle    time.Duration       // see defender.Config.IdleTimeout
	Storage policy.RetryOptions // of states, ledgers and quota; see blobstore.Config
}

const (
	// nearby is what the quota sleeps by itself, too: a wait as long as a call is cheaper
	// than a message, which the host may leave for a minute.
	nearby = quota.DefaultMaxSleep
	// atOnce is the shortest delay that a message has: nothing is waited for.
	atOnce = time.Second
)

// waiting is three polls: ADX was looked at often before the wake-up was put off, and
// what is late by minutes is not there sooner for being asked for. A minute at most, as
// the host polls an idle queue no more often.
func waiting(poll time.Duration) time.Duration {
	return max(atOnce, min(time.Minute, 3*poll))
}

// client returns the transport as the SDKs take it; nil when there is none. It
// follows no redirect, since the SDKs send tokens.
func (o Options) client() *http.Client {
	if o.Transport == nil {
		return nil
	}
	return &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// transporter is client as azcore takes it.
func (o Options) transporter() policy.Transporter {
	if c := o.client(); c != nil {
		return c
	}
	return nil
}

func (o Options) withDefaults() Options {
	o.Version = cmp.Or(o.Version, "dev")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = wallClock{}
	}
	return o
}

// App is the wired program: adapters, made once for the life of the process, and
// the functions over them.
type App struct {
	cfg           config.Config
	log           *slog.Logger
	clock         pipeline.Clock
	databases     *databases
	instances     *instances
	store         *state.Store
	configuration *configuration
	queues        []*queue.Sender // the wake-ups' and the poison queue

	schedule   *schedule.Function
	migrate    *migrate.Function
	deadletter *deadletter.Function
	tables     *tables.Function
	setup      *setup.Function
}

// New builds the program. It opens no connection; the error joins what no
// adapter can work with.
func New(cfg config.Config, o Options) (*App, error) {
	o = o.withDefaults()
	a := &App{cfg: cfg, log: o.Log, clock: o.Clock}
	creds, err := newCredentials(cfg, o)
	if err != nil {
		return nil, err
	}
	storage := storageOf(cfg, creds.storage, o)
	var errs []error
	a.store, err = newStore(cfg, storage, o)
	errs = append(errs, err)
	a.databases, err = newDatabases(cfg, creds.adx, o)
	errs = append(errs, err)
	for _, name := range []string{cfg.Migration.Queue, cfg.Migration.Queue + "-poison"} {
		sender, err := newSender(cfg, creds.storage, name, o)
		errs = append(errs, err)
		a.queues = append(a.queues, sender)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	ports := pipeline.Ports{ControlTables: a.databases.control, Store: leases{a.store}, Waker: a.queues[0], Clock: o.Clock}
	a.instances, err = newInstances(cfg, wiring{ports: ports, own: creds.own, storage: storage, databases: a.databases, options: o})
	if err != nil {
		return nil, err
	}
	ports = a.instances.ports()

	audit := auditor{appID: cfg.Migration.AppID, control: ports.ControlTables, now: o.Clock.Now, api: a.instances.api}
	configuration := &configuration{stored: a.databases.control, states: a.store, instances: a.instances}
	a.configuration = configuration
	a.schedule = &schedule.Function{Configuration: configuration, States: a.store, Waker: ports.Waker, Auditor: audit, Backlog: a.queues[0].Backlog, Sweep: a.sweep,
		Ticks: cfg.Migration.NextTick, LookBack: a.instances.lookBack, Now: o.Clock.Now}
	a.migrate = &migrate.Function{Pipeline: router{a.instances, audit, configuration.Check}, Parse: queue.ParseWakeUp, Auditor: audit}
	a.deadletter = &deadletter.Function{Parse: queue.ParseWakeUp, Auditor: audit}
	a.tables = &tables.Function{Configuration: configuration, Instances: a.instances, States: a.store, Waker: ports.Waker,
		Ticks: cfg.Migration.NextTick, LookBack: a.instances.lookBack, Now: o.Clock.Now}
	a.setup = &setup.Function{Database: reporter{configuration, a.databases}, Warnings: o.Warnings}
	return a, nil
}

func storageOf(cfg config.Config, cred *storageToken, o Options) blobstore.Config {
	storage := blobstore.Config{ConnectionString: cfg.Storage.ConnectionString, Container: cfg.Storage.Container,
		Client: azcore.ClientOptions{Transport: o.transporter(), Retry: o.Waits.Storage}}
	if storage.ConnectionString.IsZero() {
		storage.ServiceURL, storage.Credential = cfg.Storage.BlobServiceURL, cred
		storage.Client.PerRetryPolicies = []policy.Policy{cred}
	}
	return storage
}

func newStore(cfg config.Config, storage blobstore.Config, o Options) (*state.Store, error) {
	return state.New(state.Config{Storage: storage, Lease: cfg.Migration.Lease, Version: o.Version, Logger: o.Log, Clock: o.Clock.Now})
}

func pipelineConfig(m config.Migration, d config.Defender, places *pipeline.Places, w Waits) pipeline.Config {
	return pipeline.Config{
		AppID: m.AppID, Tenant: strings.ToLower(d.TenantID), Settle: m.Settle, Lease: m.Lease, Budget: m.TimeBudget, Grace: m.IngestGrace,
		LookBack: d.LookBack, CallsInFlight: m.CallsInFlight, Places: places,
		Limits: plan.Limits{Rows: m.RowTarget, Bytes: m.ByteTarget},
		Poll:   m.IngestPoll, Pause: d.Pause,
		Nearby: cmp.Or(w.Nearby, nearby), PutOff: cmp.Or(w.PutOff, atOnce), Waiting: cmp.Or(w.Waiting, waiting(m.IngestPoll)),
		Retry: m.Retry, NextTick: m.NextTick,
	}
}

// freeShare maps our zero, which means none, to the quota's.
func freeShare(share float64) float64 {
	if share == 0 {
		return -1
	}
	return share
}

// newADX returns the client of a database. It opens no connection.
func newADX(cfg config.Config, database string, cred azcore.TokenCredential, o Options) (*adx.Client, error) {
	return adx.New(adx.Config{
		ClusterURL: cfg.ADX.ClusterURL, IngestURL: cfg.ADX.IngestURL, Database: database, Control: cfg.ADX.Database, Writers: writers(cfg, database),
		Credential: cred, HTTP: o.client(),
		App: "Defender2ADX/" + o.Version, AppID: cfg.Migration.AppID, Clock: o.Clock.Now, Log: o.Log,
	})
}

// hunter is a source that people ask, too.
type hunter interface {
	pipeline.Source
	Hunt(ctx context.Context, call plan.Caller, text string) (defender.Found, error)
	Offered(ctx context.Context, call plan.Caller, names []string) (map[string]defender.Offer, error)
}

func newSender(cfg config.Config, cred *storageToken, name string, o Options) (*queue.Sender, error) {
	options := queue.Options{Transport: o.transporter()}
	if !cfg.Storage.ConnectionString.IsZero() {
		return queue.NewSender(cfg.Storage.ConnectionString, name, options)
	}
	options.EachTry = []policy.Policy{cred}
	return queue.NewSenderWithCredential(cfg.Storage.QueueServiceURL, name, cred, options)
}

// Prepare makes the queues that the host polls: it never makes them itself; and says
// in the storage whose it is, for commands. A failure is no reason to stop: the first
// wake-up makes its queue as well.
func (a *App) Prepare(ctx context.Context) {
	if err := a.store.SaveAppID(ctx, a.cfg.Migration.AppID); err != nil && ctx.Err() == nil {
		a.log.Warn("say whose the storage is", "error", err.Error())
	}
	for _, q := range a.queues {
		if err := q.Create(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("create queue", "error", err.Error())
		}
	}
}

// Close ends what runs in the background.
func (a *App) Close() error {
	return a.databases.Close()
}

// sweep removes the ledgers of runs that ended long ago.
func (a *App) sweep(ctx context.Context) (int, error) {
	return a.store.Sweep(ctx, a.clock.Now().Add(-a.cfg.Migration.LedgerRetention))
}

// leases fits types together: an adapter returns its own concrete types and
// knows no port.
type leases struct{ *state.Store }

func (l leases) Acquire(ctx context.Context, key plan.Key) (pipeline.TableLease, error) {
	held, err := l.Store.Acquire(ctx, key)
	if err != nil {
		return nil, err
	}
	return held, nil
}
