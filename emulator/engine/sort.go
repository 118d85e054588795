package engine

import (
	"math/rand/v2"
	"sort"
)

// sort also does top, which keeps no more than twice its number of rows.
func (st step) sort() (*rel, error) {
	s := st.scope()
	limit := int64(-1)
	if st.op.name == "top" {
		n, err := st.amount()
		if err != nil {
			return nil, err
		}
		limit = n
	}
	keys := make([]*expr, len(st.op.order))
	for i, o := range st.op.order {
		x, err := s.compile(o.x)
		if err != nil {
			return nil, err
		}
		if x.typ == TypeDynamic {
			return nil, s.fail(o.x, "", "cannot sort by a value of type dynamic; convert it first")
		}
		keys[i] = x
	}
	in := st.windowed(s)
	out := in.like(func(yield func(*Record) bool) {
		b := sorter{order: st.op.order, ties: st.env.eng.query.Ties}
		in.run(func(r *Record) bool {
			k := make([]any, len(keys))
			for i, x := range keys {
				k[i] = x.eval(r)
			}
			b.rows, b.keys = append(b.rows, r.clone()), append(b.keys, k)
			if limit >= 0 && int64(len(b.rows)) > 2*limit+1024 {
				b.cut(limit)
			}
			return true
		})
		if b.cut(limit); st.env.eng.err != nil {
			return
		}
		for _, r := range b.rows {
			if !yield(r) {
				return
			}
		}
	})
	out.serial = true
	return out, nil
}

type sorter struct {
	order []ordering
	rows  []*Record
	keys  [][]any
	ties  uint64
}

func (b *sorter) Len() int { return len(b.rows) }

func (b *sorter) Swap(i, k int) {
	b.rows[i], b.rows[k] = b.rows[k], b.rows[i]
	b.keys[i], b.keys[k] = b.keys[k], b.keys[i]
}

func (b *sorter) Less(i, k int) bool {
	for n, o := range b.order {
		p, q := b.keys[i][n], b.keys[k][n]
		if (p == nil) != (q == nil) {
			return (p == nil) == o.nullsFirst
		}
		if c := compare(p, q); c != 0 {
			return (c < 0) == o.asc
		}
	}
	return false
}

// cut sorts and keeps the first n rows; all of them if n is negative.
func (b *sorter) cut(n int64) {
	if b.ties != 0 {
		rand.New(rand.NewPCG(b.ties, uint64(len(b.rows)))).Shuffle(len(b.rows), b.Swap)
	}
	sort.Stable(b)
	if n >= 0 && int64(len(b.rows)) > n {
		clear(b.rows[n:])
		clear(b.keys[n:])
		b.rows, b.keys = b.rows[:n], b.keys[:n]
	}
}
