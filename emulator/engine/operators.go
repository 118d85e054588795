package engine

import "slices"

// step is one operator about to be applied.
type step struct {
	env     *env
	in      *rel
	op      *operator
	rebuild func() (*rel, error) // makes in afresh; nil where that cannot be
}

// pipe applies the first n operators of x to its source.
func (e *env) pipe(x *pipe, n int) (*rel, error) {
	var t *rel
	var err error
	ops := x.ops[:n]
	if x.source == nil { // union at the beginning
		if n == 0 {
			return nil, semantic(x.at(), "", "a table is expected")
		}
		t, err = step{env: e, op: &ops[0]}.union()
		ops = ops[1:]
	} else {
		op := ""
		if n > 0 {
			op = ops[0].name
		}
		t, err = e.tableFor(x.source, op)
	}
	if err != nil {
		return nil, err
	}
	skipped := n - len(ops)
	return e.apply(t, ops, func(i int) (*rel, error) { return e.pipe(x, skipped+i) })
}

// apply runs t through ops; rebuild(i) makes the input of the i-th afresh.
func (e *env) apply(t *rel, ops []operator, rebuild func(i int) (*rel, error)) (*rel, error) {
	for i := range ops {
		st := step{env: e, in: t, op: &ops[i]}
		if rebuild != nil {
			st.rebuild = func() (*rel, error) { return rebuild(i) }
		}
		next, err := st.apply()
		if err != nil {
			return nil, err
		}
		t = next
		if ops[i].name == "as" {
			name := ops[i].params["as"]
			e = newEnv(e)
			e.names[name] = &binding{name: name, build: func() (*rel, error) {
				if rebuild == nil {
					return nil, unsupported(ops[i].place, "'as' inside 'mv-apply'")
				}
				again, err := rebuild(i)
				if err == nil {
					again.name = name
				}
				return again, err
			}}
		}
	}
	return t, nil
}

func (st step) apply() (*rel, error) {
	switch st.op.name {
	case "where":
		return st.where()
	case "extend", "serialize":
		return st.extend()
	case "project":
		return st.project()
	case "project-away", "project-keep", "project-reorder":
		return st.choose()
	case "project-rename":
		return st.rename()
	case "summarize":
		return st.summarize()
	case "distinct":
		return st.distinct()
	case "sort", "top":
		return st.sort()
	case "take":
		return st.take()
	case "count":
		return st.count()
	case "join", "lookup":
		return st.join()
	case "union":
		return st.union()
	case "mv-expand":
		return st.mvExpand()
	case "mv-apply":
		return st.mvApply()
	case "evaluate":
		return st.evaluate()
	case "invoke":
		return st.invoke()
	case "getschema":
		return st.getschema(), nil
	case "parse", "parse-where":
		return st.parse()
	case "as":
		out := *st.in
		out.name = st.op.params["as"]
		return &out, nil
	case "render":
		return st.in, nil
	}
	return nil, unsupported(st.op.place, "operator '%s'", st.op.name)
}

func (st step) scope() *scope {
	return &scope{env: st.env, cols: st.in.cols, op: st.op.name, win: &window{}, serial: st.in.serial || st.op.name == "serialize"}
}

// windowed is the input, with all rows kept if an expression of s asks for that.
func (st step) windowed(s *scope) *rel {
	if !s.win.asked {
		return st.in
	}
	in := *st.in
	in.run = func(yield func(*Record) bool) {
		s.win.rows = st.in.collect()
		for i, r := range s.win.rows {
			if s.win.i = i; !st.env.eng.step() || !yield(r) {
				return
			}
		}
	}
	return &in
}

// like is a table with t's columns and order and other rows.
func (t *rel) like(run func(yield func(*Record) bool)) *rel {
	return &rel{cols: t.cols, serial: t.serial, run: run}
}

func (st step) where() (*rel, error) {
	s := st.scope()
	cond, err := s.compile(st.op.items[0].x)
	if err != nil {
		return nil, err
	}
	if cond.typ != TypeBool && cond.typ != TypeDynamic && !cond.typ.integer() {
		return nil, s.fail(st.op.items[0].x, "", "the condition must be of type bool, not %s", cond.typ)
	}
	cond = cast(cond, TypeBool)
	in := st.windowed(s)
	return in.like(func(yield func(*Record) bool) {
		in.run(func(r *Record) bool {
			if cond.eval(r) == true {
				return yield(r)
			}
			return true
		})
	}), nil
}

// projected computes new columns from each row; ingestion time and tags stay.
func projected(in *rel, cols []Column, items []*expr) *rel {
	return &rel{cols: cols, serial: in.serial, run: func(yield func(*Record) bool) {
		out := Record{Values: make([]any, len(items))}
		in.run(func(r *Record) bool {
			for i, x := range items {
				out.Values[i] = x.eval(r)
			}
			out.Ingested, out.Tags = r.Ingested, r.Tags
			return yield(&out)
		})
	}}
}

func (st step) item(s *scope, it *named) (*expr, string, error) {
	if len(it.names) > 1 {
		return nil, "", unsupported(it.place, "a tuple of names")
	}
	if _, ok := it.x.(*star); ok {
		return nil, "", s.fail(it, "", "'*' is not allowed here")
	}
	x, err := s.compile(it.x)
	if err != nil {
		return nil, "", err
	}
	if len(it.names) == 1 {
		return x, it.names[0], nil
	}
	return x, "", nil
}

func (st step) extend() (*rel, error) {
	s := st.scope()
	cols := slices.Clone(st.in.cols)
	items := make([]*expr, len(cols))
	names := newNamer(cols)
	for i := range st.op.items {
		it := &st.op.items[i]
		x, name, err := st.item(s, it)
		if err != nil {
			return nil, err
		}
		if name == "" {
			name = autoName(it.x)
			if _, made := it.x.(*call); made && name != "" {
				name = names.unique(name) // never in place of a column
			} else if name == "" {
				name = names.numbered()
			}
		}
		if k := columnIndex(cols, name); k >= 0 {
			cols[k].Type, items[k] = x.typ, x
			continue
		}
		names.used(name)
		cols = append(cols, Column{name, x.typ})
		items = append(items, x)
	}
	in := st.windowed(s)
	if len(st.op.items) == 0 {
		out := *in
		out.serial = true
		return &out, nil
	}
	return &rel{cols: cols, serial: in.serial || st.op.name == "serialize", run: func(yield func(*Record) bool) {
		out := Record{Values: make([]any, len(cols))}
		in.run(func(r *Record) bool {
			copy(out.Values, r.Values)
			for i, x := range items {
				if x != nil {
					out.Values[i] = x.eval(r)
				}
			}
			out.Ingested, out.Tags = r.Ingested, r.Tags
			return yield(&out)
		})
	}}, nil
}

func (st step) project() (*rel, error) {
	s := st.scope()
	var cols []Column
	var items []*expr
	names := newNamer(nil)
	for i := range st.op.items {
		it := &st.op.items[i]
		x, name, err := st.item(s, it)
		if err != nil {
			return nil, err
		}
		if name == "" {
			name = autoName(it.x)
		}
		if name == "" {
			name = names.numbered()
		} else {
			name = names.unique(name)
		}
		cols = append(cols, Column{name, x.typ})
		items = append(items, x)
	}
	return projected(st.windowed(s), cols, items), nil
}

// choose does project-away, project-keep and project-reorder.
func (st step) choose() (*rel, error) {
	s := st.scope()
	chosen := make([]bool, len(st.in.cols))
	var first []int
	for _, it := range st.op.items {
		text := it.x.(*pattern).text
		hit := false
		for i, c := range st.in.cols {
			if c.Name == text || wildcard(text, c.Name) {
				if hit = true; !chosen[i] {
					chosen[i] = true
					first = append(first, i)
				}
			}
		}
		if !hit {
			return nil, s.fail(it.x, "SEM0100", "Failed to resolve scalar expression named '%s'", text)
		}
	}
	var order []int
	if st.op.name == "project-reorder" {
		order = first
	}
	for i := range chosen {
		if chosen[i] == (st.op.name == "project-keep") {
			order = append(order, i)
		}
	}
	return st.picked(order), nil
}

// picked keeps the given columns, in that order.
func (st step) picked(order []int) *rel {
	cols := make([]Column, len(order))
	items := make([]*expr, len(order))
	for i, k := range order {
		cols[i], items[i] = st.in.cols[k], column(k, st.in.cols[k].Type)
	}
	return projected(st.in, cols, items)
}

func (st step) rename() (*rel, error) {
	s := st.scope()
	cols := slices.Clone(st.in.cols)
	for _, it := range st.op.items {
		ref, ok := it.x.(*nameRef)
		if !ok || len(it.names) != 1 {
			return nil, s.fail(it.x, "", "New = Old is expected")
		}
		k := columnIndex(st.in.cols, ref.name)
		if k < 0 {
			return nil, s.fail(ref, "SEM0100", "Failed to resolve scalar expression named '%s'", ref.name)
		}
		cols[k].Name = it.names[0]
	}
	for i, c := range cols {
		if columnIndex(cols, c.Name) != i {
			return nil, s.fail(st.op, "", "column '%s' would exist twice", c.Name)
		}
	}
	out := st.in.like(func(yield func(*Record) bool) {
		st.in.run(func(r *Record) bool {
			row := *r
			row.Raw = nil
			return yield(&row)
		})
	})
	out.cols = cols
	return out, nil
}

// amount evaluates the number of take and top.
func (st step) amount() (int64, error) {
	s := &scope{env: st.env, op: st.op.name}
	x, err := s.compile(st.op.count)
	if err != nil {
		return 0, err
	}
	n, ok := x.eval(&Record{}).(int64)
	if !x.typ.integer() || !ok || n < 0 {
		return 0, s.fail(st.op.count, "", "a number of rows is expected")
	}
	return n, nil
}

func (st step) take() (*rel, error) {
	n, err := st.amount()
	if err != nil {
		return nil, err
	}
	return st.in.like(func(yield func(*Record) bool) {
		if n == 0 {
			return
		}
		left := n
		st.in.run(func(r *Record) bool {
			left--
			return yield(r) && left > 0
		})
	}), nil
}

func (st step) count() (*rel, error) {
	return &rel{cols: []Column{{"Count", TypeLong}}, run: func(yield func(*Record) bool) {
		n := int64(0)
		st.in.run(func(*Record) bool { n++; return true })
		if st.env.eng.err == nil {
			yield(&Record{Values: []any{n}})
		}
	}}, nil
}

func (st step) getschema() *rel {
	cols := []Column{{"ColumnName", TypeString}, {"ColumnOrdinal", TypeInt}, {"DataType", TypeString}, {"ColumnType", TypeString}}
	return &rel{cols: cols, serial: true, run: func(yield func(*Record) bool) {
		for i, c := range st.in.cols {
			net := "System." + c.Type.WireName()
			if c.Type == TypeDecimal {
				net = "System.Data.SqlTypes.SqlDecimal"
			}
			if !yield(&Record{Values: []any{c.Name, int64(i), net, c.Type.String()}}) {
				return
			}
		}
	}}
}

func (st step) invoke() (*rel, error) {
	s := &scope{env: st.env, op: "invoke"}
	x := st.op.fn
	if st.rebuild == nil {
		return nil, unsupported(x.place, "'invoke' inside 'mv-apply'")
	}
	var fn *function
	if b := st.env.find(x.name); b != nil {
		fn = b.fn
	} else {
		var err error
		if fn, err = st.env.eng.stored(x.name); err != nil {
			return nil, err
		}
	}
	if fn == nil || len(fn.params) == 0 || !fn.params[0].tabular {
		return nil, s.fail(x, "SEM0260", "'%s' is no function with a tabular first parameter", x.name)
	}
	// The piped table gets a name of its own, so that it can be passed on.
	given := newEnv(st.env)
	const piped = "<piped>"
	given.names[piped] = &binding{name: piped, build: st.rebuild}
	args := append([]node{&nameRef{x.place, piped}}, x.args...)
	return given.calledTable(&scope{env: given, op: "invoke"}, &call{x.place, x.name, args})
}
