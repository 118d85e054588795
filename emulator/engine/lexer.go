package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TokenKind tells what a Token is.
type TokenKind uint8

// The kinds of token.
const (
	TokenEOF     TokenKind = iota
	TokenName              // a bare name or keyword; Text is the name
	TokenLiteral           // a literal of any type: Type and Value are set
	TokenPunct             // an operator or bracket, also !has, in~ and the like
)

// Token is one token with its place in the text: Pos and End are byte offsets,
// Line and Col count from 1.
type Token struct {
	Kind      TokenKind
	Text      string
	Type      Type // of a literal
	Value     any  // of a literal; nil for typed nulls such as long(null)
	Pos, End  int
	Line, Col int
}

// Is reports whether the token is the given name or punctuation.
func (t Token) Is(text string) bool { return t.Kind != TokenLiteral && t.Text == text }

// Lexer splits KQL and control commands into tokens. It may be copied to look
// ahead.
type Lexer struct {
	s         string
	i         int
	line, bol int // current line, and where it begins
}

// NewLexer starts at the beginning of text.
func NewLexer(text string) *Lexer { return &Lexer{s: text, line: 1} }

func (l *Lexer) place(off int) place { return place{off: off, line: l.line, col: off - l.bol + 1} }

func (l *Lexer) fail(off int, format string, args ...any) error {
	p := l.place(off)
	return &SyntaxError{Message: fmt.Sprintf(format, args...), Pos: p.off, Line: p.line, Col: p.col}
}

func (l *Lexer) peek(n int) byte {
	if l.i+n < len(l.s) {
		return l.s[l.i+n]
	}
	return 0
}

func (l *Lexer) space() {
	for l.i < len(l.s) {
		r, n := rune(l.s[l.i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(l.s[l.i:])
		}
		switch {
		case r == '\n':
			l.line, l.bol = l.line+1, l.i+1
		case r == '/' && l.peek(1) == '/':
			if n = strings.IndexByte(l.s[l.i:], '\n'); n < 0 {
				n = len(l.s) - l.i
			}
		case !unicode.IsSpace(r) && r != '\uFEFF':
			return
		}
		l.i += n
	}
}

// Next reads one token. Its errors are *SyntaxError, or *UnsupportedError for what the
// service reads and this lexer does not.
func (l *Lexer) Next() (Token, error) {
	l.space()
	start := l.i
	t := Token{Pos: start, Line: l.line, Col: start - l.bol + 1}
	err := l.scan(&t)
	t.End = l.i
	if t.Kind != TokenLiteral {
		t.Text = l.s[start:l.i]
	}
	return t, err
}

func (l *Lexer) scan(t *Token) error {
	if l.i >= len(l.s) {
		t.Kind = TokenEOF
		return nil
	}
	c := l.s[l.i]
	switch {
	case c == '"' || c == '\'':
		return l.text(t)
	case (c == '@' || c == 'h' || c == 'H') && l.stringPrefix() > 0:
		verbatim := strings.Contains(l.s[l.i:l.i+l.stringPrefix()], "@")
		l.i += l.stringPrefix()
		if verbatim {
			return l.verbatim(t)
		}
		return l.text(t)
	case strings.HasPrefix(l.s[l.i:], "```"):
		return l.block(t)
	case c >= '0' && c <= '9':
		return l.number(t)
	case nameLen(l.s[l.i:]) > 0:
		return l.name(t)
	}
	t.Kind = TokenPunct
	if c == '!' && (nameLen(l.s[l.i+1:]) > 0) {
		l.i += 1 + nameLen(l.s[l.i+1:])
		if l.peek(0) == '~' {
			l.i++
		}
		return nil
	}
	for _, p := range []string{"==", "!=", "<=", ">=", "<>", "=~", "!~", "=>", "..", "<|", "-->"} {
		if strings.HasPrefix(l.s[l.i:], p) {
			l.i += len(p)
			return nil
		}
	}
	if !strings.ContainsRune("()[]{}|,;:.+-*/%<>=?@#$&!~", rune(c)) {
		r, _ := utf8.DecodeRuneInString(l.s[l.i:])
		return l.fail(l.i, "Query could not be parsed at '%c'", r)
	}
	l.i++
	return nil
}

// nameLen is the length of the name s begins with; 0 if there is none.
func nameLen(s string) int {
	for i, r := range s {
		if r == '_' || unicode.IsLetter(r) || i > 0 && unicode.IsDigit(r) {
			continue
		}
		if i == 0 && r == '$' && nameLen(s[1:]) > 0 {
			continue // $left, $right
		}
		return i
	}
	return len(s)
}

// stringPrefix is the length of h, @ or h@ if a quoted text follows.
func (l *Lexer) stringPrefix() int {
	n := 0
	if c := l.peek(0); c == 'h' || c == 'H' {
		n++
	}
	if l.peek(n) == '@' {
		n++
	}
	if c := l.peek(n); c == '"' || c == '\'' {
		return n
	}
	return 0
}

func (l *Lexer) text(t *Token) error {
	start, quote := l.i, l.s[l.i]
	var b []byte
	for l.i++; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		switch {
		case c == quote:
			l.i++
			t.Kind, t.Type, t.Value = TokenLiteral, TypeString, string(b)
			return nil
		case c == '\n' || c == '\r':
			return l.fail(start, "Query could not be parsed at '%c': the string literal is not closed", quote)
		case c == '\\':
			r, width, tail, err := strconv.UnquoteChar(l.s[l.i:], quote)
			if err != nil && (l.peek(1) == '"' || l.peek(1) == '\'') {
				b = append(b, l.peek(1))
				l.i++
				continue
			}
			if err != nil {
				return l.fail(l.i, "Query could not be parsed at '\\': invalid escape in a string literal")
			}
			if r < utf8.RuneSelf || !width {
				b = append(b, byte(r))
			} else {
				b = utf8.AppendRune(b, r)
			}
			l.i = len(l.s) - len(tail) - 1
		default:
			b = append(b, c)
		}
	}
	return l.fail(start, "Query could not be parsed at '%c': the string literal is not closed", quote)
}

func (l *Lexer) verbatim(t *Token) error {
	start, quote := l.i, l.s[l.i]
	var b []byte
	for l.i++; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		if c == quote {
			if l.peek(1) != quote {
				l.i++
				t.Kind, t.Type, t.Value = TokenLiteral, TypeString, string(b)
				return nil
			}
			l.i++
		}
		if c == '\n' {
			l.line, l.bol = l.line+1, l.i+1
		}
		b = append(b, c)
	}
	return l.fail(start, "Query could not be parsed at '%c': the string literal is not closed", quote)
}

func (l *Lexer) block(t *Token) error {
	body := l.s[l.i+3:]
	n := strings.Index(body, "```")
	if n < 0 {
		return l.fail(l.i, "Query could not be parsed at '```': the string literal is not closed")
	}
	if k := strings.LastIndexByte(body[:n], '\n'); k >= 0 {
		l.line, l.bol = l.line+strings.Count(body[:n], "\n"), l.i+3+k+1
	}
	l.i += n + 6
	t.Kind, t.Type, t.Value = TokenLiteral, TypeString, body[:n]
	return nil
}

func (l *Lexer) number(t *Token) error {
	start := l.i
	t.Kind, t.Type = TokenLiteral, TypeLong
	if l.peek(0) == '0' && (l.peek(1) == 'x' || l.peek(1) == 'X') {
		for l.i += 2; l.i < len(l.s) && strings.IndexByte("0123456789abcdefABCDEF", l.s[l.i]) >= 0; l.i++ {
		}
		n, err := strconv.ParseUint(l.s[start+2:l.i], 16, 64)
		if err != nil {
			return l.fail(start, "Query could not be parsed at '%s'", l.s[start:l.i])
		}
		t.Value = int64(n)
		return nil
	}
	digits := func() {
		for c := l.peek(0); c >= '0' && c <= '9'; c = l.peek(0) {
			l.i++
		}
	}
	digits()
	if c := l.peek(1); l.peek(0) == '.' && c >= '0' && c <= '9' {
		t.Type = TypeReal
		l.i++
		digits()
	} else if l.peek(0) == '.' && c != '.' && nameLen(l.s[l.i+1:]) == 0 {
		t.Type = TypeReal
		l.i++
	}
	if c := l.peek(0); c == 'e' || c == 'E' {
		n := 1
		if s := l.peek(1); s == '+' || s == '-' {
			n = 2
		}
		if d := l.peek(n); d >= '0' && d <= '9' {
			t.Type = TypeReal
			l.i += n
			digits()
		}
	}
	text := l.s[start:l.i]
	if n := nameLen(l.s[l.i:]); n > 0 {
		unit, ok := timespanUnit(l.s[l.i : l.i+n])
		if !ok && t.Type == TypeLong {
			return unsupported(l.place(start), "the name '%s', which begins with a digit,", l.s[start:l.i+n])
		}
		f, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil || f*float64(unit) > math.MaxInt64 {
			return l.fail(start, "Query could not be parsed at '%s'", l.s[start:l.i+n])
		}
		l.i += n
		t.Type, t.Value = TypeTimespan, scaled(f, unit)
		return nil
	}
	if t.Type == TypeLong {
		n, err := strconv.ParseInt(text, 10, 64)
		t.Value = n
		if err != nil {
			return l.fail(start, "Query could not be parsed at '%s': the number is too large", text)
		}
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	t.Value = f
	if err != nil {
		return l.fail(start, "Query could not be parsed at '%s': the number is too large", text)
	}
	return nil
}

func (l *Lexer) name(t *Token) error {
	start := l.i
	l.i += nameLen(l.s[l.i:])
	name := l.s[start:l.i]
	t.Kind = TokenName
	if (name == "in" || name == "has_any" || name == "has_all") && l.peek(0) == '~' && l.peek(1) != '=' {
		l.i++
		t.Kind = TokenPunct
		return nil
	}
	typ, ok := ParseType(name)
	if !ok || typ == TypeString {
		if name == "true" || name == "false" {
			t.Kind, t.Type, t.Value = TokenLiteral, TypeBool, name == "true"
		}
		return nil
	}
	open := l.i
	for open < len(l.s) && (l.s[open] == ' ' || l.s[open] == '\t') {
		open++
	}
	if open >= len(l.s) || l.s[open] != '(' {
		return nil
	}
	size := bracketed(l.s[open:])
	if size < 0 {
		return l.fail(open, "Query could not be parsed at '(': the bracket is not closed")
	}
	body := l.s[open+1 : open+size-1]
	v, ok := literalValue(typ, strings.TrimSpace(body))
	if !ok && strings.ContainsAny(strings.TrimSpace(body), " \t\r\n") {
		return unsupported(l.place(start), "the literal '%s(%s)', which holds blanks,", name, body)
	}
	if !ok {
		return l.fail(start, "Query could not be parsed at '%s(': invalid literal", name)
	}
	if k := strings.LastIndexByte(body, '\n'); k >= 0 {
		l.line, l.bol = l.line+strings.Count(body, "\n"), open+1+k+1
	}
	l.i = open + size
	t.Kind, t.Type, t.Value = TokenLiteral, typ, v
	return nil
}

// bracketed is the length of the bracketed text s begins with, minding quotes;
// -1 if it does not end.
func bracketed(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"', '\'':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		}
	}
	return -1
}

// literalValue reads what stands between the brackets of a typed literal.
func literalValue(t Type, s string) (any, bool) {
	if t == TypeDynamic {
		v, err := parseDynamic(s)
		return v, err == nil
	}
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		s = s[1 : n-1]
	}
	if s == "null" || s == "" && t != TypeDynamic {
		return nil, true
	}
	switch t {
	case TypeReal, TypeDecimal:
		switch s {
		case "nan":
			return math.NaN(), true
		case "+inf", "inf":
			return math.Inf(1), true
		case "-inf":
			return math.Inf(-1), true
		}
	case TypeTimespan:
		if at, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(at) < 10_000_000 {
			return scaled(at, day), true
		}
	case TypeInt, TypeLong:
		if n, ok := toLong(strings.TrimPrefix(s, "-")); ok && strings.HasPrefix(s, "-") {
			return -n, true
		}
	}
	v := Convert(s, TypeString, t)
	return v, v != nil
}

// ParseLiteral reads one KQL literal and nothing else, such as a query parameter's
// value: long(5), 'text', datetime(2026-11-01), -3, dynamic([1]).
func ParseLiteral(text string) (Type, any, error) {
	l := NewLexer(text)
	tok, err := l.Next()
	neg := err == nil && tok.Is("-")
	if neg {
		tok, err = l.Next()
	}
	if err != nil {
		return 0, nil, err
	}
	end, err := l.Next()
	if err != nil || tok.Kind != TokenLiteral || end.Kind != TokenEOF {
		return 0, nil, l.fail(tok.Pos, "Query could not be parsed at '%s': not a literal", tok.Text)
	}
	if neg {
		switch v := tok.Value.(type) {
		case int64:
			tok.Value = -v
		case float64:
			tok.Value = -v
		case Timespan:
			tok.Value = -v
		default:
			return 0, nil, l.fail(0, "Query could not be parsed at '-'")
		}
	}
	return tok.Type, tok.Value, nil
}
