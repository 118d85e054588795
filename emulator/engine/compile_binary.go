package engine

import (
	"math"
	"strings"
)

func (s *scope) binary(x *binaryOp) (*expr, error) {
	l, err := s.compile(x.l)
	if err != nil {
		return nil, err
	}
	r, err := s.compile(x.r)
	if err != nil {
		return nil, err
	}
	var e *expr
	switch x.op {
	case "and", "or":
		e, err = s.logical(x, l, r)
	case "+", "-", "*", "/", "%":
		e, err = s.arithmetic(x, l, r)
	case "==", "!=", "<", "<=", ">", ">=":
		e, err = s.comparison(x, x.op, l, r)
	default:
		e, err = s.textual(x, l, r)
	}
	if err != nil {
		return nil, err
	}
	return fold(e, l, r), nil
}

func (s *scope) logical(x *binaryOp, l, r *expr) (*expr, error) {
	for _, e := range []*expr{l, r} {
		if e.typ != TypeBool && e.typ != TypeDynamic && !e.typ.integer() {
			return nil, s.fail(x, "", "Operator '%s' cannot take a value of type %s", x.op, e.typ)
		}
	}
	l, r = cast(l, TypeBool), cast(r, TypeBool)
	settles := x.op == "or" // the value that decides without the other side
	return &expr{typ: TypeBool, eval: func(rec *Record) any {
		a, okA := l.eval(rec).(bool)
		if okA && a == settles {
			return settles
		}
		b, okB := r.eval(rec).(bool)
		switch {
		case okB && b == settles:
			return settles
		case okA && okB:
			return !settles
		}
		return nil
	}}, nil
}

func (s *scope) badOperands(n node, op string, l, r *expr) error {
	return s.fail(n, "SEM0064", "Operator '%s' cannot take values of types %s and %s. Try adding explicit casts", op, l.typ, r.typ)
}

func (s *scope) arithmetic(x *binaryOp, l, r *expr) (*expr, error) {
	if l.typ == TypeDynamic && r.typ != TypeDynamic && r.typ != TypeString {
		l = cast(l, dynamicOperand(r.typ))
	} else if r.typ == TypeDynamic && l.typ != TypeDynamic && l.typ != TypeString {
		r = cast(r, dynamicOperand(l.typ))
	}
	a, b := l.typ, r.typ
	is := func(p, q Type) bool { return a == p && b == q }
	switch {
	case a.numeric() && b.numeric():
		return numericOperation(x.op, wider(a, b), l, r), nil
	case is(TypeTimespan, TypeTimespan) && x.op == "/":
		p, q := l.counter(), r.counter()
		return &expr{typ: TypeReal, eval: func(rec *Record) any {
			m, ok1 := p(rec)
			n, ok2 := q(rec)
			if !ok1 || !ok2 {
				return nil
			}
			return float64(m) / float64(n)
		}}, nil
	case x.op == "+" && (is(TypeDatetime, TypeTimespan) || is(TypeTimespan, TypeDatetime)),
		x.op == "-" && is(TypeDatetime, TypeTimespan):
		return ticksOperation(x.op, TypeDatetime, l, r), nil
	case x.op == "-" && is(TypeDatetime, TypeDatetime), (x.op == "+" || x.op == "-" || x.op == "%") && is(TypeTimespan, TypeTimespan),
		x.op == "%" && is(TypeDatetime, TypeTimespan):
		return ticksOperation(x.op, TypeTimespan, l, r), nil
	case x.op == "*" && a == TypeTimespan && b.numeric(), x.op == "*" && a.numeric() && b == TypeTimespan,
		x.op == "/" && a == TypeTimespan && b.numeric():
		return &expr{typ: TypeTimespan, eval: func(rec *Record) any {
			p, q := l.eval(rec), r.eval(rec)
			if p == nil || q == nil {
				return nil
			}
			m, wholeM := counted(p)
			n, wholeN := counted(q)
			if wholeM && wholeN {
				if x.op == "*" {
					return Timespan(m * n)
				}
				if n == 0 {
					return nil
				}
				return Timespan(m / n)
			}
			f, _ := toReal(p)
			g, _ := toReal(q)
			if x.op == "/" {
				g = 1 / g
			}
			if n, ok := toLong(f * g); ok {
				return Timespan(n)
			}
			return nil
		}}, nil
	}
	return nil, s.badOperands(x, x.op, l, r)
}

// dynamicOperand is the type a dynamic operand takes beside one of type t.
func dynamicOperand(t Type) Type {
	if t == TypeInt {
		return TypeLong
	}
	return t
}

// ticksOperation gives null beyond the range of datetime.
func ticksOperation(op string, t Type, l, r *expr) *expr {
	p, q := l.counter(), r.counter()
	return counting(t, func(rec *Record) (int64, bool) {
		a, ok := p(rec)
		if !ok {
			return 0, false
		}
		b, ok := q(rec)
		if !ok {
			return 0, false
		}
		n := a + b
		switch {
		case op == "%":
			if b == 0 {
				return 0, false
			}
			n = modulo(a, b)
		case op == "-":
			n = a - b
			if (b > 0) != (n < a) && b != 0 {
				return 0, false
			}
		case (b > 0) != (n > a) && b != 0:
			return 0, false
		}
		if t == TypeDatetime && (n < 0 || Datetime(n) > maxDatetime) {
			return 0, false
		}
		return n, true
	})
}

func modulo(a, b int64) int64 {
	if b == -1 {
		return 0
	}
	m := a % b
	if m < 0 {
		if b < 0 {
			return m - b
		}
		return m + b
	}
	return m
}

func numericOperation(op string, t Type, l, r *expr) *expr {
	if t.integer() {
		p, q := l.counter(), r.counter()
		return counting(t, func(rec *Record) (int64, bool) {
			a, ok := p(rec)
			if !ok {
				return 0, false
			}
			b, ok := q(rec)
			if !ok {
				return 0, false
			}
			var n int64
			switch op {
			case "+":
				n = a + b
			case "-":
				n = a - b
			case "*":
				n = a * b
			case "/":
				if b == 0 {
					return 0, false
				}
				if b == -1 {
					n = -a
				} else {
					n = a / b
				}
			case "%":
				if b == 0 {
					return 0, false
				}
				n = modulo(a, b)
			}
			if t == TypeInt {
				n = int64(int32(n))
			}
			return n, true
		})
	}
	return &expr{typ: t, eval: func(rec *Record) any {
		a, ok := toReal(l.eval(rec))
		if !ok {
			return nil
		}
		b, ok := toReal(r.eval(rec))
		if !ok {
			return nil
		}
		switch op {
		case "+":
			return a + b
		case "-":
			return a - b
		case "*":
			return a * b
		case "/":
			return a / b
		}
		m := math.Mod(a, b)
		if m < 0 {
			m += math.Abs(b)
		}
		return m
	}}
}

// comparable brings two operands to types that can be compared.
func (s *scope) comparable(n node, op string, l, r *expr) (*expr, *expr, error) {
	literalTo := func(x *expr, t Type) *expr {
		if x.konst && x.typ == TypeString && t != TypeString && t != TypeDynamic {
			return cast(x, t)
		}
		return x
	}
	l, r = literalTo(l, r.typ), literalTo(r, l.typ)
	a, b := l.typ, r.typ
	equality := op == "==" || op == "!="
	switch {
	case a == TypeDynamic && b == TypeDynamic:
		return nil, nil, s.fail(n, "SEM0001", "Cannot compare values of types dynamic and dynamic. Try adding explicit casts")
	case a == TypeDynamic:
		return s.againstDynamic(l, b), r, nil
	case b == TypeDynamic:
		return l, s.againstDynamic(r, a), nil
	case a.numeric() && b.numeric(), a == b && (equality || a != TypeString && a != TypeBool && a != TypeGUID):
		return l, r, nil
	case a == TypeBool && b.numeric() && equality, b == TypeBool && a.numeric() && equality:
		return cast(l, TypeLong), cast(r, TypeLong), nil
	}
	return nil, nil, s.fail(n, "SEM0064", "Cannot compare values of types %s and %s. Try adding explicit casts", a, b)
}

// againstDynamic compares a dynamic as the other side's type: numbers by value,
// the rest converted.
func (s *scope) againstDynamic(x *expr, t Type) *expr {
	if t.numeric() {
		return fold(&expr{typ: TypeReal, eval: func(r *Record) any {
			switch v := parsed(x.eval(r)).(type) {
			case int64, float64:
				return v
			case string:
				return orNull(toReal(v))
			}
			return nil
		}}, x)
	}
	return cast(x, t)
}

func (s *scope) comparison(n node, op string, l, r *expr) (*expr, error) {
	l, r, err := s.comparable(n, op, l, r)
	if err != nil {
		return nil, err
	}
	holds := ordered(op)
	equality := op == "==" || op == "!="
	if l.typ.counted() && r.typ.counted() {
		p, q := l.counter(), r.counter()
		return &expr{typ: TypeBool, eval: func(rec *Record) any {
			a, okA := p(rec)
			b, okB := q(rec)
			if !okA || !okB {
				return withNull(equality, op == "!=", okA, okB)
			}
			switch {
			case a < b:
				return holds(-1)
			case a > b:
				return holds(1)
			}
			return holds(0)
		}}, nil
	}
	return &expr{typ: TypeBool, eval: func(rec *Record) any {
		a, b := l.eval(rec), r.eval(rec)
		if a == nil || b == nil {
			return withNull(equality, op == "!=", a != nil, b != nil)
		}
		if unordered(a) || unordered(b) {
			return op == "!="
		}
		return holds(compare(a, b))
	}}, nil
}

func unordered(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

// withNull is the answer when an operand is null: null for orderings and for two
// nulls, else false, or true for the negated forms.
func withNull(equality, negated, okA, okB bool) any {
	if !equality || !okA && !okB {
		return nil
	}
	return negated
}

func ordered(op string) func(int) bool {
	switch op {
	case "==":
		return func(c int) bool { return c == 0 }
	case "!=":
		return func(c int) bool { return c != 0 }
	case "<":
		return func(c int) bool { return c < 0 }
	case "<=":
		return func(c int) bool { return c <= 0 }
	case ">":
		return func(c int) bool { return c > 0 }
	}
	return func(c int) bool { return c >= 0 }
}

// compare orders two values; null is the smallest. Values of different kinds are
// ordered by their text.
func compare(a, b any) int {
	if a == nil || b == nil {
		switch {
		case a == b:
			return 0
		case a == nil:
			return -1
		}
		return 1
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok {
			p, _ := toLong(x)
			q, _ := toLong(y)
			return int(p - q)
		}
	}
	p, okP := counted(a)
	q, okQ := counted(b)
	if okP && okQ {
		return order(p, q)
	}
	f, okF := a.(float64)
	g, okG := b.(float64)
	switch {
	case okF && okG:
		return orderReal(f, g)
	case okF && okQ:
		return orderReal(f, float64(q))
	case okP && okG:
		return orderReal(float64(p), g)
	}
	return strings.Compare(FormatText(TypeDynamic, a), FormatText(TypeDynamic, b))
}

func order(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// orderReal puts NaN below all numbers.
func orderReal(a, b float64) int {
	switch {
	case a < b || math.IsNaN(a) && !math.IsNaN(b):
		return -1
	case a > b || math.IsNaN(b) && !math.IsNaN(a):
		return 1
	}
	return 0
}

func (s *scope) between(x *betweenOp) (*expr, error) {
	v, err := s.compile(x.x)
	if err != nil {
		return nil, err
	}
	lo, err := s.compile(x.lo)
	if err != nil {
		return nil, err
	}
	hi, err := s.compile(x.hi)
	if err != nil {
		return nil, err
	}
	if v.typ == TypeDatetime && hi.typ == TypeTimespan && lo.typ == TypeDatetime {
		hi = fold(ticksOperation("+", TypeDatetime, lo, hi), lo, hi)
	}
	ge, err := s.comparison(x, ">=", v, lo)
	if err != nil {
		return nil, err
	}
	le, err := s.comparison(x, "<=", v, hi)
	if err != nil {
		return nil, err
	}
	return fold(&expr{typ: TypeBool, eval: func(r *Record) any {
		a, okA := ge.eval(r).(bool)
		b, okB := le.eval(r).(bool)
		if !okA && (!okB || b) || !okB && a {
			return nil
		}
		return (a && b) != x.not
	}}, v, lo, hi), nil
}
