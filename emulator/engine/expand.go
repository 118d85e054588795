package engine

import "slices"

// expander turns one row into several, one per element of its arrays.
type expander struct {
	cols  []Column
	items []*expr
	at    []int // the column each item goes to
	types []Type
	pairs bool // kind=array: a bag gives [key, value] instead of {key: value}
	index int  // column of with_itemindex, or -1
	limit int64
}

func (st step) expander(s *scope) (*expander, error) {
	x := &expander{cols: slices.Clone(st.in.cols), index: -1, limit: -1}
	switch k := st.op.params["kind"] + st.op.params["bagexpansion"]; k {
	case "", "bag":
	case "array":
		x.pairs = true
	default:
		return nil, s.fail(st.op, "", "unknown kind '%s'", k)
	}
	names := newNamer(x.cols)
	for _, e := range st.op.expand {
		v, err := s.compile(e.x)
		if err != nil {
			return nil, err
		}
		if v.typ != TypeDynamic {
			return nil, s.fail(e.x, "SEM0090", "expression of type %s cannot be expanded; dynamic is expected", v.typ)
		}
		name := e.name
		if name == "" {
			name = autoName(e.x)
		}
		if name == "" {
			name = names.numbered()
		}
		typ := e.typ
		if typ == 0 {
			typ = TypeDynamic
		}
		k := columnIndex(x.cols, name)
		if _, isPath := e.x.(*pathRef); k < 0 || isPath && e.name == "" {
			name = names.unique(name)
			k = len(x.cols)
			x.cols = append(x.cols, Column{name, typ})
		}
		x.cols[k].Type = typ
		x.items, x.at, x.types = append(x.items, v), append(x.at, k), append(x.types, typ)
	}
	if name := st.op.params["with_itemindex"]; name != "" {
		x.index = len(x.cols)
		x.cols = append(x.cols, Column{names.unique(name), TypeLong})
	}
	if st.op.count != nil {
		n, err := st.amount()
		if err != nil {
			return nil, err
		}
		x.limit = n
	}
	return x, nil
}

// each gives out the rows r expands to; out is used for all of them.
func (x *expander) each(r *Record, out *Record, yield func(*Record) bool) bool {
	lists := make([][]any, len(x.items))
	n := 0
	for i, it := range x.items {
		lists[i] = x.list(it.eval(r))
		n = max(n, len(lists[i]))
	}
	if x.limit >= 0 {
		n = int(min(int64(n), x.limit))
	}
	for k := range n {
		copy(out.Values, r.Values)
		for i, l := range lists {
			var v any
			if k < len(l) {
				v = l[k]
			}
			if x.types[i] != TypeDynamic {
				v = Convert(v, TypeDynamic, x.types[i])
			}
			out.Values[x.at[i]] = v
		}
		if x.index >= 0 {
			out.Values[x.index] = int64(k)
		}
		if !yield(out) {
			return false
		}
	}
	return true
}

// list gives what a value expands to: null and scalars are one element.
func (x *expander) list(v any) []any {
	switch v := parsed(v).(type) {
	case []any:
		return v
	case *Bag:
		out := make([]any, v.Len())
		for i, k := range v.keys {
			if x.pairs {
				out[i] = []any{k, v.vals[i]}
				continue
			}
			b := &Bag{}
			b.Set(k, v.vals[i])
			out[i] = b
		}
		return out
	default:
		return []any{v}
	}
}

func (st step) mvExpand() (*rel, error) {
	s := st.scope()
	x, err := st.expander(s)
	if err != nil {
		return nil, err
	}
	in := st.windowed(s)
	return &rel{cols: x.cols, serial: in.serial, run: func(yield func(*Record) bool) {
		out := Record{Values: make([]any, len(x.cols))}
		in.run(func(r *Record) bool {
			return x.each(r, &out, func(o *Record) bool { return st.env.eng.step() && yield(o) })
		})
	}}, nil
}

// mvApply runs the inner operators over the rows each row expands to. The result
// is the row's own columns and those the inner operators made.
func (st step) mvApply() (*rel, error) {
	s := st.scope()
	x, err := st.expander(s)
	if err != nil {
		return nil, err
	}
	inner := func(rows func(yield func(*Record) bool)) (*rel, error) {
		return st.env.apply(&rel{cols: x.cols, serial: true, run: rows}, st.op.inner, nil)
	}
	shape, err := inner(func(func(*Record) bool) {})
	if err != nil {
		return nil, err
	}
	var cols []Column
	var own, made []int
	for i, c := range st.in.cols {
		if !slices.Contains(x.at, i) {
			cols, own = append(cols, c), append(own, i)
		}
	}
	for i, c := range shape.cols {
		if columnIndex(cols[:len(own)], c.Name) < 0 {
			cols, made = append(cols, c), append(made, i)
		}
	}
	in := st.windowed(s)
	return &rel{cols: cols, serial: in.serial, run: func(yield func(*Record) bool) {
		out := Record{Values: make([]any, len(cols))}
		wide := Record{Values: make([]any, len(x.cols))}
		in.run(func(r *Record) bool {
			t, err := inner(func(y func(*Record) bool) { x.each(r, &wide, y) })
			if err != nil {
				st.env.eng.fail(err)
				return false
			}
			open := true
			t.run(func(m *Record) bool {
				for i, k := range own {
					out.Values[i] = r.Values[k]
				}
				for i, k := range made {
					out.Values[len(own)+i] = m.Values[k]
				}
				open = st.env.eng.step() && yield(&out)
				return open
			})
			return open
		})
	}}, nil
}
