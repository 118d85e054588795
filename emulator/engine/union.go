package engine

import (
	"errors"
	"slices"
	"strconv"
)

// union concatenates tables by column name, one after the other.
func (st step) union() (*rel, error) {
	s := &scope{env: st.env, op: "union"}
	fuzzy := st.op.params["isfuzzy"] == "true" || st.op.params["isfuzzy"] == "1"
	var tables []*rel
	if st.in != nil {
		tables = append(tables, st.in)
	}
	for _, n := range st.op.tables {
		more, err := st.unionOperand(n)
		var missing *SemanticError
		if fuzzy && errors.As(err, &missing) && missing.Code == "SEM0100" {
			continue
		}
		if err != nil {
			return nil, err
		}
		tables = append(tables, more...)
	}
	if len(tables) == 0 {
		return nil, s.fail(st.op, "SEM0100", "no table to unite")
	}
	source := st.op.params["withsource"]
	if source == "" {
		source = st.op.params["with_source"]
	}
	kind := st.op.params["kind"]
	if kind != "" && kind != "outer" && kind != "inner" {
		return nil, s.fail(st.op, "", "unknown kind '%s'", kind)
	}
	u := uniter{tables: tables, source: source}
	u.columns(kind == "inner")
	return &rel{cols: u.cols, run: u.run}, nil
}

func (st step) unionOperand(n node) ([]*rel, error) {
	p, ok := n.(*pattern)
	if !ok {
		t, err := st.env.tableFor(n, "union")
		if err != nil {
			return nil, err
		}
		return []*rel{t}, nil
	}
	var tables []*rel
	if c := st.env.eng.query.Catalog; c != nil {
		names := slices.Clone(c.TableNames())
		slices.Sort(names)
		for _, name := range names {
			if !wildcard(p.text, name) {
				continue
			}
			t, err := st.env.scan(p, name, "union")
			if err != nil {
				return nil, err
			}
			tables = append(tables, t)
		}
	}
	for e := st.env; e != nil; e = e.parent {
		for name, b := range e.names {
			if b.fn == nil || !b.fn.view || !wildcard(p.text, name) {
				continue
			}
			t, err := st.env.calledTable(&scope{env: st.env, op: "union"}, &call{p.place, name, nil})
			if err != nil {
				return nil, err
			}
			tables = append(tables, t)
		}
	}
	if len(tables) == 0 {
		return nil, unresolved(p, p.text, "union")
	}
	return tables, nil
}

type uniter struct {
	tables []*rel
	source string
	cols   []Column
	from   [][]int // per table and result column: the table's column, or -1
}

// columns lines the tables up. A name that has several types becomes one column
// per type, such as x_long and x_string; where such a name is taken by a column of its
// own, a number makes it another.
func (u *uniter) columns(inner bool) {
	types := map[string][]Type{}
	var order []string
	for _, t := range u.tables {
		for _, c := range t.cols {
			if types[c.Name] == nil {
				order = append(order, c.Name)
			}
			if !slices.Contains(types[c.Name], c.Type) {
				types[c.Name] = append(types[c.Name], c.Type)
			}
		}
	}
	if u.source != "" {
		u.cols = append(u.cols, Column{u.source, TypeString})
	}
	type origin struct {
		name string
		typ  Type
	}
	var origins []origin
	for _, name := range order {
		for _, typ := range types[name] {
			out := Column{name, typ}
			if len(types[name]) > 1 {
				out.Name += "_" + typ.String()
			}
			everywhere := true
			for _, t := range u.tables {
				k := columnIndex(t.cols, name)
				everywhere = everywhere && k >= 0 && t.cols[k].Type == typ
			}
			if inner && !everywhere {
				continue
			}
			taken := func(name string) bool { return columnIndex(u.cols, name) >= 0 }
			for n, name := 1, out.Name; taken(out.Name); n++ {
				out.Name = name + strconv.Itoa(n)
			}
			u.cols = append(u.cols, out)
			origins = append(origins, origin{name, typ})
		}
	}
	for _, t := range u.tables {
		var from []int
		for _, o := range origins {
			k := columnIndex(t.cols, o.name)
			if k >= 0 && t.cols[k].Type != o.typ {
				k = -1
			}
			from = append(from, k)
		}
		u.from = append(u.from, from)
	}
}

func (u *uniter) run(yield func(*Record) bool) {
	open := true
	for i, t := range u.tables {
		if !open {
			return
		}
		if u.source == "" && slices.Equal(t.cols, u.cols) {
			t.run(func(r *Record) bool {
				open = yield(r)
				return open
			})
			continue
		}
		name := t.name
		if name == "" {
			name = "union_arg" + FormatText(TypeLong, int64(i))
		}
		shift := len(u.cols) - len(u.from[i])
		out := Record{Values: make([]any, len(u.cols))}
		if shift == 1 {
			out.Values[0] = name
		}
		t.run(func(r *Record) bool {
			for c, k := range u.from[i] {
				out.Values[shift+c] = nil
				if k >= 0 {
					out.Values[shift+c] = r.Values[k]
				}
			}
			out.Ingested, out.Tags = r.Ingested, r.Tags
			open = yield(&out)
			return open
		})
	}
}
