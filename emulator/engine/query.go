// Package engine answers KQL queries over tables held in memory or made row by row.
// It serves local emulators of the hunting API and of a Kusto cluster: it knows
// what the product's own queries need, and answers those as the service does.
//
// It refuses everything else by name and place (*UnsupportedError); nothing is
// skipped or guessed, save hint.* parameters and render. It reads no clock and
// does no I/O: time and tables come with the Query.
//
// Rows stream: where, extend, project, take, count, summarize, union and mv-expand
// hold at most one row or one group each, so a source may be far larger than
// memory. sort, join, bag_unpack and prev or next hold what they are given.
package engine

import (
	"context"
	"iter"
	"time"
)

// Record is one row. What a Source yields, it may reuse once yield has returned,
// except the values themselves.
type Record struct {
	// Values holds one value per column: nil for null, bool, int64 (int, long),
	// float64 (real, decimal), string (string, guid), Datetime, Timespan; for
	// dynamic also []any, *Bag or RawJSON.
	Values   []any
	Ingested *Datetime // nil: ingestion_time() is null
	Tags     []string  // of the row's extent
	// Raw is the row's source text. It survives only the operators that leave
	// the row as it is: where, take, sort, top, serialize, as, and union of
	// tables with the same columns.
	Raw []byte
}

func (r *Record) clone() *Record {
	c := &Record{Values: append([]any(nil), r.Values...), Tags: r.Tags}
	if r.Ingested != nil {
		at := *r.Ingested
		c.Ingested = &at
	}
	if r.Raw != nil {
		c.Raw = append([]byte(nil), r.Raw...)
	}
	return c
}

// Source is a table.
type Source interface {
	Columns() []Column
	// Scan yields the rows from the first; it may be called more than once.
	Scan() iter.Seq[Record]
}

// Catalog is the database a query runs in. Names are case-sensitive.
type Catalog interface {
	Table(name string) (Source, bool)
	TableNames() []string // for union * and prefixes
	Function(name string) (*Function, bool)
}

// Databases is a Catalog that knows the tables of other databases of its cluster,
// as database("name").Table asks for them.
type Databases interface {
	Database(name string) (Catalog, bool)
}

// Members is a Catalog that knows who asks: whether that is a principal such as
// "aadapp=<client id>;<tenant>" or belongs to it. To another Catalog nobody belongs.
type Members interface {
	Member(principal string) bool
}

// Function is a stored function. Parameters reads "(a:long, T:(x:string))" or "()";
// Body may stand in braces or not.
type Function struct{ Name, Parameters, Body string }

// Query is one query and what it needs.
type Query struct {
	Text       string
	Catalog    Catalog
	Now        time.Time         // the answer of now(), fixed for the whole query
	Parameters map[string]string // values of declare query_parameters, as KQL literals
	MaxRows    int               // more result rows than this are a *LimitError; 0: no limit
	// Ties, unless 0, puts rows that sort and top hold for equal into an order of its
	// own, as the service's nodes do: another number, another order.
	Ties uint64
	// Hash, unless 0, makes hash() another function, as the service may between two
	// queries: it promises the same values only within one.
	Hash uint64
}

// Result is a whole answer. Its rows may be kept.
type Result struct {
	Columns []Column
	Rows    []Record
}

// Run answers a query at once. Errors are *SyntaxError, *SemanticError,
// *UnsupportedError, *RuntimeError, *LimitError, or the context's.
func Run(ctx context.Context, q Query) (*Result, error) {
	cols, rows, err := Stream(ctx, q)
	if err != nil {
		return nil, err
	}
	res := &Result{Columns: cols}
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		res.Rows = append(res.Rows, *r.clone())
	}
	return res, nil
}

// Stream answers a query row by row. A Record is valid until the next one; an
// error ends the rows. The rows can be read once.
func Stream(ctx context.Context, q Query) ([]Column, iter.Seq2[Record, error], error) {
	eng := newEngine(ctx, q)
	out, err := eng.plan()
	if err != nil {
		return nil, nil, err
	}
	return out.cols, func(yield func(Record, error) bool) {
		n, stopped := 0, false
		out.run(func(r *Record) bool {
			if n++; q.MaxRows > 0 && n > q.MaxRows {
				eng.fail(&LimitError{Rows: q.MaxRows})
			}
			if eng.err != nil {
				return false
			}
			stopped = !yield(*r, nil)
			return !stopped
		})
		if eng.err != nil && !stopped {
			yield(Record{}, eng.err)
		}
	}, nil
}
