package adx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/Azure/azure-kusto-go/azkustoingest"

	"github.com/defender2adx/defender2adx/internal/address"
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

// Enqueue hands a staged blob, or a file that stands elsewhere, to queued ingestion. It may be called again for the
// same slice: the tag keeps the rows single as far as the service does. When ctx
// ends the call is left to itself, since the SDK may hold it for 40 s and more;
// it may then still be queued. It returns the id for IngestStatus, which is in.SourceID
// where that is given; "" where it is not known.
func (c *Client) Enqueue(ctx context.Context, in plan.Ingestion) (string, error) {
	err := plan.CheckName("destination table", in.Destination)
	if !runID.MatchString(in.RunID) {
		err = errors.Join(err, fmt.Errorf("RunId: want letters and digits, got %q", in.RunID))
	}
	if err != nil {
		return "", fault.Mark(fault.As(fault.Permanent, fmt.Errorf("ADX: %w", err)), fault.ErrNotQueued)
	}
	tag := plan.IngestTag(in.RunID, in.Slice)
	options := []azkustoingest.FileOption{
		azkustoingest.Table(in.Destination),
		azkustoingest.Tags([]string{"ingest-by:" + tag}),
		azkustoingest.IfNotExists(`["` + tag + `"]`),
		azkustoingest.FlushImmediately(),
		azkustoingest.ReportResultToTable(),
	}
	if in.SourceID != "" {
		options = append(options, reportedAs(in.SourceID))
	}
	var result *azkustoingest.Result
	if in.URL.IsZero() {
		result, err = c.enqueue(ctx, in.Blob, append(options,
			azkustoingest.IngestionMapping(rawMapping(in), azkustoingest.JSON), azkustoingest.RawDataSize(in.Blob.Bytes))...)
	} else {
		// Without a size, which nobody knows, ADX takes the file in by itself. Multijson
		// reads one record a line as well as records over several lines: the exports'
		// pages say the one and Spark, which writes them, does the other.
		result, err = c.enqueueFile(ctx, in.URL.Reveal(), append(options, azkustoingest.IngestionMapping(rawMapping(in), azkustoingest.MultiJSON))...)
	}
	if err != nil {
		return "", err
	}
	return sourceID(result), nil
}

// enqueue queues one staged blob. An error after which no queue can hold the message
// is marked fault.ErrNotQueued.
func (c *Client) enqueue(ctx context.Context, b plan.Blob, options ...azkustoingest.FileOption) (*azkustoingest.Result, error) {
	signed, err := c.staging.signed(ctx, b.Path)
	if err != nil {
		return nil, fault.Mark(err, fault.ErrNotQueued)
	}
	return c.enqueueURL(ctx, signed, append(options, azkustoingest.FileFormat(azkustoingest.JSON))...)
}

// enqueueFile is enqueue for a file that stands elsewhere, by its signed address.
func (c *Client) enqueueFile(ctx context.Context, signed string, options ...azkustoingest.FileOption) (*azkustoingest.Result, error) {
	u, err := url.Parse(signed)
	// What stands behind a semicolon would tell the cluster to read as somebody else.
	if err != nil || u.User != nil || !address.Trusted(u) || strings.Contains(signed, ";") {
		return nil, fault.Mark(fault.As(fault.Permanent, errors.New("ADX: want the https address of a file, got something else, which is not shown since it may be signed")), fault.ErrNotQueued)
	}
	return c.enqueueURL(ctx, signed, append(options, azkustoingest.FileFormat(azkustoingest.MultiJSON))...)
}

func (c *Client) enqueueURL(ctx context.Context, signed string, options ...azkustoingest.FileOption) (*azkustoingest.Result, error) {
	ctx, maybe := watchQueue(ctx)
	result, done, err := c.fromURL(ctx, signed, options...)
	if err != nil && done && !maybe.Load() {
		err = fault.Mark(err, fault.ErrNotQueued)
	}
	return result, err
}

// fromURL hands the signed address of a blob to the SDK. done is false where the SDK was
// left to itself. Errors of the SDK on this path are text without a cause, so the
// endpoint is asked itself what is wrong.
func (c *Client) fromURL(ctx context.Context, signed string, options ...azkustoingest.FileOption) (_ *azkustoingest.Result, done bool, err error) {
	list, err := c.staging.current(ctx)
	if err != nil {
		return nil, true, err
	}
	ingestion, err := c.ingestion()
	if err != nil {
		return nil, true, c.classify(ctx, ingestors, err)
	}
	options = append(options, azkustoingest.Database(c.database))

	type outcome struct {
		result *azkustoingest.Result
		err    error
	}
	ctx = rememberToken(ctx)
	ended := make(chan outcome, 1)
	go func() {
		result, err := ingestion.FromFile(ctx, signed, options...)
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
