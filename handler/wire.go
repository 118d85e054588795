package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/functions/deadletter"
	"github.com/defender2adx/defender2adx/functions/migrate"
	"github.com/defender2adx/defender2adx/functions/schedule"
	"github.com/defender2adx/defender2adx/functions/setup"
	"github.com/defender2adx/defender2adx/functions/tables"
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

// app is the wired program: adapters, made once for the life of the process, and
// the functions over them.
type app struct {
	cfg   config.Config
	log   *slog.Logger
	adx   *adx.Client
	store *state.Store
	queue []*queue.Sender // the wake-ups' and the poison queue

	schedule   *schedule.Function
	migrate    *migrate.Function
	deadletter *deadletter.Function
	tables     *tables.Function
	setup      *setup.Function
}

// wire builds the program. It opens no connection; the error joins what no
// adapter can work with.
func wire(cfg config.Config, log *slog.Logger) (*app, error) {
	a := &app{cfg: cfg, log: log}
	creds, err := newCredentials(cfg)
	if err != nil {
		return nil, err
	}
	storage := blobstore.Config{ConnectionString: cfg.Storage.ConnectionString, Container: cfg.Storage.Container}
	if storage.ConnectionString == "" {
		storage.ServiceURL, storage.Credential = cfg.Storage.BlobServiceURL, creds.storage
	}
	var errs []error
	a.store, err = state.New(state.Config{Storage: storage, Lease: cfg.Migration.Lease, Version: version, Logger: log})
	errs = append(errs, err)
	calls, err := quota.New(quota.Config{
		Storage: storage, Cloud: cfg.Defender.Cloud, Tenant: cfg.Defender.TenantID,
		PerMinute: cfg.Defender.CallsPerMinute, PerHour: cfg.Defender.CallsPerHour, FreeShare: freeShare(cfg.Defender.FreeShare),
		Minute: cfg.Defender.QuotaMinute, Hour: cfg.Defender.QuotaHour,
	})
	errs = append(errs, err)
	a.adx, err = newADX(cfg, creds.adx, log)
	errs = append(errs, err)
	source, err := newSource(cfg, creds.defender, log)
	errs = append(errs, err)
	for _, name := range []string{cfg.Migration.Queue, cfg.Migration.Queue + "-poison"} {
		sender, err := newSender(cfg, creds.storage, name)
		errs = append(errs, err)
		a.queue = append(a.queue, sender)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	waker := a.queue[0]
	lane := pipeline.New(pipelineConfig(cfg), pipeline.Ports{
		Source: source, Quota: calls, Stager: a.adx, Ingester: a.adx, Verifier: a.adx, ControlTables: a.adx, Store: leases{a.store}, Waker: waker, Clock: wallClock{},
	}, log)
	audit := auditor{control: a.adx, now: time.Now, api: source.API()}
	a.schedule = &schedule.Function{Configuration: a.adx, States: a.store, Waker: waker, Auditor: audit, Sweep: a.sweep}
	a.migrate = &migrate.Function{Pipeline: lane, Parse: queue.ParseWakeUp, Auditor: audit}
	a.deadletter = &deadletter.Function{Parse: queue.ParseWakeUp, Auditor: audit}
	a.tables = &tables.Function{Configuration: a.adx, States: a.store, Waker: waker}
	a.setup = &setup.Function{Database: a.adx}
	return a, nil
}

func pipelineConfig(cfg config.Config) pipeline.Config {
	m := cfg.Migration
	return pipeline.Config{
		AppID: m.AppID, Settle: m.Settle, Lease: m.Lease, Budget: m.TimeBudget, Grace: m.IngestGrace,
		LookBack: cfg.Defender.LookBack, CallsInFlight: m.CallsInFlight,
		Limits: plan.Limits{Rows: m.RowTarget, Bytes: m.ByteTarget},
		Poll:   m.IngestPoll, Pause: cfg.Defender.Pause,
		Nearby: 5 * time.Second, PutOff: time.Second, Waiting: max(time.Second, min(time.Minute, 3*m.IngestPoll)),
	}
}

// freeShare maps our zero, which means none, to the quota's.
func freeShare(share float64) float64 {
	if share == 0 {
		return -1
	}
	return share
}

type credentials struct {
	defender, adx, storage azcore.TokenCredential
}

// newCredentials makes the identities. The vault and storage are reached with
// the identity of ADX, which is the app's own.
func newCredentials(cfg config.Config) (credentials, error) {
	own := ownIdentity(cfg)
	var out credentials
	self, err := credential.New(own)
	if err != nil {
		return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
	}
	out.adx = self
	storage := own
	if cfg.Storage.ClientID != "" {
		storage.ClientID = cfg.Storage.ClientID
	}
	if out.storage, err = credential.New(storage); err != nil {
		return out, fmt.Errorf("AzureWebJobsStorage: %w", err)
	}
	endpoint, err := endpoint(cfg)
	if err != nil {
		return out, err
	}
	source := credential.Config{Kind: credential.Kind(cfg.Defender.Credential), TenantID: cfg.Defender.TenantID, ClientID: cfg.Defender.ClientID,
		AuthorityHost: endpoint.Authority, Loopback: config.IsLoopback(endpoint.Authority) || config.IsLoopback(cfg.KeyVault)}
	secret := source
	secret.Kind, secret.VaultCredential = credential.KindSecret, self
	secret.Vault = &credential.VaultRef{URL: cfg.KeyVault, Secret: cfg.Defender.SecretName}
	if source.Kind == credential.KindSecret {
		source = secret
	}
	if out.defender, err = credential.New(source); err != nil {
		return out, fmt.Errorf("DEFENDER_CREDENTIAL: %w", err)
	}
	if cfg.ADX.Credential == "secret" {
		if out.adx, err = credential.New(secret); err != nil {
			return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
		}
	}
	return out, nil
}

// ownIdentity is the app's identity, or the person's who runs a command.
func ownIdentity(cfg config.Config) credential.Config {
	if cfg.ADX.Credential == "azure-cli" {
		return credential.Config{Kind: credential.KindAzureCLI}
	}
	return credential.Config{Kind: credential.KindManagedIdentity, ClientID: cfg.ADX.ClientID}
}

func endpoint(cfg config.Config) (defender.Endpoint, error) {
	api, _, err := defender.ParseAPI(cfg.Defender.API)
	if err != nil {
		return defender.Endpoint{}, err
	}
	e, err := defender.Endpoints(cfg.Defender.Cloud, api)
	if err != nil {
		return e, err
	}
	override(&e.BaseURL, cfg.Defender.BaseURL)
	override(&e.Scope, cfg.Defender.Scope)
	override(&e.Authority, cfg.Defender.Authority)
	return e, nil
}

func override(to *string, value string) {
	if value != "" {
		*to = value
	}
}

func newSource(cfg config.Config, cred azcore.TokenCredential, log *slog.Logger) (*defender.Client, error) {
	e, err := endpoint(cfg)
	if err != nil {
		return nil, err
	}
	api, _, err := defender.ParseAPI(cfg.Defender.API)
	if err != nil {
		return nil, err
	}
	return defender.New(defender.Config{
		API: api, BaseURL: e.BaseURL, Version: cfg.Defender.GraphVersion, Scope: e.Scope, Credential: cred, Logger: log,
	})
}

func newADX(cfg config.Config, cred azcore.TokenCredential, log *slog.Logger) (*adx.Client, error) {
	return adx.New(adx.Config{
		ClusterURL: cfg.ADX.ClusterURL, IngestURL: cfg.ADX.IngestURL, Database: cfg.ADX.Database, Credential: cred,
		App: "Defender2ADX/" + version, AppID: cfg.Migration.AppID, StatusPoll: cfg.Migration.IngestPoll, Log: log,
	})
}

func newSender(cfg config.Config, cred azcore.TokenCredential, name string) (*queue.Sender, error) {
	if cfg.Storage.ConnectionString != "" {
		return queue.NewSender(cfg.Storage.ConnectionString, name, queue.Options{})
	}
	return queue.NewSenderWithCredential(cfg.Storage.QueueServiceURL, name, cred, queue.Options{})
}

// Close ends what runs in the background.
func (a *app) Close() {
	if err := a.adx.Close(); err != nil {
		a.log.Warn("close ADX client", "error", err.Error())
	}
}

// prepare makes the queues that the host polls. A failure is no reason to stop:
// the first wake-up makes its queue as well.
func (a *app) prepare(ctx context.Context) {
	for _, q := range a.queue {
		if err := q.Create(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("create queue", "error", err.Error())
		}
	}
}

// sweep removes the ledgers of runs that ended long ago.
func (a *app) sweep(ctx context.Context) (int, error) {
	return a.store.Sweep(ctx, time.Now().Add(-a.cfg.Migration.LedgerRetention))
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

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var (
	_ pipeline.Source        = (*defender.Client)(nil)
	_ pipeline.Quota         = (*quota.Quota)(nil)
	_ pipeline.Stager        = (*adx.Client)(nil)
	_ pipeline.Ingester      = (*adx.Client)(nil)
	_ pipeline.Verifier      = (*adx.Client)(nil)
	_ pipeline.ControlTables = (*adx.Client)(nil)
	_ pipeline.Store         = leases{}
	_ pipeline.TableLease    = (*state.TableLease)(nil)
	_ pipeline.Waker         = (*queue.Sender)(nil)
	_ http.Handler           = (*setup.Function)(nil)
	_ io.Closer              = (*adx.Client)(nil)
)
