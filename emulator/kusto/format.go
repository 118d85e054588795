package kusto

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// maxRecordBytes bounds one JSON line.
const maxRecordBytes = 64 << 20

// mappingKind is the kind of mapping a format takes; empty for a format that is
// not supported here.
func mappingKind(format string) string {
	switch format {
	case "json", "multijson", "singlejson":
		return "json"
	case "csv":
		return "csv"
	}
	return ""
}

// readRecords shapes the records of data into rows and hands them to add, which
// must not keep the slice. Its errors are *Failed, but for those of data itself.
// Source of what is lenient and what is not: ADX documentation, "Ingestion behavior
// of invalid data".
func readRecords(data io.Reader, format string, skipFirst bool, s *shaper, add func(row []any)) error {
	counted := 0
	taken := func(row []any) {
		counted++
		add(row)
	}
	var err error
	switch format {
	case "json":
		err = readLines(data, skipFirst, s, taken)
	case "multijson", "singlejson":
		err = readDocuments(data, s, taken)
	case "csv":
		err = readCSV(data, skipFirst, s, taken)
	default:
		return permanent("BadRequest_FormatNotSupported", fmt.Sprintf("Format '%s' is not supported by the local cluster.", format))
	}
	if err == nil && counted == 0 {
		return permanent("BadRequest_NoRecordsOrWrongFormat", "The input is empty, or its format does not match the ingestion format.")
	}
	return err
}

// readLines reads one object a line. A line that is none is passed over in
// silence, as the service does.
func readLines(data io.Reader, skipFirst bool, s *shaper, add func([]any)) error {
	r := bufio.NewReaderSize(data, 64<<10)
	var long []byte
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > maxRecordBytes {
				return permanent("BadRequest_InvalidBlob", fmt.Sprintf("A line exceeds %d bytes.", maxRecordBytes))
			}
			continue
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = long[:0]
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		switch {
		case skipFirst:
			skipFirst = false
		case len(bytes.TrimSpace(line)) > 0:
			if row, ok := s.line(line); ok {
				add(row)
			}
		}
		if err != nil {
			return nil
		}
	}
}

// readDocuments reads objects and arrays of objects, whatever the white space
// between them.
func readDocuments(data io.Reader, s *shaper, add func([]any)) error {
	in := &keptError{r: data}
	d := json.NewDecoder(in)
	for {
		var raw json.RawMessage
		err := d.Decode(&raw)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case in.err != nil:
			return in.err
		case err != nil:
			return permanent("BadRequest_InvalidBlob", "The input is not valid JSON.")
		}
		if s.whole && raw[0] == '{' { // as it stands
			if row, ok := s.line(raw); ok {
				add(row)
				continue
			}
		}
		document, err := engine.ParseJSON(raw)
		if err != nil {
			return permanent("BadRequest_InvalidBlob", "The input is not valid JSON.")
		}
		records, ok := document.([]any)
		if !ok {
			records = []any{document}
		}
		for _, record := range records {
			if _, ok := record.(*engine.Bag); !ok {
				return permanent("BadRequest_InvalidBlob", "A record of the input is no JSON object.")
			}
			add(s.object(record))
		}
	}
}

// keptError remembers what ended a reader, other than its end.
type keptError struct {
	r   io.Reader
	err error
}

func (k *keptError) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		k.err = err
	}
	return n, err
}

func readCSV(data io.Reader, skipFirst bool, s *shaper, add func([]any)) error {
	in := &keptError{r: data}
	r := csv.NewReader(in)
	r.ReuseRecord = true
	for {
		record, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case in.err != nil:
			return in.err
		case errors.Is(err, csv.ErrFieldCount):
			return permanent("Stream_WrongNumberOfFields", "Inconsistent number of fields in the input records.")
		case err != nil:
			return permanent("Stream_ClosingQuoteMissing", "Invalid CSV format: closing quote is missing.")
		case skipFirst:
			skipFirst = false
		default:
			// The reader's strings share one buffer.
			for i, field := range record {
				record[i] = strings.Clone(field)
			}
			add(s.fields(record))
		}
	}
}
