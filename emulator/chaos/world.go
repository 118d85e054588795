package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/infra/kql"
	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// world is the surroundings of one schedule: a tenant, its hunting API, a
// cluster, a storage container, in the shared environment.
type world struct {
	*stack.Emulators // a copy with this schedule's cluster, tenant and addresses
	env              *Env
	plan             script
	name             string // of container and queues
	faults           *faults
	source           *source
	oracle           *oracle
	logTail          *logTail
	log              *slog.Logger

	admin *azkustodata.Client
	blobs *container.Client // with the storage's own rights
	ends  []func()
	tasks sync.WaitGroup // breaking leases
	calls atomic.Int64   // requests of all processes
	hours atomic.Int64   // passed since the faults ended, for those who look at a clock

	tokens *identity.Server // of Defender
	struck time.Time        // when the faults began

	mu         sync.Mutex
	miscounted map[string]bool // tables whose last count was a lie
}

// newWorld makes the surroundings and the configuration; nothing runs yet.
func newWorld(ctx context.Context, e *Env, s script) (_ *world, err error) {
	w := &world{
		env: e, plan: s, name: fmt.Sprintf("c%d%s", s.seed, suffix()), faults: newFaults(s.seed), logTail: &logTail{},
		tokens: e.Identity, miscounted: map[string]bool{},
	}
	s.lies.count(w.faults)
	if s.skew > 0 {
		w.faults.count("clock: processes differ")
	}
	w.log = slog.New(slog.NewTextHandler(w.logTail, nil))
	shared := *e.Emulators
	w.Emulators = &shared
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.source, err = newSource(s, w.faults); err != nil {
		return nil, err
	}
	w.Data = w.source.data
	w.oracle = newOracle(w)
	if err := w.startAuthority(); err != nil {
		return nil, err
	}
	if err := w.startCluster(ctx); err != nil {
		return nil, err
	}
	if err := w.startHunting(); err != nil {
		return nil, err
	}
	if w.blobs, err = container.NewClientFromConnectionString(e.Azurite.ConnectionString(), w.name, nil); err != nil {
		return nil, err
	}
	return w, w.prepare(ctx)
}

// close ends the world's servers.
func (w *world) close() {
	w.tasks.Wait()
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
}

// startAuthority gives the schedule a token service of its own where the shared one
// is too sound.
func (w *world) startAuthority() error {
	if !w.plan.shortLived && w.plan.lies.signIn == 0 {
		return nil
	}
	life := time.Duration(0)
	if w.plan.shortLived {
		life = briefLife
	}
	var err error
	if w.tokens, err = w.env.authority(life, w.trouble); err != nil {
		return err
	}
	address, end, err := w.env.serve(w.tokens.Authority())
	if err != nil {
		return err
	}
	w.AuthorityURL = address
	w.ends = append(w.ends, end)
	return nil
}

// errRefusedToken is the cluster's refusal of a good token.
var errRefusedToken = errors.New("the token is not taken")

func (w *world) startCluster(ctx context.Context) error {
	l := w.plan.lies
	storage, err := w.env.storage(ctx, w.name, l.narrow)
	if err != nil {
		return err
	}
	w.Cluster, err = kusto.New(kusto.Options{
		Databases: []string{stack.Database}, Storage: storage, Client: w.Certs.Client(), Latency: w.plan.latency,
		SkippedAsFailed: l.skippedAsFailed, RefuseKnownTags: l.refuseTags, IngestionCapacity: l.capacity, StaleReads: l.stale,
		NoIndexedEncoding: l.narrow, LooseTies: l.loose, LooseHash: l.hash > 0,
		Authorize: func(bearer string) (string, error) {
			claims, err := w.env.Identity.Verify(bearer, identity.AudienceKusto)
			if err != nil {
				return "", err
			}
			if claims.AppID == stack.AppID {
				err = w.refusedToken()
			}
			return principal(claims.AppID), err
		},
	})
	if err != nil {
		return err
	}
	server, err := kusto.Serve(w.Cluster, w.Certs.TLS())
	if err != nil {
		return err
	}
	w.ends = append(w.ends, func() { _ = server.Close() }) // its listener is all there is to lose
	w.ClusterURL = server.URL
	if err := errors.Join(
		w.Cluster.Grant(stack.Database, principal(stack.AppID), kusto.Ingestor, kusto.Viewer),
		w.Cluster.Grant(stack.Database, principal(stack.AdminID), kusto.Admin),
		w.Cluster.StartIngestion(),
	); err != nil {
		return err
	}
	w.ends = append(w.ends, w.Cluster.StopIngestion)
	if w.admin, err = w.Kusto(stack.AdminID); err != nil {
		return err
	}
	w.ends = append(w.ends, func() { _ = w.admin.Close() })
	return nil
}

func principal(clientID string) string { return "aadapp=" + clientID + ";" + stack.TenantID }

func (w *world) startHunting() error {
	limits := hunting.Defaults(w.plan.api)
	// The limit on a fetch is the schedule's, see huntingFault. On a count it must
	// stay as far away as the real one is.
	limits.Rows = 10_000
	limits.CallsPerMinute, limits.CallsPerHour = 1_000_000, 0
	if w.plan.quota > 0 {
		limits.CallsPerMinute, limits.Minute = w.plan.quota, quotaWindow
	}
	l := w.plan.lies
	limits.Branches = l.branches
	if l.request > 0 {
		limits.Request = l.request
	}
	var err error
	w.Hunting, err = hunting.New(hunting.Options{
		Tenant: w.Data, Verify: w.tokens.Verify, REST: w.plan.rest.switches(false), Limits: map[hunting.API]hunting.Limits{w.plan.api: limits},
		Awkward: hunting.Awkward{PlainNulls: l.plainNulls, PascalSchema: l.pascalSchema, NoEmptyResults: l.noEmptyResults, LooseTies: l.loose},
	})
	if err != nil {
		return err
	}
	w.source.regenerate = w.Hunting.Regenerate
	address, end, err := w.env.serve(w.living(w.Hunting))
	if err != nil {
		return err
	}
	w.HuntingURL = address
	w.ends = append(w.ends, end)
	return nil
}

// prepare makes the schema, as far as the schedule needs it, and configures its
// tables.
func (w *world) prepare(ctx context.Context) error {
	text, err := kql.Files.ReadFile("schema.kql")
	if err != nil {
		return err
	}
	var script strings.Builder
	script.WriteString(".execute database script with (ThrowOnErrors=true) <|\n")
	script.Write(text)
	for _, t := range w.plan.tables {
		d := "['" + t.destination() + "']"
		script.WriteString("\n.create-merge table " + d + " (Records: dynamic, RunId: string, Slice: int, SnapshotTime: datetime)\n" +
			"\n.alter column " + d + ".['Records'] policy encoding type = 'BigObject32'\n")
	}
	if err := w.mgmt(ctx, script.String()); err != nil {
		return fmt.Errorf("set the database up: %w", err)
	}
	var rows []string
	for _, t := range w.plan.tables {
		rows = append(rows, fmt.Sprintf("'%s', '%s', '%s', '%s', '%s'", t.source, t.column, t.load, t.instance, strings.TrimPrefix(t.destination(), twinPrefix)))
	}
	err = w.mgmt(ctx, ".set-or-append MigrationConfiguration <| MigrationConfiguration | take 0 | union (datatable (SourceTable: string, WatermarkColumn: string, LoadType: string, Instance: string, DestinationTable: string) ["+
		strings.Join(rows, ", ")+"] | extend LastRefreshedTime = datetime(1900-01-01),"+
		" LastRefreshedTimeInString = '1900-01-01T00:00:00.0000000Z', IsActive = true, Frequency = '', RunId = '', Generation = long(0))")
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

// mgmt runs a management command as an administrator.
func (w *world) mgmt(ctx context.Context, text string) error {
	_, err := w.admin.Mgmt(ctx, stack.Database, azkql.New("").AddUnsafe(text))
	return err
}

// settings are the app settings of this world.
func (w *world) settings() map[string]string {
	s := w.Emulators.Settings()
	own := "DEFENDER_" + strings.ToUpper(twin) + "_"
	if w.plan.instances() > 1 {
		s[own+"BASE_URL"] = w.HuntingURL
	} else {
		maps.DeleteFunc(s, func(name, _ string) bool { return name == "DEFENDER_INSTANCES" || strings.HasPrefix(name, own) })
	}
	s["MIGRATION_CONTAINER"] = w.name
	s["MIGRATION_QUEUE"] = w.name
	s["DEFENDER_API"] = string(w.plan.api)
	s["DEFENDER_CALLS_PER_MINUTE"] = "100000"
	s["DEFENDER_CALLS_PER_HOUR"] = "0"
	// Those of lists and exports cannot be set, but their windows can.
	s["DEFENDER_QUOTA_MINUTE"], s["DEFENDER_QUOTA_HOUR"] = (quotaWindow / 3).String(), quotaWindow.String()
	s["MIGRATION_SETTLE"] = settle.String()
	s["MIGRATION_ROW_TARGET"] = fmt.Sprint(w.plan.rowTarget)
	s["MIGRATION_CALLS_IN_FLIGHT"] = fmt.Sprint(w.plan.parallel)
	s["MIGRATION_INGEST_GRACE"] = w.plan.grace.String()
	s["MIGRATION_INGEST_POLL"] = "100ms"
	s["MIGRATION_LEASE"] = "15s"
	s["DEFENDER_RETRY_PAUSE"] = "20ms"
	return s
}

// stateBlob names the blob of a table's state.
func (w *world) stateBlob(source string) string {
	instance := "default"
	for _, t := range w.plan.tables {
		if t.source == source && t.instance != "" {
			instance = strings.ToLower(t.instance)
		}
	}
	return "state/" + instance + "/" + blobstore.Escape(schema.ShortName(source)) + ".json"
}

// breakLease ends the lease on a table's state, as if it had run out.
func (w *world) breakLease(ctx context.Context, source string) {
	client, err := lease.NewBlobClient(w.blobs.NewBlobClient(w.stateBlob(source)), nil)
	if err == nil {
		now := int32(0)
		_, err = client.BreakLease(ctx, &lease.BlobBreakOptions{BreakPeriod: &now})
	}
	if err != nil {
		w.log.Debug("break lease", "table", source, "error", err.Error())
	}
}
