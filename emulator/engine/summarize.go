package engine

import (
	"encoding/binary"
	"math"
)

// slots collects the aggregates found in the items of one summarize. Each gets a
// place behind the group's keys, from where the rest of its item reads it.
type slots struct {
	inner *scope // over the rows
	keys  int
	width int
	specs []aggregator
}

func (sl *slots) add(a aggregator) int {
	at := sl.keys + sl.width
	sl.specs = append(sl.specs, a)
	sl.width += len(a.cols)
	return at
}

// take compiles x if it is an aggregate with one result.
func (sl *slots) take(s *scope, x *call) (*expr, bool, error) {
	f, ok := s.env.eng.aggregates[x.name]
	if !ok {
		return nil, false, nil
	}
	a, err := f.build(sl.inner, x)
	if err != nil {
		return nil, false, err
	}
	if len(a.cols) != 1 {
		return nil, false, s.fail(x, "", "aggregate '%s' with several results cannot be part of an expression", x.name)
	}
	return column(sl.add(a), a.cols[0].Type), true, nil
}

// group is one combination of keys.
type group struct {
	keys []any
	accs []accumulator
}

func (st step) summarize() (*rel, error) {
	s := st.scope()
	names := newNamer(nil)
	var cols []Column
	var keys []*expr
	for i := range st.op.by {
		it := &st.op.by[i]
		x, name, err := st.key(s, it, names)
		if err != nil {
			return nil, err
		}
		keys = append(keys, x)
		cols = append(cols, Column{name, x.typ})
	}
	inner := *s
	sl := &slots{inner: &inner, keys: len(keys)}
	outer := &scope{env: st.env, cols: cols[:len(keys):len(keys)], op: s.op, aggs: sl}
	items := make([]*expr, 0, len(keys)+len(st.op.items))
	for i := range keys {
		items = append(items, column(i, keys[i].typ))
	}
	for i := range st.op.items {
		more, typed, err := st.aggregated(outer, &st.op.items[i], names)
		if err != nil {
			return nil, err
		}
		cols, items = append(cols, typed...), append(items, more...)
	}
	in := st.windowed(s)
	return &rel{cols: cols, run: func(yield func(*Record) bool) {
		groups := grouped(in, keys, sl.specs)
		if st.env.eng.err != nil {
			return
		}
		if len(groups) == 0 && len(keys) == 0 {
			groups = []*group{newGroup(nil, sl.specs)}
		}
		row, out := Record{}, Record{Values: make([]any, len(items))}
		for _, g := range groups {
			row.Values = append(row.Values[:0], g.keys...)
			for _, a := range g.accs {
				row.Values = a.result(row.Values)
			}
			for i, x := range items {
				out.Values[i] = x.eval(&row)
			}
			if !st.env.eng.step() || !yield(&out) {
				return
			}
		}
	}}, nil
}

// key compiles one group key.
func (st step) key(s *scope, it *named, names *namer) (*expr, string, error) {
	x, name, err := st.item(s, it)
	if err != nil {
		return nil, "", err
	}
	if name == "" {
		name = autoName(it.x)
	}
	if x.typ == TypeDynamic {
		return nil, "", s.dynamicKey(it, name)
	}
	if name == "" {
		return x, names.numbered(), nil
	}
	return x, names.unique(name), nil
}

func (s *scope) dynamicKey(n node, name string) error {
	return s.fail(n, "SEM0066", "Group key '%s' is of a 'dynamic' type. Please use an explicit cast as grouping by a 'dynamic' type is not supported", name)
}

// aggregated compiles one item of summarize into its columns.
func (st step) aggregated(outer *scope, it *named, names *namer) ([]*expr, []Column, error) {
	sl := outer.aggs
	x, isCall := it.x.(*call)
	if isCall && st.env.find(x.name) == nil {
		if f, ok := st.env.eng.aggregates[x.name]; ok {
			a, err := f.build(sl.inner, x)
			if err != nil {
				return nil, nil, err
			}
			if a.star {
				a.dropKeys(st.op.by)
			}
			if len(it.names) > len(a.cols) {
				return nil, nil, outer.fail(it, "", "%d names for %d results", len(it.names), len(a.cols))
			}
			at := sl.add(a)
			var items []*expr
			var cols []Column
			for i, c := range a.cols {
				if i < len(it.names) {
					c.Name = it.names[i]
				}
				c.Name = names.unique(c.Name)
				cols = append(cols, c)
				items = append(items, column(at+i, c.Type))
			}
			return items, cols, nil
		}
	}
	before := len(sl.specs)
	v, name, err := st.item(outer, it)
	if err != nil {
		return nil, nil, err
	}
	if len(sl.specs) == before && !v.konst {
		return nil, nil, outer.fail(it.x, "", "an aggregate is expected")
	}
	if name == "" {
		name = autoName(it.x)
	}
	if name == "" {
		name = names.numbered()
	} else {
		name = names.unique(name)
	}
	return []*expr{v}, []Column{{name, v.typ}}, nil
}

func newGroup(keys []any, specs []aggregator) *group {
	g := &group{keys: keys, accs: make([]accumulator, len(specs))}
	for i := range specs {
		g.accs[i] = specs[i].open()
	}
	return g
}

// grouped runs the rows through the accumulators of their groups; groups come in
// the order of their first row.
func grouped(in *rel, keys []*expr, specs []aggregator) []*group {
	var order []*group
	groups := map[string]*group{}
	var buf []byte
	in.run(func(r *Record) bool {
		buf = buf[:0]
		for _, k := range keys {
			buf = appendExprKey(buf, k, r)
		}
		g := groups[string(buf)]
		if g == nil {
			vals := make([]any, len(keys))
			for i, k := range keys {
				vals[i] = k.eval(r)
			}
			g = newGroup(vals, specs)
			groups[string(buf)] = g
			order = append(order, g)
		}
		for _, a := range g.accs {
			a.add(r)
		}
		return true
	})
	return order
}

func appendExprKey(buf []byte, x *expr, r *Record) []byte {
	if x.count != nil {
		n, ok := x.count(r)
		if !ok {
			return append(buf, 0)
		}
		return binary.LittleEndian.AppendUint64(append(buf, 1), uint64(n))
	}
	return appendKey(buf, x.eval(r))
}

// appendKey encodes a value so that equal values, and only those, are equal bytes.
func appendKey(buf []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(buf, 0)
	case bool:
		n, _ := toLong(x)
		return append(buf, 2, byte(n))
	case float64:
		if x == 0 {
			x = 0 // no negative zero
		}
		return binary.LittleEndian.AppendUint64(append(buf, 3), math.Float64bits(x))
	case string:
		buf = binary.AppendUvarint(append(buf, 4), uint64(len(x)))
		return append(buf, x...)
	}
	if n, ok := counted(v); ok {
		return binary.LittleEndian.AppendUint64(append(buf, 1), uint64(n))
	}
	text := FormatText(TypeDynamic, v)
	buf = binary.AppendUvarint(append(buf, 5), uint64(len(text)))
	return append(buf, text...)
}

func (st step) distinct() (*rel, error) {
	s := st.scope()
	var cols []Column
	var keys []*expr
	names := newNamer(nil)
	for i := range st.op.items {
		it := &st.op.items[i]
		if _, ok := it.x.(*star); ok && len(st.op.items) == 1 {
			for k, c := range st.in.cols {
				if c.Type == TypeDynamic {
					return nil, s.dynamicKey(it, c.Name)
				}
				cols, keys = append(cols, c), append(keys, column(k, c.Type))
			}
			break
		}
		x, name, err := st.key(s, it, names)
		if err != nil {
			return nil, err
		}
		cols, keys = append(cols, Column{name, x.typ}), append(keys, x)
	}
	in := st.windowed(s)
	return &rel{cols: cols, run: func(yield func(*Record) bool) {
		seen := map[string]bool{}
		var buf []byte
		out := Record{Values: make([]any, len(keys))}
		in.run(func(r *Record) bool {
			buf = buf[:0]
			for i, k := range keys {
				out.Values[i] = k.eval(r)
				buf = appendKey(buf, out.Values[i])
			}
			if seen[string(buf)] {
				return true
			}
			seen[string(buf)] = true
			return yield(&out)
		})
	}}, nil
}
