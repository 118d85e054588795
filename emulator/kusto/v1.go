package kusto

import (
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// result is the answer of a management command.
type result struct {
	columns []engine.Column
	rows    [][]any
}

// columnsOf reads "Name:type,Name:type"; it is for constants of this package.
func columnsOf(schema string) []engine.Column {
	var columns []engine.Column
	for part := range strings.SplitSeq(schema, ",") {
		name, typ, _ := strings.Cut(part, ":")
		if typ == "" {
			typ = "string"
		}
		t, _ := engine.ParseType(typ)
		columns = append(columns, engine.Column{Name: name, Type: t})
	}
	return columns
}

func answer(schema string, rows ...[]any) *result {
	return &result{columns: columnsOf(schema), rows: rows}
}

func (c *Cluster) serveCommand(x *exchange) error {
	if hook := c.currentFaults().Command; hook != nil {
		if err := hook(x.database, x.text); err != nil {
			if e := refusal(err); e.Late {
				x.writeLate(e)
				return nil
			}
			return err
		}
	}
	ctx, cancel := x.options.within(x.r.Context(), commandTimeout)
	defer cancel()
	res, err := c.execute(ctx, x.who, x.database, x.text)
	if err != nil {
		return timedOut(ctx, err)
	}
	x.writeV1(res)
	return nil
}

// writeLate answers 200 with the error as an exception, as the service does when
// a command fails after it began to answer.
func (x *exchange) writeLate(e *Error) {
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	b := engine.FormatJSON([]byte(`{"Tables":[],"Exceptions":[`), engine.TypeString, e.Error())
	_, _ = x.w.Write(append(b, "]}"...)) // the client may be gone
}

// serveQueryV1 answers a query in the older form, at once.
func (c *Cluster) serveQueryV1(x *exchange) error {
	if strings.HasPrefix(strings.TrimSpace(x.text), ".") {
		return c.serveCommand(x)
	}
	q, late, err := c.query(x)
	if err != nil {
		return err
	}
	if late != nil {
		x.writeLate(late)
		return nil
	}
	ctx, cancel := x.options.deadline(x.r.Context())
	defer cancel()
	columns, rows, err := engine.Stream(ctx, q)
	if err != nil {
		return timedOut(ctx, limited(err))
	}
	out, size := &result{columns: columns}, 0
	for r, err := range x.options.taken(rows) {
		if err != nil {
			return timedOut(ctx, limited(err))
		}
		size += len(appendRow(nil, columns, r.Values))
		if limit := x.options.maxBytes; limit > 0 && size > limit {
			return limitsExceeded("data size limit", limit)
		}
		out.rows = append(out.rows, slices.Clone(r.Values))
	}
	x.writeV1(out)
	return nil
}

// writeV1 writes one table: {"Tables":[{"TableName","Columns","Rows"}]}.
func (x *exchange) writeV1(res *result) {
	b := []byte(`{"Tables":[{"TableName":"Table_0","Columns":[`)
	for i, col := range res.columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"ColumnName":`...)
		b = engine.FormatJSON(b, engine.TypeString, col.Name)
		b = append(b, `,"DataType":"`+col.Type.WireName()+`","ColumnType":"`+col.Type.String()+`"}`...)
	}
	b = append(b, `],"Rows":[`...)
	for i, row := range res.rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRow(b, res.columns, row)
	}
	b = append(b, `]}]}`...)
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = x.w.Write(b) // the client may be gone
}

func appendRow(b []byte, columns []engine.Column, values []any) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = engine.FormatJSON(b, columns[i].Type, v)
	}
	return append(b, ']')
}
