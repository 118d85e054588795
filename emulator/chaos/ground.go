package chaos

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// Ground is what all schedules share: Azurite, certificates, identities, a vault.
type Ground struct {
	*stack.Emulators

	// brief issues Defender's tokens of some schedules: they live for briefLife.
	brief    *identity.Server
	briefURL string
	close    []func()
}

// briefLife is the life of Defender's tokens in some schedules.
const briefLife = 4 * time.Second

// NewGround starts what is shared. It sets the variables in which App Service
// names the managed identity, since azidentity reads them from the process.
func NewGround(ctx context.Context) (*Ground, error) {
	shared, err := stack.Start(ctx, stack.Options{Data: tenant.New(time.Now())})
	if err != nil {
		return nil, err
	}
	g := &Ground{Emulators: shared}
	err = g.startBrief()
	if err == nil {
		err = errors.Join(os.Setenv("IDENTITY_ENDPOINT", shared.IdentityURL), os.Setenv("IDENTITY_HEADER", shared.Header))
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Close ends everything.
func (g *Ground) Close() error {
	for _, end := range g.close {
		end()
	}
	return g.Emulators.Close()
}

func (g *Ground) startBrief() error {
	var err error
	if g.brief, err = identity.New(identity.Options{TokenLife: briefLife, Now: time.Now}); err != nil {
		return err
	}
	url, end, err := g.serve(g.brief.Authority())
	if err != nil {
		return err
	}
	g.briefURL, g.close = url, append(g.close, end)
	roles := map[string][]string{
		identity.AudienceGraph:    {"ThreatHunting.Read.All"},
		identity.AudienceDefender: {"AdvancedQuery.Read.All"},
	}
	return errors.Join(
		g.brief.AddTenant(stack.TenantID, "sample.example"),
		g.brief.RegisterApplication(identity.Principal{Tenant: stack.TenantID, ClientID: stack.ClientID, ObjectID: stack.ClientID, Roles: roles},
			identity.Secret{Value: g.Secret, Expires: time.Now().AddDate(1, 0, 0)}),
	)
}

// serve listens on a free port with TLS under the shared certificate. end breaks
// every connection and waits for nobody.
func (g *Ground) serve(h http.Handler) (address string, end func(), err error) {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", g.Certs.TLS())
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)} // connections that faults break
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) }) // always http.ErrServerClosed
	return "https://" + listener.Addr().String(), func() { _ = server.Close(); done.Wait() }, nil
}

// storage makes a cluster's own containers, queue and status table.
func (g *Ground) storage(ctx context.Context, name string) (kusto.Storage, error) {
	var out kusto.Storage
	expiry := time.Now().Add(24 * time.Hour)
	connection := g.Azurite.ConnectionString()
	blobs, err := azblob.NewClientFromConnectionString(connection, nil)
	if err != nil {
		return out, err
	}
	for i := range 2 {
		container := fmt.Sprintf("%s-staging-%d", name, i)
		if _, err := blobs.CreateContainer(ctx, container, nil); err != nil {
			return out, err
		}
		address, err := g.Front.ContainerSAS(container, expiry, azurite.StagingRights)
		if err != nil {
			return out, err
		}
		out.Containers = append(out.Containers, address)
	}
	queues, err := azqueue.NewServiceClientFromConnectionString(connection, nil)
	if err != nil {
		return out, err
	}
	if _, err := queues.CreateQueue(ctx, name+"-ingestions", nil); err != nil {
		return out, err
	}
	if out.Queue, err = g.Front.QueueSAS(name+"-ingestions", expiry); err != nil {
		return out, err
	}
	tables, err := aztables.NewServiceClientFromConnectionString(connection, nil)
	if err != nil {
		return out, err
	}
	if _, err := tables.CreateTable(ctx, name, nil); err != nil {
		return out, err
	}
	out.Table, err = g.Front.TableSAS(name, expiry)
	return out, err
}
