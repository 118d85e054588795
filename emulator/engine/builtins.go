package engine

import (
	"bytes"
	"math/rand/v2"
	"strings"

	"github.com/google/uuid"
)

// builtin is a scalar function. call gets the arguments' values and must not keep
// the slice; special compiles the call by itself instead.
type builtin struct {
	min, max int    // arguments; max -1: any number
	types    string // per argument the letters of fits; the last counts for the rest
	typ      Type
	result   func(args []*expr) Type // instead of typ
	call     func(a []any) any
	special  func(s *scope, x *call) (*expr, error)
}

func (f builtin) takes(i int) string {
	parts := strings.Fields(f.types)
	if len(parts) == 0 {
		return ""
	}
	return parts[min(i, len(parts)-1)]
}

func builtins() map[string]builtin {
	m := map[string]builtin{}
	addConversions(m)
	addText(m)
	addMath(m)
	addTime(m)
	addDynamic(m)
	addNetwork(m)
	addHashes(m)
	addContext(m)
	addWindow(m)
	return m
}

func addConversions(m map[string]builtin) {
	for name, t := range map[string]Type{
		"tostring": TypeString, "tolong": TypeLong, "toint": TypeInt, "todouble": TypeReal, "toreal": TypeReal,
		"todecimal": TypeDecimal, "tobool": TypeBool, "toboolean": TypeBool, "todatetime": TypeDatetime,
		"totimespan": TypeTimespan, "toguid": TypeGUID,
	} {
		m[name] = builtin{min: 1, max: 1, special: func(s *scope, x *call) (*expr, error) {
			v, err := s.compile(x.args[0])
			if err != nil {
				return nil, err
			}
			return cast(v, t), nil
		}}
	}
	isNull := func(not bool) func(a []any) any {
		return func(a []any) any {
			raw, ok := a[0].(RawJSON)
			return (a[0] == nil || ok && string(bytes.TrimSpace(raw)) == "null") != not
		}
	}
	m["isnull"] = builtin{min: 1, max: 1, typ: TypeBool, call: isNull(false)}
	m["isnotnull"] = builtin{min: 1, max: 1, typ: TypeBool, call: isNull(true)}
	isEmpty := func(not bool) func(a []any) any {
		return func(a []any) any { return (a[0] == nil || FormatText(TypeDynamic, a[0]) == "") != not }
	}
	m["isempty"] = builtin{min: 1, max: 1, typ: TypeBool, call: isEmpty(false)}
	m["isnotempty"] = builtin{min: 1, max: 1, typ: TypeBool, call: isEmpty(true)}
	m["notempty"], m["notnull"] = m["isnotempty"], m["isnotnull"]
	m["not"] = builtin{min: 1, max: 1, types: "bn", typ: TypeBool, call: func(a []any) any {
		b, ok := toBool(a[0])
		return orNull(!b, ok)
	}}
	m["gettype"] = builtin{min: 1, max: 1, special: func(s *scope, x *call) (*expr, error) {
		v, err := s.compile(x.args[0])
		if err != nil {
			return nil, err
		}
		if v.typ != TypeDynamic {
			return constant(TypeString, v.typ.String()), nil
		}
		return fold(&expr{typ: TypeString, eval: func(r *Record) any { return dynamicKind(v.eval(r)) }}, v), nil
	}}
}

func dynamicKind(v any) string {
	switch parsed(v).(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case int64:
		return "long"
	case float64:
		return "double"
	case string:
		return "string"
	case Datetime:
		return "datetime"
	case Timespan:
		return "timespan"
	case []any:
		return "array"
	}
	return "dictionary"
}

// unified gives the branches of iff, case, coalesce and their like one type.
func (s *scope) unified(x *call, list []*expr) (Type, error) {
	typ := list[0].typ
	for _, e := range list[1:] {
		switch {
		case e.typ == typ:
		case e.typ.numeric() && typ.numeric():
			typ = wider(e.typ, typ)
		case e.typ == TypeDynamic || typ == TypeDynamic:
			typ = TypeDynamic
		default:
			return 0, s.fail(x, "SEM0220", "%s(): values of types %s and %s cannot be mixed", x.name, typ, e.typ)
		}
	}
	for i, e := range list {
		if typ != TypeDynamic {
			list[i] = cast(e, typ)
		}
	}
	return typ, nil
}

// memberOf answers for the whole query whether the caller belongs to one of the
// principals, which are written out: the service asks the directory once.
func memberOf(s *scope, x *call) (*expr, error) {
	members, known := s.env.eng.query.Catalog.(Members)
	belongs := false
	for _, argument := range x.args {
		name, ok := argument.(*literal)
		if !ok || name.typ != TypeString {
			return nil, unsupported(x.place, "current_principal_is_member_of() of other than texts")
		}
		belongs = belongs || known && members.Member(name.val.(string))
	}
	return &expr{typ: TypeBool, eval: func(*Record) any { return belongs }}, nil
}

func addContext(m map[string]builtin) {
	m["iff"] = builtin{min: 3, max: 3, special: choice}
	m["iif"] = m["iff"]
	m["case"] = builtin{min: 3, max: -1, special: choice}
	m["coalesce"] = builtin{min: 2, max: -1, special: func(s *scope, x *call) (*expr, error) {
		return s.first(x, func(best, v any) bool { return best == nil || best == "" })
	}}
	m["max_of"] = builtin{min: 1, max: 64, special: func(s *scope, x *call) (*expr, error) {
		return s.first(x, func(best, v any) bool { return best == nil || v != nil && compare(v, best) > 0 })
	}}
	m["min_of"] = builtin{min: 1, max: 64, special: func(s *scope, x *call) (*expr, error) {
		return s.first(x, func(best, v any) bool { return best == nil || v != nil && compare(v, best) < 0 })
	}}
	m["now"] = builtin{min: 0, max: 1, special: func(s *scope, x *call) (*expr, error) { return s.clock(x, "+") }}
	m["ago"] = builtin{min: 1, max: 1, special: func(s *scope, x *call) (*expr, error) { return s.clock(x, "-") }}
	m["ingestion_time"] = builtin{special: func(*scope, *call) (*expr, error) {
		return counting(TypeDatetime, func(r *Record) (int64, bool) {
			if r.Ingested == nil {
				return 0, false
			}
			return int64(*r.Ingested), true
		}), nil
	}}
	m["extent_tags"] = builtin{special: func(*scope, *call) (*expr, error) {
		return &expr{typ: TypeDynamic, eval: func(r *Record) any {
			list := make([]any, len(r.Tags))
			for i, t := range r.Tags {
				list[i] = t
			}
			return list
		}}, nil
	}}
	m["current_principal_is_member_of"] = builtin{min: 1, max: -1, types: "s", special: memberOf}
	m["toscalar"] = builtin{min: 1, max: 1, special: toScalar}
	m["pack_all"] = builtin{min: 0, max: 1, special: packAll}
	m["estimate_data_size"] = builtin{min: 1, max: -1, special: dataSize}
	m["column_ifexists"] = builtin{min: 2, max: 2, special: func(s *scope, x *call) (*expr, error) {
		name, ok := x.args[0].(*literal)
		if !ok || name.typ != TypeString {
			return nil, s.fail(x, "SEM0219", "column_ifexists(): a column's name is expected")
		}
		if i := columnIndex(s.cols, name.val.(string)); i >= 0 {
			return column(i, s.cols[i].Type), nil
		}
		return s.compile(x.args[1])
	}}
	m["columnifexists"] = m["column_ifexists"]
	m["rand"] = builtin{min: 0, max: 1, special: func(s *scope, x *call) (*expr, error) {
		args, err := s.args(x.args)
		if err != nil {
			return nil, err
		}
		return &expr{typ: TypeReal, eval: func(r *Record) any {
			if len(args) == 1 {
				n, _ := toReal(args[0].eval(r))
				return float64(int64(rand.Float64() * n))
			}
			return rand.Float64()
		}}, nil
	}}
	m["new_guid"] = builtin{special: func(*scope, *call) (*expr, error) {
		return &expr{typ: TypeGUID, eval: func(*Record) any { return uuid.NewString() }}, nil
	}}
	m["assert"] = builtin{min: 2, max: 2, special: func(s *scope, x *call) (*expr, error) {
		args, err := s.args(x.args)
		if err != nil {
			return nil, err
		}
		if args[0].typ != TypeBool || args[1].typ != TypeString || !args[1].konst {
			return nil, s.fail(x, "SEM0219", "assert(): a condition and a constant text are expected")
		}
		eng := s.env.eng
		return &expr{typ: TypeBool, eval: func(r *Record) any {
			if args[0].eval(r) != true {
				eng.fail(&RuntimeError{Message: "assert() has failed with message: '" + args[1].val.(string) + "'"})
				return false
			}
			return true
		}}, nil
	}}
}

// clock is now(offset) and ago(offset).
func (s *scope) clock(x *call, sign string) (*expr, error) {
	now := constant(TypeDatetime, s.env.eng.now)
	if len(x.args) == 0 {
		return now, nil
	}
	by, err := s.compile(x.args[0])
	if err != nil {
		return nil, err
	}
	if by.typ != TypeTimespan {
		return nil, s.fail(x, "SEM0219", "%s(): argument #1 of type %s is invalid", x.name, by.typ)
	}
	return fold(ticksOperation(sign, TypeDatetime, now, by), by), nil
}

// choice is iff(c, a, b) and case(c1, a1, …, else): the first true condition.
func choice(s *scope, x *call) (*expr, error) {
	args, err := s.args(x.args)
	if err != nil {
		return nil, err
	}
	if len(args)%2 == 0 {
		return nil, s.fail(x, "SEM0219", "%s(): an odd number of arguments is expected", x.name)
	}
	var conds, vals []*expr
	for i := 0; i+1 < len(args); i += 2 {
		if t := args[i].typ; t != TypeBool && t != TypeDynamic {
			return nil, s.fail(x.args[i], "SEM0219", "%s(): argument #%d must be of type bool, not %s", x.name, i+1, t)
		}
		conds, vals = append(conds, cast(args[i], TypeBool)), append(vals, args[i+1])
	}
	vals = append(vals, args[len(args)-1])
	typ, err := s.unified(x, vals)
	if err != nil {
		return nil, err
	}
	pick := func(r *Record) int {
		for i, c := range conds {
			if c.eval(r) == true {
				return i
			}
		}
		return len(conds)
	}
	e := &expr{typ: typ, eval: func(r *Record) any { return vals[pick(r)].eval(r) }}
	if typ.counted() {
		get := make([]func(*Record) (int64, bool), len(vals))
		for i, v := range vals {
			get[i] = v.counter()
		}
		e.count = func(r *Record) (int64, bool) { return get[pick(r)](r) }
	}
	return fold(e, args...), nil
}

// first runs through the arguments and takes over each that better prefers.
func (s *scope) first(x *call, better func(best, v any) bool) (*expr, error) {
	args, err := s.args(x.args)
	if err != nil {
		return nil, err
	}
	typ, err := s.unified(x, args)
	if err != nil {
		return nil, err
	}
	return fold(&expr{typ: typ, eval: func(r *Record) any {
		best := args[0].eval(r)
		for _, a := range args[1:] {
			if v := a.eval(r); better(best, v) {
				best = v
			}
		}
		return best
	}}, args...), nil
}

func toScalar(s *scope, x *call) (*expr, error) {
	if !s.env.isTabular(x.args[0]) {
		v, err := s.compile(x.args[0])
		if err != nil {
			return nil, err
		}
		return constant(v.typ, v.eval(&Record{Values: make([]any, len(s.cols))})), nil
	}
	t, err := s.env.table(x.args[0])
	if err != nil {
		return nil, err
	}
	if len(t.cols) == 0 {
		return nil, s.fail(x, "", "toscalar(): the table has no column")
	}
	var v any
	t.run(func(r *Record) bool {
		v = r.Values[0]
		return false
	})
	return constant(t.cols[0].Type, v), s.env.eng.err
}

func packAll(s *scope, x *call) (*expr, error) {
	skip := false
	if len(x.args) == 1 {
		v, err := s.compile(x.args[0])
		if err != nil {
			return nil, err
		}
		skip = v.val == true
	}
	cols := s.cols
	keys := make([]string, len(cols))
	for i, c := range cols {
		keys[i] = c.Name
	}
	return &expr{typ: TypeDynamic, eval: func(r *Record) any {
		b := &Bag{keys: keys[:len(keys):len(keys)], vals: make([]any, 0, len(cols))} // names are unique: no need to look
		if skip {
			b.keys = nil
		}
		for i, c := range cols {
			v := r.Values[i]
			if v == nil && c.Type == TypeString {
				v = ""
			}
			if !skip {
				b.vals = append(b.vals, v)
			} else if v != nil && v != "" {
				b.keys, b.vals = append(b.keys, c.Name), append(b.vals, v)
			}
		}
		return b
	}}, nil
}

// dataSize counts bytes per value: a byte for bool, 4 for int, 8 for long, real,
// datetime and timespan, 16 for guid and decimal, the text's length otherwise.
func dataSize(s *scope, x *call) (*expr, error) {
	args, err := s.argsAndColumns(x.args)
	if err != nil {
		return nil, err
	}
	fixed := int64(0)
	var texts []*expr
	for _, a := range args {
		switch a.typ {
		case TypeBool:
			fixed++
		case TypeInt:
			fixed += 4
		case TypeGUID, TypeDecimal:
			fixed += 16
		case TypeString, TypeDynamic:
			texts = append(texts, a)
		default:
			fixed += 8
		}
	}
	var buf []byte
	return counting(TypeLong, func(r *Record) (int64, bool) {
		n := fixed
		for _, a := range texts {
			switch v := a.eval(r).(type) {
			case string:
				n += int64(len(v))
			case RawJSON:
				if len(v) > 0 && v[0] == '"' {
					n += int64(len(FormatText(TypeDynamic, v)))
					continue
				}
				buf = compactJSON(buf[:0], v)
				n += int64(len(buf))
			default:
				n += int64(len(FormatText(TypeDynamic, v)))
			}
		}
		return n, true
	}), nil
}
