package engine

// rel is a table in the making: its columns are known, its rows come when run is
// called, which happens once.
type rel struct {
	cols   []Column
	name   string // for withsource; "" once an operator has changed it
	serial bool   // the rows have an order that means something
	run    func(yield func(*Record) bool)
}

// collect keeps all rows.
func (t *rel) collect() []*Record {
	var rows []*Record
	t.run(func(r *Record) bool {
		rows = append(rows, r.clone())
		return true
	})
	return rows
}

func singleRow(cols []Column, items []*expr) *rel {
	return &rel{cols: cols, run: func(yield func(*Record) bool) {
		r := &Record{Values: make([]any, len(items))}
		for i, x := range items {
			r.Values[i] = x.eval(&Record{})
		}
		yield(r)
	}}
}

func heldRel(eng *engine, h *held) *rel {
	return &rel{cols: h.cols, run: func(yield func(*Record) bool) {
		for _, r := range h.rows {
			if !eng.step() || !yield(r) {
				return
			}
		}
	}}
}

// table makes the table an expression stands for.
func (e *env) table(n node) (*rel, error) { return e.tableFor(n, "") }

// tableFor makes a table; op is the operator that wants it, for messages.
func (e *env) tableFor(n node, op string) (*rel, error) {
	if err := e.eng.deeper(n); err != nil {
		return nil, err
	}
	defer e.eng.shallower()
	s := &scope{env: e, op: op}
	switch x := n.(type) {
	case *pipe:
		return e.pipe(x, len(x.ops))
	case *nameRef:
		return e.namedTable(x, op)
	case *named:
		return e.tableFor(x.x, op)
	case *datatable:
		return e.datatable(x)
	case *printSource:
		return e.print(x)
	case *rangeSource:
		return e.rangeTable(x)
	case *pathRef:
		if c, ok := x.x.(*call); ok && c.name == "database" {
			return e.elsewhere(s, x, c, op)
		}
	case *call:
		return e.calledTable(s, x)
	}
	return nil, s.fail(n, "", "a table is expected")
}

func (e *env) namedTable(x *nameRef, op string) (*rel, error) {
	if b := e.find(x.name); b != nil {
		switch {
		case b.build != nil:
			return b.build()
		case b.fn != nil:
			return e.calledTable(&scope{env: e, op: op}, &call{x.place, x.name, nil})
		}
	} else if c := e.eng.query.Catalog; c != nil {
		fn, err := e.eng.stored(x.name)
		if err != nil {
			return nil, err
		}
		if fn != nil { // it wins over a table of its name
			return e.calledTable(&scope{env: e, op: op}, &call{x.place, x.name, nil})
		}
		if _, ok := c.Table(x.name); ok {
			return e.scan(x, x.name, op)
		}
	}
	return nil, unresolved(x, x.name, op)
}

func unresolved(n node, name, op string) error {
	s := scope{op: op}
	if op == "union" {
		return s.fail(n, "SEM0100", "Failed to resolve table expression named '%s'", name)
	}
	return s.fail(n, "SEM0100", "Failed to resolve table or column expression named '%s'", name)
}

// elsewhere is a table of the database that is named; without Databases, of this one.
func (e *env) elsewhere(s *scope, x *pathRef, c *call, op string) (*rel, error) {
	catalog := e.eng.query.Catalog
	others, ok := catalog.(Databases)
	if !ok {
		return e.scan(x, x.name, op)
	}
	args, err := s.args(c.args)
	if err != nil {
		return nil, err
	}
	if len(args) != 1 || args[0].typ != TypeString || !args[0].konst {
		return nil, s.fail(x, "", "database(): a name is expected")
	}
	name, _ := args[0].eval(&Record{}).(string)
	if catalog, ok = others.Database(name); !ok {
		return nil, s.fail(x, "SEM0100", "Failed to resolve database '%s'", name)
	}
	return e.scanOf(catalog, x, x.name, op)
}

func (e *env) scan(n node, name, op string) (*rel, error) {
	return e.scanOf(e.eng.query.Catalog, n, name, op)
}

func (e *env) scanOf(catalog Catalog, n node, name, op string) (*rel, error) {
	eng := e.eng
	var src Source
	ok := catalog != nil
	if ok {
		src, ok = catalog.Table(name)
	}
	if !ok {
		return nil, unresolved(n, name, op)
	}
	cols := src.Columns()
	return &rel{cols: cols, name: name, run: func(yield func(*Record) bool) {
		var row Record
		for r := range src.Scan() {
			if !eng.step() {
				return
			}
			if row = r; len(row.Values) != len(cols) {
				eng.fail(&RuntimeError{Message: "table '" + name + "' yields a row that does not fit its columns"})
				return
			}
			if !yield(&row) {
				return
			}
		}
	}}, nil
}

func (e *env) calledTable(s *scope, x *call) (*rel, error) {
	var fn *function
	if b := e.find(x.name); b != nil {
		fn = b.fn
	} else {
		switch x.name {
		case "table", "materialized_view":
			args, err := s.args(x.args)
			if err != nil {
				return nil, err
			}
			if len(args) != 1 || args[0].typ != TypeString || !args[0].konst {
				return nil, s.fail(x, "", "%s(): a name is expected", x.name)
			}
			name := args[0].val.(string)
			if c := e.eng.query.Catalog; c != nil {
				if _, ok := c.Table(name); ok { // also where a function has its name
					return e.scan(x, name, s.op)
				}
			}
			return e.namedTable(&nameRef{x.place, name}, s.op)
		case "materialize":
			if len(x.args) == 1 {
				return e.materialize(x)
			}
		}
		var err error
		if fn, err = e.eng.stored(x.name); err != nil {
			return nil, err
		}
	}
	if fn == nil {
		if s.op == "" {
			return nil, unsupported(x.place, "function '%s'", x.name)
		}
		return nil, s.fail(x, "SEM0260", "Unknown function: '%s'", x.name)
	}
	if err := e.eng.enterCall(x); err != nil {
		return nil, err
	}
	defer e.eng.leaveCall()
	inner, err := s.enter(x, fn)
	if err != nil {
		return nil, err
	}
	if !inner.isTabular(fn.body.final) {
		if ref, ok := fn.body.final.(*nameRef); ok {
			return inner.tableFor(ref, s.op)
		}
		return nil, s.fail(x, "", "function '%s' gives a scalar where a table is expected", x.name)
	}
	t, err := inner.tableFor(fn.body.final, s.op)
	if err == nil && fn.view {
		t.name = fn.name
	}
	return t, err
}

// materialize runs its argument once per place in the query.
func (e *env) materialize(x *call) (*rel, error) {
	h := e.held[x]
	if h == nil {
		t, err := e.table(x.args[0])
		if err != nil {
			return nil, err
		}
		h = &held{cols: t.cols, rows: t.collect()}
		if e.eng.err != nil {
			return nil, e.eng.err
		}
		e.held[x] = h
	}
	return heldRel(e.eng, h), nil
}

// tableArgument binds a table to a tabular parameter: the function sees the
// columns its parameter declares, or all of them for (*).
func (e *env) tableArgument(a node, p param) func() (*rel, error) {
	return func() (*rel, error) {
		t, err := e.table(a)
		if err != nil {
			return nil, err
		}
		return narrow(a, t, p)
	}
}

func narrow(n node, t *rel, p param) (*rel, error) {
	if len(p.cols) == 0 {
		return t, nil
	}
	items := make([]*expr, len(p.cols))
	for i, c := range p.cols {
		k := columnIndex(t.cols, c.Name)
		if k < 0 || t.cols[k].Type != c.Type && !(t.cols[k].Type.integer() && c.Type.integer()) {
			return nil, semantic(n.at(), "", "tabular argument '%s' lacks column '%s' of type %s", p.name, c.Name, c.Type)
		}
		items[i] = column(k, c.Type)
	}
	return projected(t, p.cols, items), nil
}

func (e *env) datatable(x *datatable) (*rel, error) {
	s := &scope{env: e, op: "datatable"}
	n := len(x.cols)
	h := &held{cols: x.cols}
	for i := 0; i < len(x.rows); i += n {
		row := &Record{Values: make([]any, n)}
		for k := range n {
			v, err := s.compile(x.rows[i+k])
			if err != nil {
				return nil, err
			}
			if !v.konst {
				return nil, s.fail(x.rows[i+k], "", "a constant is expected")
			}
			row.Values[k] = cast(v, x.cols[k].Type).val
		}
		h.rows = append(h.rows, row)
	}
	t := heldRel(e.eng, h)
	t.serial = true
	return t, nil
}

func (e *env) print(x *printSource) (*rel, error) {
	s := &scope{env: e, op: "print", serial: true, win: &window{}}
	var cols []Column
	var items []*expr
	names := newNamer(nil)
	for i, it := range x.items {
		v, err := s.compile(it.x)
		if err != nil {
			return nil, err
		}
		name := "print_" + FormatText(TypeLong, int64(i))
		if len(it.names) > 1 {
			return nil, unsupported(it.place, "a tuple of names")
		}
		if len(it.names) == 1 {
			name = it.names[0]
		}
		cols = append(cols, Column{names.unique(name), v.typ})
		items = append(items, v)
	}
	return singleRow(cols, items), nil
}

func (e *env) rangeTable(x *rangeSource) (*rel, error) {
	s := &scope{env: e, op: "range"}
	part := make([]*expr, 3)
	for i, n := range []node{x.from, x.to, x.step} {
		v, err := s.compile(n)
		if err != nil {
			return nil, err
		}
		part[i] = v
	}
	from, to, step := part[0], part[1], part[2]
	typ, stepType := from.typ, from.typ
	switch {
	case typ.numeric() && to.typ.numeric() && step.typ.numeric():
		typ = wider(wider(typ, to.typ), step.typ)
		stepType = typ
	case typ == TypeDatetime && to.typ == typ && step.typ == TypeTimespan:
		stepType = TypeTimespan
	case typ == TypeTimespan && to.typ == typ && step.typ == typ:
	default:
		return nil, s.fail(x, "", "cannot step from %s to %s by %s", typ, to.typ, step.typ)
	}
	a, b, d := cast(from, typ).eval(&Record{}), cast(to, typ).eval(&Record{}), cast(step, stepType).eval(&Record{})
	eng := e.eng
	return &rel{cols: []Column{{x.name, typ}}, serial: true, run: func(yield func(*Record) bool) {
		row := &Record{Values: make([]any, 1)}
		eachStep(a, b, d, func(v any) bool {
			if row.Values[0] = v; typ.counted() {
				n, _ := counted(v)
				row.Values[0] = boxed(typ, n)
			}
			return eng.step() && yield(row)
		})
	}}, nil
}

// eachStep counts from a to b by d, both ends included.
func eachStep(a, b, d any, yield func(any) bool) {
	if a == nil || b == nil || d == nil {
		return
	}
	p, ok1 := counted(a)
	q, ok2 := counted(b)
	n, ok3 := counted(d)
	if ok1 && ok2 && ok3 {
		for v := p; n > 0 && v <= q || n < 0 && v >= q; v += n {
			if !yield(sameKind(a, v)) || n > 0 && v > q-n || n < 0 && v < q-n {
				return
			}
		}
		return
	}
	f, _ := toReal(a)
	g, _ := toReal(b)
	h, _ := toReal(d)
	for i := 0.0; h > 0 && f+i*h <= g || h < 0 && f+i*h >= g; i++ {
		if !yield(f + i*h) {
			return
		}
	}
}

func sameKind(like any, n int64) any {
	switch like.(type) {
	case Datetime:
		return Datetime(n)
	case Timespan:
		return Timespan(n)
	}
	return n
}
