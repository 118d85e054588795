package kusto

import (
	"bytes"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// canonicalJSON is the JSON text that ADX keeps of a dynamic value: no space
// between tokens, keys in order, the last of repeated keys, integers exact within
// 64 bits and other numbers as doubles.
type canonicalJSON []byte

// normalised gives the canonical text of a dynamic value; null is empty.
func normalised(v any) canonicalJSON {
	switch x := v.(type) {
	case nil:
		return nil
	case canonicalJSON:
		return x
	case engine.RawJSON:
		text, ok := canonical(nil, x)
		if !ok {
			text = engine.FormatJSON(nil, engine.TypeString, string(x)) // text that is no JSON is a string
		}
		if string(text) == "null" {
			return nil
		}
		return text
	}
	return engine.FormatJSON(nil, engine.TypeDynamic, v)
}

// canonical appends the canonical form of a JSON text; ok is false where text is
// none. Nearly all rows are canonical but for white space and numbers, so they are
// copied token by token; what is rare is left to the parser.
func canonical(dst canonicalJSON, text []byte) (canonicalJSON, bool) {
	c := copier{in: text, out: dst}
	if utf8.Valid(text) && c.value() {
		if c.space(); c.i == len(text) {
			return c.out, true
		}
	}
	v, err := engine.ParseJSON(text)
	if err != nil {
		return dst, false
	}
	return engine.FormatJSON(dst, engine.TypeDynamic, v), true
}

const (
	maxCopiedDepth = 32
	maxCopiedKeys  = 64 // in one object; repeated keys are looked for by comparison
)

// copier copies JSON that needs no change but white space and numbers. Its methods
// report false for everything else, malformed text included.
type copier struct {
	in    []byte
	i     int
	out   []byte
	keys  [][]byte // of the objects that are open
	depth int
}

func (c *copier) space() {
	for c.i < len(c.in) && (c.in[c.i] == ' ' || c.in[c.i] == '\t' || c.in[c.i] == '\r' || c.in[c.i] == '\n') {
		c.i++
	}
}

// next copies b if it comes next.
func (c *copier) next(b byte) bool {
	c.space()
	if c.i >= len(c.in) || c.in[c.i] != b {
		return false
	}
	c.i++
	c.out = append(c.out, b)
	return true
}

func (c *copier) value() bool {
	c.space()
	if c.i >= len(c.in) {
		return false
	}
	switch b := c.in[c.i]; b {
	case '{':
		return c.object()
	case '[':
		return c.array()
	case '"':
		_, ok := c.text()
		return ok
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	default:
		return c.number()
	}
}

func (c *copier) word(w string) bool {
	if !bytes.HasPrefix(c.in[c.i:], []byte(w)) {
		return false
	}
	c.i += len(w)
	c.out = append(c.out, w...)
	return true
}

func (c *copier) object() bool {
	if c.depth++; c.depth > maxCopiedDepth {
		return false
	}
	first := len(c.keys)
	c.next('{')
	if !c.next('}') {
		for {
			c.space()
			key, ok := c.text()
			if !ok || len(c.keys)-first == maxCopiedKeys {
				return false
			}
			for _, other := range c.keys[first:] {
				if bytes.Equal(other, key) {
					return false
				}
			}
			c.keys = append(c.keys, key)
			if !c.next(':') || !c.value() {
				return false
			}
			if c.next('}') {
				break
			}
			if !c.next(',') {
				return false
			}
		}
	}
	c.keys = c.keys[:first]
	c.depth--
	return true
}

func (c *copier) array() bool {
	if c.depth++; c.depth > maxCopiedDepth {
		return false
	}
	c.next('[')
	if !c.next(']') {
		for {
			if !c.value() {
				return false
			}
			if c.next(']') {
				break
			}
			if !c.next(',') {
				return false
			}
		}
	}
	c.depth--
	return true
}

// text copies a string whose escapes, if any, are those that are written back the
// same way, so that equal strings have equal text.
func (c *copier) text() (inner []byte, ok bool) {
	if c.i >= len(c.in) || c.in[c.i] != '"' {
		return nil, false
	}
	from := c.i
	for i := from + 1; i < len(c.in); i++ {
		switch b := c.in[i]; {
		case b == '"':
			c.i = i + 1
			c.out = append(c.out, c.in[from:c.i]...)
			return c.in[from+1 : i], true
		case b < ' ':
			return nil, false
		case b == '\\':
			if i++; i >= len(c.in) || bytes.IndexByte([]byte(`"\nrt`), c.in[i]) < 0 {
				return nil, false
			}
		}
	}
	return nil, false
}

// exactDigits is how many digits surely fit 64 bits.
const exactDigits = 18

func (c *copier) number() bool {
	from, plain := c.i, true
	for ; c.i < len(c.in); c.i++ {
		b := c.in[c.i]
		if b >= '0' && b <= '9' || b == '-' && c.i == from {
			continue
		}
		if b != '.' && b != 'e' && b != 'E' && b != '+' && b != '-' {
			break
		}
		plain = false
	}
	text := c.in[from:c.i]
	digits := bytes.TrimPrefix(text, []byte("-"))
	switch {
	case len(digits) == 0:
		return false
	case plain && len(digits) <= exactDigits && (digits[0] != '0' || len(text) == 1):
		c.out = append(c.out, text...)
		return true
	}
	v, err := engine.ParseJSON(text)
	if err != nil {
		return false
	}
	c.out = engine.FormatJSON(c.out, engine.TypeDynamic, v)
	return true
}
