package engine

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// member compiles in, !in, in~, !in~, has_any and has_all. The list holds scalars,
// dynamic arrays, or one table whose first column is taken.
func (s *scope) member(x *memberOp) (*expr, error) {
	v, err := s.compile(x.x)
	if err != nil {
		return nil, err
	}
	list, err := s.memberList(x)
	if err != nil {
		return nil, err
	}
	bare := strings.TrimPrefix(x.op, "!")
	negated := bare != x.op
	if bare == "has_any" || bare == "has_all" {
		return s.hasList(x, v, list, bare == "has_all")
	}
	fold1 := func(k any) any { return k }
	if bare == "in~" {
		if v.typ != TypeString && v.typ != TypeDynamic {
			return nil, s.fail(x, "", "Operator '%s' cannot take a value of type %s", x.op, v.typ)
		}
		fold1 = func(k any) any { return strings.ToLower(FormatText(TypeDynamic, k)) }
	}
	typ := v.typ
	key := func(k any, t Type) any {
		switch {
		case typ == TypeString:
			return fold1(FormatText(t, k))
		case typ == TypeDynamic:
			return fold1(FormatText(TypeDynamic, k))
		case typ.numeric():
			f, ok := toReal(k)
			if n, whole := k.(int64); whole {
				return n
			}
			if ok && f == float64(int64(f)) {
				return int64(f)
			}
			return orNull(f, ok)
		}
		return Convert(k, t, typ)
	}
	for _, e := range list {
		if e.typ != typ && e.typ != TypeDynamic && typ != TypeDynamic && !(e.typ.numeric() && typ.numeric()) && !(e.typ == TypeString && e.konst) {
			return nil, s.fail(x, "SEM0025", "Operator '%s' cannot compare values of types %s and %s", x.op, typ, e.typ)
		}
	}
	fixed := map[any]bool{}
	var moving []*expr
	for _, e := range list {
		if !e.konst {
			moving = append(moving, e)
			continue
		}
		for _, k := range elements(e.val) {
			if kk := key(k, e.typ); kk != nil {
				fixed[kk] = true
			}
		}
	}
	out := &expr{typ: TypeBool, eval: func(r *Record) any {
		k := v.eval(r)
		if k == nil && typ != TypeString && typ != TypeDynamic {
			return negated
		}
		kk := key(k, typ)
		found := fixed[kk]
		for _, e := range moving {
			for _, c := range elements(e.eval(r)) {
				if c != nil || typ == TypeString {
					found = found || key(c, e.typ) == kk
				}
			}
		}
		return found != negated
	}}
	return fold(out, append(list, v)...), nil
}

// elements are those of an array, or the value itself.
func elements(v any) []any {
	if list, ok := parsed(v).([]any); ok {
		return list
	}
	return []any{v}
}

func (s *scope) memberList(x *memberOp) ([]*expr, error) {
	if len(x.list) == 1 && s.env.isTabular(x.list[0]) {
		t, err := s.env.table(x.list[0])
		if err != nil {
			return nil, err
		}
		if len(t.cols) == 0 {
			return nil, s.fail(x, "", "the table of '%s' has no column", x.op)
		}
		var vals []any
		t.run(func(r *Record) bool {
			vals = append(vals, r.Values[0])
			return true
		})
		if err := s.env.eng.err; err != nil {
			return nil, err
		}
		list := make([]*expr, len(vals))
		for i, v := range vals {
			list[i] = constant(t.cols[0].Type, v)
		}
		return list, nil
	}
	return s.args(x.list)
}

func (s *scope) hasList(x *memberOp, v *expr, list []*expr, all bool) (*expr, error) {
	if v.typ != TypeString && v.typ != TypeDynamic {
		return nil, s.fail(x, "", "Operator '%s' cannot take a value of type %s", x.op, v.typ)
	}
	return fold(&expr{typ: TypeBool, eval: func(r *Record) any {
		text := strings.ToLower(FormatText(TypeDynamic, v.eval(r)))
		for _, e := range list {
			for _, c := range elements(e.eval(r)) {
				if hasTerm(text, strings.ToLower(FormatText(e.typ, c))) != all {
					return !all
				}
			}
		}
		return all
	}}, append(list, v)...), nil
}

// hasTerm finds part as a whole term: its edges that are letters or digits must
// not touch further letters or digits.
func hasTerm(s, part string) bool { return findTerm(s, part, true, true) }

func hasTermPrefix(s, part string) bool { return findTerm(s, part, true, false) }

func hasTermSuffix(s, part string) bool { return findTerm(s, part, false, true) }

func findTerm(s, part string, left, right bool) bool {
	if part == "" {
		return true
	}
	first, _ := utf8.DecodeRuneInString(part)
	last, _ := utf8.DecodeLastRuneInString(part)
	left, right = left && termRune(first), right && termRune(last)
	for from := 0; ; {
		i := strings.Index(s[from:], part)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+len(part):])
		if !(left && i > 0 && termRune(before)) && !(right && i+len(part) < len(s) && termRune(after)) {
			return true
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		from = i + n
	}
}

func termRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
