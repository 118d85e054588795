package engine

import "strings"

// operatorWord reads an operator's name, which may hold hyphens.
func (p *parser) operatorWord() (string, error) {
	if p.tok.Kind != TokenName {
		return "", p.unexpected()
	}
	word := p.tok.Text
	for {
		next := p.look()
		if !next.Is("-") || next.Pos != p.tok.End || !hyphenated(word) {
			return word, p.advance()
		}
		if err := p.advance(); err != nil {
			return "", err
		}
		tail := p.look()
		if tail.Kind != TokenName || tail.Pos != p.tok.End {
			return "", p.unexpected()
		}
		if err := p.advance(); err != nil {
			return "", err
		}
		word += "-" + tail.Text
	}
}

func hyphenated(word string) bool {
	switch word {
	case "assert", "project", "mv", "parse", "make", "top", "sample", "graph", "macro", "graph-to", "graph-mark", "graph-where", "graph-shortest", "project-by":
		return true
	}
	return false
}

func (p *parser) operator() (operator, error) {
	op := operator{place: p.here()}
	word, err := p.operatorWord()
	if err != nil {
		return op, err
	}
	switch word {
	case "filter":
		word = "where"
	case "order":
		word = "sort"
	case "limit":
		word = "take"
	case "mvexpand":
		word = "mv-expand"
	case "mvapply":
		word = "mv-apply"
	}
	op.name = word
	switch word {
	case "getschema":
		return op, nil
	case "where":
		if err := p.properties(&op); err != nil {
			return op, err
		}
		op.items = make([]named, 1)
		op.items[0].place = p.here()
		op.items[0].x, err = p.expr()
	case "extend", "project":
		if word == "project" && (p.tok.Is("|") || p.tok.Kind == TokenEOF || p.tok.Is(";") || p.tok.Is(")")) {
			return op, nil
		}
		op.items, err = p.items()
	case "serialize":
		if p.endOfOperator() {
			return op, nil
		}
		op.items, err = p.items()
	case "project-away", "project-keep", "project-reorder":
		err = p.patterns(&op)
	case "project-rename":
		op.items, err = p.items()
	case "distinct":
		if err := p.properties(&op); err != nil {
			return op, err
		}
		op.items, err = p.items()
	case "summarize":
		err = p.summarize(&op)
	case "sort", "top":
		err = p.sortOrTop(&op)
	case "take":
		op.count, err = p.expr()
	case "count":
		if p.tok.Is("as") {
			return op, unsupported(p.here(), "'as' of 'count'")
		}
	case "join", "lookup":
		err = p.join(&op)
	case "union":
		err = p.union(&op)
	case "mv-expand", "mv-apply":
		err = p.mvExpand(&op)
	case "evaluate", "invoke":
		err = p.plugin(&op)
	case "as":
		if err := p.properties(&op); err != nil {
			return op, err
		}
		var name string
		name, err = p.newName()
		op.params = map[string]string{"as": name}
	case "render":
		err = p.render()
	case "parse", "parse-where":
		err = p.parseOperator(&op)
	default:
		if otherOperator(word) {
			return op, unsupported(op.place, "operator '%s'", word)
		}
		return op, &SyntaxError{Message: "Query could not be parsed at '" + word + "'", Pos: op.off, Line: op.line, Col: op.col}
	}
	return op, err
}

// otherOperator knows the operators of the language that are refused here; any
// other word is no operator at all.
func otherOperator(word string) bool {
	switch word {
	case "assert-schema", "consume", "externaldata", "facet", "find", "fork", "graph-mark-components", "graph-match",
		"graph-merge", "graph-shortest-paths", "graph-to-table", "graph-where-edges", "graph-where-nodes", "macro-expand",
		"make-graph", "make-series", "parse-kv", "partition", "project-by-names", "reduce", "sample", "sample-distinct",
		"scan", "search", "top-hitters", "top-nested":
		return true
	}
	return false
}

func (p *parser) endOfOperator() bool {
	return p.tok.Kind == TokenEOF || p.tok.Is("|") || p.tok.Is(";") || p.tok.Is(")") || p.tok.Is("}")
}

// properties reads name=value pairs in front of an operator's operands. Unknown
// names are refused, save hint.*.
func (p *parser) properties(op *operator, known ...string) error {
	for {
		ahead := *p
		at := p.here()
		if ahead.tok.Kind != TokenName {
			return nil
		}
		name := ahead.tok.Text
		if err := ahead.advance(); err != nil {
			return err
		}
		hint := name == "hint" && ahead.tok.Is(".")
		if hint {
			if err := ahead.advance(); err != nil {
				return err
			}
			if err := ahead.advance(); err != nil {
				return err
			}
		}
		if !ahead.tok.Is("=") {
			return nil
		}
		ok := hint
		for _, k := range known {
			ok = ok || k == name
		}
		if !ok {
			if op.name == "where" || op.name == "distinct" || op.name == "union" {
				return nil
			}
			if op.name == "summarize" || op.name == "mv-expand" || op.name == "mv-apply" {
				return nil // a named item
			}
			return unsupported(at, "parameter '%s' of '%s'", name, op.name)
		}
		if err := ahead.advance(); err != nil {
			return err
		}
		value := ahead.tok.Text
		switch v := ahead.tok.Value.(type) {
		case string:
			value = v
		case bool:
			value = FormatText(TypeDynamic, v)
		case int64:
			value = FormatText(TypeLong, v)
		}
		if ahead.tok.Kind == TokenEOF || ahead.tok.Kind == TokenPunct {
			*p = ahead
			return p.unexpected()
		}
		*p = ahead
		if err := p.advance(); err != nil {
			return err
		}
		if !hint {
			if op.params == nil {
				op.params = map[string]string{}
			}
			op.params[name] = value
		}
	}
}

// patterns reads column names with wildcards: a, b*, *, ['x y'], c asc.
func (p *parser) patterns(op *operator) error {
	for {
		it := named{place: p.here()}
		text, err := p.pattern()
		if err != nil {
			return err
		}
		it.x = &pattern{it.place, text}
		if op.name == "project-reorder" {
			for _, w := range []string{"asc", "desc", "granny-asc", "granny-desc"} {
				if p.tok.Is(w) {
					return unsupported(p.here(), "'%s' of 'project-reorder'", w)
				}
			}
		}
		op.items = append(op.items, it)
		if ok, err := p.eat(","); !ok || err != nil {
			return err
		}
	}
}

func (p *parser) pattern() (string, error) {
	if p.isName() && p.tok.Is("[") {
		return p.name()
	}
	if p.bare(reservedWords, columnWords, readWords) && !p.look().Is("*") {
		return "", p.unexpected()
	}
	var b strings.Builder
	end := p.tok.Pos
	for (p.tok.Kind == TokenName || p.tok.Is("*") || p.tok.Kind == TokenLiteral && p.tok.Type == TypeLong && b.Len() > 0) && p.tok.Pos == end {
		end = p.tok.End
		b.WriteString(p.lx.s[p.tok.Pos:p.tok.End])
		if err := p.advance(); err != nil {
			return "", err
		}
	}
	if b.Len() == 0 {
		return "", p.unexpected()
	}
	return b.String(), nil
}

func (p *parser) summarize(op *operator) (err error) {
	if err := p.properties(op); err != nil {
		return err
	}
	if !p.tok.Is("by") {
		if op.items, err = p.items(); err != nil {
			return err
		}
	}
	ok, err := p.eat("by")
	if err != nil || !ok {
		return err
	}
	if err := p.properties(op); err != nil {
		return err
	}
	op.by, err = p.items()
	return err
}

func (p *parser) sortOrTop(op *operator) (err error) {
	if err := p.properties(op); err != nil {
		return err
	}
	if op.name == "top" {
		if op.count, err = p.expr(); err != nil {
			return err
		}
	}
	if err := p.want("by"); err != nil {
		return err
	}
	for {
		var o ordering
		if o.x, err = p.expr(); err != nil {
			return err
		}
		if o.asc, err = p.eat("asc"); err != nil {
			return err
		}
		if !o.asc {
			if _, err = p.eat("desc"); err != nil {
				return err
			}
		}
		o.nullsFirst = o.asc
		if ok, err := p.eat("nulls"); err != nil {
			return err
		} else if ok {
			o.nullsFirst = p.tok.Is("first")
			if !p.tok.Is("first") && !p.tok.Is("last") {
				return p.unexpected()
			}
			if err := p.advance(); err != nil {
				return err
			}
		}
		op.order = append(op.order, o)
		if op.name == "top" {
			return nil // it orders by one expression, as Microsoft's parser has it
		}
		if ok, err := p.eat(","); !ok || err != nil {
			return err
		}
	}
}
