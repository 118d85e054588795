package rowpath

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// DefaultRowLimit is the largest row that ADX stores in a dynamic column under
	// the encoding policy BigObject32. Source: Kusto encoding policy.
	DefaultRowLimit = 32 << 20

	// maxUnit bounds what is held in memory at once: one row, or one other member
	// of the answer. The service allows 50 MB for a whole answer. Source: Graph
	// security API overview, hunting quotas.
	maxUnit = 64 << 20

	// Buffers of the body and of rows before they are compressed: dozens of rows of a
	// kilobyte or two, so that filling and emptying them costs little beside the rows,
	// and small beside the 4 MiB that a call in flight may take.
	bufferBytes = 128 << 10
	flushBytes  = 64 << 10
	// keepBytes: a buffer grown beyond this, by a row of which there are few, is not
	// kept for reuse.
	keepBytes = 1 << 20
)

// Options says what to do with the rows. The zero value is gzip, no cap and
// DefaultRowLimit.
type Options struct {
	MaxRows  int64 // the service's cap on rows; 0: none
	RowLimit int   // bytes of one row, newline not counted; 0: DefaultRowLimit
	Plain    bool  // write newline-delimited JSON without gzip

	// KeepTypes leaves "@odata.type" in objects, which may be all that tells what they are.
	KeepTypes bool

	// Member is the answer's member that holds the rows; "": results.
	Member string
	// Keep is asked for each row, without white space and before it is cut; false leaves it
	// out. The slice is valid during the call alone. Where Copy ends with an error, what
	// was kept has been written, unless it is a *WriteError. nil: all are kept.
	Keep func(row []byte) bool

	// EmptyIsNull tells, by a row's member name, whether a bare {} is null there, as
	// Graph writes it. It is asked once for each name; nil: nowhere.
	EmptyIsNull func(name string) bool
}

// Result counts what was written.
type Result struct {
	Rows    int64    // written
	Read    int64    // of the answer, those included that were not kept
	Bytes   int64    // uncompressed, with a newline for each row
	Cut     int64    // rows that were over the limit and are marked "_truncated"
	Columns []Column // the answer's schema in order; nil when it carried none
	Capped  bool     // MaxRows rows or more came: the answer is probably cut

	Found bool   // the answer has the member that holds the rows
	Next  string // "@odata.nextLink": where the answer goes on; "" at its end
}

// Column is one column of the answer's schema.
type Column struct {
	Name string
	Type string // as the service names it: DateTime, String, SByte, ...
}

// AnswerError is an error object that stood inside an answer.
type AnswerError struct {
	Code    string
	Message string
}

func (e *AnswerError) Error() string { return "answer holds an error: " + e.Code + ": " + e.Message }

// WriteError is an error of the destination, as opposed to one of the answer.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return e.Err.Error() }

// Unwrap returns the destination's error.
func (e *WriteError) Unwrap() error { return e.Err }

// Copy reads one answer from src to its end and writes its rows to dst. The
// answer is an object whose members may come in any order and are known
// whatever their letter case; a byte order mark before it is skipped: "results", or
// Member (an array of objects; null or absent is no rows), "schema", "error",
// "@odata.nextLink"; others are checked and skipped. After an error dst holds a prefix
// that the caller must discard, or of which Keep knows.
//
// Errors: *SyntaxError for anything that is no such object, io.ErrUnexpectedEOF
// for a body that ends early, *AnswerError, *WriteError, ErrTooLong, and the
// errors of src as they are, all possibly wrapped.
func Copy(dst io.Writer, src io.Reader, opt Options) (Result, error) {
	if opt.RowLimit <= 0 {
		opt.RowLimit = DefaultRowLimit
	}
	c := copiers.Get().(*copier)
	defer c.release()
	c.opt, c.dst = opt, dst
	if c.opt.Member == "" {
		c.opt.Member = "results"
	}
	c.scan.reset(src, opt.EmptyIsNull)
	c.scan.keepTypes = opt.KeepTypes
	if !opt.Plain {
		c.gz.Reset(dst)
		c.dst = c.gz
	}
	if err := c.answer(); err != nil {
		if opt.Keep != nil {
			if failed := c.flush(); failed != nil {
				return c.res, failed
			}
		}
		return c.res, err
	}
	if err := c.flush(); err != nil {
		return c.res, err
	}
	if !opt.Plain {
		if err := c.gz.Close(); err != nil {
			return c.res, &WriteError{err}
		}
	}
	c.res.Capped = opt.MaxRows > 0 && c.res.Rows >= opt.MaxRows
	return c.res, nil
}

// copier is the working memory of one Copy; a level-1 gzip writer alone holds
// more than half a megabyte, so it is reused.
type copier struct {
	opt  Options
	dst  io.Writer // the gzip writer, or the destination itself
	gz   *gzip.Writer
	scan scanner
	out  []byte // complete rows not yet written
	res  Result
}

var copiers = sync.Pool{New: func() any {
	gz, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &copier{gz: gz}
}}

func (c *copier) release() {
	c.gz.Reset(io.Discard)
	c.opt, c.dst, c.res, c.out = Options{}, nil, Result{}, c.out[:0]
	if cap(c.out) > keepBytes {
		c.out = nil
	}
	c.scan.release()
	copiers.Put(c)
}

// answer reads the whole body.
func (c *copier) answer() error {
	s := &c.scan
	if err := s.skipMark(); err != nil {
		return err
	}
	if err := s.expect('{', "want a JSON object"); err != nil {
		return err
	}
	for first := true; ; first = false {
		b, err := s.peek()
		if err != nil {
			return err
		}
		if b == '}' && first {
			break
		}
		if b != '"' {
			return s.errorf("want a member name")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':', "want a colon after a member name"); err != nil {
			return err
		}
		switch {
		case named(name, c.opt.Member):
			if c.res.Found {
				return s.errorf("%s stands there twice", c.opt.Member)
			}
			c.res.Found = true
			err = c.results()
		case named(name, "schema"):
			err = c.schema()
		case named(name, "error"):
			err = c.failure()
		case named(name, "@odata.nextLink"):
			err = c.next()
		default:
			_, err = s.value(c.out)
		}
		if err != nil {
			return err
		}
		b, err = s.peek()
		if err != nil {
			return err
		}
		if b == '}' {
			break
		}
		if b != ',' {
			return s.errorf("want a comma or the end of the object")
		}
		s.pos++
	}
	s.pos++
	return s.finish()
}

// named compares a member's name in any letter case. Equal length keeps letters
// outside ASCII, which fold to ASCII ones, from matching.
func named(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

// results reads the array of rows.
func (c *copier) results() error {
	s := &c.scan
	b, err := s.peek()
	if err != nil {
		return err
	}
	if b == 'n' {
		_, err := s.value(c.out)
		return err
	}
	if b != '[' {
		return s.errorf("want an array of rows")
	}
	s.pos++
	if b, err = s.peek(); err != nil {
		return err
	}
	if b == ']' {
		s.pos++
		return nil
	}
	for {
		if b, err = s.peek(); err != nil {
			return err
		}
		if b != '{' {
			return s.errorf("row %d is not an object", c.res.Read+1)
		}
		if err := c.row(); err != nil {
			return err
		}
		if b, err = s.peek(); err != nil {
			return err
		}
		s.pos++
		if b == ']' {
			return nil
		}
		if b != ',' {
			s.pos--
			return s.errorf("want a comma or the end of the rows")
		}
	}
}

// row moves one row to the output buffer.
func (c *copier) row() error {
	start := len(c.out)
	out, err := c.scan.row(c.out)
	if err != nil {
		var fault *SyntaxError
		if errors.As(err, &fault) {
			fault.Row = c.res.Read + 1
		}
		return err
	}
	c.res.Read++
	if c.opt.Keep != nil && !c.opt.Keep(out[start:]) {
		c.out = out[:start]
		return nil
	}
	if len(out)-start > c.opt.RowLimit {
		cut, err := cutRow(out[start:], c.opt.RowLimit)
		if err != nil {
			return fmt.Errorf("row %d: %w", c.res.Read, err)
		}
		out = append(out[:start], cut...)
		c.res.Cut++
	}
	c.out = append(out, '\n')
	c.res.Rows++
	c.res.Bytes += int64(len(c.out) - start)
	if len(c.out) >= flushBytes {
		return c.flush()
	}
	return nil
}

func (c *copier) flush() error {
	_, err := c.dst.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return &WriteError{err}
	}
	return nil
}

// schema reads the answer's columns; null is none.
func (c *copier) schema() error {
	start := len(c.out)
	out, err := c.scan.value(c.out)
	if err != nil {
		return err
	}
	var columns []Column
	if err := json.Unmarshal(out[start:], &columns); err != nil {
		return c.scan.errorf("the schema is no list of columns")
	}
	c.res.Columns = columns
	return nil
}

// next reads where the answer goes on; null is nowhere.
func (c *copier) next() error {
	start := len(c.out)
	out, err := c.scan.value(c.out)
	if err != nil {
		return err
	}
	var link *string
	if json.Unmarshal(out[start:], &link) != nil {
		return c.scan.errorf("the link to the next page is no text")
	}
	c.res.Next = ""
	if link != nil {
		c.res.Next = *link
	}
	return nil
}

// failure reads an error member; null is none.
func (c *copier) failure() error {
	start := len(c.out)
	out, err := c.scan.value(c.out)
	if err != nil {
		return err
	}
	if string(out[start:]) == "null" {
		return nil
	}
	var e AnswerError
	if err := json.Unmarshal(out[start:], &e); err != nil {
		var wrongType *json.UnmarshalTypeError
		if !errors.As(err, &wrongType) {
			return c.scan.errorf("the error member cannot be read")
		}
	}
	return &e
}
