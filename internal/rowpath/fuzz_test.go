package rowpath_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// FuzzCopy_AgreesWithATokenizer compares Copy with a library's tokenizer: the same
// bodies are accepted, and the same rows come out of them.
func FuzzCopy_AgreesWithATokenizer(f *testing.F) {
	for _, body := range []string{
		`{"results":[{"a":1,"b":"x\u00e9","c":[true,null,-1.5e3,{}]}],"schema":[{"name":"a","type":"Int64"}]}`,
		`{"Schema":[],"Results":[{"a@odata.type":"#Int64","a":1},{"a":{"@odata.type":"x","b":[]}}],"Stats":{"x":0.1}}`,
		"{ \"results\" : [ { \"a\" : \"\\ud800\xff\" } ,\n { } ] , \"error\" : null }",
		`{"results":[{"a":1,"a":2},{"a":01}]}`,
		`{"results":[{"a":"abcdefgh\"ijklmnop\\"}]} x`,
		`{"results":[{"a@odata.type":"#x","a":1,"b":2},{"a@odata.type":"#x","a":{"a@odata.type":"#x","a":3}},{"a@odata.type":"#x","b":4}]}`,
		`{"results":null,"error":{"code":"c","message":"m"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { compare(t, body) })
}

// compare fails the test when Copy and the library disagree on a body. They are
// known to differ in what the library is told to tolerate (repeated names,
// invalid UTF-8, lone surrogates) and in depth: ours ends at 512 within a row.
func compare(t *testing.T, body []byte) {
	t.Helper()
	got, res, err := plain(bytes.NewReader(body), rowpath.Options{})
	slow, slowRes, slowErr := plain(iotest.OneByteReader(bytes.NewReader(body)), rowpath.Options{})
	if got != slow || (err == nil) != (slowErr == nil) || !cmp.Equal(res, slowRes) {
		t.Fatalf("%q read byte by byte gives %q, %v; at once %q, %v", body, slow, slowErr, got, err)
	}
	want, wantErr := rowsByLibrary(body)
	if errors.Is(wantErr, errTooDeep) {
		return
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: Copy says %v, the library %v", body, err, wantErr)
	}
	if err != nil {
		return
	}
	lines := strings.SplitAfter(got, "\n")
	if lines = lines[:len(lines)-1]; int64(len(lines)) != res.Rows || int64(len(got)) != res.Bytes {
		t.Fatalf("%q: %d lines, %d bytes, but counted %d, %d", body, len(lines), len(got), res.Rows, res.Bytes)
	}
	rows := make([]any, len(lines))
	for i, line := range lines {
		rows[i] = decode(t, []byte(line))
	}
	wantRows := make([]any, len(want))
	for i, raw := range want {
		wantRows[i] = withoutAnnotations(decode(t, raw))
	}
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Errorf("%q: rows differ (-library +Copy):\n%s", body, diff)
	}
}

var (
	errTooDeep = errors.New("deeper than both read")
	errShape   = errors.New("not the shape of an answer")
)

// rowsByLibrary reads the rows of an answer token by token.
func rowsByLibrary(body []byte) (rows []jsontext.Value, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return nil, errShape
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	seen := false
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		member := strings.ToLower(name.String())
		if len(member) != len(name.String()) {
			member = ""
		}
		if member == "results" {
			if seen {
				return nil, errShape
			}
			seen = true
		}
		if member == "results" && d.PeekKind() == '[' {
			if rows, err = arrayOfObjects(d); err != nil {
				return nil, err
			}
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if depth(value) > 500 {
			return nil, errTooDeep
		}
		switch {
		case member == "results" && value.Kind() != 'n', member == "error" && value.Kind() != 'n':
			return nil, errShape
		case member == "schema":
			var columns []rowpath.Column
			if json.Unmarshal(value, &columns) != nil {
				return nil, errShape
			}
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errShape
	}
	return rows, nil
}

func arrayOfObjects(d *jsontext.Decoder) (rows []jsontext.Value, err error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() != ']' {
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if depth(value) > 500 {
			return nil, errTooDeep
		}
		if value.Kind() != '{' {
			return nil, errShape
		}
		rows = append(rows, value.Clone())
	}
	_, err = d.ReadToken()
	return rows, err
}

func depth(value jsontext.Value) (deepest int) {
	d := jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		if _, err := d.ReadToken(); err != nil {
			return deepest
		}
		deepest = max(deepest, d.StackDepth())
	}
}

func decode(t *testing.T, raw []byte) (value any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatalf("decode %q: %v", raw, err)
	}
	return value
}

func withoutAnnotations(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if strings.Contains(name, "@odata.") {
				delete(v, name)
			} else {
				v[name] = withoutAnnotations(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutAnnotations(v[i])
		}
	}
	return value
}
