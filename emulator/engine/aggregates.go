package engine

import (
	"math"
	"strings"
)

// aggregate is an aggregation function by name.
type aggregate struct {
	build func(s *scope, x *call) (aggregator, error)
}

// aggregator is one call of an aggregation function: its result columns, with
// their automatic names, and how to begin a group.
type aggregator struct {
	cols  []Column
	start func() accumulator
	begin func(from []*expr) accumulator // instead of start, for those that return other columns
	from  []*expr                        // these columns
	star  bool                           // they come from *: group keys are left out
}

// accumulator gathers the rows of one group. result appends one value per column.
type accumulator interface {
	add(r *Record)
	result(dst []any) []any
}

// folding is an accumulator over the values of one expression, nulls skipped.
type folding struct {
	x    *expr
	cond *expr // nil: all rows
	take func(v any)
	done func() any
	null bool // nulls are taken, too
}

func (f *folding) add(r *Record) {
	if f.cond != nil && f.cond.eval(r) != true {
		return
	}
	if v := f.x.eval(r); v != nil || f.null {
		f.take(v)
	}
}

func (f *folding) result(dst []any) []any { return append(dst, f.done()) }

type rowCount struct {
	cond *expr
	n    int64
}

func (c *rowCount) add(r *Record) {
	if c.cond == nil || c.cond.eval(r) == true {
		c.n++
	}
}

func (c *rowCount) result(dst []any) []any { return append(dst, c.n) }

func aggregates() map[string]aggregate {
	m := map[string]aggregate{
		"count":      {func(s *scope, x *call) (aggregator, error) { return countRows(s, x, 0) }},
		"countif":    {func(s *scope, x *call) (aggregator, error) { return countRows(s, x, 1) }},
		"arg_max":    {func(s *scope, x *call) (aggregator, error) { return argBest(s, x, 1) }},
		"arg_min":    {func(s *scope, x *call) (aggregator, error) { return argBest(s, x, -1) }},
		"take_any":   {takeAny},
		"any":        {takeAny},
		"anyif":      {folded("anyif_", true, anyValue)},
		"take_anyif": {folded("", true, anyValue)},
		"percentile": {percentiles}, "percentiles": {percentiles},
		"make_list_with_nulls": {folded("list_", false, func(t Type) (Type, func() *folding) {
			typ, start := list(t)
			return typ, func() *folding { f := start(); f.null = true; return f }
		})},
	}
	for name, f := range map[string]func(Type) (Type, func() *folding){
		"sum": sum, "avg": avg, "min": best(-1), "max": best(1), "dcount": dcount, "count_distinct": dcount,
		"stdev": spread(true, true), "stdevp": spread(true, false), "variance": spread(false, true), "variancep": spread(false, false),
		"binary_all_or": bits(func(a, b int64) int64 { return a | b }), "binary_all_and": bits(func(a, b int64) int64 { return a & b }),
		"binary_all_xor": bits(func(a, b int64) int64 { return a ^ b }),
	} {
		m[name] = aggregate{folded(name+"_", false, f)}
		m[name+"if"] = aggregate{folded(name+"if_", true, f)}
	}
	for name, f := range map[string]func(Type) (Type, func() *folding){"make_list": list, "make_set": set, "make_bag": bag} {
		short := strings.TrimPrefix(name, "make_") + "_"
		m[name] = aggregate{folded(short, false, f)}
		m[name+"_if"] = aggregate{folded(short, true, f)}
	}
	return m
}

func countRows(s *scope, x *call, conds int) (aggregator, error) {
	a := aggregator{cols: []Column{{x.name + "_", TypeLong}}}
	var cond *expr
	args, err := s.args(x.args)
	switch {
	case err != nil:
		return a, err
	case len(args) < conds || len(args) > 1:
		return a, s.fail(x, "SEM0219", "%s(): wrong number of arguments", x.name)
	case conds == 1:
		if cond = args[0]; cond.typ != TypeBool && cond.typ != TypeDynamic {
			return a, s.fail(x, "SEM0219", "%s(): the condition must be of type bool", x.name)
		}
		cond = cast(cond, TypeBool)
	case len(args) == 1:
		a.cols[0].Name += autoName(x.args[0])
	}
	a.start = func() accumulator { return &rowCount{cond: cond} }
	return a, nil
}

// folded builds an aggregate over one expression, with a condition if conditional.
// fold gives its result type, 0 if the argument's type will not do.
func folded(prefix string, conditional bool, fold func(Type) (Type, func() *folding)) func(*scope, *call) (aggregator, error) {
	return func(s *scope, x *call) (aggregator, error) {
		args, err := s.args(x.args)
		if err != nil {
			return aggregator{}, err
		}
		want, limit := 1, int64(-1)
		if conditional {
			want = 2
		}
		collects := strings.HasPrefix(x.name, "make_")
		if n := len(args); n == want+1 && (collects || strings.HasPrefix(x.name, "dcount")) && args[n-1].konst {
			if k, ok := args[n-1].val.(int64); ok && collects {
				limit = k
			}
		} else if n != want {
			return aggregator{}, s.fail(x, "SEM0219", "%s(): wrong number of arguments", x.name)
		}
		typ, start := fold(args[0].typ)
		if typ == 0 {
			return aggregator{}, s.fail(x, "SEM0219", "%s(): argument of type %s is invalid", x.name, args[0].typ)
		}
		var cond *expr
		if conditional {
			if cond = args[1]; cond.typ != TypeBool && cond.typ != TypeDynamic {
				return aggregator{}, s.fail(x, "SEM0219", "%s(): the condition must be of type bool", x.name)
			}
			cond = cast(cond, TypeBool)
		}
		return aggregator{cols: []Column{{prefix + autoName(x.args[0]), typ}}, start: func() accumulator {
			f := start()
			f.x, f.cond = args[0], cond
			if limit >= 0 {
				done := f.done
				f.done = func() any {
					v := done()
					if l, ok := v.([]any); ok && int64(len(l)) > limit {
						return l[:limit]
					}
					return v
				}
			}
			return f
		}}, nil
	}
}

func sum(t Type) (Type, func() *folding) {
	switch {
	case t.integer() || t == TypeTimespan:
		typ := t
		if t == TypeInt {
			typ = TypeLong
		}
		return typ, func() *folding {
			var n int64
			return &folding{take: func(v any) { k, _ := counted(v); n += k }, done: func() any { return boxed(typ, n) }}
		}
	case t == TypeReal || t == TypeDecimal || t == TypeDynamic:
		typ := t
		if t == TypeDynamic {
			typ = TypeReal
		}
		return typ, func() *folding {
			n := 0.0
			return &folding{take: func(v any) { f, _ := toReal(v); n += f }, done: func() any { return n }}
		}
	}
	return 0, nil
}

func avg(t Type) (Type, func() *folding) {
	if !t.numeric() && t != TypeTimespan && t != TypeDynamic {
		return 0, nil
	}
	typ := TypeReal
	if t == TypeTimespan || t == TypeDecimal {
		typ = t
	}
	return typ, func() *folding {
		n, total := 0, 0.0
		return &folding{
			take: func(v any) {
				if f, ok := toReal(v); ok {
					n++
					total += f
				}
			},
			done: func() any {
				if typ == TypeTimespan {
					if n == 0 {
						return nil
					}
					return Timespan(total / float64(n))
				}
				return total / float64(n)
			},
		}
	}
}

func best(sign int) func(Type) (Type, func() *folding) {
	return func(t Type) (Type, func() *folding) {
		if t == TypeBool || t == TypeGUID {
			return 0, nil
		}
		return t, func() *folding {
			var top any
			return &folding{
				take: func(v any) {
					if v = parsed(v); v != nil && (top == nil || compare(v, top) == sign) {
						top = v
					}
				},
				done: func() any { return top },
			}
		}
	}
}

func dcount(Type) (Type, func() *folding) {
	return TypeLong, func() *folding {
		seen := map[string]bool{}
		var buf []byte
		return &folding{
			take: func(v any) {
				buf = appendKey(buf[:0], v)
				if !seen[string(buf)] {
					seen[string(buf)] = true
				}
			},
			done: func() any { return int64(len(seen)) },
		}
	}
}

func spread(root, sample bool) func(Type) (Type, func() *folding) {
	return func(t Type) (Type, func() *folding) {
		if !t.numeric() && t != TypeDynamic {
			return 0, nil
		}
		return TypeReal, func() *folding {
			var n, mean, m2 float64
			return &folding{
				take: func(v any) {
					if f, ok := toReal(v); ok {
						n++
						d := f - mean
						mean += d / n
						m2 += d * (f - mean)
					}
				},
				done: func() any {
					div := n
					if sample {
						div--
					}
					if div <= 0 {
						return 0.0
					}
					if root {
						return math.Sqrt(m2 / div)
					}
					return m2 / div
				},
			}
		}
	}
}

func bits(op func(a, b int64) int64) func(Type) (Type, func() *folding) {
	return func(t Type) (Type, func() *folding) {
		if !t.integer() {
			return 0, nil
		}
		return TypeLong, func() *folding {
			var acc any
			return &folding{
				take: func(v any) {
					if a, ok := acc.(int64); ok {
						v = op(a, v.(int64))
					}
					acc = v
				},
				done: func() any { return acc },
			}
		}
	}
}

func anyValue(t Type) (Type, func() *folding) {
	return t, func() *folding {
		var got any
		return &folding{
			take: func(v any) {
				if got == nil || got == "" {
					got = v
				}
			},
			done: func() any { return got },
		}
	}
}

func list(Type) (Type, func() *folding) {
	return TypeDynamic, func() *folding {
		items := []any{}
		return &folding{take: func(v any) { items = append(items, v) }, done: func() any { return items }}
	}
}

// set collects distinct values, and the elements of arrays one by one.
func set(Type) (Type, func() *folding) {
	return TypeDynamic, func() *folding {
		items, seen := []any{}, map[string]bool{}
		return &folding{
			take: func(v any) {
				for _, e := range elements(v) {
					if k := string(appendKey(nil, e)); e != nil && !seen[k] {
						seen[k] = true
						items = append(items, e)
					}
				}
			},
			done: func() any { return items },
		}
	}
}

func bag(t Type) (Type, func() *folding) {
	if t != TypeDynamic {
		return 0, nil
	}
	return TypeDynamic, func() *folding {
		out := &Bag{}
		return &folding{
			take: func(v any) {
				if b, ok := parsed(v).(*Bag); ok {
					for i, k := range b.keys {
						if _, has := out.Get(k); !has {
							out.Set(k, b.vals[i])
						}
					}
				}
			},
			done: func() any { return out },
		}
	}
}
