package kusto

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
)

func hasCode(err error, code aztables.TableErrorCode) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.ErrorCode == string(code)
}

// report tells the outcome where the message asks for it: in a queue, in the status
// row that the client made, or in both.
func (c *Cluster) report(ctx context.Context, m *message, o outcome) error {
	failuresOnly := m.ReportLevel == 0 && o.status == "Succeeded"
	if m.ReportLevel == 1 || failuresOnly {
		return nil
	}
	var told error
	if m.ReportMethod == 0 || m.ReportMethod == 2 {
		told = c.reportInQueue(ctx, m, o)
	}
	if m.ReportMethod == 1 || m.ReportMethod == 2 {
		told = errors.Join(told, c.reportInTable(ctx, m, o))
	}
	return told
}

// reportInQueue sends a message of its own to the queue of successes or failures.
// Source: ADX documentation, "Monitor queued ingestion status".
func (c *Cluster) reportInQueue(ctx context.Context, m *message, o outcome) error {
	address := c.opts.Storage.Succeeded
	at := c.opts.Now().UTC().Format(time.RFC3339Nano)
	text := map[string]any{
		"OperationId": o.operation, "Database": m.DatabaseName, "Table": m.TableName, "IngestionSourceId": m.ID,
		"IngestionSourcePath": unsigned(m.BlobPath), "RootActivityId": newID(),
	}
	if o.status == "Succeeded" {
		text["SucceededOn"] = at
	} else {
		address = c.opts.Storage.Failed
		text["FailedOn"], text["OriginatesFromUpdatePolicy"] = at, false
		if o.failure != nil {
			text["ErrorCode"], text["Details"], text["FailureStatus"] = o.failure.Code, o.failure.Details, o.failure.Status
			text["ShouldRetry"] = o.failure.Status != "Permanent"
		}
	}
	if address == "" {
		return nil
	}
	client, err := azqueue.NewQueueClientWithNoCredential(address, &azqueue.ClientOptions{ClientOptions: c.storageOptions()})
	if err != nil {
		return fmt.Errorf("report ingestion %s: status queue's address is malformed", m.ID)
	}
	body, err := json.Marshal(text)
	if err != nil {
		return fmt.Errorf("report ingestion %s: %w", m.ID, err)
	}
	if _, err := client.EnqueueMessage(ctx, base64.StdEncoding.EncodeToString(body), nil); err != nil {
		return fmt.Errorf("report ingestion %s: status queue refused", m.ID)
	}
	return nil
}

func (c *Cluster) reportInTable(ctx context.Context, m *message, o outcome) error {
	at := m.IngestionStatusInTable
	if at.PartitionKey == "" {
		return nil
	}
	client, err := aztables.NewClientWithNoCredential(at.TableConnectionString,
		&aztables.ClientOptions{ClientOptions: c.storageOptions()})
	if err != nil {
		return fmt.Errorf("report ingestion %s: status table's address is malformed", at.PartitionKey)
	}
	row := map[string]any{
		"PartitionKey":               at.PartitionKey,
		"RowKey":                     at.RowKey,
		"Status":                     o.status,
		"OperationId":                o.operation,
		"ActivityId":                 newID(),
		"OriginatesFromUpdatePolicy": false,
		"UpdatedOn":                  c.opts.Now().UTC().Format(time.RFC3339Nano),
		"UpdatedOn@odata.type":       "Edm.DateTime",
	}
	if o.failure != nil {
		row["ErrorCode"], row["Details"] = o.failure.Code, o.failure.Details
		if o.failure.Status != "" {
			row["FailureStatus"] = o.failure.Status
		}
	}
	text, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("report ingestion %s: %w", at.PartitionKey, err)
	}
	_, err = client.UpsertEntity(ctx, text, &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeMerge})
	var response *azcore.ResponseError
	switch {
	case errors.As(err, &response):
		return fmt.Errorf("report ingestion %s: table answered %d %s", at.PartitionKey, response.StatusCode, response.ErrorCode)
	case err != nil:
		return fmt.Errorf("report ingestion %s: table not reached", at.PartitionKey)
	}
	return nil
}
