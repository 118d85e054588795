package engine

import "slices"

// evaluate knows one plugin: bag_unpack(bag [, prefix [, columnsConflict [,
// ignoredProperties]]]).
func (st step) evaluate() (*rel, error) {
	x := st.op.fn
	if x.name != "bag_unpack" {
		return nil, unsupported(x.place, "plugin '%s'", x.name)
	}
	s := &scope{env: st.env, cols: st.in.cols, op: "evaluate"}
	if len(x.args) < 1 {
		return nil, s.fail(x, "SEM0219", "bag_unpack(): a column is expected")
	}
	ref, ok := x.args[0].(*nameRef)
	at := -1
	if ok {
		at = columnIndex(st.in.cols, ref.name)
	}
	if at < 0 || st.in.cols[at].Type != TypeDynamic {
		return nil, s.fail(x.args[0], "SEM0100", "bag_unpack(): a column of type dynamic is expected")
	}
	u := unpacker{at: at, conflict: "error", in: st.in}
	positional := []string{"OutputColumnPrefix", "columnsConflict", "ignoredProperties"}
	for i, a := range x.args[1:] {
		if i >= len(positional) {
			return nil, s.fail(x, "SEM0219", "bag_unpack(): too many arguments")
		}
		name := positional[i]
		if nm, ok := a.(*named); ok {
			name, a = nm.names[0], nm.x
		}
		v, err := (&scope{env: st.env, op: "evaluate"}).compile(a)
		if err != nil {
			return nil, err
		}
		switch name {
		case "OutputColumnPrefix":
			u.prefix = FormatText(v.typ, v.val)
		case "columnsConflict":
			u.conflict = FormatText(v.typ, v.val)
		case "ignoredProperties":
			for _, k := range elements(v.val) {
				u.ignored = append(u.ignored, FormatText(TypeDynamic, k))
			}
		default:
			return nil, unsupported(a.at(), "argument '%s' of 'bag_unpack'", name)
		}
	}
	if st.op.schema != nil || st.op.anyLeft {
		return nil, unsupported(x.place, "an output schema of 'bag_unpack'")
	}
	return u.unpack(st, s)
}

type unpacker struct {
	in       *rel
	at       int
	prefix   string
	conflict string
	ignored  []string
}

// unpack holds all rows: the columns are known only when all bags have been seen.
func (u *unpacker) unpack(st step, s *scope) (*rel, error) {
	rows := u.in.collect()
	if err := st.env.eng.err; err != nil {
		return nil, err
	}
	types := map[string]Type{}
	var keys []string
	bags := make([]*Bag, len(rows))
	for i, r := range rows {
		b, ok := parsed(r.Values[u.at]).(*Bag)
		if !ok {
			continue
		}
		bags[i] = b
		for k, key := range b.keys {
			if slices.Contains(u.ignored, key) {
				continue
			}
			t, seen := types[key]
			if !seen {
				keys = append(keys, key)
			}
			types[key] = merged(t, b.vals[k])
		}
	}
	slices.Sort(keys)
	var cols []Column
	var from []int // the input's column, or -1-k for the k-th key
	for i, c := range u.in.cols {
		if i != u.at {
			cols, from = append(cols, c), append(from, i)
		}
	}
	for k, key := range keys {
		typ := types[key]
		if typ == 0 {
			typ = TypeDynamic
		}
		c := Column{u.prefix + key, typ}
		if i := columnIndex(cols, c.Name); i >= 0 {
			switch u.conflict {
			case "replace_source":
				cols[i], from[i] = c, -1-k
			case "keep_source":
			default:
				return nil, s.fail(st.op, "SEM0244", "bag_unpack(): column '%s' exists already", c.Name)
			}
			continue
		}
		cols, from = append(cols, c), append(from, -1-k)
	}
	h := &held{cols: cols}
	for i, r := range rows {
		out := &Record{Values: make([]any, len(cols))}
		for c, f := range from {
			if f >= 0 {
				out.Values[c] = r.Values[f]
			} else if bags[i] != nil {
				v, _ := bags[i].Get(keys[-1-f])
				out.Values[c] = Convert(v, TypeDynamic, cols[c].Type)
			}
		}
		h.rows = append(h.rows, out)
	}
	return heldRel(st.env.eng, h), nil
}

// merged widens a column's type so that v fits too; null says nothing.
func merged(t Type, v any) Type {
	var n Type
	switch v.(type) {
	case nil:
		return t
	case bool:
		n = TypeBool
	case int64:
		n = TypeLong
	case float64:
		n = TypeReal
	case string:
		n = TypeString
	case Datetime:
		n = TypeDatetime
	case Timespan:
		n = TypeTimespan
	default:
		n = TypeDynamic
	}
	switch {
	case t == 0 || t == n:
		return n
	case t.numeric() && n.numeric():
		return wider(t, n)
	}
	return TypeDynamic
}
