package adx

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const (
	// Two blocks of 1 MiB in flight keep a blob moving: at 20 ms a block that is 50 MB
	// of packed rows a second, more than a hunting answer brings, and small enough
	// for every call that a process may have in flight.
	blockSize      = 1 << 20
	blocksInFlight = 2

	// settleTimeout bounds the look at a blob whose commit was refused, with the SDK's
	// repetitions: without its answer the slice is fetched again, which costs a call.
	settleTimeout = 30 * time.Second

	// writerKey is the blob metadata by which an upload knows its own commit.
	writerKey = "writer"
)

// blobName is a name that needs no escaping in a URL and tells ADX, which goes by
// the name, that the blob is gzip of JSON.
var blobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.json\.gz$`)

var errUploadOver = errors.New("the upload has ended")

// Ready asks for the staging containers if their list is not fresh.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.staging.current(ctx)
	return err
}

// Stage uploads what produce writes as one blob of ADX's staging storage and
// commits it only after produce returned nil. The container that is next in turn
// refuses a name that it has; the others are not asked. name needs no more than
// letters, digits, dots and dashes; it ends in .json.gz.
//
// When produce fails its error is returned as it is and nothing is committed. When
// the upload fails first, produce sees that in its next write and the upload's
// error is returned. The blob's Path carries no signature; Rows and Bytes are zero.
func (c *Client) Stage(ctx context.Context, name string, produce func(io.Writer) error) (plan.Blob, error) {
	if !blobName.MatchString(name) {
		return plan.Blob{}, fault.As(fault.Permanent, fmt.Errorf("staging storage: want a plain blob name that ends in .json.gz, got %q", name))
	}
	container, err := c.staging.pick(ctx)
	if err != nil {
		return plan.Blob{}, err
	}
	path := container + "/" + name

	// stop ends the upload and the writing, whichever side fails first; the cause
	// is what the other side sees.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(errUploadOver)
	pr, pw := io.Pipe()
	defer context.AfterFunc(ctx, func() { pr.CloseWithError(context.Cause(ctx)) })()
	target, err := c.staging.blob(path, stop)
	if err != nil {
		return plan.Blob{}, storageFault(err)
	}

	uploaded := make(chan error, 1)
	go func() {
		var err error
		defer func() {
			// A panic here would end the process, and every other table's work.
			if p := recover(); p != nil {
				err = fmt.Errorf("upload: internal error: %T", p)
			}
			stop(errUploadOver)
			uploaded <- err
		}()
		err = upload(ctx, target, causeReader{ctx, pr})
	}()
	out := &watchedWriter{w: pw}
	produceErr := produce(out)
	pw.CloseWithError(produceErr) // nil is the end of the blob, and its commit
	uploadErr := <-uploaded

	if produceErr != nil && !out.failed.Load() {
		return plan.Blob{}, produceErr
	}
	if uploadErr != nil {
		return plan.Blob{}, storageFault(uploadErr)
	}
	if out.failed.Load() {
		return plan.Blob{}, fault.As(fault.Retry, fmt.Errorf("staging storage: %w", errUploadOver))
	}
	return plan.Blob{Path: path}, nil
}

// upload sends r and commits the blob at its end, unless the name exists. A
// commit whose answer was lost is sent again by the SDK and then refused as
// existing; the metadata tells whether that was ours.
func upload(ctx context.Context, target *blockblob.Client, r io.Reader) error {
	writer := rand.Text()
	_, err := target.UploadStream(ctx, r, &blockblob.UploadStreamOptions{
		BlockSize:   blockSize,
		Concurrency: blocksInFlight,
		Metadata:    map[string]*string{writerKey: &writer},
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		},
	})
	if s := statusOf(err); s != http.StatusConflict && s != http.StatusPreconditionFailed {
		return err
	}
	// The refusal has ended ctx by way of the failed hook.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	found, headErr := target.GetProperties(ctx, nil)
	if headErr != nil {
		return err
	}
	for key, value := range found.Metadata {
		if http.CanonicalHeaderKey(key) == http.CanonicalHeaderKey(writerKey) && value != nil && *value == writer {
			return nil
		}
	}
	return err
}

// BlobState looks for a committed blob. One in a container that ADX no longer lends
// counts as gone: it could not be ingested either. ADX may sign its containers
// without the right to read; then nothing can be told.
func (c *Client) BlobState(ctx context.Context, b plan.Blob) (plan.BlobState, error) {
	if b.Path == "" {
		return plan.BlobGone, nil // a slice without rows never had one
	}
	target, err := c.staging.blob(b.Path, func(error) {})
	if err == nil {
		_, err = target.GetProperties(ctx, nil)
	}
	switch {
	case err == nil:
		return plan.BlobThere, nil
	case absent(err):
		return plan.BlobGone, nil
	case statusOf(err) == http.StatusForbidden:
		return plan.BlobUntold, nil
	}
	return "", storageFault(err)
}

// causeReader fails as soon as ctx ends, with the cause: the SDK reads its source
// to the end, whatever became of the blocks.
type causeReader struct {
	ctx context.Context
	r   io.Reader
}

func (r causeReader) Read(p []byte) (int, error) {
	if cause := context.Cause(r.ctx); cause != nil {
		return 0, cause
	}
	n, err := r.r.Read(p)
	if cause := context.Cause(r.ctx); errors.Is(err, io.ErrClosedPipe) && cause != nil {
		err = cause
	}
	return n, err
}

// watchedWriter remembers that a write failed, which only the upload can cause.
type watchedWriter struct {
	w      io.Writer
	failed atomic.Bool
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		w.failed.Store(true)
	}
	return n, err
}
