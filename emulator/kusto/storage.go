package kusto

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/queueerror"

	"github.com/defender2adx/defender2adx/emulator/azurite"
)

// Storage is what a cluster owns of storage: signed https addresses, secrets until
// they expire.
type Storage struct {
	Containers []string // for staging (TempStorage); rights to read, write and delete
	Queue      string   // for messages; rights to read, add, update and process
	Table      string   // for the status; rights to read, add and update
	Succeeded  string   // queues that tell the ends of ingestions whose sender asked for it
	Failed     string

	// Own are the containers with the cluster's own rights, with which it reads what
	// was staged under a signature that may not read; nil: as they are lent.
	Own []string
}

// readable gives a blob's address with a signature of the cluster's own, if it has
// one for the blob's container.
func (s Storage) readable(address string) string {
	path, _, _ := strings.Cut(address, "?")
	for _, own := range s.Own {
		if root, signature, _ := strings.Cut(own, "?"); strings.HasPrefix(path, root+"/") {
			return path + "?" + signature
		}
	}
	return address
}

// String keeps the signatures out of logs.
func (s Storage) String() string {
	return fmt.Sprintf("%d containers, queue and table (signed addresses redacted)", len(s.Containers))
}

// GoString keeps the signatures out of logs.
func (s Storage) GoString() string { return s.String() }

// Names of what NewStorage makes. Two staging containers, as a real cluster has
// several.
const (
	queueName     = "ingestions"
	succeededName = "ingestions-succeeded"
	failedName    = "ingestions-failed"
	tableName     = "ingestionstatus"
)

func containerNames() []string { return []string{"staging-0", "staging-1"} }

// Account is a storage account that a client without our certificate reaches.
type Account interface{ ConnectionString() string }

// NewStorage makes a cluster's containers, queue and table in Azurite, unless they
// exist, and signs addresses to them through the TLS front, good until expiry.
func NewStorage(ctx context.Context, a Account, front *azurite.Front, expiry time.Time) (Storage, error) {
	return newStorage(ctx, a, front, expiry, azurite.StagingRights)
}

// NewNarrowStorage is NewStorage with containers that may be written to and not
// read: whether a blob is still there cannot be asked. The cluster itself reads.
func NewNarrowStorage(ctx context.Context, a Account, front *azurite.Front, expiry time.Time) (Storage, error) {
	s, err := newStorage(ctx, a, front, expiry, "cw")
	for _, name := range containerNames() {
		var own string
		if err == nil {
			own, err = front.ContainerSAS(name, expiry, "r")
		}
		s.Own = append(s.Own, own)
	}
	return s, err
}

func newStorage(ctx context.Context, a Account, front *azurite.Front, expiry time.Time, rights string) (Storage, error) {
	var s Storage
	blobs, err := azblob.NewClientFromConnectionString(a.ConnectionString(), nil)
	if err != nil {
		return s, fmt.Errorf("make staging containers: %w", err)
	}
	for _, name := range containerNames() {
		if _, err := blobs.CreateContainer(ctx, name, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
			return s, fmt.Errorf("make container %s: %w", name, err)
		}
		address, err := front.ContainerSAS(name, expiry, rights)
		if err != nil {
			return s, err
		}
		s.Containers = append(s.Containers, address)
	}
	queues, err := azqueue.NewServiceClientFromConnectionString(a.ConnectionString(), nil)
	if err != nil {
		return s, fmt.Errorf("make queue %s: %w", queueName, err)
	}
	for name, address := range map[string]*string{queueName: &s.Queue, succeededName: &s.Succeeded, failedName: &s.Failed} {
		if _, err := queues.CreateQueue(ctx, name, nil); err != nil && !queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
			return s, fmt.Errorf("make queue %s: %w", name, err)
		}
		if *address, err = front.QueueSAS(name, expiry); err != nil {
			return s, err
		}
	}
	tables, err := aztables.NewServiceClientFromConnectionString(a.ConnectionString(), nil)
	if err != nil {
		return s, fmt.Errorf("make table %s: %w", tableName, err)
	}
	if _, err := tables.CreateTable(ctx, tableName, nil); err != nil && !hasCode(err, aztables.TableAlreadyExists) {
		return s, fmt.Errorf("make table %s: %w", tableName, err)
	}
	s.Table, err = front.TableSAS(tableName, expiry)
	return s, err
}

// transport lets the storage SDKs use the cluster's client.
type transport struct{ client *http.Client }

func (t transport) Do(r *http.Request) (*http.Response, error) { return t.client.Do(r) }

func (c *Cluster) storageOptions() azcore.ClientOptions {
	o := azcore.ClientOptions{Transport: transport{c.opts.Client}}
	o.Retry.MaxRetries = 1 // the loops above try again
	o.Retry.RetryDelay = 50 * time.Millisecond
	return o
}
