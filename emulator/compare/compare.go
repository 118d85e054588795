// Package compare holds the source of a migration against what arrived, row by
// row and by content. It reports; it repairs nothing.
package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// Digest stands for one row's JSON value. Two rows have the same digest when
// they are equal as ADX keeps values: whatever their white space, key order and
// escapes, integers exactly and other numbers as doubles; absent is not null.
type Digest [16]byte

// Rows is a multiset of rows.
type Rows map[Digest]int

// Result is the outcome of one comparison. A row whose value changed on the way
// counts as missing and as repeated.
type Result struct {
	Source   int // rows at the source
	Arrived  int
	Missing  int // at the source and not arrived, counting repetitions
	Repeated int // arrived beyond what the source has
}

// OK reports whether every row arrived exactly once.
func (r Result) OK() bool { return r.Missing == 0 && r.Repeated == 0 }

// Collect digests rows of JSON text as they are. The error names the row's
// position, never its content.
func Collect(rows iter.Seq[[]byte]) (Rows, error) { return collect(rows, nil) }

func collect(rows iter.Seq[[]byte], p *passage) (Rows, error) {
	out := Rows{}
	n := 0
	for text := range rows {
		d, err := digest(text, p)
		if err != nil {
			return nil, fmt.Errorf("row %d (%d bytes): %w", n, len(text), err)
		}
		out[d]++
		n++
	}
	return out, nil
}

// CollectSource digests the source rows of a table as the handler passes them on:
// annotations are dropped, and Graph's {} for null is null where the column is known
// to hold no objects. In other columns Graph makes null and an empty object the
// same, so that both sides take the one for the other there.
func CollectSource(table string, rows iter.Seq[[]byte]) (Rows, error) {
	return collect(rows, &passage{typed: typedColumns(table), source: true})
}

// CollectArrived digests the rows that arrived of a table, for a comparison with
// those of CollectSource.
func CollectArrived(table string, rows iter.Seq[[]byte]) (Rows, error) {
	return collect(rows, &passage{typed: typedColumns(table)})
}

// passage is what a row's way through Graph and the handler does to it.
type passage struct {
	typed  map[string]bool // columns, in lower case, that hold no objects
	source bool
}

// typedColumns are those of the catalogue whose type is not dynamic.
func typedColumns(table string) map[string]bool {
	known, _ := schema.Lookup(table)
	typed := map[string]bool{}
	for _, c := range known.Columns {
		typed[strings.ToLower(c.Name)] = c.Type != "dynamic"
	}
	return typed
}

// apply changes a row to how it is passed on.
func (p *passage) apply(value any) any {
	row, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for name, v := range row {
		if p.source && p.typed[strings.ToLower(name)] && bare(v) {
			row[name] = nil
		}
	}
	if p.source {
		dropAnnotations(row)
	}
	for name, v := range row {
		if !p.typed[strings.ToLower(name)] && bare(v) {
			row[name] = nil
		}
	}
	return row
}

// bare reports an object without members.
func bare(value any) bool {
	object, ok := value.(map[string]any)
	return ok && len(object) == 0
}

// dropAnnotations removes the members that the handler leaves out, at any depth.
func dropAnnotations(value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if strings.Contains(name, "@odata.") {
				delete(v, name)
				continue
			}
			dropAnnotations(inner)
		}
	case []any:
		for _, inner := range v {
			dropAnnotations(inner)
		}
	}
}

// Compare holds two multisets against each other.
func Compare(source, arrived Rows) Result {
	var r Result
	for d, n := range source {
		r.Source += n
		if short := n - arrived[d]; short > 0 {
			r.Missing += short
		}
	}
	for d, n := range arrived {
		r.Arrived += n
		if over := n - source[d]; over > 0 {
			r.Repeated += over
		}
	}
	return r
}

// Of digests one row as it is.
func Of(text []byte) (Digest, error) { return digest(text, nil) }

func digest(text []byte, p *passage) (Digest, error) {
	value, err := parse(text, p)
	if err != nil {
		return Digest{}, err
	}
	return sum(value, len(text)), nil
}

// parse reads one JSON value as p passes it on; as it is if p is nil.
func parse(text []byte, p *passage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("read JSON: text after the value")
	}
	if p != nil {
		value = p.apply(value)
	}
	return value, nil
}

// sum digests a value whose text has about size bytes.
func sum(value any, size int) Digest {
	sum := sha256.Sum256(canonical(make([]byte, 0, size), value))
	return Digest(sum[:16])
}

func canonical(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case json.Number:
		return number(dst, v.String())
	case string:
		return strconv.AppendQuote(dst, v)
	case []any:
		dst = append(dst, '[')
		for _, e := range v {
			dst = append(canonical(dst, e), ',')
		}
		return append(dst, ']')
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		dst = append(dst, '{')
		for _, k := range keys {
			dst = append(strconv.AppendQuote(dst, k), ':')
			dst = append(canonical(dst, v[k]), ',')
		}
		return append(dst, '}')
	}
	return append(dst, '?')
}

// number writes an integer as it stands and any other number as the double that
// ADX keeps; one beyond doubles is kept as the text Infinity or -Infinity.
func number(dst []byte, text string) []byte {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.AppendInt(dst, n, 10)
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case math.IsInf(f, 1):
		return strconv.AppendQuote(dst, "Infinity")
	case math.IsInf(f, -1):
		return strconv.AppendQuote(dst, "-Infinity")
	case err != nil:
		return append(dst, text...)
	}
	// A double has a point or an exponent here, so that 1 and 1.0 stay apart.
	out := strconv.AppendFloat(nil, f, 'g', -1, 64)
	if !bytes.ContainsAny(out, ".e") {
		out = append(out, ".0"...)
	}
	return append(dst, out...)
}
