package kusto

import (
	"fmt"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// scanner reads the words of a control command. It reads no further than it must,
// because what follows may be data. The first error sticks; what is read after it
// is empty.
type scanner struct {
	text string
	lx   *engine.Lexer
	tok  engine.Token // read ahead
	has  bool
	end  int // of the last token taken
	err  error
}

func newScanner(text string) *scanner { return &scanner{text: text, lx: engine.NewLexer(text)} }

func (s *scanner) peek() engine.Token {
	if !s.has && s.err == nil {
		tok, err := s.lx.Next()
		if err != nil {
			s.err, tok = err, engine.Token{}
		}
		s.tok, s.has = tok, true
	}
	if s.err != nil {
		return engine.Token{Kind: engine.TokenEOF}
	}
	return s.tok
}

func (s *scanner) take() engine.Token {
	tok := s.peek()
	s.has = false
	s.end = tok.End
	return tok
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		e := badRequest("BadRequest_SyntaxError", "Syntax error: %s", fmt.Sprintf(format, args...))
		e.Type = "Kusto.Data.Exceptions.SyntaxException"
		s.err = e
	}
}

// word takes a command word in lower case, with the parts that hyphens join
// ("create-merge"). It is empty where no word follows.
func (s *scanner) word() string {
	if s.peek().Kind != engine.TokenName {
		return ""
	}
	tok := s.take()
	word := tok.Text
	for s.peek().Is("-") && s.tok.Pos == s.end {
		s.take()
		next := s.peek()
		if next.Kind != engine.TokenName || next.Pos != s.end {
			s.fail("a word is expected after '%s-'", word)
			break
		}
		word += "-" + s.take().Text
	}
	return strings.ToLower(word)
}

// accept takes the words if all of them follow, and nothing otherwise. No word has
// a hyphen.
func (s *scanner) accept(words ...string) bool {
	s.peek()
	before, lexer := *s, *s.lx
	for _, w := range words {
		if tok := s.peek(); tok.Kind != engine.TokenName || !strings.EqualFold(tok.Text, w) {
			*s = before
			*s.lx = lexer
			return false
		}
		s.take()
	}
	return true
}

// comes reports whether the word follows, and takes nothing.
func (s *scanner) comes(word string) bool {
	tok := s.peek()
	return tok.Kind == engine.TokenName && strings.EqualFold(tok.Text, word)
}

func (s *scanner) want(words ...string) {
	for _, w := range words {
		if !s.accept(w) {
			s.fail("'%s' is expected, found '%s'", w, s.peek().Text)
		}
	}
}

func (s *scanner) punct(p string) bool {
	if !s.peek().Is(p) {
		return false
	}
	s.take()
	return true
}

func (s *scanner) wantPunct(p string) {
	if !s.punct(p) {
		s.fail("'%s' is expected, found '%s'", p, s.peek().Text)
	}
}

// isName reports whether an entity's name follows.
func (s *scanner) isName() bool {
	tok := s.peek()
	return tok.Kind == engine.TokenName || tok.Is("[") || tok.Kind == engine.TokenLiteral && tok.Type == engine.TypeString
}

// name takes an entity's name: bare, quoted, or bracketed and quoted.
func (s *scanner) name() string {
	switch tok := s.peek(); {
	case tok.Kind == engine.TokenName:
		return s.take().Text
	case tok.Kind == engine.TokenLiteral && tok.Type == engine.TypeString:
		return s.take().Value.(string)
	case tok.Is("["):
		s.take()
		name := s.literal()
		s.wantPunct("]")
		return name
	}
	s.fail("a name is expected, found '%s'", s.peek().Text)
	return ""
}

// newName takes the name of what a command makes, which may be a word of the language
// in brackets alone.
func (s *scanner) newName() string {
	if tok := s.peek(); tok.Kind == engine.TokenName && engine.Reserved(tok.Text) {
		s.fail("'%s' is a word of the language: write ['%s']", tok.Text, tok.Text)
	}
	return s.name()
}

// names takes a name or a bracketed list of names.
func (s *scanner) names() []string {
	if !s.punct("(") {
		return []string{s.name()}
	}
	var names []string
	for s.err == nil && !s.punct(")") {
		names = append(names, s.name())
		if !s.punct(",") && !s.peek().Is(")") {
			s.fail("')' is expected, found '%s'", s.peek().Text)
		}
	}
	return names
}

// literal takes a string; adjacent strings are one.
func (s *scanner) literal() string {
	tok := s.peek()
	if tok.Kind != engine.TokenLiteral || tok.Type != engine.TypeString {
		s.fail("a string is expected, found '%s'", tok.Text)
		return ""
	}
	var b strings.Builder
	for tok.Kind == engine.TokenLiteral && tok.Type == engine.TypeString {
		b.WriteString(s.take().Value.(string))
		tok = s.peek()
	}
	return b.String()
}

// value takes any literal or bare word, as text.
func (s *scanner) value() string {
	tok := s.take()
	switch {
	case tok.Kind == engine.TokenLiteral && tok.Type == engine.TypeString:
		return tok.Value.(string)
	case tok.Kind == engine.TokenLiteral:
		return engine.FormatText(tok.Type, tok.Value)
	case tok.Kind == engine.TokenName:
		return tok.Text
	}
	s.fail("a value is expected, found '%s'", tok.Text)
	return ""
}

// columns takes "(A:string, ['B c']:long)".
func (s *scanner) columns() []engine.Column {
	var columns []engine.Column
	s.wantPunct("(")
	for s.err == nil && !s.punct(")") {
		c := engine.Column{Name: s.newName()}
		s.wantPunct(":")
		typ := s.take()
		var ok bool
		if c.Type, ok = engine.ParseType(typ.Text); !ok {
			s.fail("'%s' is not a type", typ.Text)
		}
		for _, other := range columns {
			if other.Name == c.Name {
				s.fail("column '%s' is named twice", c.Name)
			}
		}
		columns = append(columns, c)
		if !s.punct(",") && !s.peek().Is(")") {
			s.fail("')' is expected, found '%s'", s.peek().Text)
		}
	}
	if len(columns) == 0 {
		s.fail("a column is expected")
	}
	return columns
}

// properties takes "with (a='x', b=true)" if it follows; keys are in lower case.
func (s *scanner) properties() map[string]string {
	properties := make(map[string]string)
	if !s.accept("with") {
		return properties
	}
	s.wantPunct("(")
	for s.err == nil && !s.punct(")") {
		key := strings.ToLower(s.name())
		s.wantPunct("=")
		properties[key] = s.value()
		if !s.punct(",") && !s.peek().Is(")") {
			s.fail("')' is expected, found '%s'", s.peek().Text)
		}
	}
	return properties
}

// bracketed takes a bracketed text, brackets inside it included, and gives what is
// between the outermost.
func (s *scanner) bracketed(open, shut string) string {
	s.wantPunct(open)
	from, depth := s.end, 1
	for s.err == nil {
		tok := s.take()
		switch {
		case tok.Kind == engine.TokenEOF:
			s.fail("'%s' is expected", shut)
		case tok.Is(open):
			depth++
		case tok.Is(shut):
			if depth--; depth == 0 {
				return s.text[from:tok.Pos]
			}
		}
	}
	return ""
}

// rest takes everything behind the last token taken.
func (s *scanner) rest() string {
	if s.err != nil {
		return ""
	}
	rest := s.text[s.end:]
	s.end, s.has = len(s.text), true
	s.tok = engine.Token{Kind: engine.TokenEOF, Pos: s.end, End: s.end}
	return rest
}

// data takes "<|" and everything behind it.
func (s *scanner) data() string {
	s.wantPunct("<|")
	return s.rest()
}

// finish refuses whatever is left, but for a final semicolon.
func (s *scanner) finish() error {
	s.punct(";")
	if tok := s.peek(); tok.Kind != engine.TokenEOF {
		s.fail("unexpected '%s'", tok.Text)
	}
	return s.err
}
