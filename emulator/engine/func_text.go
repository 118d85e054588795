package engine

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// text is the form text functions see of any value.
func text(v any) string {
	if b, ok := v.(bool); ok {
		return FormatText(TypeBool, b)
	}
	return FormatText(TypeDynamic, v)
}

func whole(v any, def int64) int64 {
	if n, ok := toLong(v); ok {
		return n
	}
	return def
}

func arg(a []any, i int) any {
	if i < len(a) {
		return a[i]
	}
	return nil
}

// maxText bounds what repeat-like functions make.
const maxText = 1 << 20

func addText(m map[string]builtin) {
	str := func(min, max int, takes string, f func(a []any) any) builtin {
		return builtin{min: min, max: max, types: takes, typ: TypeString, call: f}
	}
	long := func(min, max int, takes string, f func(a []any) any) builtin {
		return builtin{min: min, max: max, types: takes, typ: TypeLong, call: f}
	}
	m["strcat"] = builtin{min: 1, max: 64, special: strcat}
	m["strcat_delim"] = str(3, 64, "", func(a []any) any {
		parts := make([]string, len(a)-1)
		for i, v := range a[1:] {
			parts[i] = text(v)
		}
		return strings.Join(parts, text(a[0]))
	})
	m["strlen"] = long(1, 1, "s", func(a []any) any { return int64(utf8.RuneCountInString(text(a[0]))) })
	m["string_size"] = long(1, 1, "s", func(a []any) any { return int64(len(text(a[0]))) })
	m["tolower"] = str(1, 1, "s", func(a []any) any { return strings.ToLower(text(a[0])) })
	m["toupper"] = str(1, 1, "s", func(a []any) any { return strings.ToUpper(text(a[0])) })
	m["reverse"] = str(1, 1, "", func(a []any) any {
		r := []rune(text(a[0]))
		for i, k := 0, len(r)-1; i < k; i, k = i+1, k-1 {
			r[i], r[k] = r[k], r[i]
		}
		return string(r)
	})
	m["substring"] = str(2, 3, "s n", func(a []any) any {
		r := []rune(text(a[0]))
		n := int64(len(r))
		from := whole(a[1], 0)
		if from < 0 {
			from = max(from+n, 0)
		}
		from = min(from, n)
		size := n - from
		if len(a) > 2 {
			size = min(max(whole(a[2], 0), 0), size)
		}
		return string(r[from : from+size])
	})
	m["split"] = builtin{min: 2, max: 3, types: "s s n", typ: TypeDynamic, call: func(a []any) any {
		out := []any{}
		for _, p := range strings.Split(text(a[0]), text(a[1])) {
			out = append(out, p)
		}
		if len(a) == 3 {
			i := whole(a[2], -1)
			if i < 0 || i >= int64(len(out)) {
				return nil
			}
			return []any{out[i]}
		}
		return out
	}}
	m["indexof"] = long(2, 5, "", indexOf)
	m["countof"] = long(2, 3, "s", func(a []any) any {
		s, part := text(a[0]), text(a[1])
		if text(arg(a, 2)) == "regex" {
			re, err := regexp.Compile(part)
			if err != nil {
				return nil
			}
			return int64(len(re.FindAllStringIndex(s, -1)))
		}
		n := int64(0)
		for i := range s {
			if part != "" && strings.HasPrefix(s[i:], part) {
				n++
			}
		}
		return n
	})
	m["replace_string"] = str(3, 3, "s", func(a []any) any {
		if text(a[1]) == "" {
			return text(a[0])
		}
		return strings.ReplaceAll(text(a[0]), text(a[1]), text(a[2]))
	})
	m["replace_regex"] = str(3, 3, "s", replaceRegex())
	m["regex_quote"] = str(1, 1, "s", func(a []any) any { return regexp.QuoteMeta(text(a[0])) })
	head, tail := &regexCache{}, &regexCache{}
	for name, ends := range map[string][2]bool{"trim": {true, true}, "trim_start": {true, false}, "trim_end": {false, true}} {
		m[name] = str(2, 2, "s", func(a []any) any {
			s, p := text(a[1]), text(a[0])
			if ends[0] {
				s = withoutMatch(head, `\A(?:`+p+`)+`, s)
			}
			if ends[1] {
				s = withoutMatch(tail, `(?:`+p+`)+\z`, s)
			}
			return s
		})
	}
	m["extract"] = builtin{min: 3, max: 4, special: extract}
	m["extract_all"] = builtin{min: 2, max: 3, typ: TypeDynamic, call: extractAll()}
	m["strrep"] = str(2, 3, "", func(a []any) any {
		n := whole(a[1], 0)
		part, sep := text(a[0]), text(arg(a, 2))
		if n <= 0 || n > 1024 || int64(len(part)+len(sep))*n > maxText {
			return ""
		}
		return strings.TrimSuffix(strings.Repeat(part+sep, int(n)), sep)
	})
	m["strcmp"] = long(2, 2, "s", func(a []any) any { return int64(strings.Compare(text(a[0]), text(a[1]))) })
	m["isascii"] = builtin{min: 1, max: 1, types: "s", typ: TypeBool, call: func(a []any) any {
		for _, c := range []byte(text(a[0])) {
			if c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}}
	m["isutf8"] = builtin{min: 1, max: 1, types: "s", typ: TypeBool, call: func(a []any) any { return utf8.ValidString(text(a[0])) }}
	m["url_encode"] = str(1, 1, "s", func(a []any) any { return urlEncode(text(a[0]), "+") })
	m["url_encode_component"] = str(1, 1, "s", func(a []any) any { return urlEncode(text(a[0]), "%20") })
	m["url_decode"] = str(1, 1, "s", func(a []any) any {
		s, err := url.QueryUnescape(text(a[0]))
		if err != nil {
			return text(a[0])
		}
		return s
	})
}

// withoutMatch cuts the first match out of s.
func withoutMatch(cache *regexCache, pattern, s string) string {
	re, err := cache.get(pattern)
	if err != nil {
		return s
	}
	if at := re.FindStringIndex(s); at != nil {
		return s[:at[0]] + s[at[1]:]
	}
	return s
}

// urlEncode escapes in lower case, as the service does.
func urlEncode(s, space string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.!*()", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteString(space)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

func strcat(s *scope, x *call) (*expr, error) {
	args, err := s.args(x.args)
	if err != nil {
		return nil, err
	}
	var buf []byte
	return fold(&expr{typ: TypeString, eval: func(r *Record) any {
		buf = buf[:0]
		for _, a := range args {
			buf = append(buf, FormatText(a.typ, a.eval(r))...)
		}
		return string(buf)
	}}, args...), nil
}

// indexOf is indexof(s, part [, start [, length [, occurrence]]]); the length
// bounds where a match may begin, not where it ends.
func indexOf(a []any) any {
	r := []rune(text(a[0]))
	n := int64(len(r))
	part := text(a[1])
	start, size, nth := whole(arg(a, 2), 0), whole(arg(a, 3), -1), whole(arg(a, 4), 1)
	if start < 0 {
		start = max(start+n, 0)
	}
	if start > n || nth < 1 || size < -1 {
		return int64(-1)
	}
	end := n + 1
	if size >= 0 {
		end = start + min(size, n)
	}
	seg := string(r[start:])
	at := int64(0)
	for k := int64(1); ; k++ {
		i := strings.Index(seg, part)
		if i < 0 {
			return int64(-1)
		}
		if at += int64(utf8.RuneCountInString(seg[:i])); start+at >= end {
			return int64(-1)
		}
		if k == nth {
			return start + at
		}
		if part == "" {
			return int64(-1)
		}
		_, w := utf8.DecodeRuneInString(seg[i:])
		at++
		seg = seg[i+w:]
	}
}

// replaceRegex turns \1 into the group and takes $ as it stands.
func replaceRegex() func(a []any) any {
	cache := &regexCache{}
	backref := regexp.MustCompile(`\\(\d)`)
	return func(a []any) any {
		re, err := cache.get(text(a[1]))
		if err != nil {
			return ""
		}
		to := strings.ReplaceAll(text(a[2]), "$", "$$")
		return re.ReplaceAllString(text(a[0]), backref.ReplaceAllString(to, "$${$1}"))
	}
}

// extract(regex, group, text [, typeof(t)])
func extract(s *scope, x *call) (*expr, error) {
	typ := TypeString
	nodes := x.args
	if len(nodes) == 4 {
		t, ok := nodes[3].(*typeRef)
		if !ok {
			return nil, s.fail(x, "SEM0219", "extract(): typeof(…) is expected")
		}
		typ, nodes = t.typ, nodes[:3]
	}
	args, err := s.args(nodes)
	if err != nil {
		return nil, err
	}
	cache := &regexCache{}
	return fold(&expr{typ: typ, eval: func(r *Record) any {
		re, err := cache.get(text(args[0].eval(r)))
		if err != nil {
			return Convert(nil, TypeString, typ)
		}
		m := re.FindStringSubmatch(text(args[2].eval(r)))
		g := whole(args[1].eval(r), -1)
		if g < 0 || g >= int64(len(m)) {
			return Convert(nil, TypeString, typ)
		}
		return Convert(m[g], TypeString, typ)
	}}, args...), nil
}

// extractAll is extract_all(regex, [groups,] text).
func extractAll() func(a []any) any {
	cache := &regexCache{}
	return func(a []any) any {
		re, err := cache.get(text(a[0]))
		if err != nil || re.NumSubexp() == 0 {
			return nil
		}
		var groups []int
		if len(a) == 3 {
			for _, g := range elements(a[1]) {
				i, ok := toLong(g)
				if name, named := g.(string); named && !ok {
					i = int64(re.SubexpIndex(name))
				}
				if i < 0 || i > int64(re.NumSubexp()) {
					return nil
				}
				groups = append(groups, int(i))
			}
		} else {
			for i := 1; i <= re.NumSubexp(); i++ {
				groups = append(groups, i)
			}
		}
		out := []any{}
		for _, m := range re.FindAllStringSubmatch(text(a[len(a)-1]), -1) {
			row := []any{}
			for _, g := range groups {
				row = append(row, m[g])
			}
			if len(row) == 1 {
				out = append(out, row[0])
			} else {
				out = append(out, any(row))
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
}
