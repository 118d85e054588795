// Package blobstore keeps small documents in one container of Azure Blob Storage
// under compare-and-swap and leases.
//
// It is the only place that knows the blob SDK. It promises that the outcome of
// a write is known or an error: a lost reply is settled by reading back
// ([Container.Put]). No error carries a URL, because a URL may carry a shared
// access signature. Nothing is sent before the first call of a method, and the
// container is made when the first document is written.
package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// DefaultContainer is the container used when a Config names none.
const DefaultContainer = "defender2adx"

// Config says where the container is: by a connection string, or by the blob
// service's URL and a credential.
type Config struct {
	ConnectionString secret.String
	ServiceURL       string // https://account.blob.core.windows.net; with Credential
	Credential       azcore.TokenCredential
	Container        string // default DefaultContainer

	// Client holds transport, cloud and policies. Where its retry options are
	// left zero, a request is tried four times with at most 10 s for each try.
	Client azcore.ClientOptions
}

// Container is an open container. Its methods may be called from several
// goroutines. Their errors carry a fault kind: Permanent with the remedy for 401
// and 403, otherwise Retry.
type Container struct {
	client *container.Client
	remedy string // for 401 and 403
}

// The SDK's own default waits for a minute and never ends a hanging try. A request
// for a small blob takes milliseconds; the SDK's three repetitions stay together
// below a lease, which is renewed through the same client.
const (
	tryTimeout    = 10 * time.Second
	retryDelay    = 500 * time.Millisecond
	maxRetryDelay = 5 * time.Second
)

// Open checks the configuration and sends nothing.
func Open(c Config) (*Container, error) {
	if c.Container == "" {
		c.Container = DefaultContainer
	}
	options := &container.ClientOptions{ClientOptions: c.Client}
	if r := &options.Retry; r.MaxRetries == 0 && r.TryTimeout == 0 && r.RetryDelay == 0 {
		r.TryTimeout, r.RetryDelay, r.MaxRetryDelay = tryTimeout, retryDelay, maxRetryDelay
	}
	switch {
	case !c.ConnectionString.IsZero() && c.ServiceURL != "":
		return nil, errors.New("open storage: want a connection string or a service URL, got both")
	case !c.ConnectionString.IsZero():
		return openConnectionString(c, options)
	case c.ServiceURL != "" && c.Credential != nil:
		return openIdentity(c, options)
	default:
		return nil, errors.New("open storage: want a connection string, or a service URL and a credential")
	}
}

func openConnectionString(c Config, options *container.ClientOptions) (*Container, error) {
	text := address.ExpandStorage(strings.TrimSpace(c.ConnectionString.Reveal()))
	client, err := container.NewClientFromConnectionString(text, c.Container, options)
	if err != nil {
		// The SDK's error is left out: it may repeat the key.
		return nil, errors.New("open storage: connection string is malformed: want AccountName and AccountKey, or BlobEndpoint and SharedAccessSignature")
	}
	return &Container{client, "check AzureWebJobsStorage: its key may be rotated or expired, or the account may refuse keys or this network"}, nil
}

func openIdentity(c Config, options *container.ClientOptions) (*Container, error) {
	u, err := url.Parse(c.ServiceURL)
	if err != nil || u.Host == "" || u.RawQuery != "" {
		return nil, errors.New("open storage: service URL is malformed: want https://account.blob.core.windows.net")
	}
	client, err := container.NewClient(u.JoinPath(c.Container).String(), c.Credential, options)
	if err != nil {
		return nil, fmt.Errorf("open storage %s: %w", u.Host, err)
	}
	return &Container{client, "give the app's identity the role Storage Blob Data Contributor on the storage account, and see that its firewall admits the app"}, nil
}

// Blob is a document as stored.
type Blob struct {
	Body     []byte
	ETag     string
	Modified time.Time // by Get: the service's clock, whole seconds
}

// Get reads a document. One that does not exist is ErrNotFound.
func (c *Container) Get(ctx context.Context, name string) (Blob, error) {
	answer, err := c.client.NewBlobClient(name).DownloadStream(ctx, nil)
	if err != nil {
		return Blob{}, c.describe(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return Blob{}, c.describe(err)
	}
	return Blob{Body: body, ETag: etag(answer.ETag), Modified: deref(answer.LastModified)}, nil
}

// Write is one conditional write.
type Write struct {
	IfMatch  string // ETag of the version replaced; "" when the blob must not exist
	LeaseID  string // "" for a blob without lease
	Metadata map[string]string
	Body     []byte
}

// put sends one write and leaves an uncertain outcome uncertain.
func (c *Container) put(ctx context.Context, name string, w Write) (string, error) {
	options := &blockblob.UploadOptions{
		HTTPHeaders:      &blob.HTTPHeaders{BlobContentType: to.Ptr("application/json")},
		AccessConditions: conditions(w.IfMatch, w.LeaseID),
		Metadata:         make(map[string]*string, len(w.Metadata)),
	}
	for k, v := range w.Metadata {
		options.Metadata[k] = to.Ptr(v)
	}
	client := c.client.NewBlockBlobClient(name)
	answer, err := client.Upload(ctx, streaming.NopCloser(bytes.NewReader(w.Body)), options)
	if bloberror.HasCode(err, bloberror.ContainerNotFound) {
		if err := c.create(ctx); err != nil {
			return "", err
		}
		answer, err = client.Upload(ctx, streaming.NopCloser(bytes.NewReader(w.Body)), options)
	}
	if err != nil {
		return "", c.describe(err)
	}
	return etag(answer.ETag), nil
}

func (c *Container) create(ctx context.Context) error {
	_, err := c.client.Create(ctx, nil)
	if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return fmt.Errorf("create container: %w", c.describe(err))
	}
	return nil
}

// Delete removes the version with the ETag, or whatever is there where it is "". A blob
// that is gone or has changed is ErrNotFound or ErrConflict.
func (c *Container) Delete(ctx context.Context, name, ifMatch string) error {
	options := &blob.DeleteOptions{}
	if ifMatch != "" {
		options.AccessConditions = conditions(ifMatch, "")
	}
	_, err := c.client.NewBlobClient(name).Delete(ctx, options)
	return c.describe(err)
}

// Item is a blob as listed.
type Item struct {
	Name     string
	ETag     string
	Bytes    int64
	Modified time.Time // the service's clock, whole seconds
	Leased   bool
	Metadata map[string]string // keys in lower case
}

// List yields the blobs whose names begin with prefix, by name. After an error
// it yields no more. A container that does not exist is empty.
func (c *Container) List(ctx context.Context, prefix string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		pager := c.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
			Prefix: &prefix, Include: container.ListBlobsInclude{Metadata: true},
		})
		for pager.More() {
			page, err := pager.NextPage(ctx)
			if bloberror.HasCode(err, bloberror.ContainerNotFound) {
				return
			}
			if err != nil {
				yield(Item{}, c.describe(err))
				return
			}
			for _, b := range page.Segment.BlobItems {
				if !yield(item(b), nil) {
					return
				}
			}
		}
	}
}

func item(b *container.BlobItem) Item {
	it := Item{Name: deref(b.Name), Metadata: make(map[string]string, len(b.Metadata))}
	if p := b.Properties; p != nil {
		it.ETag, it.Bytes, it.Modified = etag(p.ETag), deref(p.ContentLength), deref(p.LastModified)
		it.Leased = deref(p.LeaseStatus) == lease.StatusTypeLocked
	}
	for k, v := range b.Metadata {
		it.Metadata[strings.ToLower(k)] = deref(v)
	}
	return it
}

func conditions(ifMatch, leaseID string) *blob.AccessConditions {
	modified := &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}
	if ifMatch != "" {
		modified = &blob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(ifMatch))}
	}
	c := &blob.AccessConditions{ModifiedAccessConditions: modified}
	if leaseID != "" {
		c.LeaseAccessConditions = &blob.LeaseAccessConditions{LeaseID: &leaseID}
	}
	return c
}

// etag returns the tag in quotes: headers carry them, lists omit them, and a
// condition wants them.
func etag(tag *azcore.ETag) string {
	if tag == nil || *tag == "" {
		return ""
	}
	return `"` + strings.Trim(string(*tag), `"`) + `"`
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
