package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/quota"
)

// instances are the connections to Defender, wired. They share storage, queue,
// control tables and the calls in flight; tenants that two of them name, too.
type instances struct {
	cfg   config.Config
	wired map[string]*instance // by key
	order []*instance
}

// instance is one of them.
type instance struct {
	config.Instance
	ports    pipeline.Ports
	pipeline interface { // nil: Fault says why
		Migrate(ctx context.Context, req pipeline.Request) error
	}

	// For commands: what is behind them, and what the tenant allows.
	whole     *pipeline.Pipeline
	hunter    hunter
	allowance Allowance
}

// wiring is what instances are wired with.
type wiring struct {
	ports     pipeline.Ports // what all share
	own       azcore.TokenCredential
	storage   blobstore.Config
	databases *databases
	options   Options
}

// newInstances wires every instance that its settings allow. The error is for what
// leaves none.
func newInstances(cfg config.Config, w wiring) (*instances, error) {
	out := &instances{cfg: cfg, wired: map[string]*instance{}}
	quotas, err := newQuotas(cfg, w)
	if err != nil {
		return nil, err
	}
	places := pipeline.NewPlaces(cfg.Migration.CallsInFlight, len(cfg.Instances))
	var faults []error
	for _, settings := range cfg.Instances {
		i := &instance{Instance: settings}
		if i.Fault == nil {
			tenant := quotas[tenantOf(settings)]
			i.allowance = tenant.allowance
			i.Fault = i.wire(cfg, w, tenant, places)
		}
		if i.Fault != nil {
			faults = append(faults, i.Fault)
		}
		out.wired[i.Key()] = i
		out.order = append(out.order, i)
	}
	if len(faults) == len(out.order) {
		return nil, errors.Join(faults...)
	}
	return out, nil
}

func (i *instance) wire(cfg config.Config, w wiring, tenant tenantQuota, places *pipeline.Places) error {
	cred, err := sourceCredential(i.Instance, w.own, w.options)
	if err != nil {
		return err
	}
	clients, err := newClients(i.Instance, cred, w.options)
	if err != nil {
		return err
	}
	source := clients.hunter(i.Defender)
	data := w.databases.of(i.Defender.Database)
	i.ports = w.ports
	i.ports.Source, i.ports.Quota, i.ports.Stager, i.ports.Ingester, i.ports.Verifier = source, tenant.Quota, data, data, data
	i.ports.Lists = clients.lists(tenant.buckets)
	clients.exports(&i.ports, tenant.buckets)
	i.ports.ControlTables = prefixed{w.ports.ControlTables, i.Defender.TablePrefix}
	if w.options.Ports != nil {
		w.options.Ports(&i.ports)
	}
	i.whole = pipeline.New(pipelineConfig(cfg.Migration, i.Defender, places, w.options.Waits), i.ports, w.options.Log)
	i.pipeline, i.hunter = i.whole, source
	return nil
}

// tenantOf is whose quota the instance's calls are taken from. An id is one tenant in
// the whole world: under two clouds, such as global and gcc, which share Graph, it has
// its calls once.
func tenantOf(i config.Instance) string { return strings.ToLower(i.Defender.TenantID) }

// tenantQuota is the quota of one tenant, how much that is, and what its lists and file
// exports are counted by.
type tenantQuota struct {
	*quota.Quota
	allowance Allowance
	buckets   map[string]*quota.Quota // by schema.Source.Bucket
}

// newQuotas makes the quota of each tenant. Instances that name one tenant share
// it, under the cloud of the first, and of their limits the smallest hold.
func newQuotas(cfg config.Config, w wiring) (map[string]tenantQuota, error) {
	limits := map[string]config.Defender{}
	for _, i := range cfg.Instances {
		if i.Fault != nil {
			continue
		}
		d := i.Defender
		if known, ok := limits[tenantOf(i)]; ok {
			d.Cloud = known.Cloud
			d.CallsPerMinute = min(d.CallsPerMinute, known.CallsPerMinute)
			d.FreeShare = max(d.FreeShare, known.FreeShare)
			if d.CallsPerHour == 0 || known.CallsPerHour > 0 && known.CallsPerHour < d.CallsPerHour {
				d.CallsPerHour = known.CallsPerHour
			}
		}
		limits[tenantOf(i)] = d
	}
	out := map[string]tenantQuota{}
	var errs []error
	for tenant, d := range limits {
		limited := quota.Config{
			Storage: w.storage, Cloud: d.Cloud, Tenant: d.TenantID,
			PerMinute: d.CallsPerMinute, PerHour: d.CallsPerHour, FreeShare: freeShare(d.FreeShare),
			Minute: d.QuotaMinute, Hour: d.QuotaHour, Clock: w.options.Clock.Now, Sleep: w.options.Clock.Sleep,
		}
		calls, err := quota.New(limited)
		buckets, bucketErr := newBucketQuotas(limited)
		out[tenant] = tenantQuota{calls, NewAllowance(d), buckets}
		errs = append(errs, err, bucketErr)
	}
	return out, errors.Join(errs...)
}

// ports are those of an instance that works, for what all share.
func (all *instances) ports() pipeline.Ports {
	for _, i := range all.order {
		if i.pipeline != nil {
			return i.ports
		}
	}
	return pipeline.Ports{} // newInstances leaves one at least
}

// api names the interface of the instance, for an audit row.
func (all *instances) api(key string) string {
	if i := all.wired[key]; i != nil && i.pipeline != nil {
		return i.ports.Source.API()
	}
	return ""
}

// find returns the instance of a key; the error says why nothing can be copied
// through it, and what to do.
func (all *instances) find(key string) (*instance, error) {
	i := all.wired[key]
	if i == nil {
		return nil, all.cfg.Unknown(key)
	}
	if i.Fault != nil {
		return i, SettingsFault{fmt.Errorf("the settings of this instance are faulty: %w", i.Fault)}
	}
	return i, nil
}

// Resolve returns the key of the instance that a person names; the error lists the
// names.
func (all *instances) Resolve(name string) (key string, err error) {
	i, err := all.cfg.Instance(name)
	return i.Key(), err
}

// router hands each wake-up to the pipeline of its instance.
type router struct {
	*instances
	audit auditor
	check func(ctx context.Context, key plan.Key) error // what is wrong with its row
}

// Migrate works on the table as pipeline.Migrate does. A wake-up whose instance no
// setting names, or faulty ones, is refused for good, with an audit row: it is never
// the default instance's. So is one, put off earlier perhaps, whose row is refused by
// now: its run stays open. Where the configuration could not be read the audit row says
// why, and the wake-up is delivered again, since others may count on it.
func (r router) Migrate(ctx context.Context, req pipeline.Request) error {
	req.Key.Instance = strings.ToLower(req.Key.Instance)
	i, err := r.find(req.Key.Instance)
	if err != nil {
		err = fault.As(fault.Permanent, fmt.Errorf("migrate %s: %w", req.Key, err))
	} else if err = r.check(ctx, req.Key); err != nil && fault.KindOf(err) != fault.Permanent {
		return err
	}
	if err != nil {
		if auditErr := r.audit.Refuse(ctx, req.WakeUp, err); auditErr != nil {
			err = errors.Join(err, auditErr)
		}
		if errors.Is(err, errUnread) {
			err = fault.As(fault.Retry, err)
		}
		return err
	}
	return i.pipeline.Migrate(ctx, req)
}

// prefixed are the control tables as an instance sees them whose raw tables have a
// prefix: it stands in no row that people read and write.
type prefixed struct {
	pipeline.ControlTables
	prefix string
}

// Rows returns the rows with the raw table for DestinationTable.
func (p prefixed) Rows(ctx context.Context, key plan.Key, since time.Time) ([]plan.Row, error) {
	rows, err := p.ControlTables.Rows(ctx, key, since)
	for n := range rows {
		rows[n].DestinationTable = p.prefix + rows[n].DestinationTable
	}
	return rows, err
}

// Deliver publishes the user's DestinationTable. Audit rows name the raw table.
func (p prefixed) Deliver(ctx context.Context, out plan.Outgoing) error {
	if out.Config != nil {
		row := *out.Config
		row.DestinationTable = strings.TrimPrefix(row.DestinationTable, p.prefix)
		out.Config = &row
	}
	return p.ControlTables.Deliver(ctx, out)
}

// lookBack returns for how long Defender holds an instance's rows by its settings; 0
// of one that there is not.
func (all *instances) lookBack(name string) time.Duration {
	if i := all.wired[strings.ToLower(name)]; i != nil {
		return i.Defender.LookBack
	}
	return 0
}
