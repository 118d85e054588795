package engine

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const maxNesting = 200 // levels of JSON, brackets and pipes that are followed

// ParseJSON reads one JSON text into nil, bool, int64, float64, string, []any or
// *Bag. An integer beyond int64 becomes a float64; a repeated key keeps its last
// value.
func ParseJSON(text []byte) (any, error) {
	p := jsonParser{s: string(text)}
	return p.document()
}

// parseDynamic reads what stands between the brackets of dynamic(…): JSON, also
// with single quotes and with typed literals inside.
func parseDynamic(text string) (any, error) {
	p := jsonParser{s: text, literal: true}
	return p.document()
}

type jsonParser struct {
	s       string
	i       int
	depth   int
	literal bool
}

func (p *jsonParser) document() (any, error) {
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.space(); p.i < len(p.s) {
		return nil, p.fail()
	}
	return v, nil
}

func (p *jsonParser) fail() error {
	return errors.New("invalid JSON at byte " + strconv.Itoa(p.i))
}

func (p *jsonParser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

// next skips space and eats c if it comes.
func (p *jsonParser) next(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *jsonParser) value() (any, error) {
	if p.space(); p.i >= len(p.s) {
		return nil, p.fail()
	}
	switch c := p.s[p.i]; {
	case c == '{' || c == '[':
		if p.depth++; p.depth > maxNesting {
			return nil, p.fail()
		}
		defer func() { p.depth-- }()
		p.i++
		if c == '[' {
			return p.array()
		}
		return p.bag()
	case c == '"' || c == '\'' && p.literal:
		return p.text()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, w := range []string{"true", "false", "null"} {
		if strings.HasPrefix(p.s[p.i:], w) {
			p.i += len(w)
			if w == "null" {
				return nil, nil
			}
			return w == "true", nil
		}
	}
	if p.literal {
		return p.typed()
	}
	return nil, p.fail()
}

func (p *jsonParser) array() (any, error) {
	list := []any{}
	if p.next(']') {
		return list, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.next(']') {
			return list, nil
		}
		if !p.next(',') {
			return nil, p.fail()
		}
	}
}

func (p *jsonParser) bag() (any, error) {
	b := &Bag{}
	if p.next('}') {
		return b, nil
	}
	for {
		p.space()
		if p.i >= len(p.s) || p.s[p.i] != '"' && !(p.literal && p.s[p.i] == '\'') {
			return nil, p.fail()
		}
		k, err := p.text()
		if err != nil {
			return nil, err
		}
		if !p.next(':') {
			return nil, p.fail()
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		b.Set(k, v)
		if p.next('}') {
			return b, nil
		}
		if !p.next(',') {
			return nil, p.fail()
		}
	}
}

func (p *jsonParser) text() (string, error) {
	quote := p.s[p.i]
	p.i++
	start := p.i
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == quote:
			s := p.s[start:p.i]
			p.i++
			return s, nil
		case c == '\\':
			return p.escaped(quote, []byte(p.s[start:p.i]))
		case c < ' ' && !p.literal:
			return "", p.fail()
		}
	}
	return "", p.fail()
}

func (p *jsonParser) escaped(quote byte, b []byte) (string, error) {
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		if c == quote {
			return string(b), nil
		}
		if c != '\\' {
			b = append(b, c)
			continue
		}
		if p.i >= len(p.s) {
			break
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case '"', '\\', '/', '\'':
			b = append(b, c)
		case 'u':
			r, ok := p.hex4()
			if !ok {
				return "", p.fail()
			}
			if utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.i:], `\u`) {
				at := p.i
				p.i += 2
				low, ok := p.hex4()
				if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
					r = pair
				} else {
					p.i = at
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			return "", p.fail()
		}
	}
	return "", p.fail()
}

func (p *jsonParser) hex4() (rune, bool) {
	if p.i+4 > len(p.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 16)
	p.i += 4
	return rune(n), err == nil
}

func (p *jsonParser) number() (any, error) {
	start := p.i
	whole := true
	for ; p.i < len(p.s); p.i++ {
		c := p.s[p.i]
		if c == '.' || c == 'e' || c == 'E' {
			whole = false
		} else if c != '-' && c != '+' && (c < '0' || c > '9') {
			break
		}
	}
	s := p.s[start:p.i]
	if digits := strings.TrimPrefix(s, "-"); digits == "" || digits[0] < '0' || digits[0] > '9' ||
		len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return nil, p.fail()
	}
	if whole {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return nil, p.fail()
	}
	return f, nil
}

// typed reads datetime(…), 1h and the like inside dynamic(…).
func (p *jsonParser) typed() (any, error) {
	lx := NewLexer(p.s[p.i:])
	tok, err := lx.Next()
	if err != nil || tok.Kind != TokenLiteral {
		return nil, p.fail()
	}
	p.i += tok.End
	return tok.Value, nil
}

// FormatJSON appends v, a value of type t, as the service writes it: datetime and
// timespan as text, dynamic as nested JSON, a null string as "", NaN and the
// infinities as text, decimal as text.
func FormatJSON(dst []byte, t Type, v any) []byte {
	if v == nil {
		if t == TypeString {
			return append(dst, `""`...)
		}
		return append(dst, "null"...)
	}
	if f, ok := v.(float64); ok && t == TypeDecimal {
		return append(appendDecimal(append(dst, '"'), f), '"')
	}
	return appendJSON(dst, v)
}

func appendJSON(dst []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, x)
	case int64:
		return strconv.AppendInt(dst, x, 10)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return append(appendReal(append(dst, '"'), x), '"')
		}
		return appendReal(dst, x)
	case string:
		return appendQuoted(dst, x)
	case Datetime:
		return append(x.append(append(dst, '"')), '"')
	case Timespan:
		return append(append(append(dst, '"'), x.String()...), '"')
	case RawJSON:
		return compactJSON(dst, x)
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case *Bag:
		dst = append(dst, '{')
		for i, k := range x.keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendQuoted(dst, k), ':')
			dst = appendJSON(dst, x.vals[i])
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// compactJSON appends raw without the space between its tokens.
func compactJSON(dst []byte, raw []byte) []byte {
	inText := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case inText && c == '\\' && i+1 < len(raw):
			dst = append(dst, c, raw[i+1])
			i++
			continue
		case c == '"':
			inText = !inText
		case !inText && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
