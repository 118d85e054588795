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
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// Env is what all schedules share: Azurite, certificates, identities, a vault.
type Env struct {
	*stack.Emulators
}

// briefLife is the life of Defender's tokens in some schedules.
const briefLife = 4 * time.Second

// The second instance of some schedules is another application of the same tenant:
// both take their calls from one quota.
const (
	twin       = "Twin"
	twinPrefix = "Twin_"
)

// NewEnv starts what is shared. It sets the variables in which App Service
// names the managed identity, since azidentity reads them from the process.
func NewEnv(ctx context.Context) (*Env, error) {
	shared, err := stack.Start(ctx, stack.Options{Data: tenant.New(time.Now()), Instances: []stack.Instance{{Name: twin, Prefix: twinPrefix}}})
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Setenv("IDENTITY_ENDPOINT", shared.IdentityURL), os.Setenv("IDENTITY_HEADER", shared.Header))
	if err != nil {
		return nil, errors.Join(err, shared.Close())
	}
	return &Env{shared}, nil
}

// authority makes a token service for Defender's tokens of one schedule. A life of
// zero is the usual one.
func (e *Env) authority(life time.Duration, trouble func() int) (*identity.Server, error) {
	s, err := identity.New(identity.Options{TokenLife: life, Now: time.Now, Trouble: trouble})
	if err != nil {
		return nil, err
	}
	roles := map[string][]string{
		identity.AudienceGraph:    append(hunting.Roles(hunting.Graph), "ThreatHunting.Read.All"),
		identity.AudienceDefender: append(hunting.Roles(hunting.MDE), "AdvancedQuery.Read.All"),
	}
	return s, errors.Join(
		s.AddTenant(stack.TenantID, "sample.example"),
		s.RegisterApplication(identity.Principal{Tenant: stack.TenantID, ClientID: stack.ClientID, ObjectID: stack.ClientID, Roles: roles},
			identity.Secret{Value: e.Secret, Expires: time.Now().AddDate(1, 0, 0)}),
		e.RegisterInstances(s),
	)
}

// serve listens on a free port with TLS under the shared certificate. end breaks
// every connection and waits for nobody.
func (e *Env) serve(h http.Handler) (address string, end func(), err error) {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", e.Certs.TLS())
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)} // connections that faults break
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) }) // always http.ErrServerClosed
	return "https://" + listener.Addr().String(), func() { _ = server.Close(); done.Wait() }, nil
}

// storage makes a cluster's own containers, queue and status table. Where it is
// narrow, what others are given for the containers may not read.
func (e *Env) storage(ctx context.Context, name string, narrow bool) (kusto.Storage, error) {
	var out kusto.Storage
	expiry := time.Now().Add(24 * time.Hour)
	connection := e.Azurite.ConnectionString()
	blobs, err := azblob.NewClientFromConnectionString(connection, nil)
	if err != nil {
		return out, err
	}
	for i := range 2 {
		container := fmt.Sprintf("%s-staging-%d", name, i)
		if _, err := blobs.CreateContainer(ctx, container, nil); err != nil {
			return out, err
		}
		rights := azurite.StagingRights
		if narrow {
			rights = "cw"
			own, err := e.Front.ContainerSAS(container, expiry, "r")
			if err != nil {
				return out, err
			}
			out.Own = append(out.Own, own)
		}
		address, err := e.Front.ContainerSAS(container, expiry, rights)
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
	if out.Queue, err = e.Front.QueueSAS(name+"-ingestions", expiry); err != nil {
		return out, err
	}
	tables, err := aztables.NewServiceClientFromConnectionString(connection, nil)
	if err != nil {
		return out, err
	}
	if _, err := tables.CreateTable(ctx, name, nil); err != nil {
		return out, err
	}
	out.Table, err = e.Front.TableSAS(name, expiry)
	return out, err
}
