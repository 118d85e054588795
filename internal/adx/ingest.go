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
// it may then still be queued.
func (c *Client) Enqueue(ctx context.Context, in plan.Ingestion) (plan.Ticket, error) {
	err := plan.CheckName("destination table", in.Destination)
	if !runID.MatchString(in.RunID) {
		err = errors.Join(err, fmt.Errorf("RunId: want letters and digits, got %q", in.RunID))
	}
	if err != nil {
		return nil, fault.As(fault.Permanent, fmt.Errorf("enqueue slice %d: %w", in.Slice, err))
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
		return nil, fmt.Errorf("enqueue slice %d of %s for %s: %w", in.Slice, in.RunID, in.Destination, err)
	}
	return c.follow(result), nil
}

// enqueue queues one blob. Errors of the SDK on this path are text without a
// cause, so the endpoint is asked itself what is wrong.
func (c *Client) enqueue(ctx context.Context, b plan.Blob, options ...azkustoingest.FileOption) (*azkustoingest.Result, error) {
	list, err := c.staging.current(ctx)
	if err != nil {
		return nil, err
	}
	address, err := c.staging.signed(ctx, b.Path)
	if err != nil {
		return nil, err
	}
	ingestion, err := c.ingestion()
	if err != nil {
		return nil, c.classify(ctx, ingestors, err)
	}
	options = append(options, azkustoingest.Database(c.database), azkustoingest.FileFormat(azkustoingest.JSON))

	type outcome struct {
		result *azkustoingest.Result
		err    error
	}
	ctx = rememberToken(ctx)
	done := make(chan outcome, 1)
	go func() {
		result, err := ingestion.FromFile(ctx, address, options...)
		done <- outcome{result, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fault.As(fault.Retry, fmt.Errorf("the ingestion endpoint did not answer in time: %w", ctx.Err()))
	case o := <-done:
		if o.err == nil {
			return o.result, nil
		}
		if _, err := c.staging.newer(ctx, list); err != nil {
			return nil, err
		}
		return nil, c.classify(ctx, ingestors, errors.New(enqueueError(o.err)))
	}
}

// enqueueError says what the SDK knows, in one line. For a status row that could
// not be written the SDK returns its whole record.
func enqueueError(err error) string {
	if r, ok := recordOf(err); ok {
		return r.Details
	}
	return err.Error()
}
