package adx

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// Recut stages a copy of the blob under a new name in which every row longer than
// half of limit bytes is cut to that: ADX made a row null and does not say which.
// It returns the copy, with its rows and bytes, and how many rows were cut; none cut
// is no error, and then the copy will meet the same end. The blob must be there and
// its signature must let us read.
func (c *Client) Recut(ctx context.Context, b plan.Blob, newName string, limit int64) (plan.Blob, int64, error) {
	source, err := c.staging.blob(b.Path, func(error) {})
	if err != nil {
		return plan.Blob{}, 0, storageFault(err)
	}
	answer, err := source.DownloadStream(ctx, nil)
	if err != nil {
		return plan.Blob{}, 0, storageFault(err)
	}
	body := answer.NewRetryReader(ctx, &blob.RetryReaderOptions{})
	defer body.Close()
	var result rowpath.Result
	copied, err := c.Stage(ctx, newName, func(w io.Writer) error {
		var err error
		result, err = rowpath.Recut(w, body, int(limit/2))
		return err
	})
	var write *rowpath.WriteError
	switch known := (*fault.Error)(nil); {
	case err == nil:
	case errors.As(err, &known), errors.As(err, &write):
		return plan.Blob{}, 0, err
	default:
		return plan.Blob{}, 0, fault.As(fault.Retry, fmt.Errorf("staging storage: %s", quote(bare(err))))
	}
	if result.Rows != b.Rows {
		return plan.Blob{}, 0, fault.As(fault.Permanent, fmt.Errorf("staging storage: the blob holds %d rows, %d were staged", result.Rows, b.Rows))
	}
	copied.Rows, copied.Bytes = result.Rows, result.Bytes
	return copied, result.Cut, nil
}
