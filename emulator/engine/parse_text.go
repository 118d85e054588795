package engine

import (
	"regexp"
	"slices"
	"strings"
)

// parse does parse and parse-where of the simple kind: the text must match as a
// whole and every typed column must convert, or all new columns are null.
func (st step) parse() (*rel, error) {
	s := st.scope()
	src, err := s.compile(st.op.items[0].x)
	if err != nil {
		return nil, err
	}
	cols := slices.Clone(st.in.cols)
	var at []int
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i, it := range st.op.by {
		last := i == len(st.op.by)-1
		switch x := it.x.(type) {
		case *star:
			b.WriteString(`.*?`)
		case *literal:
			b.WriteString(regexp.QuoteMeta(x.val.(string)))
		case *typeRef:
			k := columnIndex(cols, it.names[0])
			if k < 0 {
				k = len(cols)
				cols = append(cols, Column{it.names[0], x.typ})
			}
			cols[k].Type = x.typ
			at = append(at, k)
			switch {
			case last:
				b.WriteString(`(.*)`)
			case x.typ.integer():
				b.WriteString(`\s*([+-]?\d+)\s*`)
			case x.typ == TypeReal || x.typ == TypeDecimal:
				b.WriteString(`\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*`)
			default:
				if _, open := st.op.by[i+1].x.(*literal); !open {
					return nil, unsupported(it.place, "'%s' without a text after column '%s'", st.op.name, it.names[0])
				}
				b.WriteString(`(.*?)`)
			}
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, s.fail(st.op, "", "the pattern cannot be used")
	}
	in := st.windowed(s)
	return &rel{cols: cols, serial: in.serial, run: func(yield func(*Record) bool) {
		out := Record{Values: make([]any, len(cols))}
		in.run(func(r *Record) bool {
			copy(out.Values, r.Values)
			m := re.FindStringSubmatch(FormatText(src.typ, src.eval(r)))
			for i, k := range at {
				if m == nil {
					break
				}
				if out.Values[k] = Convert(m[i+1], TypeString, cols[k].Type); out.Values[k] == nil {
					m = nil
				}
			}
			if m == nil {
				if st.op.name == "parse-where" {
					return true
				}
				for _, k := range at {
					out.Values[k] = Convert(nil, TypeString, cols[k].Type)
				}
			}
			out.Ingested, out.Tags = r.Ingested, r.Tags
			return yield(&out)
		})
	}}, nil
}
