package engine

import "strings"

// pipe reads an expression and the operators after its bars.
func (p *parser) pipe() (node, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	src, err := p.source()
	if err != nil {
		return nil, err
	}
	if !p.tok.Is("|") {
		return src, nil
	}
	x := &pipe{place: src.at(), source: src}
	for p.tok.Is("|") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		op, err := p.operator()
		if err != nil {
			return nil, err
		}
		x.ops = append(x.ops, op)
	}
	return x, nil
}

func (p *parser) source() (node, error) {
	at, next := p.here(), p.look()
	switch {
	case p.tok.Is("print") && !next.Is("="):
		if err := p.advance(); err != nil {
			return nil, err
		}
		items, err := p.items()
		return &printSource{at, items}, err
	case p.tok.Is("range") && (next.Kind == TokenName || next.Is("[")):
		return p.rangeSource()
	case p.tok.Is("datatable") && next.Is("("):
		return p.datatable()
	case p.tok.Is("union") && next.Kind != TokenEOF && !next.Is("|"):
		op, err := p.operator()
		return &pipe{place: at, ops: []operator{op}}, err
	case (p.tok.Is("search") || p.tok.Is("find") || p.tok.Is("externaldata") || p.tok.Is("evaluate")) && next.Kind != TokenEOF && !next.Is("|") && !next.Is("."):
		return nil, unsupported(at, "operator '%s'", p.tok.Text)
	}
	return p.expr()
}

func (p *parser) rangeSource() (node, error) {
	r := &rangeSource{place: p.here()}
	err := p.advance()
	if err != nil {
		return nil, err
	}
	if r.name, err = p.newName(); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		word string
		x    *node
	}{{"from", &r.from}, {"to", &r.to}, {"step", &r.step}} {
		if err := p.want(part.word); err != nil {
			return nil, err
		}
		if *part.x, err = p.expr(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (p *parser) datatable() (node, error) {
	d := &datatable{place: p.here()}
	err := p.advance()
	if err != nil {
		return nil, err
	}
	if d.cols, err = p.schema(); err != nil {
		return nil, err
	}
	if len(d.cols) == 0 {
		return nil, p.fail("Query could not be parsed at 'datatable': it needs columns")
	}
	if err := p.want("["); err != nil {
		return nil, err
	}
	for !p.tok.Is("]") {
		x, err := p.expr()
		if err != nil {
			return nil, err
		}
		d.rows = append(d.rows, x)
		if !p.tok.Is("]") {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
	}
	if len(d.rows)%len(d.cols) != 0 {
		return nil, p.fail("Query could not be parsed at ']': %d values do not fill rows of %d columns", len(d.rows), len(d.cols))
	}
	return d, p.advance()
}

// items reads a comma-separated list of named expressions.
func (p *parser) items() ([]named, error) {
	var list []named
	for {
		it, err := p.item()
		if err != nil {
			return nil, err
		}
		list = append(list, it)
		if ok, err := p.eat(","); !ok || err != nil {
			return list, err
		}
	}
}

func (p *parser) item() (named, error) {
	it := named{place: p.here()}
	if ahead := *p; ahead.isName() {
		if name, err := ahead.columnName(); err == nil && ahead.tok.Is("=") {
			it.names = []string{name}
			*p = ahead
			if err := p.advance(); err != nil {
				return it, err
			}
		}
	} else if names, ok := p.tuple(); ok {
		it.names = names
	}
	var err error
	if p.tok.Is("*") {
		it.x = &star{p.here()}
		return it, p.advance()
	}
	it.x, err = p.expr()
	return it, err
}

// tuple reads "(a, b) =" if that is what comes, else nothing.
func (p *parser) tuple() ([]string, bool) {
	ahead := *p
	if !ahead.tok.Is("(") || ahead.advance() != nil {
		return nil, false
	}
	var names []string
	for {
		n, err := ahead.columnName()
		if err != nil {
			return nil, false
		}
		names = append(names, n)
		if ahead.tok.Is(",") && ahead.advance() == nil {
			continue
		}
		break
	}
	if !ahead.tok.Is(")") || ahead.advance() != nil || !ahead.tok.Is("=") || ahead.advance() != nil {
		return nil, false
	}
	*p = ahead
	return names, true
}

func (p *parser) expr() (node, error) { return p.or() }

func (p *parser) or() (node, error) { return p.logical("or", p.and) }

func (p *parser) and() (node, error) { return p.logical("and", p.comparison) }

func (p *parser) logical(word string, operand func() (node, error)) (node, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	x, err := operand()
	for n := 0; err == nil && p.tok.Is(word); n++ {
		if n > 10*maxNesting {
			return nil, p.fail("more than %d operands of '%s'", n, word)
		}
		b := &binaryOp{place: p.here(), op: word, l: x}
		if err = p.advance(); err != nil {
			return nil, err
		}
		b.r, err = operand()
		x = b
	}
	return x, err
}

// textOperators are the words that compare text; each may be negated with !.
const textOperators = " has has_cs hasprefix hasprefix_cs hassuffix hassuffix_cs contains contains_cs containscs startswith startswith_cs endswith endswith_cs "

func (p *parser) comparison() (node, error) {
	x, err := p.additive()
	if err != nil {
		return nil, err
	}
	at, op := p.here(), p.tok.Text
	if p.tok.Kind == TokenLiteral {
		return x, nil
	}
	bare := strings.TrimPrefix(op, "!")
	switch {
	case op == "==" || op == "!=" || op == "<>" || op == "<" || op == "<=" || op == ">" || op == ">=" || op == "=~" || op == "!~",
		bare != "" && strings.Contains(textOperators, " "+bare+" "):
		if op == "<>" {
			op = "!="
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		y, err := p.additive()
		return &binaryOp{at, op, x, y}, err
	case op == "matches":
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.want("regex"); err != nil {
			return nil, err
		}
		y, err := p.additive()
		return &binaryOp{at, "matches regex", x, y}, err
	case bare == "between":
		if err := p.advance(); err != nil {
			return nil, err
		}
		b := &betweenOp{place: at, not: op != bare, x: x}
		if err := p.want("("); err != nil {
			return nil, err
		}
		if b.lo, err = p.additive(); err != nil {
			return nil, err
		}
		if err := p.want(".."); err != nil {
			return nil, err
		}
		if b.hi, err = p.additive(); err != nil {
			return nil, err
		}
		return b, p.want(")")
	case bare == "in" || bare == "in~" || op == "has_any" || op == "has_all":
		if err := p.advance(); err != nil {
			return nil, err
		}
		m := &memberOp{place: at, op: op, x: x}
		if !p.tok.Is("(") {
			return nil, p.unexpected()
		}
		m.list, err = p.arguments()
		return m, err
	}
	return x, nil
}

func (p *parser) additive() (node, error) { return p.leftToRight(p.multiplicative, "+", "-") }

func (p *parser) multiplicative() (node, error) { return p.leftToRight(p.unary, "*", "/", "%") }

func (p *parser) leftToRight(operand func() (node, error), ops ...string) (node, error) {
	x, err := operand()
	for n := 0; err == nil; n++ {
		op := ""
		for _, o := range ops {
			if p.tok.Is(o) {
				op = o
			}
		}
		if op == "" {
			return x, nil
		}
		if n > 10*maxNesting {
			return nil, p.fail("more than %d operands of '%s'", n, op)
		}
		b := &binaryOp{place: p.here(), op: op, l: x}
		if err = p.advance(); err != nil {
			return nil, err
		}
		b.r, err = operand()
		x = b
	}
	return x, err
}

func (p *parser) unary() (node, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if !p.tok.Is("-") && !p.tok.Is("+") {
		return p.postfix()
	}
	at, op := p.here(), p.tok.Text
	if err := p.advance(); err != nil {
		return nil, err
	}
	x, err := p.unary()
	if err != nil {
		return nil, err
	}
	return &unaryOp{at, op, x}, nil
}

func (p *parser) postfix() (node, error) {
	x, err := p.primary()
	for n := 0; err == nil; n++ {
		if n > maxNesting {
			return nil, p.fail("more than %d steps in a path", maxNesting)
		}
		at := p.here()
		switch {
		case p.tok.Is("."):
			if err = p.advance(); err != nil {
				return nil, err
			}
			if p.tok.Is("[") && !p.isName() {
				continue // params.[name]
			}
			if p.tok.Is("*") || p.tok.Kind == TokenLiteral && p.tok.Type != TypeString {
				return nil, p.unexpected()
			}
			nameAt := p.tok
			var name string
			if name, err = p.nameRead(); err != nil {
				return nil, err
			}
			if p.tok.Is("(") {
				return nil, unsupported(place{nameAt.Pos, nameAt.Line, nameAt.Col}, "method '%s'", name)
			}
			x = &pathRef{at, x, name}
		case p.tok.Is("["):
			ix := &indexRef{place: at, x: x}
			if err = p.advance(); err != nil {
				return nil, err
			}
			if ix.i, err = p.expr(); err != nil {
				return nil, err
			}
			err = p.want("]")
			x = ix
		default:
			return x, nil
		}
	}
	return x, err
}

func (p *parser) primary() (node, error) {
	at := p.here()
	switch {
	case p.tok.Kind == TokenLiteral:
		l := &literal{at, p.tok.Type, p.tok.Value}
		err := p.advance()
		for err == nil && l.typ == TypeString && p.tok.Kind == TokenLiteral && p.tok.Type == TypeString {
			l.val = l.val.(string) + p.tok.Value.(string)
			err = p.advance()
		}
		return l, err
	case p.tok.Is("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		x, err := p.pipe()
		if err != nil {
			return nil, err
		}
		return x, p.want(")")
	case p.tok.Is("typeof") && p.look().Is("("):
		return p.typeRef()
	case p.isName():
		quoted := p.tok.Is("[")
		read := p.nameRead
		if p.look().Is("(") {
			read = p.name // of a function: count(), datetime(...)
		}
		name, err := read()
		if err != nil {
			return nil, err
		}
		if p.tok.Is("(") && !quoted {
			args, err := p.arguments()
			return &call{at, name, args}, err
		}
		return &nameRef{at, name}, nil
	case p.tok.Is("*"):
		return &star{at}, p.advance()
	}
	return nil, p.unexpected()
}

// arguments reads (a, b = c, T | where …).
func (p *parser) arguments() ([]node, error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	args := []node{}
	for !p.tok.Is(")") {
		var x node
		if ahead := *p; ahead.isName() {
			at := p.here()
			if name, err := ahead.columnName(); err == nil && ahead.tok.Is("=") {
				*p = ahead
				if err := p.advance(); err != nil {
					return nil, err
				}
				v, err := p.pipe()
				if err != nil {
					return nil, err
				}
				x = &named{at, []string{name}, v}
			}
		}
		if x == nil {
			var err error
			if x, err = p.pipe(); err != nil {
				return nil, err
			}
		}
		args = append(args, x)
		if !p.tok.Is(")") {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
	}
	return args, p.advance()
}

func (p *parser) typeRef() (node, error) {
	t := &typeRef{place: p.here()}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if k := p.look(); k.Kind == TokenName || k.Kind == TokenPunct {
		ahead := *p
		if err := ahead.advance(); err != nil {
			return nil, err
		}
		if typ, ok := ParseType(ahead.tok.Text); ok && ahead.look().Is(")") {
			t.typ = typ
			if err := ahead.advance(); err != nil {
				return nil, err
			}
			*p = ahead
			return t, p.advance()
		}
	}
	return nil, unsupported(t.place, "typeof with a schema")
}
