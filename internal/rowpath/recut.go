package rowpath

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// Recut copies gzip of newline-delimited JSON objects, as Copy writes it, and cuts
// every row longer than limit bytes to it, as Copy does. A row that was cut before
// keeps its one mark.
//
// Errors: *WriteError of the destination, *SyntaxError for a row that is no object,
// and those of src, all possibly wrapped.
func Recut(dst io.Writer, src io.Reader, limit int) (Result, error) {
	var res Result
	in, err := gzip.NewReader(src)
	if err != nil {
		return res, fmt.Errorf("read the rows: %w", err)
	}
	out, err := gzip.NewWriterLevel(dst, gzip.BestSpeed)
	if err != nil {
		return res, err
	}
	for lines := bufio.NewReaderSize(in, bufferBytes); ; {
		row, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return res, fmt.Errorf("read the rows: %w", err)
		}
		if len(row) > limit {
			if row[0] != '{' || row[len(row)-1] != '}' {
				return res, &SyntaxError{Offset: res.Bytes, Reason: "the row is not an object"}
			}
			if row, err = cutRow(unmarked(row), limit); err != nil {
				return res, fmt.Errorf("row %d: %w", res.Rows+1, err)
			}
			res.Cut++
		}
		res.Rows++
		res.Bytes += int64(len(row)) + 1
		if _, err := out.Write(append(row, '\n')); err != nil {
			return res, &WriteError{err}
		}
	}
	if err := out.Close(); err != nil {
		return res, &WriteError{err}
	}
	return res, nil
}

// readLine returns the next line without its end; io.EOF after the last.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxUnit:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, ErrTooLong
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF // every row ends its line
		case err != nil:
			return nil, err
		}
		return line[:len(line)-1], nil
	}
}

// unmarked returns a row without the mark that an earlier cut put at its end.
func unmarked(row []byte) []byte {
	for _, end := range []string{"," + mark + "}", mark + "}"} {
		if cut, ok := bytes.CutSuffix(row, []byte(end)); ok {
			return append(cut, '}')
		}
	}
	return row
}
