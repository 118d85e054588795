package engine

import (
	"fmt"
	"strings"
)

// parser is a recursive descent over the lexer with one token in hand.
type parser struct {
	lx    Lexer
	tok   Token
	depth int
}

// program is a whole query: its statements in order and the result expression.
type program struct {
	declared []param // declare query_parameters
	body
}

func parseProgram(text string) (*program, error) {
	p := &parser{lx: *NewLexer(text)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	prog := &program{}
	for {
		switch {
		case p.tok.Kind == TokenEOF:
			if prog.final == nil {
				return nil, p.unexpected()
			}
			return prog, nil
		case p.tok.Is(";"):
			if err := p.advance(); err != nil {
				return nil, err
			}
			continue
		case prog.final != nil:
			return nil, unsupported(p.here(), "a second result statement")
		case p.tok.Is("set") || p.tok.Is("alias") || p.tok.Is("restrict"):
			return nil, unsupported(p.here(), "statement '%s'", p.tok.Text)
		case p.tok.Is("declare"):
			if err := p.declare(prog); err != nil {
				return nil, err
			}
		default:
			if err := p.statement(&prog.body); err != nil {
				return nil, err
			}
		}
		if p.tok.Kind != TokenEOF && !p.tok.Is(";") {
			return nil, p.unexpected()
		}
	}
}

func (p *parser) here() place { return place{off: p.tok.Pos, line: p.tok.Line, col: p.tok.Col} }

func (p *parser) advance() (err error) {
	p.tok, err = p.lx.Next()
	return err
}

// look gives the token after the one in hand; its kind is TokenEOF at the end and
// where the text is broken.
func (p *parser) look() Token {
	ahead := p.lx
	t, err := ahead.Next()
	if err != nil {
		return Token{}
	}
	return t
}

func (p *parser) fail(format string, args ...any) error {
	at := p.here()
	return &SyntaxError{Message: fmt.Sprintf(format, args...), Pos: at.off, Line: at.line, Col: at.col}
}

func (p *parser) unexpected() error {
	what := p.tok.Text
	if p.tok.Kind == TokenLiteral {
		what = strings.TrimSpace(p.lx.s[p.tok.Pos:p.tok.End])
	}
	if p.tok.Kind == TokenEOF {
		what = "<end of query>"
	}
	return p.fail("Query could not be parsed at '%s'", what)
}

// eat takes the token if it is text.
func (p *parser) eat(text string) (bool, error) {
	if !p.tok.Is(text) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) want(text string) error {
	if !p.tok.Is(text) {
		return p.unexpected()
	}
	return p.advance()
}

// deeper guards the recursion; callers leave with p.depth--.
func (p *parser) deeper() error {
	if p.depth++; p.depth > maxNesting {
		return p.fail("the query is nested more than %d levels deep", maxNesting)
	}
	return nil
}

// isName reports whether a bare or bracketed name comes.
func (p *parser) isName() bool {
	if p.tok.Is("[") {
		t := p.look()
		return t.Kind == TokenLiteral && t.Type == TypeString
	}
	return p.tok.Kind == TokenName
}

func (p *parser) name() (string, error) {
	if !p.isName() {
		return "", p.unexpected()
	}
	s := p.tok.Text
	if p.tok.Is("[") {
		if err := p.advance(); err != nil {
			return "", err
		}
		s = p.tok.Value.(string)
		if err := p.advance(); err != nil {
			return "", err
		}
		return s, p.want("]")
	}
	return s, p.advance()
}

// Name reads a bare name, a bracketed one such as ['b c'], or a quoted one, as
// control commands write them.
func (l *Lexer) Name() (string, error) {
	p := &parser{lx: *l}
	if err := p.advance(); err != nil {
		return "", err
	}
	if p.tok.Kind == TokenLiteral && p.tok.Type == TypeString {
		*l = p.lx
		return p.tok.Value.(string), nil
	}
	if !p.tok.Is("[") {
		if p.tok.Kind != TokenName {
			return "", p.unexpected()
		}
		*l = p.lx
		return p.tok.Text, nil
	}
	before := p.lx
	if err := p.advance(); err != nil {
		return "", err
	}
	if s, ok := p.tok.Value.(string); ok {
		if err := p.advance(); err != nil {
			return "", err
		}
		if p.tok.Is("]") {
			*l = p.lx
			return s, nil
		}
	}
	p.lx = before
	return "", p.unexpected()
}

// statement reads one let or the result expression.
func (p *parser) statement(b *body) error {
	if t := p.look(); !p.tok.Is("let") || t.Kind != TokenName && !t.Is("[") {
		x, err := p.pipe()
		b.final = x
		return err
	}
	l := let{place: p.here()}
	if err := p.advance(); err != nil {
		return err
	}
	var err error
	if l.name, err = p.newName(); err != nil {
		return err
	}
	if err := p.want("="); err != nil {
		return err
	}
	if p.tok.Is("view") && p.look().Is("(") {
		if err := p.advance(); err != nil {
			return err
		}
		if l.fn, err = p.function(l.name); err == nil {
			l.fn.view = true
		}
	} else if p.startsFunction() {
		l.fn, err = p.function(l.name)
	} else {
		l.x, err = p.pipe()
	}
	b.lets = append(b.lets, l)
	return err
}

// startsFunction tells "(a:long) {" from a bracketed expression.
func (p *parser) startsFunction() bool {
	if !p.tok.Is("(") {
		return false
	}
	ahead := *p
	if ahead.advance() != nil {
		return false
	}
	if ahead.tok.Is(")") {
		return true
	}
	if _, err := ahead.name(); err != nil {
		return false
	}
	return ahead.tok.Is(":")
}

func (p *parser) function(name string) (*function, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	f := &function{place: p.here(), name: name}
	var err error
	if f.params, err = p.parameters(p.newName); err != nil {
		return nil, err
	}
	if err := p.want("{"); err != nil {
		return nil, err
	}
	f.body, err = p.functionBody("}")
	if err != nil {
		return nil, err
	}
	return f, p.want("}")
}

func (p *parser) functionBody(end string) (*body, error) {
	b := &body{}
	for {
		if ok, err := p.eat(";"); err != nil {
			return nil, err
		} else if ok {
			continue
		}
		if p.tok.Is(end) || p.tok.Kind == TokenEOF {
			if b.final == nil {
				return nil, p.unexpected()
			}
			return b, nil
		}
		if b.final != nil {
			return nil, p.unexpected()
		}
		if err := p.statement(b); err != nil {
			return nil, err
		}
		if !p.tok.Is(";") && !p.tok.Is(end) && p.tok.Kind != TokenEOF {
			return nil, p.unexpected()
		}
	}
}

// parameters reads the parameters of a function or of a query; read reads the name of one.
func (p *parser) parameters(read func() (string, error)) ([]param, error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	var list []param
	for !p.tok.Is(")") {
		var a param
		var err error
		if a.name, err = read(); err != nil {
			return nil, err
		}
		if err := p.want(":"); err != nil {
			return nil, err
		}
		if p.tok.Is("(") {
			a.tabular = true
			if a.cols, err = p.schema(); err != nil {
				return nil, err
			}
		} else if a.typ, err = p.typeName(); err != nil {
			return nil, err
		}
		if ok, err := p.eat("="); err != nil {
			return nil, err
		} else if ok {
			if a.def, err = p.expr(); err != nil {
				return nil, err
			}
		}
		list = append(list, a)
		if !p.tok.Is(")") {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
	}
	return list, p.advance()
}

func (p *parser) typeName() (Type, error) {
	t, ok := ParseType(p.tok.Text)
	if !ok || p.tok.Kind != TokenName {
		return 0, p.unexpected()
	}
	return t, p.advance()
}

// schema reads (a:long, ['b c']:string). (*) and () are empty.
func (p *parser) schema() ([]Column, error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	if ok, err := p.eat("*"); err != nil {
		return nil, err
	} else if ok {
		return nil, p.want(")")
	}
	var cols []Column
	for !p.tok.Is(")") {
		name, err := p.columnName()
		if err != nil {
			return nil, err
		}
		if err := p.want(":"); err != nil {
			return nil, err
		}
		t, err := p.typeName()
		if err != nil {
			return nil, err
		}
		cols = append(cols, Column{name, t})
		if !p.tok.Is(")") {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
	}
	return cols, p.advance()
}

// ParseSchema reads a column list such as "(A:string, ['b c']:long)" and leaves
// the lexer behind it.
func (l *Lexer) ParseSchema() ([]Column, error) {
	p := &parser{lx: *l}
	if err := p.advance(); err != nil {
		return nil, err
	}
	cols, err := p.schema()
	if err != nil {
		return nil, err
	}
	*l = p.lx
	l.i, l.line, l.bol = p.tok.Pos, p.tok.Line, p.tok.Pos-p.tok.Col+1 // the parser is one token ahead
	return cols, nil
}

func (p *parser) declare(prog *program) error {
	at := p.here()
	if err := p.advance(); err != nil {
		return err
	}
	if !p.tok.Is("query_parameters") {
		return unsupported(at, "statement 'declare %s'", p.tok.Text)
	}
	if err := p.advance(); err != nil {
		return err
	}
	list, err := p.parameters(p.columnName)
	prog.declared = append(prog.declared, list...)
	return err
}

// storedFunction reads a function from the catalog.
func storedFunction(f *Function) (*function, error) {
	p := &parser{lx: *NewLexer(f.Parameters)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	fn := &function{name: f.Name}
	var err error
	if p.tok.Kind != TokenEOF {
		if fn.params, err = p.parameters(p.newName); err != nil {
			return nil, err
		}
	}
	p = &parser{lx: *NewLexer(f.Body)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.Is("{") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if fn.body, err = p.functionBody("}"); err != nil {
			return nil, err
		}
		return fn, p.want("}")
	}
	if fn.body, err = p.functionBody(""); err == nil && p.tok.Kind != TokenEOF {
		err = p.unexpected()
	}
	return fn, err
}
