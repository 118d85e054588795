package engine

// joinKey is one equality of a join; left and right read the two rows.
type joinKey struct{ left, right int }

// join does join and lookup: the right side is held in memory, the left streams.
// A null key matches nothing.
func (st step) join() (*rel, error) {
	s := &scope{env: st.env, op: st.op.name}
	right, err := st.env.tableFor(st.op.right, st.op.name)
	if err != nil {
		return nil, err
	}
	kind := st.op.params["kind"]
	lookup := st.op.name == "lookup"
	switch {
	case kind == "" && lookup:
		kind = "leftouter"
	case kind == "":
		kind = "innerunique"
	case kind == "anti", kind == "leftantisemi":
		kind = "leftanti"
	case kind == "rightantisemi":
		kind = "rightanti"
	case kind == "inner", kind == "leftouter":
	case lookup:
		return nil, unsupported(st.op.place, "kind=%s of 'lookup'", kind)
	case kind == "innerunique", kind == "rightouter", kind == "fullouter", kind == "leftanti", kind == "rightanti", kind == "leftsemi", kind == "rightsemi":
	default:
		return nil, s.fail(st.op, "", "unknown kind '%s'", kind)
	}
	var keys []joinKey
	for _, it := range st.op.by {
		if keys, err = s.joinKeys(it.x, st.in.cols, right.cols, keys); err != nil {
			return nil, err
		}
	}
	j := joiner{eng: st.env.eng, left: st.in, right: right, keys: keys, kind: kind}
	j.columns(lookup)
	return &rel{cols: j.cols, run: j.run}, nil
}

// joinKeys reads one condition: a name both sides have, or $left.a == $right.b,
// or several of these with and.
func (s *scope) joinKeys(n node, left, right []Column, keys []joinKey) ([]joinKey, error) {
	var k joinKey
	switch x := n.(type) {
	case *nameRef:
		k = joinKey{columnIndex(left, x.name), columnIndex(right, x.name)}
		if k.left < 0 || k.right < 0 {
			return nil, s.fail(x, "SEM0100", "Failed to resolve scalar expression named '%s'", x.name)
		}
	case *binaryOp:
		if x.op == "and" {
			keys, err := s.joinKeys(x.l, left, right, keys)
			if err != nil {
				return nil, err
			}
			return s.joinKeys(x.r, left, right, keys)
		}
		sideL, nameL := side(x.l)
		sideR, nameR := side(x.r)
		if sideL == "$right" {
			sideL, nameL, sideR, nameR = sideR, nameR, sideL, nameL
		}
		if x.op != "==" || sideL != "$left" || sideR != "$right" {
			return nil, s.fail(x, "SEM0022", "the condition must be $left.a == $right.b")
		}
		k = joinKey{columnIndex(left, nameL), columnIndex(right, nameR)}
		if k.left < 0 {
			return nil, s.fail(x, "SEM0100", "Failed to resolve scalar expression named '%s'", nameL)
		}
		if k.right < 0 {
			return nil, s.fail(x, "SEM0100", "Failed to resolve scalar expression named '%s'", nameR)
		}
	default:
		return nil, s.fail(n, "SEM0022", "the condition must be a column name or $left.a == $right.b")
	}
	a, b := left[k.left].Type, right[k.right].Type
	if a != b && !(a.integer() && b.integer()) || a == TypeDynamic {
		return nil, s.fail(n, "SEM0023", "join keys of types %s and %s cannot be compared", a, b)
	}
	return append(keys, k), nil
}

func side(n node) (string, string) {
	if p, ok := n.(*pathRef); ok {
		if ref, ok := p.x.(*nameRef); ok {
			return ref.name, p.name
		}
	}
	return "", ""
}

type joiner struct {
	eng         *engine
	left, right *rel
	keys        []joinKey
	kind        string
	cols        []Column
	fromRight   []int // right columns that are given out
}

func (j *joiner) columns(lookup bool) {
	switch j.kind {
	case "leftanti", "leftsemi":
		j.cols = j.left.cols
		return
	case "rightanti", "rightsemi":
		j.cols = j.right.cols
		return
	}
	names := newNamer(j.left.cols)
	j.cols = append(j.cols, j.left.cols...)
	for i, c := range j.right.cols {
		drop := false
		for _, k := range j.keys {
			drop = drop || lookup && k.right == i
		}
		if drop {
			continue
		}
		c.Name = names.unique(c.Name)
		j.cols = append(j.cols, c)
		j.fromRight = append(j.fromRight, i)
	}
}

// key gives the encoded key of a row; false if a part is null.
func (j *joiner) key(buf []byte, r *Record, left bool) ([]byte, bool) {
	for _, k := range j.keys {
		i, cols := k.right, j.right.cols
		if left {
			i, cols = k.left, j.left.cols
		}
		v := r.Values[i]
		if v == nil {
			if cols[i].Type != TypeString {
				return buf, false
			}
			v = ""
		}
		buf = appendKey(buf, v)
	}
	return buf, true
}

type joinRow struct {
	row *Record
	hit bool
}

func (j *joiner) run(yield func(*Record) bool) {
	var all []*joinRow
	byKey := map[string][]*joinRow{}
	var buf []byte
	j.right.run(func(r *Record) bool {
		jr := &joinRow{row: r.clone()}
		all = append(all, jr)
		if k, ok := j.key(buf[:0], r, false); ok {
			byKey[string(k)] = append(byKey[string(k)], jr)
		}
		return true
	})
	out := Record{Values: make([]any, len(j.cols))}
	emit := func(l, r *Record) bool {
		n := len(j.left.cols)
		for i := range j.left.cols {
			out.Values[i] = nil
			if l != nil {
				out.Values[i] = l.Values[i]
			}
		}
		for i, k := range j.fromRight {
			out.Values[n+i] = nil
			if r != nil {
				out.Values[n+i] = r.Values[k]
			}
		}
		return j.eng.step() && yield(&out)
	}
	seen := map[string]bool{}
	ended := false
	j.left.run(func(l *Record) bool {
		k, ok := j.key(buf[:0], l, true)
		buf = k
		var matches []*joinRow
		if ok {
			if j.kind == "innerunique" {
				if seen[string(k)] {
					return true
				}
				seen[string(k)] = true
			}
			matches = byKey[string(k)]
		}
		ended = !j.leftRow(l, matches, emit, yield)
		return !ended
	})
	if ended || j.eng.err != nil {
		return
	}
	for _, jr := range all {
		switch {
		case (j.kind == "rightouter" || j.kind == "fullouter") && !jr.hit:
			if !emit(nil, jr.row) {
				return
			}
		case j.kind == "rightanti" && !jr.hit, j.kind == "rightsemi" && jr.hit:
			if !yield(&Record{Values: jr.row.Values}) {
				return
			}
		}
	}
}

// leftRow gives out what one row of the left side leads to.
func (j *joiner) leftRow(l *Record, matches []*joinRow, emit func(l, r *Record) bool, yield func(*Record) bool) bool {
	switch j.kind {
	case "leftanti", "leftsemi":
		if (len(matches) > 0) == (j.kind == "leftsemi") {
			return yield(&Record{Values: l.Values})
		}
		return true
	case "rightanti", "rightsemi":
		for _, m := range matches {
			m.hit = true
		}
		return true
	}
	for _, m := range matches {
		m.hit = true
		if !emit(l, m.row) {
			return false
		}
	}
	if len(matches) == 0 && (j.kind == "leftouter" || j.kind == "fullouter") {
		return emit(l, nil)
	}
	return true
}
