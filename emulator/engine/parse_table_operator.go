package engine

func (p *parser) join(op *operator) (err error) {
	if err := p.properties(op, "kind"); err != nil {
		return err
	}
	if op.right, err = p.primary(); err != nil {
		return err
	}
	if err := p.properties(op, "kind"); err != nil {
		return err
	}
	if p.tok.Is("where") {
		return unsupported(p.here(), "'where' of '%s'", op.name)
	}
	if err := p.want("on"); err != nil {
		return err
	}
	for {
		x, err := p.expr()
		if err != nil {
			return err
		}
		op.by = append(op.by, named{place: x.at(), x: x})
		if ok, err := p.eat(","); !ok || err != nil {
			return err
		}
	}
}

func (p *parser) union(op *operator) error {
	if err := p.properties(op, "kind", "withsource", "with_source", "isfuzzy"); err != nil {
		return err
	}
	for {
		x, err := p.unionTable()
		if err != nil {
			return err
		}
		op.tables = append(op.tables, x)
		if ok, err := p.eat(","); !ok || err != nil {
			return err
		}
	}
}

// unionTable reads one operand: a bracketed pipe, a name, a call, or a wildcard.
func (p *parser) unionTable() (node, error) {
	at := p.here()
	if p.tok.Is("*") || p.tok.Kind == TokenName && p.look().Is("*") {
		text, err := p.pattern()
		return &pattern{at, text}, err
	}
	return p.postfix()
}

func (p *parser) mvExpand(op *operator) error {
	if err := p.properties(op, "kind", "bagexpansion", "with_itemindex"); err != nil {
		return err
	}
	for {
		if p.tok.Is("to") || p.tok.Is("limit") {
			return p.unexpected()
		}
		it, err := p.item()
		if err != nil {
			return err
		}
		e := expansion{place: it.place, x: it.x}
		if len(it.names) > 1 {
			return p.unexpected()
		}
		if len(it.names) == 1 {
			e.name = it.names[0]
		}
		if ok, err := p.eat("to"); err != nil {
			return err
		} else if ok {
			if !p.tok.Is("typeof") {
				return p.unexpected()
			}
			t, err := p.typeRef()
			if err != nil {
				return err
			}
			e.typ = t.(*typeRef).typ
		}
		op.expand = append(op.expand, e)
		if ok, err := p.eat(","); err != nil {
			return err
		} else if !ok {
			break
		}
	}
	if ok, err := p.eat("limit"); err != nil {
		return err
	} else if ok {
		if op.count, err = p.expr(); err != nil {
			return err
		}
	}
	if op.name == "mv-expand" {
		return nil
	}
	if err := p.want("on"); err != nil {
		return err
	}
	if err := p.want("("); err != nil {
		return err
	}
	if err := p.deeper(); err != nil {
		return err
	}
	defer func() { p.depth-- }()
	for {
		in, err := p.operator()
		if err != nil {
			return err
		}
		op.inner = append(op.inner, in)
		if ok, err := p.eat("|"); err != nil {
			return err
		} else if !ok {
			return p.want(")")
		}
	}
}

func (p *parser) plugin(op *operator) error {
	if err := p.properties(op); err != nil {
		return err
	}
	x, err := p.primary()
	if err != nil {
		return err
	}
	switch c := x.(type) {
	case *call:
		op.fn = c
	case *nameRef:
		op.fn = &call{c.place, c.name, nil}
	default:
		return p.unexpected()
	}
	if ok, err := p.eat(":"); err != nil || !ok {
		return err
	}
	if next := p.look(); p.tok.Is("(") && next.Is("*") {
		op.anyLeft = true
		if err := p.advance(); err != nil {
			return err
		}
		p.tok.Text, p.tok.Kind = "(", TokenPunct
		if next := p.look(); next.Is(",") {
			if err := p.advance(); err != nil {
				return err
			}
			p.tok.Text = "("
		}
	}
	op.schema, err = p.schema()
	return err
}

// render is read and dropped: it concerns whoever draws the answer.
func (p *parser) render() error {
	for !p.endOfOperator() {
		if p.tok.Is("(") {
			for depth := 0; ; {
				if p.tok.Is("(") {
					depth++
				}
				if p.tok.Is(")") {
					depth--
				}
				if p.tok.Kind == TokenEOF {
					return p.unexpected()
				}
				if depth == 0 {
					break
				}
				if err := p.advance(); err != nil {
					return err
				}
			}
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

// parseOperator reads parse [kind=simple] x with [*] 'text' name[:type] … [*].
func (p *parser) parseOperator(op *operator) (err error) {
	if err := p.properties(op, "kind"); err != nil {
		return err
	}
	if k := op.params["kind"]; k != "" && k != "simple" {
		return unsupported(op.place, "kind=%s of '%s'", k, op.name)
	}
	src, err := p.expr()
	if err != nil {
		return err
	}
	op.items = []named{{place: src.at(), x: src}}
	if err := p.want("with"); err != nil {
		return err
	}
	for !p.endOfOperator() {
		at := p.here()
		switch {
		case p.tok.Is("*"):
			op.by = append(op.by, named{place: at, x: &star{at}})
			err = p.advance()
		case p.tok.Kind == TokenLiteral && p.tok.Type == TypeString:
			op.by = append(op.by, named{place: at, x: &literal{at, TypeString, p.tok.Value}})
			err = p.advance()
		default:
			var name string
			if name, err = p.columnName(); err != nil {
				return err
			}
			typ := TypeString
			if ok, e := p.eat(":"); e != nil {
				return e
			} else if ok {
				if typ, e = p.typeName(); e != nil {
					return e
				}
			}
			op.by = append(op.by, named{place: at, names: []string{name}, x: &typeRef{place: at, typ: typ}})
		}
		if err != nil {
			return err
		}
	}
	if len(op.by) == 0 {
		return p.unexpected()
	}
	return nil
}
