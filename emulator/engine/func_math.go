package engine

import "math"

func addMath(m map[string]builtin) {
	real := func(f func(float64) float64) builtin {
		return builtin{min: 1, max: 1, types: "n", typ: TypeReal, call: func(a []any) any {
			v, ok := toReal(a[0])
			return orNull(f(v), ok)
		}}
	}
	for name, f := range map[string]func(float64) float64{
		"sqrt": math.Sqrt, "exp": math.Exp, "exp2": math.Exp2, "log": math.Log, "log2": math.Log2, "log10": math.Log10,
		"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "asin": math.Asin, "acos": math.Acos, "atan": math.Atan,
		"ceiling": math.Ceil, "degrees": func(v float64) float64 { return v * 180 / math.Pi },
		"radians": func(v float64) float64 { return v * math.Pi / 180 }, "exp10": func(v float64) float64 { return math.Pow(10, v) },
		"cot": func(v float64) float64 { return 1 / math.Tan(v) },
	} {
		m[name] = real(f)
	}
	same := func(args []*expr) Type {
		if args[0].typ == TypeDynamic {
			return TypeReal
		}
		return args[0].typ
	}
	m["pi"] = builtin{typ: TypeReal, call: func([]any) any { return math.Pi }}
	m["pow"] = builtin{min: 2, max: 2, types: "n", typ: TypeReal, call: func(a []any) any {
		x, ok1 := toReal(a[0])
		y, ok2 := toReal(a[1])
		return orNull(math.Pow(x, y), ok1 && ok2)
	}}
	m["atan2"] = builtin{min: 2, max: 2, types: "n", typ: TypeReal, call: func(a []any) any {
		x, ok1 := toReal(a[0])
		y, ok2 := toReal(a[1])
		return orNull(math.Atan2(x, y), ok1 && ok2)
	}}
	m["abs"] = builtin{min: 1, max: 1, types: "nt", result: same, call: func(a []any) any {
		switch v := a[0].(type) {
		case int64:
			return max(v, -v)
		case Timespan:
			return max(v, -v)
		case float64:
			return math.Abs(v)
		}
		return nil
	}}
	m["sign"] = builtin{min: 1, max: 1, types: "n", typ: TypeReal, call: func(a []any) any {
		if a[0] == nil {
			return nil
		}
		return float64(compare(a[0], int64(0)))
	}}
	m["round"] = builtin{min: 1, max: 2, types: "n", typ: TypeReal, call: func(a []any) any {
		v, ok := toReal(a[0])
		if !ok {
			return nil
		}
		scale := math.Pow(10, float64(whole(arg(a, 1), 0)))
		if scaled := v * scale; !math.IsInf(scaled, 0) && scale != 0 {
			return math.RoundToEven(scaled) / scale
		}
		return v
	}}
	m["isnan"] = builtin{min: 1, max: 1, types: "n", typ: TypeBool, call: func(a []any) any { return unordered(a[0]) }}
	m["isinf"] = builtin{min: 1, max: 1, types: "n", typ: TypeBool, call: func(a []any) any {
		f, ok := a[0].(float64)
		return ok && math.IsInf(f, 0)
	}}
	m["isfinite"] = builtin{min: 1, max: 1, types: "n", typ: TypeBool, call: func(a []any) any {
		f, ok := toReal(a[0])
		return orNull(!math.IsInf(f, 0) && !math.IsNaN(f), ok)
	}}
	for name, op := range map[string]func(a, b int64) int64{
		"binary_or": func(a, b int64) int64 { return a | b }, "binary_and": func(a, b int64) int64 { return a & b },
		"binary_xor":         func(a, b int64) int64 { return a ^ b },
		"binary_shift_left":  func(a, b int64) int64 { return a << uint(b&63) },
		"binary_shift_right": func(a, b int64) int64 { return a >> uint(b&63) },
	} {
		m[name] = builtin{min: 2, max: 2, types: "n", typ: TypeLong, call: func(a []any) any {
			x, ok1 := toLong(a[0])
			y, ok2 := toLong(a[1])
			if !ok1 || !ok2 {
				return nil
			}
			return op(x, y)
		}}
	}
	m["bin"] = builtin{min: 2, max: 2, special: bin}
	m["floor"] = builtin{min: 1, max: 2, special: bin}
	m["bin_at"] = builtin{min: 3, max: 3, special: bin}
}

// bin rounds down to a multiple of the size, bin_at to one that lies at a given
// point. Bins of datetime count from 0001-01-01.
func bin(s *scope, x *call) (*expr, error) {
	args, err := s.args(x.args)
	if err != nil {
		return nil, err
	}
	v := args[0]
	if v.typ == TypeDynamic {
		return nil, s.fail(x, "SEM0219", "%s(): argument #1 of type dynamic is invalid; convert it first", x.name)
	}
	size := constant(TypeLong, int64(1))
	if len(args) > 1 {
		size = args[1]
	}
	sizeOK := v.typ.numeric() && size.typ.numeric() || (v.typ == TypeDatetime || v.typ == TypeTimespan) && size.typ == TypeTimespan
	if !sizeOK || len(args) > 2 && args[2].typ != v.typ && !(args[2].typ.numeric() && v.typ.numeric()) {
		return nil, s.fail(x, "SEM0219", "%s(): arguments of types %s and %s do not fit", x.name, v.typ, size.typ)
	}
	if !v.typ.counted() || !size.typ.counted() {
		return fold(&expr{typ: TypeReal, eval: func(r *Record) any {
			f, ok1 := toReal(v.eval(r))
			by, ok2 := toReal(size.eval(r))
			at := 0.0
			if len(args) > 2 {
				at, _ = toReal(args[2].eval(r))
			}
			if !ok1 || !ok2 || by <= 0 {
				return nil
			}
			return math.Floor((f-at)/by)*by + at
		}}, args...), nil
	}
	get, by := v.counter(), size.counter()
	at := func(*Record) (int64, bool) { return 0, true }
	if len(args) > 2 {
		at = args[2].counter()
	}
	return fold(counting(v.typ, func(r *Record) (int64, bool) {
		n, ok1 := get(r)
		d, ok2 := by(r)
		from, ok3 := at(r)
		if !ok1 || !ok2 || !ok3 || d <= 0 {
			return 0, false
		}
		return n - modulo(n-from, d), true
	}), args...), nil
}
