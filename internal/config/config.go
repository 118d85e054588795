// Package config reads the app settings: once, into one struct, and refuses them
// all at once, in the operator's words. It opens no connection and knows no
// adapter; enumerations are checked here and given on as text.
package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/ncrontab"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Config holds every setting, checked.
type Config struct {
	// Defender and KeyVault are the settings without an instance's name, whether or
	// not they are complete; Instances are what is copied through.
	Defender  Defender
	KeyVault  string     // URL; "" when no credential needs it
	Instances []Instance // at least one, the default instance first where there is one
	ADX       ADX
	Migration Migration
	Storage   Storage
	LogLevel  string // debug, info, warn or error
	// FunctionTimeout is when the host ends an invocation, and the process with it;
	// at most what host.json says.
	FunctionTimeout time.Duration
}

// Defender is the source, one tenant with its interface, credential and quota; and
// where its tables go.
type Defender struct {
	API            string // graph, mde or auto, aliases resolved
	Cloud          string // global, gcc, gcchigh or dod
	Region         string // of the global cloud, for Defender for Endpoint; "": none
	GraphVersion   string // v1.0 or beta
	TenantID       string
	ClientID       string
	Credential     Credential
	Graph, MDE     Endpoint      // override the cloud's
	BaseURL        string        // overrides that of API
	Scope          string        // overrides that of API
	Authority      string        // overrides the cloud's
	CallsPerMinute int           // the tenant's limit, of which FreeShare is left alone
	CallsPerHour   int           // 0: no hourly limit
	FreeShare      float64       // left to people who hunt, 0 to 0.9
	QuotaMinute    time.Duration // length of the minute window
	QuotaHour      time.Duration // length of the hour window
	LookBack       time.Duration // how far back event tables reach
	Pause          time.Duration // after a 5xx answer
	Database       string        // of the ADX cluster, for the raw tables; "": that of the control tables
	TablePrefix    string        // before the name of every destination table
}

// Endpoint is where an API is; "" is what the cloud says.
type Endpoint struct {
	BaseURL string
	Scope   string
}

// ADX is the destination cluster.
type ADX struct {
	ClusterURL string
	IngestURL  string // "": derived from ClusterURL
	Database   string
	Credential string // managed-identity, workload-identity or azure-cli; or an application's secret, certificate or federated
	ClientID   string // of a user-assigned identity, "": system-assigned; of the application with workload-identity
	TenantID   string // with workload-identity, device-code and browser
	TokenFile  string // with workload-identity
	Authority  string // of the cluster's Azure cloud, for the same three; "": as AZURE_AUTHORITY_HOST says
	// Application is what signs in with secret, certificate or federated: ADX's own, or
	// that of the default instance. It is no instance: nothing is copied through it.
	Application Instance
}

// Migration is how tables are copied.
type Migration struct {
	Schedule        string // six-field cron, UTC; the host reads it, we show it
	Queue           string
	AppID           string // begins every RunId
	Settle          time.Duration
	Lease           time.Duration
	TimeBudget      time.Duration
	IngestGrace     time.Duration
	IngestPoll      time.Duration
	Retry           time.Duration
	RowTarget       int64
	ByteTarget      int64
	CallsInFlight   int
	LedgerRetention time.Duration
}

// NextTick returns when the timer ticks next after an instant, in UTC; zero where the
// schedule does not say.
func (m Migration) NextTick(after time.Time) time.Time {
	schedule, err := ncrontab.Parse(m.Schedule)
	if err != nil {
		return time.Time{}
	}
	return schedule.Next(after.UTC())
}

// Storage is where state, quota and wake-ups live: the host's own account.
type Storage struct {
	ConnectionString secret.String // AzureWebJobsStorage; "" with an identity
	BlobServiceURL   string        // with an identity
	QueueServiceURL  string
	ClientID         string // of a user-assigned identity
	Container        string
}

// Setting is one app setting: its name, what it does, what it is by default.
type Setting struct {
	Name    string
	Default string
	Sample  string // value in local.settings.sample.json where it is not the default
	Doc     string
	// Need says when the setting must be given; "" means never.
	Need string

	set func(string) error
}

// Settings lists every setting in the order of the documentation. The returned
// settings write into c when Read uses them.
func Settings(c *Config) []Setting {
	d, a, m, s := &c.Defender, &c.ADX, &c.Migration, &c.Storage
	own := &a.Application.Defender
	return []Setting{
		{instancesSetting, "", "", "Names of further instances, with commas between them: letters and digits, at most 24. Each has the settings `DEFENDER_<NAME>_...`; see [Several tenants](#several-tenants).", "", func(v string) error { _, err := instanceNames(v); return err }},
		{"DEFENDER_API", "graph", "", "Hunting interface: `graph` (Microsoft Graph), `mde` (Defender for Endpoint, ends 2027-02-01), or `auto` (Graph as soon as the token has its role, `mde` until then). Aliases of the original script: `M365DGraph`, `MDATP`, `M365D`.", "", api(&d.API)},
		{"DEFENDER_CLOUD", "global", "", "Cloud of the tenant: `global`, `gcc`, `gcc-high` or `dod`; or a region of the global one that Defender for Endpoint is called in (`us`, `eu`, `uk`, `au`, `swa`, `ina`, `aea`). Selects authority, hosts and scopes. Where it is not set and an address is given, the cloud is that of the address.", "", cloudName(d)},
		{"DEFENDER_GRAPH_VERSION", "v1.0", "", "Version of the Graph API: `v1.0` or `beta`.", "", oneOf(&d.GraphVersion, "v1.0", "beta")},
		{"DEFENDER_CONNECTION", "", "", "In place of the single settings: `tenant_id='...'; client_id='...'; client_secret='...'` (or `username='...'`). The secret may be `KeyVault:<name>`.", "", connection},
		{"DEFENDER_TENANT_ID", "", "00000000-0000-0000-0000-000000000000", "Directory (tenant) id of the Defender tenant; of a token URL the tenant and the authority are taken.", "always", tenant(d)},
		{"DEFENDER_CLIENT_ID", "", "00000000-0000-0000-0000-000000000000", "Application (client) id that holds the hunting permission; with `managed-identity` the id of a user-assigned identity.", "with an application", application(&d.ClientID)},
		{"DEFENDER_CREDENTIAL", "secret", "", "How to sign in to Defender: `secret`, `certificate`, `managed-identity`, `federated` (the application trusts a managed identity), `workload-identity` (it trusts a Kubernetes service account), `azure-cli` (local use); for a person with `handler signin` also `device-code` and `browser`.", "", oneOf(&d.Credential.Kind, kindSecret, kindCertificate, kindManagedIdentity, kindFederated, kindWorkloadIdentity, kindAzureCLI, kindDeviceCode, kindBrowser)},
		{"DEFENDER_SECRET_NAME", "defender-client-secret", "", "Name of the client secret in Key Vault. It is read again when the service rejects it, so it can be rotated at any time.", "", vaultName(&d.Credential.secretName)},
		{"DEFENDER_CLIENT_SECRET", "", "", "In place of `DEFENDER_SECRET_NAME`: the client secret itself, as a reference of the platform gives it, or `KeyVault:<name>`.", "", secretRef(&d.Credential.Secret)},
		{"DEFENDER_CLIENT_CERTIFICATE", "KeyVault:defender-client-certificate", "", "Certificate with its private key, as PFX or PEM: `KeyVault:<name>`, the path of a file, or the text itself. It is read again when the service rejects it.", "", fileRef(&d.Credential.Certificate)},
		{"DEFENDER_CLIENT_CERTIFICATE_KEY", "", "", "Private key of a PEM certificate that does not hold it; in the same forms.", "", fileRef(&d.Credential.Key)},
		{"DEFENDER_CLIENT_CERTIFICATE_PASSWORD", "", "", "Password of the PFX or of the private key: `KeyVault:<name>` or itself.", "", secretRef(&d.Credential.Password)},
		{"DEFENDER_CREDENTIAL_IDENTITY", "", "", "With `federated`: client id of the user-assigned managed identity that the application trusts. Default: `ADX_CLIENT_ID`.", "", application(&d.Credential.Identity)},
		{"DEFENDER_CREDENTIAL_TOKEN_FILE", "", "", "With `workload-identity`: file of the service account's token. Default: `AZURE_FEDERATED_TOKEN_FILE`, which Kubernetes sets.", "", text(&d.Credential.TokenFile)},
		{"DEFENDER_USERNAME", "", "", "A person to sign in as, who runs a command: by `browser`, or by `device-code` where there is no display. Not beside a secret or a certificate.", "", text(&d.Credential.Username)},
		{"DEFENDER_TOKEN_CACHE", "", "", "Keeps a person's sign-in between two commands, where the machine has a keyring: a name, or a folder for the account record.", "", text(&d.Credential.TokenCache)},
		{"DEFENDER_BASE_URL", "", "", "Overrides the address of the API in use.", "", httpsURL(&d.BaseURL)},
		{"DEFENDER_BASE_URL_GRAPH", "", "", "Overrides the address of Microsoft Graph; a version at its end wins over `DEFENDER_GRAPH_VERSION`.", "", graphURL(d)},
		{"DEFENDER_BASE_URL_MDE", "", "", "Overrides the address of Defender for Endpoint (its \"server URL\").", "", mdeURL(&d.MDE.BaseURL)},
		{"DEFENDER_SCOPE", "", "", "Overrides the token scope of the API in use.", "", scope(&d.Scope)},
		{"DEFENDER_SCOPE_GRAPH", "", "", "Overrides the token scope of Microsoft Graph.", "", scope(&d.Graph.Scope)},
		{"DEFENDER_SCOPE_MDE", "", "", "Overrides the token scope of Defender for Endpoint.", "", scope(&d.MDE.Scope)},
		{"DEFENDER_AUTHORITY", "", "", "Overrides the Entra ID authority.", "", httpsURL(&d.Authority)},
		{"DEFENDER_CALLS_PER_MINUTE", "45", "", "Hunting calls a minute that the tenant allows. Sources disagree and large tenants get more.", "", integer(&d.CallsPerMinute, 1, 100_000)},
		{"DEFENDER_CALLS_PER_HOUR", "", "", "Hunting calls an hour that the tenant allows; `0` is no limit. Default: 1500 with `mde` and `auto`, 0 with `graph`.", "", integer(&d.CallsPerHour, 0, 1_000_000)},
		{"DEFENDER_FREE_SHARE", "0.2", "", "Share of both limits left to the people who hunt, 0 to 0.9.", "", fraction(&d.FreeShare, 0.9)},
		{"DEFENDER_QUOTA_MINUTE", "1m", "", "Length of the minute window. Only tests change it.", "", duration(&d.QuotaMinute, time.Second, time.Hour)},
		{"DEFENDER_QUOTA_HOUR", "1h", "", "Length of the hour window. Only tests change it.", "", duration(&d.QuotaHour, time.Second, 24*time.Hour)},
		{"DEFENDER_LOOKBACK", "720h", "", "How far back Defender holds event tables (30 days).", "", duration(&d.LookBack, time.Hour, 100*365*24*time.Hour)},
		{"DEFENDER_RETRY_PAUSE", "15s", "", "Pause after a 5xx answer, with jitter; two such pauses, then the slice is divided.", "", duration(&d.Pause, 0, 10*time.Minute)},
		{"DEFENDER_DATABASE", "", "", "Database of the same cluster that receives the raw tables. Default: `ADX_DATABASE`, where the control tables always are.", "", database(&d.Database)},
		{"DEFENDER_TABLE_PREFIX", "", "", "Put before every `DestinationTable`: letters, digits and underscores, at most 32.", "", tablePrefix(&d.TablePrefix)},
		{"KEY_VAULT_URL", "", "https://my-vault.vault.azure.net", "Key Vault of the client secret, the certificate and its password.", "with `secret` or `certificate` from it", httpsURL(&c.KeyVault)},
		{"ADX_CLUSTER_URL", "", "https://mycluster.westeurope.kusto.windows.net", "Query address of the ADX cluster or Fabric Eventhouse.", "always", httpsURL(&a.ClusterURL)},
		{"ADX_INGEST_URL", "", "", "Ingestion address; default: `https://ingest-` before the cluster's host.", "", httpsURL(&a.IngestURL)},
		{"ADX_DATABASE", "", "defender", "Database that receives the tables.", "always", database(&a.Database)},
		{"ADX_CREDENTIAL", "managed-identity", "azure-cli", "How to sign in to ADX: `managed-identity`, `workload-identity`, `azure-cli` (local use); or as an application by `secret`, `certificate` or `federated`: that of Defender of the instance without a name, or [its own](#how-to-sign-in). Key Vault and storage are reached with the first three, else with the managed identity. A person's commands also take `device-code` and `browser`.", "", oneOf(&a.Credential, adxKinds...)},
		{"ADX_TENANT_ID", "", "", "Tenant of the application, or of the person, that signs in to ADX; or a token URL. Default: `DEFENDER_TENANT_ID`; of a person and with `workload-identity`: `AZURE_TENANT_ID`.", "", tenant(own)},
		{"ADX_CLIENT_ID", "", "", "Client id of a user-assigned identity for ADX, Key Vault and storage; with `workload-identity` of the application (default: `AZURE_CLIENT_ID`). Where ADX has [an application of its own](#how-to-sign-in), that application's id. Default there: `DEFENDER_CLIENT_ID`.", "", application(&a.ClientID)},
		{"ADX_SECRET_NAME", "", "", "Like `DEFENDER_SECRET_NAME`, for ADX's own application. Default: that.", "", vaultName(&own.Credential.secretName)},
		{"ADX_CLIENT_SECRET", "", "", "Like `DEFENDER_CLIENT_SECRET`, for ADX's own application, in place of `ADX_SECRET_NAME`. Default: that.", "", secretRef(&own.Credential.Secret)},
		{"ADX_CLIENT_CERTIFICATE", "", "", "Like `DEFENDER_CLIENT_CERTIFICATE`, for ADX's own application. Default: that, with its key and password.", "", fileRef(&own.Credential.Certificate)},
		{"ADX_CLIENT_CERTIFICATE_KEY", "", "", "Like `DEFENDER_CLIENT_CERTIFICATE_KEY`, beside `ADX_CLIENT_CERTIFICATE`.", "", fileRef(&own.Credential.Key)},
		{"ADX_CLIENT_CERTIFICATE_PASSWORD", "", "", "Like `DEFENDER_CLIENT_CERTIFICATE_PASSWORD`, beside `ADX_CLIENT_CERTIFICATE`.", "", secretRef(&own.Credential.Password)},
		{"ADX_CREDENTIAL_IDENTITY", "", "", "Where ADX has an application of its own: client id of the app's user-assigned identity, for Key Vault, storage and `federated`; without it the system-assigned one, and with `federated` that of `DEFENDER_CREDENTIAL_IDENTITY`.", "", application(&own.Credential.Identity)},
		{"ADX_AUTHORITY", "", "", "Overrides the Entra ID authority for ADX. Default: that of the cluster's Azure cloud.", "", httpsURL(&own.Authority)},
		{"MIGRATION_SCHEDULE", "", "0 0 * * * *", "When tables are due: six-field cron in UTC (seconds first), as the Functions host reads it: names by their beginning, no `7`, `L`, `W`, `#` or `?`. A schedule that it refuses never ticks.", "by the host", schedule(&m.Schedule)},
		{"MIGRATION_QUEUE", "", "migrations", "Storage queue of the wake-ups; `-poison` is appended for the ones that failed too often. The Functions host reads it.", "always", queueName(&m.Queue)},
		{"MIGRATION_APP_ID", "", "", "Begins every RunId: 6 lower-case letters or digits. Default: derived from the site's name. Two apps on one database need two ids.", "", appID(&m.AppID)},
		{"MIGRATION_SETTLE", "1h", "", "Rows younger than this are left for the next run, so that late rows are not missed.", "", duration(&m.Settle, 0, 30*24*time.Hour)},
		{"MIGRATION_LEASE", "60s", "", "Length of the lease on a table's state; 15 s to 60 s, renewed while a run works.", "", duration(&m.Lease, 15*time.Second, time.Minute)},
		{"MIGRATION_TIME_BUDGET", "15m", "", "Working time of one invocation; the rest goes on with the next message. A handler answers within 25 minutes.", "", duration(&m.TimeBudget, time.Second, 20*time.Minute)},
		{"MIGRATION_INGEST_GRACE", "15m", "", "How long a sent blob may stay invisible in ADX before it is considered for sending again.", "", duration(&m.IngestGrace, time.Second, 24*time.Hour)},
		{"MIGRATION_RETRY", "1m", "", "First delay of a wake-up whose work has failed three times; it grows to thirty times that, and a tick tries at once.", "", duration(&m.Retry, time.Second, 2*time.Minute)},
		{"MIGRATION_INGEST_POLL", "10s", "", "Pause between two looks whether ADX shows what was sent.", "", duration(&m.IngestPoll, 10*time.Millisecond, 10*time.Minute)},
		{"MIGRATION_ROW_TARGET", "95000", "", "Rows that a slice should hold at most; the service's cap is 100,000.", "", integer64(&m.RowTarget, 1, plan.MaxRows-1)},
		{"MIGRATION_BYTE_TARGET", "40000000", "", "Bytes that an answer should have at most; the service's cap is 50 MB.", "", integer64(&m.ByteTarget, 1000, 120_000_000)},
		{"MIGRATION_CALLS_IN_FLIGHT", "14", "", "Calls to Defender at a time, of all tables of one process; each takes 4 MiB until its rows are staged. One table alone may use them all; of several instances each keeps one for itself.", "", integer(&m.CallsInFlight, 1, 256)},
		{"MIGRATION_LEDGER_RETENTION", "720h", "", "How long the ledgers of ended runs are kept.", "", duration(&m.LedgerRetention, 48*time.Hour, 10*365*24*time.Hour)},
		{"LOG_LEVEL", "info", "", "`debug`, `info`, `warn` or `error`.", "", oneOf(&c.LogLevel, "debug", "info", "warn", "error")},
		{"AzureWebJobsStorage", "", "UseDevelopmentStorage=true", "Connection string of the host's storage account; state and queue live there too. Leave it out with an identity.", "or one of the next", connectionString(&s.ConnectionString)},
		{"AzureWebJobsStorage__accountName", "", "", "Storage account reached with a managed identity (public cloud).", "", account(s)},
		{"AzureWebJobsStorage__blobServiceUri", "", "", "Blob address of the account, with an identity, in any cloud.", "", httpsURL(&s.BlobServiceURL)},
		{"AzureWebJobsStorage__queueServiceUri", "", "", "Queue address of the account, with an identity, in any cloud.", "", httpsURL(&s.QueueServiceURL)},
		{"AzureWebJobsStorage__clientId", "", "", "Client id of a user-assigned identity for storage.", "", application(&s.ClientID)},
		{"MIGRATION_CONTAINER", "defender2adx", "", "Blob container of states, ledgers and quota.", "", container(&s.Container)},
	}
}

// Read reads every setting through getenv. The error joins all faults found,
// one line each, beginning with the setting's name. A value is quoted in it
// only where it surely is no secret: see secret.Quoted. Faults of one instance among several that are
// whole stand in Instance.Fault and are no error: the others go on.
func Read(getenv func(string) string) (Config, error) { return read(getenv, false) }

// ReadAttended reads every setting as Read does, for a command that a person runs, who
// may sign in, to Defender or to ADX.
func ReadAttended(getenv func(string) string) (Config, error) { return read(getenv, true) }

func read(getenv func(string) string, attended bool) (Config, error) {
	instances, errs := readInstances(getenv, attended)
	// A bad name in the list is a fault of that instance: readInstances and Warnings tell it.
	c, more := source{getenv: getenv}.read(func(s Setting) bool { return !ofInstance(s.Name) && s.Name != instancesSetting })
	unnamed, _ := source{getenv: getenv}.read(func(s Setting) bool { return ofInstance(s.Name) })
	errs = append(errs, more...)
	c.Instances, c.Defender, c.KeyVault = instances, unnamed.Defender, unnamed.KeyVault
	if i, err := c.Instance(""); err == nil {
		c.Defender = i.Defender
	}
	given := func(name string) bool { return strings.TrimSpace(getenv(name)) != "" }
	errs = append(errs, c.adxIdentity(getenv)...)
	errs = append(errs, c.adxApplication(getenv)...)
	if !attended && slices.Contains(delegated, c.ADX.Credential) {
		errs = append(errs, fmt.Errorf("ADX_CREDENTIAL: %s is for a person who runs a command; choose managed-identity", c.ADX.Credential))
	}
	if c.Migration.AppID == "" {
		tenant := c.Defender.TenantID
		for _, i := range c.Instances {
			tenant = cmp.Or(tenant, i.Defender.TenantID)
		}
		c.Migration.AppID = deriveAppID(siteName(getenv), tenant)
	}
	graph := slices.ContainsFunc(c.Instances, func(i Instance) bool {
		return i.Fault == nil && (i.Defender.API == "graph" || i.Defender.API == "auto")
	})
	if graph && c.Migration.ByteTarget > 50_000_000 {
		errs = append(errs, fmt.Errorf("MIGRATION_BYTE_TARGET: want at most 50000000 with graph, which refuses larger answers, got %d", c.Migration.ByteTarget))
	}
	var err error
	if c.FunctionTimeout, err = functionTimeout(getenv(functionTimeoutOverride)); err != nil {
		errs = append(errs, err)
	} else if most := c.FunctionTimeout * 2 / 3; c.Migration.TimeBudget > most {
		errs = append(errs, fmt.Errorf("MIGRATION_TIME_BUDGET: want at most %v with a functionTimeout of %v, got %v", most, c.FunctionTimeout, c.Migration.TimeBudget))
	}
	if !given("AzureWebJobsStorage") && !given("AzureWebJobsStorage__accountName") &&
		!(given("AzureWebJobsStorage__blobServiceUri") && given("AzureWebJobsStorage__queueServiceUri")) {
		errs = append(errs, errors.New("AzureWebJobsStorage: is not set; give a connection string, or with an identity AzureWebJobsStorage__accountName, or both AzureWebJobsStorage__blobServiceUri and __queueServiceUri"))
	}
	return c, joined(errs)
}

// joined joins faults, each once: instances may have one of a setting that they
// share.
func joined(errs []error) error {
	said := map[string]bool{}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool {
		if err == nil || said[err.Error()] {
			return true
		}
		said[err.Error()] = true
		return false
	})...)
}

// readInstances reads all instances; attended tells that a person runs a command. The
// faults are those of the list, and where no instance is whole those of all.
func readInstances(getenv func(string) string, attended bool) (out []Instance, errs []error) {
	whole := false
	var faults []error
	for _, name := range instanceList(getenv) {
		i := readInstance(getenv, name, attended)
		whole = whole || i.Fault == nil
		faults = append(faults, i.Fault)
		i.Defender.Database = cmp.Or(i.Defender.Database, strings.TrimSpace(getenv("ADX_DATABASE")))
		out = append(out, i)
	}
	if whole {
		return out, nil
	}
	if _, err := instanceNames(getenv(instancesSetting)); err != nil {
		faults = append([]error{fmt.Errorf("%s: %w", instancesSetting, err)}, faults...)
	}
	return out, faults
}

// ReadADX reads what a command needs that works on ADX alone: no setting of
// another group must be there. An instance that cannot say where its tables go has a
// Fault; where all have one, it is the error.
func ReadADX(getenv func(string) string) (Config, error) {
	c, errs := source{getenv: getenv}.read(func(s Setting) bool {
		return strings.HasPrefix(s.Name, "ADX_") || s.Name == instancesSetting || s.Need != "always" && s.Default != ""
	})
	for _, name := range instanceList(getenv) {
		target, faults := source{getenv: getenv, instance: name}.read(func(s Setting) bool { return s.Name == "DEFENDER_DATABASE" || s.Name == "DEFENDER_TABLE_PREFIX" })
		target.Defender.Database = cmp.Or(target.Defender.Database, c.ADX.Database)
		c.Instances = append(c.Instances, Instance{Name: name, Defender: target.Defender, Fault: errors.Join(faults...)})
	}
	if !slices.ContainsFunc(c.Instances, func(i Instance) bool { return i.Fault == nil }) {
		for _, i := range c.Instances {
			errs = append(errs, i.Fault)
		}
	}
	if slices.Contains(shared, c.ADX.Credential) {
		errs = append(errs, fmt.Errorf("ADX_CREDENTIAL: %s works for the app only; sign in with azure-cli or managed-identity here", c.ADX.Credential))
	} else {
		errs = append(errs, c.adxIdentity(getenv)...)
	}
	c.Migration.AppID = deriveAppID("", "")
	return c, joined(errs)
}

// ReadInstance reads what a command needs that a person runs on one instance of
// Defender alone; name is as Config.Instance takes it.
func ReadInstance(getenv func(string) string, name string) (Config, Instance, error) {
	c, errs := source{getenv: getenv}.read(func(s Setting) bool {
		setting := defenderPrefix + strings.TrimPrefix(s.Name, adxPrefix)
		return s.Name == "ADX_CREDENTIAL" || s.Name != setting && source{adx: true}.mayOwn(setting)
	})
	c.Instances, _ = readInstances(getenv, true)
	i, err := c.Instance(name)
	if err == nil {
		err = i.Fault
	}
	errs = append(errs, c.adxIdentity(getenv)...)
	return c, i, joined(append(errs, err))
}

// read reads the wanted settings of the instance and returns every fault found.
func (from source) read(want func(Setting) bool) (Config, []error) {
	var c Config
	var errs []error
	for _, s := range Settings(&c) {
		if !want(s) {
			continue
		}
		name, value := from.find(s.Name)
		if value == "" {
			value = s.Default
		}
		if value == "" {
			if s.Need == "always" && !from.untold(s.Name) {
				errs = append(errs, fmt.Errorf("%s: is not set; %s", name, firstSentence(s.Doc)))
			}
			continue
		}
		if err := s.set(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return c, errs
}

// siteName is the name of the app in Azure, and of the deployment slot where it
// is not the production slot: a slot shares the site's name and may share its
// database. "" is a developer's machine.
func siteName(getenv func(string) string) string {
	site, slot := getenv("WEBSITE_SITE_NAME"), getenv("WEBSITE_SLOT_NAME")
	if site == "" || slot == "" || strings.EqualFold(slot, "Production") {
		return site
	}
	return site + "/" + slot
}

// deriveAppID makes the app's id from the site's name, which Azure keeps unique,
// or from the tenant where there is no site, as on a developer's machine.
func deriveAppID(site, tenant string) string {
	if site == "" {
		site = "local/" + tenant
	}
	sum := sha256.Sum256([]byte(strings.ToLower(site)))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:plan.AppIDLength]
}

func firstSentence(doc string) string {
	if i := strings.Index(doc, ". "); i >= 0 {
		doc = doc[:i]
	}
	doc = strings.TrimSuffix(doc, ".")
	return strings.ToLower(doc[:1]) + doc[1:]
}
