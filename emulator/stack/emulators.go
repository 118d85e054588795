// Package stack starts everything that the product needs from the cloud on one
// machine, and the product on top of it, unchanged: emulators, Azurite, setup of
// the database, and the local Functions host with the built handler.
//
// It is used by devstack and by end-to-end tests. Every server listens on a free
// loopback port and ends with Close; nothing is left behind.
package stack

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/emulator/vault"
)

// What the stack is called. Ids are constants so that two runs are alike; the
// secrets are made anew each time.
const (
	TenantID   = "7d2e0c1f-5b64-4c1e-9d0b-2f6a4be1c001"
	ClientID   = "1b6f3a52-0c9e-4a77-8f43-6d1c5e2ab002"
	AppID      = "c3a91d04-6e2b-4f58-b7a6-90d4e8f5c003" // the function app's managed identity
	AdminID    = "e8f7b6a5-4d3c-42b1-a0f9-8e7d6c5bd004" // who runs handler setup
	SecretName = "defender-client-secret"
	Database   = "defender"
	Queue      = "migrations"
)

// Options of the emulators. Zero values are what `devstack emulators` serves.
type Options struct {
	Data    *tenant.Tenant  // what the Defender emulator serves; required
	Hunting hunting.Options // limits and faults; identity, data and clock are set here
	// IngestLatency is how long ADX takes over a blob.
	IngestLatency time.Duration
	TokenLife     time.Duration
	// LooseTies gives rows that a sort holds for equal in another order at each query,
	// in ADX; for hunting see Hunting.Awkward.
	LooseTies bool
	// Azurite is an account of the stack's own in an Azurite that goes on after Close; nil
	// starts one, and so does StorageByIdentity.
	Azurite *azurite.Azurite
	// StorageMiddleware is put in front of Azurite, for faults.
	StorageMiddleware azurite.Middleware
	// Instances are further connections of the handler, beside the default one.
	Instances []Instance
	// StorageByIdentity gives the handler the addresses of its storage and no
	// connection string: it signs in with the app's managed identity. The local host
	// goes on with a connection string.
	StorageByIdentity bool
}

// Emulators is the cloud on one machine.
type Emulators struct {
	Dir      string
	Certs    *certs.Bundle
	Identity *identity.Server
	Vault    *vault.Server
	Azurite  *azurite.Azurite
	Front    *azurite.Front
	Cluster  *kusto.Cluster
	Hunting  *hunting.Server
	Data     *tenant.Tenant

	AuthorityURL, IdentityURL, VaultURL, ClusterURL, HuntingURL string
	// StorageConnection reaches Azurite over plain http, as Core Tools does.
	// StorageByIdentity: the handler does not get it.
	StorageConnection string
	StorageByIdentity bool
	// Secret is the client secret in the vault; Header guards the managed identity.
	Secret, Header string

	instances []*connection
	account   kusto.Account
	closers   []func() error
}

// Start brings the emulators up.
func Start(ctx context.Context, o Options) (_ *Emulators, err error) {
	e := &Emulators{Data: o.Data, StorageByIdentity: o.StorageByIdentity, Secret: rand.Text(), Header: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if e.Dir, err = os.MkdirTemp("", "defender2adx-"); err != nil {
		return nil, err
	}
	e.onClose(func() error { return os.RemoveAll(e.Dir) })
	if e.Certs, err = certs.New(e.Dir, time.Now()); err != nil {
		return nil, err
	}
	if err := e.startIdentity(o); err != nil {
		return nil, err
	}
	if err := e.startVault(); err != nil {
		return nil, err
	}
	if err := e.startStorage(ctx, o); err != nil {
		return nil, err
	}
	if err := e.startCluster(ctx, o); err != nil {
		return nil, err
	}
	if err := e.startHunting(o); err != nil {
		return nil, err
	}
	return e, e.startInstances(o)
}

func (e *Emulators) onClose(f func() error) { e.closers = append(e.closers, f) }

// Close ends everything, newest first.
func (e *Emulators) Close() error {
	var errs []error
	for i := len(e.closers) - 1; i >= 0; i-- {
		errs = append(errs, e.closers[i]())
	}
	e.closers = nil
	return errors.Join(errs...)
}

// serve listens with TLS under the stack's certificate.
func (e *Emulators) serve(h http.Handler) string {
	server := httptest.NewUnstartedServer(h)
	server.TLS = e.Certs.TLS()
	server.StartTLS()
	e.onClose(func() error { server.CloseClientConnections(); server.Close(); return nil })
	return server.URL
}

func (e *Emulators) startIdentity(o Options) error {
	var err error
	if e.Identity, err = identity.New(identity.Options{TokenLife: o.TokenLife, Now: time.Now}); err != nil {
		return err
	}
	e.AuthorityURL = e.serve(e.Identity.Authority())
	plain := httptest.NewServer(e.Identity.ManagedIdentity(e.Header))
	e.onClose(func() error { plain.CloseClientConnections(); plain.Close(); return nil })
	e.IdentityURL = plain.URL + "/msi/token"
	if err := e.Identity.AddTenant(TenantID, "sample.example"); err != nil {
		return err
	}
	return errors.Join(
		e.Identity.RegisterApplication(identity.Principal{Tenant: TenantID, ClientID: ClientID, ObjectID: ClientID, Roles: hunters()},
			identity.Secret{Value: e.Secret, Expires: time.Now().AddDate(1, 0, 0)}),
		e.Identity.RegisterManagedIdentity(identity.Principal{Tenant: TenantID, ClientID: AppID, ObjectID: AppID}, ""),
		e.Identity.RegisterManagedIdentity(identity.Principal{Tenant: TenantID, ClientID: AdminID, ObjectID: AdminID}, "/admin"),
	)
}

// TrustCertificate lets the sample application sign in with the certificate of a PEM
// file, beside its secret.
func (e *Emulators) TrustCertificate(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("read certificate %s: %w", path, err)
		}
		return e.Identity.RegisterCertificate(ClientID, certificate)
	}
	return fmt.Errorf("read certificate %s: it has no PEM block CERTIFICATE", path)
}

// hunters are the roles of an application that may hunt by each API, and read every
// list and file export.
func hunters() map[string][]string {
	return map[string][]string{
		identity.AudienceGraph:    append(hunting.Roles(hunting.Graph), "ThreatHunting.Read.All"),
		identity.AudienceDefender: append(hunting.Roles(hunting.MDE), "AdvancedQuery.Read.All", "AdvancedHunting.Read.All"),
		identity.AudienceXDR:      {"AdvancedHunting.Read.All"},
	}
}

func (e *Emulators) startVault() error {
	var err error
	e.Vault, err = vault.New(vault.Options{Identity: e.Identity, Authority: e.AuthorityURL + "/" + TenantID, Now: time.Now})
	if err != nil {
		return err
	}
	if _, err := e.Vault.Set(SecretName, e.Secret); err != nil {
		return err
	}
	e.Vault.Grant(AppID)
	e.VaultURL = e.serve(e.Vault)
	return nil
}

// startStorage runs Azurite with TLS in front of it. Azurite takes tokens only over
// TLS of its own; then plain http is put in front of that.
func (e *Emulators) startStorage(ctx context.Context, o Options) (err error) {
	var options azurite.Options
	if o.StorageByIdentity {
		options.CertFile, options.KeyFile = e.Certs.CertFile, e.Certs.KeyFile
	}
	if o.Azurite != nil && !o.StorageByIdentity {
		e.Azurite = o.Azurite
	} else if e.Azurite, err = azurite.Start(ctx, options); err != nil {
		return err
	}
	e.onClose(func() error { e.Azurite.Stop(); return nil })
	e.account = e.Azurite
	if o.StorageByIdentity {
		plain, err := azurite.NewPlainFront(e.Azurite, e.Certs.TLS())
		if err != nil {
			return err
		}
		e.onClose(plain.Close)
		e.account = plain
	}
	e.StorageConnection = e.account.ConnectionString()
	if e.Front, err = azurite.NewTLSFront(e.Azurite, e.Certs.TLS(), o.StorageMiddleware); err != nil {
		return err
	}
	e.onClose(e.Front.Close)
	return nil
}

func (e *Emulators) startCluster(ctx context.Context, o Options) error {
	storage, err := kusto.NewStorage(ctx, e.account, e.Front, time.Now().Add(7*24*time.Hour))
	if err != nil {
		return err
	}
	e.Cluster, err = kusto.New(kusto.Options{
		Databases: databases(o), Storage: storage, Client: e.Certs.Client(), Latency: o.IngestLatency, Authority: e.AuthorityURL, LooseTies: o.LooseTies,
		Authorize: func(bearer string) (string, error) {
			claims, err := e.Identity.Verify(bearer, identity.AudienceKusto)
			if err != nil {
				return "", err
			}
			return principal(claims.AppID), nil
		},
	})
	if err != nil {
		return err
	}
	server, err := kusto.Serve(e.Cluster, e.Certs.TLS())
	if err != nil {
		return err
	}
	e.onClose(server.Close)
	e.ClusterURL = server.URL
	e.Identity.RegisterResource(identity.AudienceKusto, e.ClusterURL)
	for _, name := range databases(o) {
		err = errors.Join(err,
			e.Cluster.Grant(name, principal(AppID), kusto.Ingestor, kusto.Viewer),
			e.Cluster.Grant(name, principal(ClientID), kusto.Ingestor, kusto.Viewer, kusto.User, kusto.Monitor),
			e.Cluster.Grant(name, principal(AdminID), kusto.Admin))
	}
	if err := errors.Join(err, e.Cluster.StartIngestion()); err != nil {
		return err
	}
	e.onClose(func() error { e.Cluster.StopIngestion(); return nil })
	return nil
}

func principal(clientID string) string { return "aadapp=" + clientID + ";" + TenantID }

// Settings are the app settings of a handler that works against the emulators, and
// of its host.
func (e *Emulators) Settings() map[string]string {
	settings := map[string]string{
		"FUNCTIONS_WORKER_RUNTIME": "custom",
		"AzureWebJobsStorage":      e.StorageConnection,
		"SSL_CERT_FILE":            e.Certs.CAFile,
		"IDENTITY_ENDPOINT":        e.IdentityURL,
		"IDENTITY_HEADER":          e.Header,
		"DEFENDER_TENANT_ID":       TenantID,
		"DEFENDER_CLIENT_ID":       ClientID,
		"DEFENDER_SECRET_NAME":     SecretName,
		"DEFENDER_BASE_URL":        e.HuntingURL,
		"DEFENDER_AUTHORITY":       e.AuthorityURL,
		"KEY_VAULT_URL":            e.VaultURL,
		"ADX_CLUSTER_URL":          e.ClusterURL,
		"ADX_INGEST_URL":           e.ClusterURL,
		"ADX_DATABASE":             Database,
		"MIGRATION_QUEUE":          Queue,
		"MIGRATION_SCHEDULE":       "0 0 * * * *",
		"MIGRATION_INGEST_POLL":    "250ms",
	}
	if e.StorageByIdentity {
		settings["AzureWebJobsStorage__blobServiceUri"] = e.Front.URL(azurite.Blob)
		settings["AzureWebJobsStorage__queueServiceUri"] = e.Front.URL(azurite.Queue)
	}
	e.instanceSettings(settings)
	return settings
}

// Description is what `devstack emulators --json` prints: all that another
// program needs to use the emulators.
type Description struct {
	Graph            string `json:"graph"`
	MDE              string `json:"mde"`
	Authority        string `json:"authority"`
	KeyVault         string `json:"keyVault"`
	Kusto            string `json:"kusto"`
	KustoIngest      string `json:"kustoIngest"`
	IdentityEndpoint string `json:"identityEndpoint"`
	IdentityHeader   string `json:"identityHeader"`
	CAFile           string `json:"caFile"`
	TenantID         string `json:"tenantId"`
	ClientID         string `json:"clientId"`
	ClientSecret     string `json:"clientSecret"`
	AppIdentity      string `json:"appIdentityClientId"`
	AdminIdentity    string `json:"adminIdentityClientId"`
	SecretName       string `json:"secretName"`
	Database         string `json:"database"`
	Queue            string `json:"queue"`
	Storage          string `json:"storageConnectionString"`
	StorageTLS       string `json:"storageConnectionStringTLS"`
	Blob             string `json:"blob"`
	QueueService     string `json:"queueService"`
	Table            string `json:"table"`
}

// Describe returns the addresses and names of everything.
func (e *Emulators) Describe() Description {
	return Description{
		Graph: e.HuntingURL, MDE: e.HuntingURL, Authority: e.AuthorityURL, KeyVault: e.VaultURL, Kusto: e.ClusterURL, KustoIngest: e.ClusterURL,
		IdentityEndpoint: e.IdentityURL, IdentityHeader: e.Header, CAFile: e.Certs.CAFile, TenantID: TenantID, ClientID: ClientID,
		ClientSecret: e.Secret, AppIdentity: AppID, AdminIdentity: AdminID, SecretName: SecretName, Database: Database, Queue: Queue,
		Storage: e.StorageConnection, StorageTLS: e.Front.ConnectionString(),
		Blob: e.Azurite.URL(azurite.Blob), QueueService: e.Azurite.URL(azurite.Queue), Table: e.Azurite.URL(azurite.Table),
	}
}

// Path is a file of the stack's own folder, which goes with it.
func (e *Emulators) Path(name string) string { return filepath.Join(e.Dir, name) }

// wrap names what was being started.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
