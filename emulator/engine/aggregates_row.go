package engine

import (
	"math"
	"slices"
	"strings"
)

// argBest is arg_max and arg_min: the row with the largest or smallest value of
// the first argument; the first such row wins.
func argBest(s *scope, x *call, sign int) (aggregator, error) {
	if len(x.args) < 2 {
		return aggregator{}, s.fail(x, "SEM0219", "%s(): function expects at least 2 arguments", x.name)
	}
	by, err := s.compile(x.args[0])
	if err != nil {
		return aggregator{}, err
	}
	name := autoName(x.args[0])
	if name == "" {
		name = strings.TrimPrefix(x.name, "arg_") + "_"
	}
	a := aggregator{cols: []Column{{name, by.typ}}}
	if err := a.arguments(s, x.args[1:], name); err != nil {
		return a, err
	}
	a.begin = func(from []*expr) accumulator { return &bestRow{by: by, from: from, sign: sign} }
	return a, nil
}

// dropKeys takes the columns that are group keys out of what * stands for.
func (a *aggregator) dropKeys(by []named) {
	shift := len(a.cols) - len(a.from) // arg_max has its first argument in front
	for i := len(a.from) - 1; i >= 0; i-- {
		for _, k := range by {
			if ref, ok := k.x.(*nameRef); ok && len(k.names) == 0 && ref.name == a.cols[i+shift].Name {
				a.from = slices.Delete(a.from, i, i+1)
				a.cols = slices.Delete(a.cols, i+shift, i+shift+1)
				break
			}
		}
	}
}

func (a *aggregator) open() accumulator {
	if a.begin != nil {
		return a.begin(a.from)
	}
	return a.start()
}

// arguments adds the columns to be returned; * is every column but except.
func (a *aggregator) arguments(s *scope, args []node, except string) error {
	for _, n := range args {
		if _, ok := n.(*star); ok {
			a.star = true
			for i, c := range s.cols {
				if c.Name != except {
					a.cols = append(a.cols, c)
					a.from = append(a.from, column(i, c.Type))
				}
			}
			continue
		}
		v, err := s.compile(n)
		if err != nil {
			return err
		}
		name := autoName(n)
		if name == "" {
			name = "arg_"
		}
		a.cols = append(a.cols, Column{name, v.typ})
		a.from = append(a.from, v)
	}
	return nil
}

type bestRow struct {
	by   *expr
	from []*expr
	sign int
	some bool
	top  any
	kept []any
}

func (b *bestRow) add(r *Record) {
	v := b.by.eval(r)
	if b.some && (v == nil || b.top != nil && compare(v, b.top) != b.sign) {
		return
	}
	b.some, b.top = true, v
	if b.kept == nil {
		b.kept = make([]any, len(b.from))
	}
	for i, x := range b.from {
		b.kept[i] = x.eval(r)
	}
}

func (b *bestRow) result(dst []any) []any {
	dst = append(dst, b.top)
	if b.kept == nil {
		return append(dst, make([]any, len(b.from))...)
	}
	return append(dst, b.kept...)
}

func takeAny(s *scope, x *call) (aggregator, error) {
	a := aggregator{}
	if len(x.args) == 0 {
		return a, s.fail(x, "SEM0219", "%s(): function expects at least 1 argument", x.name)
	}
	if err := a.arguments(s, x.args, ""); err != nil {
		return a, err
	}
	if x.name == "any" {
		for i := range a.cols {
			a.cols[i].Name = "any_" + a.cols[i].Name
		}
	}
	a.begin = func(from []*expr) accumulator { return &anyRow{from: from} }
	return a, nil
}

// anyRow keeps the first row.
type anyRow struct {
	from []*expr
	kept []any
}

func (b *anyRow) add(r *Record) {
	if b.kept == nil {
		b.kept = make([]any, len(b.from))
		for i, x := range b.from {
			b.kept[i] = x.eval(r)
		}
	}
}

func (b *anyRow) result(dst []any) []any {
	if b.kept == nil {
		return append(dst, make([]any, len(b.from))...)
	}
	return append(dst, b.kept...)
}

// percentiles uses the nearest rank.
func percentiles(s *scope, x *call) (aggregator, error) {
	args, err := s.args(x.args)
	if err != nil {
		return aggregator{}, err
	}
	if len(args) < 2 || !args[0].typ.numeric() && !args[0].typ.counted() {
		return aggregator{}, s.fail(x, "SEM0219", "%s(): a number and percentages are expected", x.name)
	}
	a := aggregator{}
	var ranks []float64
	for _, p := range args[1:] {
		f, ok := toReal(p.val)
		if !p.konst || !ok {
			return a, s.fail(x, "SEM0219", "%s(): a percentage must be a constant", x.name)
		}
		ranks = append(ranks, f)
		label := strings.ReplaceAll(FormatText(p.typ, p.val), ".", "_")
		a.cols = append(a.cols, Column{"percentile_" + autoName(x.args[0]) + "_" + label, args[0].typ})
	}
	a.start = func() accumulator { return &ranking{x: args[0], ranks: ranks} }
	return a, nil
}

type ranking struct {
	x     *expr
	ranks []float64
	vals  []any
}

func (k *ranking) add(r *Record) {
	if v := k.x.eval(r); v != nil {
		k.vals = append(k.vals, v)
	}
}

func (k *ranking) result(dst []any) []any {
	slices.SortStableFunc(k.vals, compare)
	for _, p := range k.ranks {
		if len(k.vals) == 0 {
			dst = append(dst, nil)
			continue
		}
		i := int(math.Ceil(p/100*float64(len(k.vals)))) - 1
		dst = append(dst, k.vals[min(max(i, 0), len(k.vals)-1)])
	}
	return dst
}
