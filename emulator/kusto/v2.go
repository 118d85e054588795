package kusto

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// A result beyond these is cut and reported as an error, unless the query asks for
// notruncation. Source: ADX documentation, "Query limits".
const (
	maxResultRows  = 500_000
	maxResultBytes = 64 << 20
)

// fragmentBytes is about the size of one TableFragment frame.
const fragmentBytes = 256 << 10

// serveQueryV2 answers in fragmented frames, one per line, as azkustodata demands
// them: FrameType first, Rows last, the order of the rest fixed.
func (c *Cluster) serveQueryV2(x *exchange) error {
	q, late, err := c.query(x)
	if err != nil {
		return err
	}
	unlimited := x.noTruncation(&q)
	if !unlimited {
		q.MaxRows = maxResultRows
	}
	columns, rows, err := engine.Stream(x.r.Context(), q)
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	f := &frames{x: x, columns: columns}
	failed := f.primary(rows, unlimited)
	if failed == nil && late != nil {
		failed = late
	}
	if failed == nil {
		f.end(nil)
		return nil
	}
	f.end(refusal(limited(failed)).body(c.opts.Now(), x.requestID()))
	return nil
}

// noTruncation reports whether the query lifts the limits on its result, by an
// option or by a leading set statement, which it blanks: it is the server's.
func (x *exchange) noTruncation(q *engine.Query) bool {
	on, _ := x.options["notruncation"].(bool)
	for s := newScanner(q.Text); s.accept("set", "notruncation") && s.punct(";"); {
		q.Text = strings.Repeat(" ", s.end) + q.Text[s.end:]
		on = true
	}
	return on
}

// limited names an oversized result as the service does.
func limited(err error) error {
	var limit *engine.LimitError
	if !errors.As(err, &limit) {
		return err
	}
	return limitsExceeded("record count limit", limit.Rows)
}

func errTooManyBytes() *Error {
	return limitsExceeded("data size limit", maxResultBytes)
}

func limitsExceeded(what string, limit int) *Error {
	e := badRequest("LimitsExceeded",
		"Query result set has exceeded the internal %s %d (E_QUERY_RESULT_SET_TOO_LARGE; 0x80DA0003).", what, limit)
	e.Type = "Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException"
	return e
}

// frames writes one answer. The result is table 1, after the query's properties.
type frames struct {
	x       *exchange
	columns []engine.Column
	line    []byte
	rows    int
}

func (f *frames) flush() {
	f.line = append(f.line, '\n')
	_, _ = f.x.w.Write(f.line) // the client may be gone; the context ends the query then
	f.line = f.line[:0]
}

// primary writes everything up to the rows' end, and returns what ended them early.
func (f *frames) primary(rows iter.Seq2[engine.Record, error], unlimited bool) error {
	f.line = append(f.line, `[{"FrameType":"DataSetHeader","IsProgressive":false,"Version":"v2.0","IsFragmented":true,"ErrorReportingPlacement":"EndOfTable"}`...)
	f.flush()
	f.line = append(f.line, `,{"FrameType":"DataTable","TableId":0,"TableKind":"QueryProperties","TableName":"@ExtendedProperties","Columns":[{"ColumnName":"TableId","ColumnType":"int"},{"ColumnName":"Key","ColumnType":"string"},{"ColumnName":"Value","ColumnType":"dynamic"}],"Rows":[[1,"Visualization","{\"Visualization\":null}"]]}`...)
	f.flush()
	f.line = append(f.line, `,{"FrameType":"TableHeader","TableId":1,"TableKind":"PrimaryResult","TableName":"PrimaryResult","Columns":[`...)
	for i, c := range f.columns {
		if i > 0 {
			f.line = append(f.line, ',')
		}
		f.line = append(f.line, `{"ColumnName":`...)
		f.line = engine.FormatJSON(f.line, engine.TypeString, c.Name)
		f.line = append(f.line, `,"ColumnType":"`+c.Type.String()+`"}`...)
	}
	f.line = append(f.line, `]}`...)
	f.flush()

	total, pending := 0, 0
	for record, err := range rows {
		if err != nil {
			f.fragmentEnd(pending)
			return err
		}
		from := len(f.line)
		if pending == 0 {
			f.line = append(f.line, `,{"FrameType":"TableFragment","TableFragmentType":"DataAppend","TableId":1,"Rows":[`...)
		} else {
			f.line = append(f.line, ',')
		}
		f.line = appendRow(f.line, f.columns, record.Values)
		f.rows++
		pending++
		if total += len(f.line) - from; total > maxResultBytes && !unlimited {
			f.fragmentEnd(pending)
			return errTooManyBytes()
		}
		if len(f.line) >= fragmentBytes {
			f.fragmentEnd(pending)
			pending = 0
		}
	}
	f.fragmentEnd(pending)
	return nil
}

func (f *frames) fragmentEnd(pending int) {
	if pending > 0 {
		f.line = append(f.line, `]}`...)
		f.flush()
	}
}

// end completes table and data set; failure is an error's body, or nil.
func (f *frames) end(failure []byte) {
	f.line = append(f.line, `,{"FrameType":"TableCompletion","TableId":1,"RowCount":`...)
	f.line = strconv.AppendInt(f.line, int64(f.rows), 10)
	f.line = appendErrors(f.line, failure)
	f.flush()
	state, level := "Query completed successfully", 4
	if failure != nil {
		state, level = "Query failed", 2
	}
	f.line = append(f.line, `,{"FrameType":"DataTable","TableId":2,"TableKind":"QueryCompletionInformation","TableName":"QueryCompletionInformation","Columns":[{"ColumnName":"ClientRequestId","ColumnType":"string"},{"ColumnName":"Level","ColumnType":"int"},{"ColumnName":"StatusCodeName","ColumnType":"string"}],"Rows":[[`...)
	f.line = engine.FormatJSON(f.line, engine.TypeString, f.x.requestID())
	f.line = append(f.line, fmt.Sprintf(`,%d,%q]]}`, level, state)...)
	f.flush()
	f.line = append(f.line, fmt.Sprintf(`,{"FrameType":"DataSetCompletion","HasErrors":%t,"Cancelled":false`, failure != nil)...)
	f.line = appendErrors(f.line, failure)
	f.flush()
	f.line = append(f.line, ']')
	f.flush()
}

// appendErrors closes a completion frame, with the error if there is one.
func appendErrors(line, failure []byte) []byte {
	if failure != nil {
		line = append(append(append(line, `,"OneApiErrors":[`...), failure...), ']')
	}
	return append(line, '}')
}
