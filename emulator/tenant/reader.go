package tenant

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// reader turns row texts into the values of the columns that a scan needs.
type reader struct {
	cols   []engine.Column
	index  map[string]int // needed columns
	blank  []any          // values of absent members
	needed int
}

func newReader(cols []engine.Column, names []string) *reader {
	rd := &reader{cols: cols, index: make(map[string]int, len(cols)), blank: make([]any, len(cols))}
	for i, c := range cols {
		if c.Type == engine.TypeString {
			rd.blank[i] = ""
		}
		if names == nil {
			rd.index[c.Name] = i
		}
	}
	for _, name := range names {
		for i, c := range cols {
			if c.Name == name {
				rd.index[name] = i
			}
		}
	}
	rd.needed = len(rd.index)
	return rd
}

// read sets the needed values. stays tells that the row's bytes never change.
func (rd *reader) read(row []byte, values []any, stays bool) {
	if rd.needed == 0 {
		return
	}
	copy(values, rd.blank)
	left := rd.needed
	for key, text := range Members(row) {
		i, ok := rd.index[string(key)]
		if !ok {
			continue
		}
		values[i] = value(text, rd.cols[i].Type, stays)
		if left--; left == 0 {
			return
		}
	}
}

// Members yields the members of a JSON object that is known to be valid: keys
// without quotes and escapes, values as they stand.
func Members(object []byte) func(yield func(key, value []byte) bool) {
	return func(yield func(key, value []byte) bool) {
		i := space(object, 0) + 1 // {
		for i = space(object, i); i < len(object) && object[i] == '"'; i = space(object, i) {
			end := skipText(object, i)
			key := object[i+1 : end-1]
			if bytes.IndexByte(key, '\\') >= 0 {
				key = []byte(unquote(object[i:end]))
			}
			i = space(object, end) + 1 // :
			i = space(object, i)
			end = skip(object, i)
			if !yield(key, object[i:end]) {
				return
			}
			if i = space(object, end); i < len(object) && object[i] == ',' {
				i++
			}
		}
	}
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skip gives the end of the value that begins at i.
func skip(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipText(b, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// skipText gives the end of the string that begins at i.
func skipText(b []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		i += n + 1
		escapes := 0
		for j := i - 2; b[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// Value reads the text of a member as a value of type typ. What does not fit is null,
// as it is in a column of the service's.
func Value(text []byte, typ engine.Type) any { return value(text, typ, true) }

// value is Value; stays tells that the text's bytes never change.
func value(text []byte, typ engine.Type, stays bool) any {
	if len(text) == 0 {
		return nil
	}
	switch text[0] {
	case 'n':
		if typ == engine.TypeString {
			return ""
		}
		return nil
	case '"':
		s := unquote(text)
		if typ == engine.TypeString || typ == engine.TypeGUID || typ == engine.TypeDynamic {
			return s
		}
		if s = strings.TrimSpace(s); s == "" {
			return nil
		}
		return engine.Convert(s, engine.TypeString, typ)
	case 't', 'f':
		if typ == engine.TypeString {
			return string(text)
		}
		return engine.Convert(text[0] == 't', engine.TypeBool, typ)
	case '{', '[':
		if typ == engine.TypeString {
			return string(text)
		}
		if typ != engine.TypeDynamic {
			return nil
		}
		if !stays {
			text = bytes.Clone(text)
		}
		return engine.RawJSON(text)
	}
	s := string(text)
	if typ == engine.TypeString {
		return s
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if typ == engine.TypeDatetime || typ == engine.TypeTimespan {
			return nil
		}
		return engine.Convert(n, engine.TypeLong, typ)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return engine.Convert(f, engine.TypeReal, typ)
}

func unquote(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	v, err := engine.ParseJSON(text)
	if s, ok := v.(string); ok && err == nil {
		return s
	}
	return string(text[1 : len(text)-1])
}
