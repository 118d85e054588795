package engine

// addWindow adds the functions that look at the order of the rows.
func addWindow(m map[string]builtin) {
	m["prev"] = builtin{min: 1, max: 3, special: func(s *scope, x *call) (*expr, error) { return neighbour(s, x, -1) }}
	m["next"] = builtin{min: 1, max: 3, special: func(s *scope, x *call) (*expr, error) { return neighbour(s, x, 1) }}
	m["row_number"] = builtin{min: 0, max: 2, special: func(s *scope, x *call) (*expr, error) {
		args, err := s.serialArgs(x)
		if err != nil {
			return nil, err
		}
		start, restart := int64(1), constant(TypeBool, false)
		if len(args) > 0 {
			n, ok := args[0].val.(int64)
			if !ok {
				return nil, s.fail(x, "SEM0219", "row_number(): the start must be a constant number")
			}
			start = n
		}
		if len(args) > 1 {
			restart = args[1]
		}
		n := start - 1
		return counting(TypeLong, func(r *Record) (int64, bool) {
			if n++; restart.eval(r) == true {
				n = start
			}
			return n, true
		}), nil
	}}
	m["row_cumsum"] = builtin{min: 1, max: 2, special: func(s *scope, x *call) (*expr, error) {
		args, err := s.serialArgs(x)
		if err != nil {
			return nil, err
		}
		typ := args[0].typ
		if !typ.numeric() && typ != TypeTimespan {
			return nil, s.fail(x, "SEM0219", "row_cumsum(): argument #1 of type %s is invalid", typ)
		}
		var whole int64
		var real float64
		return &expr{typ: typ, eval: func(r *Record) any {
			if len(args) > 1 && args[1].eval(r) == true {
				whole, real = 0, 0
			}
			v := args[0].eval(r)
			if f, ok := v.(float64); ok {
				real += f
			}
			n, _ := counted(v)
			whole += n
			if typ.counted() {
				return boxed(typ, whole)
			}
			return real
		}}, nil
	}}
	m["row_rank_dense"] = builtin{min: 1, max: 2, special: func(s *scope, x *call) (*expr, error) { return rank(s, x, true) }}
	m["row_rank_min"] = builtin{min: 1, max: 2, special: func(s *scope, x *call) (*expr, error) { return rank(s, x, false) }}
}

func (s *scope) serialArgs(x *call) ([]*expr, error) {
	if !s.serial {
		return nil, s.fail(x, "SEM0217", "Function '%s' cannot be invoked in current context. Details: the row set must be serialized", x.name)
	}
	return s.args(x.args)
}

func neighbour(s *scope, x *call, sign int) (*expr, error) {
	args, err := s.serialArgs(x)
	if err != nil {
		return nil, err
	}
	if s.win == nil {
		return nil, s.fail(x, "", "Function '%s' cannot be invoked in current context", x.name)
	}
	off := int64(1)
	if len(args) > 1 {
		n, ok := args[1].val.(int64)
		if !ok || n < 0 {
			return nil, s.fail(x, "SEM0219", "%s(): the offset must be a constant number", x.name)
		}
		off = n
	}
	def := constant(args[0].typ, nil)
	if len(args) > 2 {
		def = cast(args[2], args[0].typ)
	}
	win := s.win
	win.asked = true
	return &expr{typ: args[0].typ, eval: func(r *Record) any {
		if i := int64(win.i) + int64(sign)*off; off < int64(len(win.rows)) && i >= 0 && i < int64(len(win.rows)) {
			return args[0].eval(win.rows[i])
		}
		return def.eval(r)
	}}, nil
}

// rank numbers the runs of equal values, or gives each run the number of its
// first row.
func rank(s *scope, x *call, dense bool) (*expr, error) {
	args, err := s.serialArgs(x)
	if err != nil {
		return nil, err
	}
	var last any
	var at, rows int64
	return counting(TypeLong, func(r *Record) (int64, bool) {
		v := args[0].eval(r)
		if len(args) > 1 && args[1].eval(r) == true {
			at, rows = 0, 0
		}
		if rows++; rows == 1 || compare(v, last) != 0 {
			if at++; !dense {
				at = rows
			}
		}
		last = v
		return at, true
	}), nil
}
