package adx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// schemaCells are the rows of MigrationSchemaLog, one a column.
func schemaCells(s plan.SchemaChange) [][]cell {
	rows := make([][]cell, len(s.Columns))
	for i, d := range s.Columns {
		rows[i] = []cell{
			{"SourceTable", s.SourceTable},
			{"Instance", s.Instance},
			{"Timestamp", s.Timestamp},
			{"ColumnName", d.Column},
			{"Change", string(d.Change)},
			{"OldType", d.OldType},
			{"NewType", d.NewType},
			{"RunId", s.RunID},
		}
	}
	return rows
}

// seenColumn is the newest row of MigrationSchemaLog that gives a column a type.
type seenColumn struct {
	SourceTable string `kusto:"SourceTable"`
	ColumnName  string `kusto:"ColumnName"`
	NewType     string `kusto:"NewType"`
}

// seenQuery leaves out that a column is gone: rows of before still have it.
const seenQuery = schemaTable +
	"\n| where isnotempty(NewType)" +
	"\n| summarize arg_max(Timestamp, NewType) by SourceTable, ColumnName" +
	"\n| project SourceTable, ColumnName, NewType\n| sort by SourceTable asc, ColumnName asc"

// seenColumns reads what the answers of Defender taught of columns, as far as the log
// is there.
func (c *Client) seenColumns(ctx context.Context) ([]seenColumn, error) {
	found, err := rowsOf[seenColumn](ctx, c, c.control, seenQuery)
	if known := (*actionable)(nil); errors.As(err, &known) && known.unknownName {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", schemaTable, err)
	}
	return found, nil
}

// learn gives the view the columns and types that Defender's answers have shown since
// the catalogue was made. A column that cannot be one of the view's stays in _Extra.
func (v *view) learn(seen []seenColumn) {
	for _, s := range seen {
		named := func(name string) func(schema.Column) bool {
			return func(c schema.Column) bool { return c.Name == name }
		}
		columns := slices.Clone(v.table.Columns)
		switch base, numbered := strings.CutSuffix(s.ColumnName, "1"); {
		case s.SourceTable != v.sourceTable() || plan.CheckName("", s.ColumnName) != nil || !slices.Contains(viewTypes, s.NewType):
			continue
		case slices.Contains(reservedColumns, s.ColumnName):
			continue
		case numbered && slices.ContainsFunc(columns, named(base)) || slices.ContainsFunc(columns, named(s.ColumnName+"1")):
			continue // a join would name a column so
		}
		i := slices.IndexFunc(columns, named(s.ColumnName))
		if i < 0 {
			columns = append(columns, schema.Column{Name: s.ColumnName})
			i = len(columns) - 1
		}
		columns[i].Type = s.NewType
		v.table.Columns = columns
	}
}

// viewTypes are the types that typedValue reads.
var viewTypes = []string{"bool", "datetime", "decimal", "dynamic", "guid", "int", "long", "real", "string", "timespan"}

// reservedColumns are names that the views need for themselves.
var reservedColumns = []string{extraColumn, instanceColumn, shotColumn, tornColumn, "Change", "ChangedColumns", "Records", "RunId", "Slice"}
