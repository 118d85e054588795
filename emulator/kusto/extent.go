package kusto

import (
	"bytes"
	"time"
	"unicode/utf8"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// blockBytes is about how much dynamic data one block holds, so that the spare
// room of a growing arena stays small.
const blockBytes = 8 << 20

// extent is a data shard: rows that came together, with their tags. Extents and
// blocks never change; what deletes or merges makes new ones.
type extent struct {
	id      string
	created time.Time
	shown   time.Time // when it became queryable, by the machine's clock
	tags    []string
	blocks  []*block
}

func (e *extent) rows() int {
	n := 0
	for _, b := range e.blocks {
		n += b.rows
	}
	return n
}

// size is about how many bytes the values take.
func (e *extent) size() int {
	n := 0
	for _, b := range e.blocks {
		for _, v := range b.columns {
			n += v.size()
		}
	}
	return n
}

// block is a run of rows with one ingestion time, stored by column. A block made
// before a column was added has fewer columns: the rest read as null.
type block struct {
	rows     int
	ingested *engine.Datetime // nil where the ingestiontime policy is off
	columns  []vector
}

// row copies one row into values, which has the table's present columns.
func (b *block) row(i int, columns []column, values []any) {
	for c := range columns {
		switch {
		case c < len(b.columns):
			values[c] = b.columns[c].at(i)
		default:
			values[c] = columns[c].null()
		}
	}
}

// vector holds one column of a block.
type vector interface {
	at(row int) any
	size() int
}

// constant is a column with the same value in every row.
type constant struct{ value any }

func (v constant) at(int) any { return v.value }
func (v constant) size() int  { return valueSize(v.value) }

// list is a column of any type but dynamic.
type list []any

func (v list) at(row int) any { return v[row] }

func (v list) size() int {
	n := 0
	for _, x := range v {
		n += valueSize(x)
	}
	return n
}

// bags is a dynamic column: the JSON texts end to end. An empty text is null.
type bags struct {
	text []byte
	ends []uint32
}

func (v *bags) at(row int) any {
	from := uint32(0)
	if row > 0 {
		from = v.ends[row-1]
	}
	to := v.ends[row]
	if from == to {
		return nil
	}
	return engine.RawJSON(v.text[from:to:to])
}

func (v *bags) size() int { return len(v.text) }

func valueSize(v any) int {
	switch x := v.(type) {
	case nil:
		return 0
	case string:
		return len(x)
	case engine.RawJSON:
		return len(x)
	case bool:
		return 1
	}
	return 8
}

// builder collects the rows of one extent.
type builder struct {
	columns []column
	done    []*block
	open    []columnBuilder
	rows    int // of the open block
	total   int
}

func newBuilder(columns []column) *builder {
	return &builder{columns: columns, open: make([]columnBuilder, len(columns))}
}

// add takes one row: values by ordinal, each of its column's type.
func (b *builder) add(values []any) {
	full := false
	for i := range b.columns {
		b.open[i].add(b.columns[i], b.columns[i].fit(values[i]), b.rows)
		full = full || len(b.open[i].bags.text) >= blockBytes
	}
	b.rows++
	b.total++
	if full {
		b.seal()
	}
}

func (b *builder) seal() {
	if b.rows == 0 {
		return
	}
	sealed := &block{rows: b.rows, columns: make([]vector, len(b.columns))}
	for i := range b.open {
		sealed.columns[i] = b.open[i].vector(b.columns[i])
		b.open[i] = columnBuilder{}
	}
	b.done = append(b.done, sealed)
	b.rows = 0
}

// blocks ends the building.
func (b *builder) blocks() []*block {
	b.seal()
	return b.done
}

// columnBuilder keeps a column as one constant until a value differs.
type columnBuilder struct {
	first  any
	varied list
	bags   bags
}

func (b *columnBuilder) add(c column, v any, row int) {
	switch {
	case c.Type == engine.TypeDynamic:
		if text, ok := v.(canonicalJSON); ok {
			b.bags.text = append(b.bags.text, text...)
		}
		b.bags.ends = append(b.bags.ends, uint32(len(b.bags.text)))
	case b.varied != nil:
		b.varied = append(b.varied, v)
	case row == 0:
		b.first = v
	case v != b.first:
		for range row {
			b.varied = append(b.varied, b.first)
		}
		b.varied = append(b.varied, v)
	}
}

func (b *columnBuilder) vector(c column) vector {
	switch {
	case c.Type == engine.TypeDynamic && len(b.bags.text) == 0:
		return constant{}
	case c.Type == engine.TypeDynamic:
		return &bags{text: bytes.Clone(b.bags.text), ends: append([]uint32(nil), b.bags.ends...)}
	case b.varied != nil:
		return b.varied
	}
	return constant{b.first}
}

// column is a table's column with what its encoding policy allows.
type column struct {
	engine.Column
	encoding string // name of the encoding policy's type, or empty
}

const defaultValueBytes = 1 << 20 // Source: ADX documentation, "Encoding policy", MaxValueSize

// limit is the largest value the column keeps, in bytes.
// Source: ADX documentation, "Alter encoding policy", the BigObject types.
func (c column) limit() int {
	switch c.encoding {
	case "BigObject":
		return 2 << 20
	case "BigObject32", "BigObjectIndexed32":
		return 32 << 20
	}
	return defaultValueBytes
}

// null is what the column reads where there is no value; a string is empty.
func (c column) null() any {
	if c.Type == engine.TypeString {
		return ""
	}
	return nil
}

// fit gives v as it is kept: dynamics as canonicalJSON, and null when they are too
// large; strings cut at the limit.
// Source: ADX documentation, "Ingestion behavior of invalid data".
func (c column) fit(v any) any {
	switch c.Type {
	case engine.TypeDynamic:
		text := normalised(v)
		if len(text) == 0 || len(text) > c.limit() {
			return nil
		}
		return text
	case engine.TypeString:
		s, _ := v.(string)
		if n := c.limit(); len(s) > n {
			for n > 0 && !utf8.RuneStart(s[n]) {
				n--
			}
			s = s[:n]
		}
		return s
	}
	return v
}
