package adx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata/value"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Answer is the result of a person's query: columns in order, and rows whose values
// are JSON: null, a bool, a number, a string (also instants and time spans), or what
// a dynamic holds.
type Answer struct {
	Columns []string
	Rows    [][]json.RawMessage
}

// Ask runs a person's query as it stands on the database. It reads as the cluster's
// policy says, since nothing is decided by it.
func (c *Client) Ask(ctx context.Context, text string) (Answer, error) {
	engine, err := c.engine()
	if err != nil {
		return Answer{}, c.classify(ctx, viewers, err)
	}
	ctx, cancel := bounded(ctx, queryTimeout)
	defer cancel()
	answer, err := engine.Query(ctx, c.database, statement(text))
	if err != nil {
		return Answer{}, c.classify(ctx, viewers, err)
	}
	for _, table := range answer.Tables() {
		if !table.IsPrimaryResult() {
			continue
		}
		var out Answer
		for _, column := range table.Columns() {
			out.Columns = append(out.Columns, column.Name())
		}
		for _, row := range table.Rows() {
			cells := make([]json.RawMessage, 0, len(out.Columns))
			for _, v := range row.Values() {
				cell, err := jsonOf(v)
				if err != nil {
					return Answer{}, fmt.Errorf("ADX: read the answer: %w", err)
				}
				cells = append(cells, cell)
			}
			out.Rows = append(out.Rows, cells)
		}
		return out, nil
	}
	return Answer{}, c.classify(ctx, viewers, errors.New("the answer holds no result"))
}

// jsonOf is a value as JSON.
func jsonOf(v value.Kusto) (json.RawMessage, error) {
	switch v := v.GetValue().(type) {
	case nil:
		return json.RawMessage("null"), nil
	case *time.Time:
		if v == nil {
			return json.RawMessage("null"), nil
		}
		return json.Marshal(plan.Stamp(*v))
	case []byte: // a dynamic
		if len(v) == 0 {
			return json.RawMessage("null"), nil
		}
		return json.RawMessage(v), nil
	case *time.Duration:
		if v == nil {
			return json.RawMessage("null"), nil
		}
		return json.Marshal(v.String())
	default:
		return json.Marshal(v)
	}
}

// Audits returns the newest rows of the audit log, most rows at most, newest first:
// of a source of an instance, or of all where source is "".
func (c *Client) Audits(ctx context.Context, key plan.Key, most int) ([]plan.Audit, error) {
	type stored struct {
		TableName       string    `kusto:"TableName"`
		Timestamp       time.Time `kusto:"Timestamp"`
		Status          string    `kusto:"Status"`
		FailureReason   string    `kusto:"FailureReason"`
		RecordCount     int64     `kusto:"RecordCount"`
		Instance        string    `kusto:"Instance"`
		SourceTable     string    `kusto:"SourceTable"`
		RunID           string    `kusto:"RunId"`
		WindowFrom      time.Time `kusto:"WindowFrom"`
		WindowTo        time.Time `kusto:"WindowTo"`
		Slices          int64     `kusto:"Slices"`
		Calls           int64     `kusto:"Calls"`
		Bytes           int64     `kusto:"Bytes"`
		DurationSeconds float64   `kusto:"DurationSeconds"`
		API             string    `kusto:"Api"`
		Note            string    `kusto:"Note"`
	}
	found, err := rowsOf[stored](ctx, c, c.control, auditsQuery(key, most))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", auditTable, err)
	}
	out := make([]plan.Audit, len(found))
	for i, r := range found {
		out[i] = plan.Audit{
			TableName: r.TableName, Timestamp: r.Timestamp, Status: plan.Status(r.Status), FailureReason: r.FailureReason, RecordCount: r.RecordCount,
			Instance: r.Instance, SourceTable: r.SourceTable, RunID: r.RunID, WindowFrom: r.WindowFrom, WindowTo: r.WindowTo,
			Slices: int(r.Slices), Calls: int(r.Calls), Bytes: r.Bytes, Duration: time.Duration(r.DurationSeconds * float64(time.Second)), API: r.API, Note: r.Note,
		}
	}
	return out, nil
}

// auditsQuery reads an audit log of any age: the original scripts' has five columns.
func auditsQuery(key plan.Key, most int) string {
	text := auditTable + `
| project TableName = tostring(TableName), Timestamp = todatetime(Timestamp), Status = tostring(Status), FailureReason = tostring(FailureReason),
    RecordCount = tolong(RecordCount),
    Instance = tostring(column_ifexists("Instance", "")), SourceTable = tostring(column_ifexists("SourceTable", "")),
    RunId = tostring(column_ifexists("RunId", "")),
    WindowFrom = todatetime(column_ifexists("WindowFrom", datetime(null))), WindowTo = todatetime(column_ifexists("WindowTo", datetime(null))),
    Slices = tolong(column_ifexists("Slices", long(null))), Calls = tolong(column_ifexists("Calls", long(null))),
    Bytes = tolong(column_ifexists("Bytes", long(null))), DurationSeconds = toreal(column_ifexists("DurationSeconds", real(null))),
    Api = tostring(column_ifexists("Api", "")), Note = tostring(column_ifexists("Note", ""))`
	if key.Source != "" {
		text += "\n| where SourceTable == " + kql.String(key.Source) + " and Instance =~ " + kql.String(key.Instance)
	}
	return text + fmt.Sprintf("\n| top %d by Timestamp desc", most)
}
