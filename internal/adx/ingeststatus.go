package adx

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/Azure/azure-kusto-go/azkustoingest"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// statusTimeout bounds one reading of a status row: a lookup by key, in milliseconds
// as a rule, which decides nothing that a later look could not.
const statusTimeout = 10 * time.Second

// IngestStatus reads what ADX has reported of the ingestion with the source id,
// whoever enqueued it. Without a report, or where the report is not final, the state
// is IngestUnknown.
func (c *Client) IngestStatus(ctx context.Context, sourceID string) (plan.IngestStatus, error) {
	if uuid.Validate(sourceID) != nil {
		return plan.IngestStatus{}, fault.As(fault.Permanent, fmt.Errorf("ADX: want the id of an ingestion, got %q", sourceID))
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	list, err := c.staging.current(ctx)
	if err != nil {
		return plan.IngestStatus{}, err
	}
	for _, table := range list.statusTables {
		row, err := c.statusRow(ctx, table, sourceID)
		switch {
		case statusOf(err) == http.StatusNotFound:
			continue
		case err != nil:
			return plan.IngestStatus{}, storageFault(err)
		}
		return verdict(row), nil
	}
	return plan.IngestStatus{}, nil
}

// statusRow is what matters of ADX's record of an ingestion.
type statusRow struct {
	Status, FailureStatus, ErrorCode, Details string
}

func (c *Client) statusRow(ctx context.Context, table, sourceID string) (row statusRow, err error) {
	client, err := aztables.NewClientWithNoCredential(table, &aztables.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: c.kustoHTTP, Retry: policy.RetryOptions{MaxRetries: -1},
	}})
	if err != nil {
		return row, err
	}
	entity, err := client.GetEntity(ctx, sourceID, uuid.Nil.String(), nil)
	if err != nil {
		return row, err
	}
	return row, json.Unmarshal(entity.Value, &row)
}

// verdict reads a status row.
func verdict(r statusRow) plan.IngestStatus {
	s := plan.IngestStatus{Code: r.ErrorCode}
	meaning := answer.For(answer.Said{Service: answer.Ingestion, Code: r.ErrorCode}).Meaning
	switch {
	case meaning == answer.AlreadyIngested:
		s.State = plan.IngestSucceeded
		return s
	case meaning == answer.EmptyBlob:
		s.State = plan.IngestEmpty
	case r.Status == string(azkustoingest.Succeeded):
		s.State = plan.IngestSucceeded
		return s
	case r.Status == string(azkustoingest.Skipped):
		s.State, s.Permanent = plan.IngestFailed, true
	case r.Status == string(azkustoingest.Failed):
		s.State = plan.IngestFailed
		s.Permanent = r.FailureStatus == string(azkustoingest.Permanent) || r.FailureStatus == string(azkustoingest.Exhausted)
	case r.Status == string(azkustoingest.PartiallySucceeded):
		s.State = plan.IngestPartial
	default: // under way
		return s
	}
	s.Reason = quote(strings.TrimSpace(r.ErrorCode + ": " + r.Details))
	return s
}

// sourceID reads the id of an ingestion out of the SDK's result, which has no
// accessor for it; "" where the SDK has changed.
func sourceID(result *azkustoingest.Result) string {
	id := reflect.Indirect(reflect.ValueOf(result)).FieldByName("record").FieldByName("IngestionSourceID")
	if !id.IsValid() || id.Kind() != reflect.Array || id.Len() != len(uuid.UUID{}) {
		return ""
	}
	var u uuid.UUID
	for i := range u {
		u[i] = byte(id.Index(i).Uint())
	}
	return u.String()
}

// detailsOf reads the explanation out of a status record that the SDK returns as an
// error: the record's own text names the signed blob.
func detailsOf(err error) (string, bool) {
	v := reflect.Indirect(reflect.ValueOf(err))
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return "", false
	}
	details := v.FieldByName("Details")
	if !details.IsValid() || details.Kind() != reflect.String || !v.FieldByName("IngestionSourceID").IsValid() {
		return "", false
	}
	return details.String(), true
}
