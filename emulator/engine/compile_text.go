package engine

import (
	"regexp"
	"strings"
)

// textual compiles =~, !~, has, contains, startswith, … and matches regex.
func (s *scope) textual(x *binaryOp, l, r *expr) (*expr, error) {
	for _, e := range []*expr{l, r} {
		if e.typ != TypeString && e.typ != TypeDynamic {
			return nil, s.badOperands(x, x.op, l, r)
		}
	}
	if x.op == "matches regex" {
		return s.matches(x, l, r)
	}
	match, negated := textMatch(x.op)
	if match == nil {
		return nil, unsupported(x.place, "operator '%s'", x.op)
	}
	return &expr{typ: TypeBool, eval: func(rec *Record) any {
		return match(FormatText(TypeDynamic, l.eval(rec)), FormatText(TypeDynamic, r.eval(rec))) != negated
	}}, nil
}

// textMatch gives the test behind an operator's name and whether it is negated.
func textMatch(op string) (func(s, part string) bool, bool) {
	bare := strings.TrimPrefix(op, "!")
	negated := bare != op
	folded := func(f func(s, part string) bool) func(s, part string) bool {
		return func(s, part string) bool { return f(strings.ToLower(s), strings.ToLower(part)) }
	}
	switch bare {
	case "=~":
		return strings.EqualFold, false
	case "~":
		return strings.EqualFold, true
	case "has":
		return folded(hasTerm), negated
	case "has_cs":
		return hasTerm, negated
	case "hasprefix":
		return folded(hasTermPrefix), negated
	case "hasprefix_cs":
		return hasTermPrefix, negated
	case "hassuffix":
		return folded(hasTermSuffix), negated
	case "hassuffix_cs":
		return hasTermSuffix, negated
	case "contains":
		return folded(strings.Contains), negated
	case "contains_cs", "containscs":
		return strings.Contains, negated
	case "startswith":
		return folded(strings.HasPrefix), negated
	case "startswith_cs":
		return strings.HasPrefix, negated
	case "endswith":
		return folded(strings.HasSuffix), negated
	case "endswith_cs":
		return strings.HasSuffix, negated
	}
	return nil, false
}

func (s *scope) matches(x *binaryOp, l, r *expr) (*expr, error) {
	cache := regexCache{}
	if r.konst {
		if _, err := cache.get(FormatText(TypeDynamic, r.val)); err != nil {
			return nil, s.fail(x, "SEM0050", "'matches regex': invalid regular expression")
		}
	}
	return &expr{typ: TypeBool, eval: func(rec *Record) any {
		re, err := cache.get(FormatText(TypeDynamic, r.eval(rec)))
		return err == nil && re.MatchString(FormatText(TypeDynamic, l.eval(rec)))
	}}, nil
}

// regexCache keeps the last expression: nearly always there is one per query.
type regexCache struct {
	text string
	re   *regexp.Regexp
	err  error
}

func (c *regexCache) get(text string) (*regexp.Regexp, error) {
	if c.re == nil && c.err == nil || c.text != text {
		c.text = text
		c.re, c.err = regexp.Compile(text)
	}
	return c.re, c.err
}
