package engine

import (
	"slices"
	"strings"
)

func asArray(v any) ([]any, bool) {
	l, ok := parsed(v).([]any)
	return l, ok
}

func asBag(v any) (*Bag, bool) {
	b, ok := parsed(v).(*Bag)
	return b, ok
}

func addDynamic(m map[string]builtin) {
	dyn := func(min, max int, f func(a []any) any) builtin {
		return builtin{min: min, max: max, typ: TypeDynamic, call: f}
	}
	m["parse_json"] = dyn(1, 1, func(a []any) any {
		s, ok := a[0].(string)
		if !ok {
			return a[0]
		}
		if s == "" {
			return nil
		}
		if v, err := ParseJSON([]byte(s)); err == nil {
			return v
		}
		return s
	})
	m["todynamic"], m["parsejson"] = m["parse_json"], m["parse_json"]
	m["dynamic_to_json"] = builtin{min: 1, max: 1, typ: TypeString, call: func(a []any) any {
		return string(appendJSON(nil, sortedKeys(parsed(a[0]))))
	}}
	m["pack_array"] = builtin{min: 0, max: -1, special: packArray}
	m["bag_pack"] = dyn(0, -1, func(a []any) any {
		b := &Bag{}
		for i := 0; i+1 < len(a); i += 2 {
			b.Set(text(a[i]), a[i+1])
		}
		return b
	})
	m["pack"], m["pack_dictionary"] = m["bag_pack"], m["bag_pack"]
	m["bag_pack_columns"] = builtin{min: 1, max: -1, special: bagPackColumns}
	m["bag_keys"] = dyn(1, 1, func(a []any) any {
		b, ok := asBag(a[0])
		if !ok {
			return nil
		}
		out := []any{}
		for _, k := range b.keys {
			out = append(out, k)
		}
		return out
	})
	m["bag_has_key"] = builtin{min: 2, max: 2, types: "o s", typ: TypeBool, call: func(a []any) any {
		b, ok := asBag(a[0])
		if !ok {
			return nil
		}
		path := bagPath(text(a[1]))
		for i, key := range path {
			v, has := b.Get(key)
			if !has {
				return false
			}
			if i == len(path)-1 {
				return true
			}
			if b, ok = asBag(v); !ok {
				return false
			}
		}
		return false
	}}
	m["bag_merge"] = dyn(2, 64, func(a []any) any {
		out := &Bag{}
		some := false
		for _, v := range a {
			if b, ok := asBag(v); ok {
				some = true
				for i, k := range b.keys {
					if _, has := out.Get(k); !has {
						out.Set(k, b.vals[i])
					}
				}
			}
		}
		return orNull(out, some)
	})
	m["bag_set_key"] = dyn(3, 3, func(a []any) any {
		b, ok := asBag(a[0])
		if !ok {
			return nil
		}
		path := bagPath(text(a[1]))
		if len(path) == 0 {
			return nil
		}
		return withKey(b, path, a[2])
	})
	m["bag_remove_keys"] = dyn(2, 2, func(a []any) any {
		b, ok := asBag(a[0])
		if !ok {
			return nil
		}
		for _, k := range elements(a[1]) {
			if path := bagPath(text(k)); len(path) > 0 {
				b = withoutKey(b, path)
			}
		}
		return b
	})
	m["bag_zip"] = builtin{min: 2, max: 2, types: "o", typ: TypeDynamic, call: func(a []any) any {
		keys, ok := asArray(a[0])
		vals, ok2 := asArray(a[1])
		if !ok || !ok2 {
			return nil
		}
		b := &Bag{}
		for i, k := range keys {
			if name, isText := k.(string); isText { // other keys are passed over
				b.Set(name, arg(vals, i))
			}
		}
		return b
	}}
	addArrays(m, dyn)
	addSets(m, dyn)
	m["range"] = builtin{min: 2, max: 3, typ: TypeDynamic, call: rangeArray}
	m["repeat"] = dyn(2, 2, func(a []any) any {
		n, ok := toLong(a[1])
		if !ok || n > maxText {
			return nil
		}
		return slices.Repeat([]any{a[0]}, int(max(n, 0)))
	})
	m["zip"] = dyn(2, 16, func(a []any) any {
		n := 0
		for _, v := range a {
			n = max(n, len(elements(v)))
		}
		out := make([]any, n)
		for i := range out {
			row := make([]any, len(a))
			for k, v := range a {
				row[k] = arg(elements(v), i)
			}
			out[i] = row
		}
		return out
	})
}

func addArrays(m map[string]builtin, dyn func(min, max int, f func(a []any) any) builtin) {
	m["array_length"] = builtin{min: 1, max: 1, types: "o", typ: TypeLong, call: func(a []any) any {
		l, ok := asArray(a[0])
		return orNull(int64(len(l)), ok)
	}}
	m["array_concat"] = dyn(1, 64, func(a []any) any {
		out := []any{}
		for _, v := range a {
			if l, ok := asArray(v); ok {
				out = append(out, l...)
			}
		}
		return out
	})
	m["array_slice"] = dyn(3, 3, func(a []any) any {
		l, ok := asArray(a[0])
		if !ok {
			return nil
		}
		n := int64(len(l))
		from, to := whole(a[1], 0), whole(a[2], -1)
		if from < 0 {
			from = max(from+n, 0)
		}
		if to < 0 {
			to += n
		}
		if to = min(to, n-1); from > to {
			return []any{}
		}
		return slices.Clone(l[from : to+1])
	})
	m["strcat_array"] = builtin{min: 2, max: 2, typ: TypeString, call: func(a []any) any {
		l, _ := asArray(a[0])
		parts := make([]string, len(l))
		for i, v := range l {
			parts[i] = FormatText(TypeDynamic, v)
		}
		return strings.Join(parts, text(a[1]))
	}}
	m["array_reverse"] = dyn(1, 1, func(a []any) any {
		l, ok := asArray(a[0])
		if !ok {
			return nil
		}
		l = slices.Clone(l)
		slices.Reverse(l)
		return l
	})
	m["array_sum"] = builtin{min: 1, max: 1, types: "o", typ: TypeReal, call: func(a []any) any {
		l, ok := asArray(a[0])
		sum := 0.0
		for _, v := range l {
			f, num := toReal(v)
			sum, ok = sum+f, ok && num
		}
		return orNull(sum, ok)
	}}
	m["array_index_of"] = builtin{min: 2, max: 5, typ: TypeLong, call: arrayIndexOf}
	for name, sign := range map[string]int{"array_sort_asc": 1, "array_sort_desc": -1} {
		m[name] = builtin{min: 1, max: 2, special: func(s *scope, x *call) (*expr, error) {
			args, err := s.args(x.args)
			if err != nil {
				return nil, err
			}
			if len(args) == 2 && args[1].typ != TypeBool {
				return nil, unsupported(x.place, "%s() of several arrays", name)
			}
			return fold(calling(TypeDynamic, arraySort(sign), args), args...), nil
		}}
	}
	for name, sign := range map[string]int64{"array_rotate_left": 1, "array_rotate_right": -1} {
		m[name] = dyn(2, 2, func(a []any) any {
			l, ok := asArray(a[0])
			if !ok || len(l) == 0 {
				return a[0]
			}
			k := modulo(sign*whole(a[1], 0), int64(len(l)))
			return slices.Concat(l[k:], l[:k])
		})
	}
	for name, sign := range map[string]int64{"array_shift_left": 1, "array_shift_right": -1} {
		m[name] = dyn(2, 3, func(a []any) any {
			l, ok := asArray(a[0])
			if !ok {
				return nil
			}
			by := sign * whole(a[1], 0)
			out := make([]any, len(l))
			for i := range out {
				if k := int64(i) + by; k >= 0 && k < int64(len(l)) {
					out[i] = l[k]
				} else {
					out[i] = arg(a, 2)
				}
			}
			return out
		})
	}
}

func addSets(m map[string]builtin, dyn func(min, max int, f func(a []any) any) builtin) {
	combine := func(keep func(i int, in []map[string]bool, k string) bool) func(a []any) any {
		return func(a []any) any {
			in := make([]map[string]bool, len(a))
			for i, v := range a {
				l, ok := asArray(v)
				if !ok {
					return nil
				}
				in[i] = map[string]bool{}
				for _, e := range l {
					in[i][string(appendKey(nil, e))] = true
				}
			}
			out, seen := []any{}, map[string]bool{}
			for i, v := range a {
				for _, e := range elements(v) {
					if k := string(appendKey(nil, e)); !seen[k] && keep(i, in, k) {
						seen[k] = true
						out = append(out, e)
					}
				}
			}
			return out
		}
	}
	m["set_union"] = dyn(2, 64, combine(func(int, []map[string]bool, string) bool { return true }))
	m["set_intersect"] = dyn(2, 64, combine(func(_ int, in []map[string]bool, k string) bool {
		for _, s := range in {
			if !s[k] {
				return false
			}
		}
		return true
	}))
	m["set_difference"] = dyn(2, 64, combine(func(i int, in []map[string]bool, k string) bool {
		for _, s := range in[1:] {
			if s[k] {
				return false
			}
		}
		return i == 0
	}))
	m["set_has_element"] = builtin{min: 2, max: 2, typ: TypeBool, call: func(a []any) any {
		l, ok := asArray(a[0])
		if !ok {
			return nil
		}
		for _, e := range l {
			if string(appendKey(nil, e)) == string(appendKey(nil, parsed(a[1]))) {
				return true
			}
		}
		return false
	}}
	m["jaccard_index"] = builtin{min: 2, max: 2, typ: TypeReal, call: func(a []any) any {
		both, ok := m["set_intersect"].call(a).([]any)
		all, ok2 := m["set_union"].call(a).([]any)
		return orNull(float64(len(both))/float64(len(all)), ok && ok2)
	}}
}

// packArray makes an array of scalars; a bool in it is a JSON bool.
func packArray(s *scope, x *call) (*expr, error) {
	args, err := s.argsAndColumns(x.args)
	if err != nil {
		return nil, err
	}
	return fold(calling(TypeDynamic, func(a []any) any { return slices.Clone(a) }, args), args...), nil
}

func bagPackColumns(s *scope, x *call) (*expr, error) {
	args, err := s.args(x.args)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(args))
	for i, n := range x.args {
		if names[i] = autoName(n); names[i] == "" {
			return nil, s.fail(n, "SEM0219", "bag_pack_columns(): a column is expected")
		}
	}
	return calling(TypeDynamic, func(a []any) any {
		b := &Bag{}
		for i, v := range a {
			b.Set(names[i], v)
		}
		return b
	}, args), nil
}

func copyBag(b *Bag) *Bag {
	out := &Bag{}
	for i, k := range b.keys {
		out.Set(k, b.vals[i])
	}
	return out
}

// bagPath reads a key as the bag functions do: a name, or a path of names such as
// $.a.b or $.a['b c']. It is empty for a path that names no key: the root, an index.
func bagPath(key string) []string {
	rest, isPath := strings.CutPrefix(key, "$")
	if !isPath || rest != "" && rest[0] != '.' && rest[0] != '[' {
		return []string{key}
	}
	var path []string
	for rest != "" {
		var name, quote string
		switch {
		case strings.HasPrefix(rest, "['"), strings.HasPrefix(rest, `["`):
			quote = rest[1:2] + "]"
			var closed bool
			if name, rest, closed = strings.Cut(rest[2:], quote); !closed {
				return nil
			}
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			name, rest = rest[1:end], rest[end:]
		default:
			return nil
		}
		if name == "" {
			return nil
		}
		path = append(path, name)
	}
	return path
}

// withKey gives the bag with the value at the path; bags are made on the way, also in
// place of what is none.
func withKey(b *Bag, path []string, value any) *Bag {
	out := copyBag(b)
	if len(path) > 1 {
		old, _ := out.Get(path[0])
		in, ok := asBag(old)
		if !ok {
			in = &Bag{}
		}
		value = withKey(in, path[1:], value)
	}
	out.Set(path[0], value)
	return out
}

// withoutKey drops the key at the end of the path.
func withoutKey(b *Bag, path []string) *Bag {
	out := &Bag{}
	for i, k := range b.keys {
		v := b.vals[i]
		if k == path[0] {
			if len(path) == 1 {
				continue
			}
			if in, ok := v.(*Bag); ok {
				v = withoutKey(in, path[1:])
			}
		}
		out.Set(k, v)
	}
	return out
}

func sortedKeys(v any) any {
	switch x := v.(type) {
	case *Bag:
		keys := slices.Sorted(slices.Values(x.keys))
		out := &Bag{}
		for _, k := range keys {
			e, _ := x.Get(k)
			out.Set(k, sortedKeys(e))
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = sortedKeys(e)
		}
		return out
	}
	return v
}

// arrayIndexOf is array_index_of(array, value [, start [, length [, occurrence]]]).
func arrayIndexOf(a []any) any {
	l, ok := asArray(a[0])
	if !ok {
		return nil
	}
	n := int64(len(l))
	start, size, nth := whole(arg(a, 2), 0), whole(arg(a, 3), -1), whole(arg(a, 4), 1)
	if start < 0 {
		start = max(start+n, 0)
	}
	end := n
	if size >= 0 && size < n-start {
		end = start + size
	}
	want := string(appendKey(nil, parsed(a[1])))
	for i := start; i < end; i++ {
		if string(appendKey(nil, l[i])) == want {
			if nth--; nth == 0 {
				return i
			}
		}
	}
	return int64(-1)
}

// arraySort sorts one array; nulls come last unless the second argument is false.
func arraySort(sign int) func(a []any) any {
	return func(a []any) any {
		l, ok := asArray(a[0])
		if !ok {
			return nil
		}
		nullsLast, isBool := arg(a, 1).(bool)
		nullsLast = nullsLast || !isBool
		l = slices.Clone(l)
		slices.SortStableFunc(l, func(p, q any) int {
			if (p == nil) != (q == nil) {
				if (p == nil) == nullsLast {
					return 1
				}
				return -1
			}
			return sign * compare(p, q)
		})
		return l
	}
}

// rangeArray stops at the service's limit of 1,048,576 elements.
func rangeArray(a []any) any {
	var d any = int64(1)
	if len(a) > 2 {
		d = a[2]
	} else {
		switch a[0].(type) {
		case Datetime, Timespan:
			d = hour
		}
	}
	from, to := parsed(a[0]), parsed(a[1])
	_, realTo := to.(float64)
	_, realStep := d.(float64)
	if n, ok := from.(int64); ok && (realTo || realStep) {
		from = float64(n)
	}
	out := []any{}
	eachStep(from, to, d, func(v any) bool {
		out = append(out, v)
		return len(out) < 1<<20
	})
	return out
}
