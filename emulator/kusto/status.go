package kusto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

func hasCode(err error, code aztables.TableErrorCode) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.ErrorCode == string(code)
}

// report merges the outcome into the status row that the client made, if the
// message asks for it.
func (c *Cluster) report(ctx context.Context, m *message, o outcome) error {
	at := m.IngestionStatusInTable
	inTable := m.ReportMethod == 1 || m.ReportMethod == 2
	failuresOnly := m.ReportLevel == 0 && o.status == "Succeeded"
	if at.PartitionKey == "" || !inTable || m.ReportLevel == 1 || failuresOnly {
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
