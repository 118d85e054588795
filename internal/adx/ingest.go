package adx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/Azure/azure-kusto-go/azkustoingest"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

var runID = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)

// columnMapping is one entry of an inline JSON ingestion mapping.
type columnMapping struct {
	Column     string            `json:"Column"`
	Properties map[string]string `json:"Properties"`
}

func constant(column, value string) columnMapping {
	return columnMapping{Column: column, Properties: map[string]string{"ConstValue": value}}
}

// rawMapping puts a whole row into Records and the slice's identity beside it.
func rawMapping(in plan.Ingestion) string {
	m := []columnMapping{
		{Column: "Records", Properties: map[string]string{"Path": "$"}},
		constant("RunId", in.RunID),
		constant("Slice", strconv.Itoa(in.Slice)),
	}
	if !in.SnapshotTime.IsZero() {
		m = append(m, constant("SnapshotTime", plan.Stamp(in.SnapshotTime)))
	}
	return mappingJSON(m)
}

func mappingJSON(m []columnMapping) string {
	text, err := json.Marshal(m)
	if err != nil { // strings and maps of strings always marshal
		panic(err)
	}
	return string(text)
}

// Enqueue hands a staged blob to queued ingestion. It may be called again for the
// same slice: the tag keeps the rows single as far as the service does. When ctx
// ends the call is left to itself, since the SDK may hold it for 40 s and more;
// it may then still be queued. It returns the id for IngestStatus; "" where it is not
// known.
func (c *Client) Enqueue(ctx context.Context, in plan.Ingestion) (string, error) {
	err := plan.CheckName("destination table", in.Destination)
	if !runID.MatchString(in.RunID) {
		err = errors.Join(err, fmt.Errorf("RunId: want letters and digits, got %q", in.RunID))
	}
	if err != nil {
		return "", fault.Mark(fault.As(fault.Permanent, fmt.Errorf("ADX: %w", err)), fault.ErrNotQueued)
	}
	tag := plan.IngestTag(in.RunID, in.Slice)
	result, err := c.enqueue(ctx, in.Blob,
		azkustoingest.Table(in.Destination),
		azkustoingest.IngestionMapping(rawMapping(in), azkustoingest.JSON),
		azkustoingest.RawDataSize(in.Blob.Bytes),
		azkustoingest.Tags([]string{"ingest-by:" + tag}),
		azkustoingest.IfNotExists(`["`+tag+`"]`),
		azkustoingest.FlushImmediately(),
		azkustoingest.ReportResultToTable(),
	)
	if err != nil {
		return "", err
	}
	return sourceID(result), nil
}

// enqueue queues one blob. An error after which no queue can hold the message is
// marked fault.ErrNotQueued.
func (c *Client) enqueue(ctx context.Context, b plan.Blob, options ...azkustoingest.FileOption) (*azkustoingest.Result, error) {
	ctx, maybe := watchQueue(ctx)
	result, done, err := c.fromBlob(ctx, b, options...)
	if err != nil && done && !maybe.Load() {
		err = fault.Mark(err, fault.ErrNotQueued)
	}
	return result, err
}

// fromBlob hands the blob to the SDK. done is false where the SDK was left to
// itself. Errors of the SDK on this path are text without a cause, so the endpoint
// is asked itself what is wrong.
func (c *Client) fromBlob(ctx context.Context, b plan.Blob, options ...azkustoingest.FileOption) (_ *azkustoingest.Result, done bool, err error) {
	list, err := c.staging.current(ctx)
	if err != nil {
		return nil, true, err
	}
	address, err := c.staging.signed(ctx, b.Path)
	if err != nil {
		return nil, true, err
	}
	ingestion, err := c.ingestion()
	if err != nil {
		return nil, true, c.classify(ctx, ingestors, err)
	}
	options = append(options, azkustoingest.Database(c.database), azkustoingest.FileFormat(azkustoingest.JSON))

	type outcome struct {
		result *azkustoingest.Result
		err    error
	}
	ctx = rememberToken(ctx)
	ended := make(chan outcome, 1)
	go func() {
		result, err := ingestion.FromFile(ctx, address, options...)
		ended <- outcome{result, err}
	}()
	select {
	case <-ctx.Done():
		return nil, false, fault.As(fault.Retry, fmt.Errorf("ADX: the ingestion endpoint did not answer in time: %w", ctx.Err()))
	case o := <-ended:
		if o.err == nil {
			return o.result, true, nil
		}
		if _, err := c.staging.newer(ctx, list); err != nil {
			return nil, true, err
		}
		return nil, true, c.classify(ctx, ingestors, errors.New(enqueueError(o.err)))
	}
}

// enqueueError says what the SDK knows, in one line. For a status row that could
// not be written the SDK returns its whole record.
func enqueueError(err error) string {
	if details, ok := detailsOf(err); ok {
		return details
	}
	return err.Error()
}
