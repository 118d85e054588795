package blobstore

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
)

// Lease is a lease of one blob.
type Lease struct {
	c      *Container
	client *lease.BlobClient
}

// Lease takes the blob's lease for a time in whole seconds, 15 to 60. A blob
// leased by somebody else is ErrLease; one that does not exist is ErrNotFound. A
// reply lost and repeated inside the SDK does no harm: the id is ours.
func (c *Container) Lease(ctx context.Context, name string, length time.Duration) (*Lease, error) {
	client, err := lease.NewBlobClient(c.client.NewBlobClient(name), nil)
	if err != nil {
		return nil, err
	}
	if _, err := client.AcquireLease(ctx, int32(length/time.Second), nil); err != nil {
		return nil, c.describe(err)
	}
	return &Lease{c, client}, nil
}

// ID is what writes under the lease name.
func (l *Lease) ID() string { return *l.client.LeaseID() }

// Renew starts the lease's time again. ErrLease says that it is lost for good.
func (l *Lease) Renew(ctx context.Context) error {
	_, err := l.client.RenewLease(ctx, nil)
	return l.c.describe(err)
}

// Release ends the lease at once. A lease that is lost already is no error.
func (l *Lease) Release(ctx context.Context) error {
	_, err := l.client.ReleaseLease(ctx, nil)
	if err = l.c.describe(err); errors.Is(err, ErrLease) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
