package engine

import "fmt"

// expr is a compiled scalar expression. It is used by one goroutine, row by row.
type expr struct {
	typ   Type
	eval  func(*Record) any
	count func(*Record) (int64, bool) // set for many counted types: no boxing; false is null
	konst bool
	val   any // of a constant
}

func constant(t Type, v any) *expr {
	if t == TypeString && v == nil {
		v = ""
	}
	x := &expr{typ: t, konst: true, val: v, eval: func(*Record) any { return v }}
	if t.counted() {
		n, ok := counted(v)
		x.count = func(*Record) (int64, bool) { return n, ok }
	}
	return x
}

// counting makes an expression of a counted type from its unboxed form.
func counting(t Type, count func(*Record) (int64, bool)) *expr {
	return &expr{typ: t, count: count, eval: func(r *Record) any {
		n, ok := count(r)
		if !ok {
			return nil
		}
		return boxed(t, n)
	}}
}

func boxed(t Type, n int64) any {
	switch t {
	case TypeDatetime:
		return Datetime(n)
	case TypeTimespan:
		return Timespan(n)
	}
	return n
}

func counted(v any) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case Datetime:
		return int64(x), true
	case Timespan:
		return int64(x), true
	}
	return 0, false
}

// counter gives the unboxed form of any expression of a counted type.
func (x *expr) counter() func(*Record) (int64, bool) {
	if x.count != nil {
		return x.count
	}
	eval := x.eval
	return func(r *Record) (int64, bool) { return counted(eval(r)) }
}

// fold evaluates an expression of constants once.
func fold(x *expr, from ...*expr) *expr {
	for _, f := range from {
		if !f.konst {
			return x
		}
	}
	return constant(x.typ, x.eval(nil))
}

// scope is where the names of an expression are looked up: first the columns of
// the rows, then the query's names.
type scope struct {
	env    *env
	cols   []Column
	op     string // the operator, for messages
	win    *window
	aggs   *slots // set where aggregates may stand
	serial bool   // the rows have an order, so row_number and prev mean something
}

// window lets prev and next see other rows. Operators keep all rows when an
// expression has asked for it.
type window struct {
	asked bool
	rows  []*Record
	i     int
}

func (s *scope) prefix() string {
	if s.op == "" {
		return ""
	}
	return "'" + s.op + "' operator: "
}

func (s *scope) fail(n node, code, format string, args ...any) error {
	return semantic(n.at(), code, "%s%s", s.prefix(), fmt.Sprintf(format, args...))
}

func (s *scope) compile(n node) (*expr, error) {
	if err := s.env.eng.deeper(n); err != nil {
		return nil, err
	}
	defer s.env.eng.shallower()
	switch x := n.(type) {
	case *literal:
		return constant(x.typ, x.val), nil
	case *nameRef:
		return s.name(x)
	case *named:
		return s.compile(x.x)
	case *unaryOp:
		return s.unary(x)
	case *binaryOp:
		return s.binary(x)
	case *betweenOp:
		return s.between(x)
	case *memberOp:
		return s.member(x)
	case *pathRef:
		in, err := s.compile(x.x)
		if err != nil {
			return nil, err
		}
		return s.step(x, in, constant(TypeString, x.name))
	case *indexRef:
		in, err := s.compile(x.x)
		if err != nil {
			return nil, err
		}
		i, err := s.compile(x.i)
		if err != nil {
			return nil, err
		}
		return s.step(x, in, i)
	case *call:
		return s.call(x)
	case *pipe, *datatable, *printSource, *rangeSource:
		return nil, s.fail(n, "SEM0019", "a scalar expression is expected, not a table")
	}
	return nil, s.fail(n, "", "a scalar expression is expected")
}

func (s *scope) name(x *nameRef) (*expr, error) {
	if i := columnIndex(s.cols, x.name); i >= 0 {
		return column(i, s.cols[i].Type), nil
	}
	if b := s.env.find(x.name); b != nil && b.scalar != nil {
		return b.scalar()
	} else if b != nil && b.fn != nil {
		return s.userFunction(&call{x.place, x.name, nil}, b.fn)
	}
	return nil, s.fail(x, "SEM0100", "Failed to resolve scalar expression named '%s'", x.name)
}

func column(i int, t Type) *expr {
	if t == TypeString || t == TypeGUID {
		null := any("")
		if t == TypeGUID {
			null = nil
		}
		return &expr{typ: t, eval: func(r *Record) any {
			if v := r.Values[i]; v != nil {
				return v
			}
			return null
		}}
	}
	x := &expr{typ: t, eval: func(r *Record) any { return r.Values[i] }}
	if t.counted() {
		x.count = func(r *Record) (int64, bool) { return counted(r.Values[i]) }
	}
	return x
}

// step looks a key or index up in a dynamic value.
func (s *scope) step(n node, in, key *expr) (*expr, error) {
	if in.typ != TypeDynamic {
		return nil, s.fail(n, "SEM0100", "Path expression source must be of type dynamic, not %s", in.typ)
	}
	return fold(&expr{typ: TypeDynamic, eval: func(r *Record) any { return lookUp(in.eval(r), key.eval(r)) }}, in, key), nil
}

func lookUp(v, key any) any {
	switch x := parsed(v).(type) {
	case *Bag:
		if k, ok := parsed(key).(string); ok {
			e, _ := x.Get(k)
			return e
		}
	case []any:
		if i, ok := parsed(key).(int64); ok {
			if i < 0 {
				i += int64(len(x))
			}
			if i >= 0 && i < int64(len(x)) {
				return x[i]
			}
		}
	}
	return nil
}

func (s *scope) unary(x *unaryOp) (*expr, error) {
	v, err := s.compile(x.x)
	if err != nil {
		return nil, err
	}
	if !v.typ.numeric() && v.typ != TypeTimespan {
		return nil, s.fail(x, "", "Operator '%s' cannot take a value of type %s", x.op, v.typ)
	}
	if x.op == "+" {
		return v, nil
	}
	if v.typ.counted() {
		get := v.counter()
		return fold(counting(v.typ, func(r *Record) (int64, bool) {
			n, ok := get(r)
			return -n, ok
		}), v), nil
	}
	return fold(&expr{typ: v.typ, eval: func(r *Record) any {
		if f, ok := v.eval(r).(float64); ok {
			return -f
		}
		return nil
	}}, v), nil
}

// call compiles a function call: the query's own functions first, then
// aggregates where they may stand, then the builtin ones.
func (s *scope) call(x *call) (*expr, error) {
	if b := s.env.find(x.name); b != nil && b.fn != nil {
		return s.userFunction(x, b.fn)
	}
	if s.aggs != nil {
		if e, ok, err := s.aggs.take(s, x); ok || err != nil {
			return e, err
		}
	}
	eng := s.env.eng
	if f, ok := eng.builtins[x.name]; ok {
		if len(x.args) < f.min || f.max >= 0 && len(x.args) > f.max {
			return nil, s.fail(x, "SEM0219", "%s(): function expects %s, %d given", x.name, arity(f), len(x.args))
		}
		if f.special != nil {
			return f.special(s, x)
		}
		return s.plainCall(x, f)
	}
	if _, ok := eng.aggregates[x.name]; ok {
		return nil, s.fail(x, "SEM0012", "Function '%s' is an aggregate and cannot be invoked in the current context", x.name)
	}
	fn, err := eng.stored(x.name)
	if err != nil {
		return nil, err
	}
	if fn != nil {
		return s.userFunction(x, fn)
	}
	return nil, unsupported(x.place, "function '%s'", x.name)
}

func arity(f builtin) string {
	switch {
	case f.max < 0:
		return fmt.Sprintf("at least %d argument(s)", f.min)
	case f.min == f.max:
		return fmt.Sprintf("%d argument(s)", f.min)
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

func (s *scope) args(list []node) ([]*expr, error) {
	args := make([]*expr, len(list))
	for i, a := range list {
		if _, ok := a.(*named); ok {
			return nil, s.fail(a, "", "a named argument is not allowed here")
		}
		x, err := s.compile(a)
		if err != nil {
			return nil, err
		}
		args[i] = x
	}
	return args, nil
}

// argsAndColumns compiles arguments of which * stands for every column.
func (s *scope) argsAndColumns(list []node) ([]*expr, error) {
	var args []*expr
	for _, n := range list {
		if _, ok := n.(*star); ok {
			for i, c := range s.cols {
				args = append(args, column(i, c.Type))
			}
			continue
		}
		x, err := s.compile(n)
		if err != nil {
			return nil, err
		}
		args = append(args, x)
	}
	return args, nil
}

func (s *scope) plainCall(x *call, f builtin) (*expr, error) {
	args, err := s.args(x.args)
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		if want := f.takes(i); want != "" && !fits(want, a) {
			return nil, s.fail(x, "SEM0219", "%s(): argument #%d of type %s is invalid", x.name, i+1, a.typ)
		}
	}
	typ := f.typ
	if f.result != nil {
		typ = f.result(args)
	}
	return fold(calling(typ, f.call, args), args...), nil
}

// calling evaluates the arguments into one buffer; fn must not keep it.
func calling(t Type, fn func([]any) any, args []*expr) *expr {
	buf := make([]any, len(args))
	return &expr{typ: t, eval: func(r *Record) any {
		for i, a := range args {
			buf[i] = a.eval(r)
		}
		return fn(buf)
	}}
}

// fits reports whether an argument has one of the types in want: s string,
// n number, d datetime, t timespan, o dynamic, b bool, e any. A dynamic value
// fits everywhere: it is looked into at run time.
func fits(want string, a *expr) bool {
	for _, w := range want {
		switch {
		case w == 'e' || a.typ == TypeDynamic,
			w == 's' && a.typ == TypeString,
			w == 'n' && a.typ.numeric(),
			w == 'd' && a.typ == TypeDatetime,
			w == 't' && a.typ == TypeTimespan,
			w == 'b' && a.typ == TypeBool:
			return true
		}
	}
	return false
}

// userFunction compiles a call of a let or stored function that gives a scalar.
// Its body sees its parameters, not the columns of the row.
func (s *scope) userFunction(x *call, fn *function) (*expr, error) {
	if err := s.env.eng.enterCall(x); err != nil {
		return nil, err
	}
	defer s.env.eng.leaveCall()
	inner, err := s.enter(x, fn)
	if err != nil {
		return nil, err
	}
	if inner.isTabular(fn.body.final) {
		return nil, s.fail(x, "SEM0019", "function '%s' gives a table where a scalar is expected", x.name)
	}
	return (&scope{env: inner, op: s.op, win: s.win, serial: s.serial}).compile(fn.body.final)
}

// enter binds the arguments of a call to fn's parameters and gives the
// environment of its body.
func (s *scope) enter(x *call, fn *function) (*env, error) {
	eng := s.env.eng
	if err := eng.deeper(x); err != nil {
		return nil, err
	}
	defer eng.shallower()
	parent := fn.env
	if parent == nil {
		parent = eng.root
	}
	inner := newEnv(parent)
	given := make([]node, len(fn.params))
	next := 0
	for _, a := range x.args {
		i := next
		if nm, ok := a.(*named); ok {
			i = -1
			for k, p := range fn.params {
				if p.name == nm.names[0] {
					i = k
				}
			}
			a = nm.x
		}
		if i < 0 || i >= len(fn.params) || given[i] != nil {
			return nil, s.fail(x, "SEM0219", "%s(): function expects %d argument(s)", x.name, len(fn.params))
		}
		given[i] = a
		next = i + 1
	}
	for i, p := range fn.params {
		a, from := given[i], s
		if a == nil {
			if p.def == nil {
				return nil, s.fail(x, "SEM0219", "%s(): argument '%s' is missing", x.name, p.name)
			}
			a, from = p.def, &scope{env: parent}
		}
		b := &binding{name: p.name}
		if p.tabular {
			b.build = from.env.tableArgument(a, p)
		} else {
			v, err := from.compile(a)
			if err != nil {
				return nil, err
			}
			v = cast(v, p.typ)
			b.scalar = func() (*expr, error) { return v, nil }
		}
		inner.names[p.name] = b
	}
	return inner.bindAll(fn.body.lets, s.win)
}

// cast converts an expression to another type.
func cast(x *expr, t Type) *expr {
	if x.typ == t {
		return x
	}
	from := x.typ
	if from.integer() && t == TypeLong {
		c := *x
		c.typ = t
		return &c
	}
	return fold(&expr{typ: t, eval: func(r *Record) any { return Convert(x.eval(r), from, t) }}, x)
}
