package kusto

import (
	"errors"
	"fmt"
	"iter"
	"strconv"

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

// serveQueryV2 answers in frames, one per line, as azkustodata demands them:
// FrameType first, Rows last, the order of the rest fixed.
func (c *Cluster) serveQueryV2(x *exchange) error {
	q, late, err := c.query(x)
	if err != nil {
		return err
	}
	ctx, cancel := x.options.deadline(x.r.Context())
	defer cancel()
	columns, rows, err := engine.Stream(ctx, q)
	if err != nil {
		return timedOut(ctx, limited(err))
	}
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	f := &frames{x: x, columns: columns}
	failed := f.primary(x.options.taken(rows), x.options.maxBytes)
	if failed == nil && late != nil {
		failed = late
	}
	if failed == nil {
		f.end(nil)
		return nil
	}
	f.end(refusal(timedOut(ctx, limited(failed))).body(c.opts.Now(), x.requestID()))
	return nil
}

// limited names an oversized result as the service does.
func limited(err error) error {
	var limit *engine.LimitError
	if !errors.As(err, &limit) {
		return err
	}
	return limitsExceeded("record count limit", limit.Rows)
}

func limitsExceeded(what string, limit int) *Error {
	e := badRequest("LimitsExceeded",
		"Query result set has exceeded the internal %s %d (E_QUERY_RESULT_SET_TOO_LARGE; 0x80DA0003).", what, limit)
	e.Type = "Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException"
	return e
}

// frames writes one answer. The result is table 1, after the query's properties.
//
// A client that asked for fragments gets a header, fragments and a completion; every
// other gets one DataTable. Source: ADX documentation, "Query V2 HTTP response"; the
// Python and JavaScript SDKs read nothing but DataTable frames, the Go SDK refuses them.
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

func (f *frames) fragmented() bool { return f.x.options.fragmented }

// primary writes everything up to the rows' end, and returns what ended them early.
// maxBytes bounds the rows' text; zero is no bound.
func (f *frames) primary(rows iter.Seq2[engine.Record, error], maxBytes int) error {
	f.line = append(f.line, fmt.Sprintf(`[{"FrameType":"DataSetHeader","IsProgressive":false,"Version":"v2.0","IsFragmented":%t,"ErrorReportingPlacement":%q}`,
		f.fragmented(), f.x.options.placement)...)
	f.flush()
	f.line = append(f.line, `,{"FrameType":"DataTable","TableId":0,"TableKind":"QueryProperties","TableName":"@ExtendedProperties","Columns":[{"ColumnName":"TableId","ColumnType":"int"},{"ColumnName":"Key","ColumnType":"string"},{"ColumnName":"Value","ColumnType":"dynamic"}],"Rows":[[1,"Visualization","{\"Visualization\":null}"]]}`...)
	f.flush()
	kind := "DataTable"
	if f.fragmented() {
		kind = "TableHeader"
	}
	f.line = append(f.line, `,{"FrameType":"`+kind+`","TableId":1,"TableKind":"PrimaryResult","TableName":"PrimaryResult","Columns":[`...)
	for i, c := range f.columns {
		if i > 0 {
			f.line = append(f.line, ',')
		}
		f.line = append(f.line, `{"ColumnName":`...)
		f.line = engine.FormatJSON(f.line, engine.TypeString, c.Name)
		f.line = append(f.line, `,"ColumnType":"`+c.Type.String()+`"}`...)
	}
	f.line = append(f.line, ']')
	if f.fragmented() {
		f.line = append(f.line, '}')
		f.flush()
	} else {
		f.line = append(f.line, `,"Rows":[`...)
	}

	total, pending := 0, 0 // pending: rows of the fragment under way
	for record, err := range rows {
		if err != nil {
			f.fragmentEnd(pending)
			return err
		}
		from := len(f.line)
		switch {
		case f.fragmented() && pending == 0:
			f.line = append(f.line, `,{"FrameType":"TableFragment","TableFragmentType":"DataAppend","TableId":1,"Rows":[`...)
		case f.rows > 0:
			f.line = append(f.line, ',')
		}
		f.line = appendRow(f.line, f.columns, record.Values)
		f.rows++
		pending++
		if total += len(f.line) - from; maxBytes > 0 && total > maxBytes {
			f.fragmentEnd(pending)
			return limitsExceeded("data size limit", maxBytes)
		}
		if len(f.line) < fragmentBytes {
			continue
		}
		if f.fragmented() {
			f.fragmentEnd(pending)
			pending = 0
		} else {
			_, _ = f.x.w.Write(f.line) // as in flush
			f.line = f.line[:0]
		}
	}
	f.fragmentEnd(pending)
	return nil
}

func (f *frames) fragmentEnd(pending int) {
	if pending > 0 && f.fragmented() {
		f.line = append(f.line, `]}`...)
		f.flush()
	}
}

// end completes table and data set; failure is an error's body, or nil.
func (f *frames) end(failure []byte) {
	atTable, inRows := failure, failure
	switch placement := f.x.options.placement; {
	case placement == endOfDataset:
		atTable, inRows = nil, nil
	case placement == inData:
		atTable = nil
	case f.fragmented():
		inRows = nil
	}
	if f.fragmented() {
		if inRows != nil {
			f.line = append(f.line, `,{"FrameType":"TableFragment","TableFragmentType":"DataAppend","TableId":1,"Rows":[`...)
			f.line = append(append(append(f.line, `{"OneApiErrors":[`...), inRows...), `]}`...)
			f.fragmentEnd(1)
		}
		f.line = append(f.line, `,{"FrameType":"TableCompletion","TableId":1,"RowCount":`...)
		f.line = strconv.AppendInt(f.line, int64(f.rows), 10)
		f.line = appendErrors(f.line, atTable)
	} else {
		if inRows != nil { // stands among the rows, as an object
			if f.rows > 0 {
				f.line = append(f.line, ',')
			}
			f.line = append(append(append(f.line, `{"OneApiErrors":[`...), inRows...), `]}`...)
		}
		f.line = append(f.line, `]}`...)
	}
	f.flush()
	state, level := "Query completed successfully", 4
	if failure != nil {
		state, level = "Query failed", 2
	}
	f.line = append(f.line, `,{"FrameType":"DataTable","TableId":2,"TableKind":"QueryCompletionInformation","TableName":"QueryCompletionInformation","Columns":[{"ColumnName":"Timestamp","ColumnType":"datetime"},{"ColumnName":"ClientRequestId","ColumnType":"string"},{"ColumnName":"ActivityId","ColumnType":"guid"},{"ColumnName":"SubActivityId","ColumnType":"guid"},{"ColumnName":"ParentActivityId","ColumnType":"guid"},{"ColumnName":"Level","ColumnType":"int"},{"ColumnName":"LevelName","ColumnType":"string"},{"ColumnName":"StatusCode","ColumnType":"int"},{"ColumnName":"StatusCodeName","ColumnType":"string"},{"ColumnName":"EventType","ColumnType":"int"},{"ColumnName":"EventTypeName","ColumnType":"string"},{"ColumnName":"Payload","ColumnType":"string"}],"Rows":[[`...)
	f.line = append(f.line, fmt.Sprintf(`"%s",`, f.x.answered.UTC().Format("2006-01-02T15:04:05.0000000Z"))...)
	f.line = engine.FormatJSON(f.line, engine.TypeString, f.x.requestID())
	activity := f.x.w.Header().Get("x-ms-activity-id")
	f.line = append(f.line, fmt.Sprintf(`,%q,%q,%q,%d,%q,0,%q,4,"QueryInfo",`, activity, activity, activity, level, map[int]string{4: "Info", 2: "Error"}[level], "S_OK (0)")...)
	f.line = engine.FormatJSON(f.line, engine.TypeString, `{"Count":1,"Text":"`+state+`"}`)
	f.line = append(f.line, `]]}`...)
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
