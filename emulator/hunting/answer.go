package hunting

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

// maxResultBytes bounds every answer's text.
const maxResultBytes = 256 << 20

// answer is a result in the making: JSON text, compressed as it grows if the client
// takes that.
type answer struct {
	api     API
	cols    []engine.Column
	keys    []string // "Name": of each column
	dress   *dresser // nil: rows go out as they stand
	awkward Awkward
	results Results
	mark    bool // a byte order mark comes first
	whole   bool

	rows   int
	size   int64 // of the text, the head left out
	limit  int64
	stopAt int64 // nothing behind this size is kept; 0: no limit
	reset  bool  // the connection breaks there

	pack bool         // the client takes gzip: one member, as some clients read no further
	zip  *gzip.Writer // Graph's, which packs while the answer grows; else nil
	kept pieces
	line []byte
}

// newAnswer begins an answer: for Graph with its head, for the others with the rows.
func (c *call) newAnswer(cols []engine.Column) *answer {
	a := &answer{api: c.api, cols: cols, limit: c.limits.Bytes, awkward: c.s.o.Awkward, whole: c.s.o.Whole,
		results: c.fault.Results, mark: c.fault.ByteOrderMark}
	if a.stopAt, a.reset = c.fault.ResetAt, c.fault.ResetAt > 0; c.fault.EndAt > 0 && (!a.reset || c.fault.EndAt < a.stopAt) {
		a.stopAt, a.reset = c.fault.EndAt, false
	}
	for _, col := range cols {
		a.keys = append(a.keys, string(engine.FormatJSON(nil, engine.TypeString, col.Name))+":")
	}
	a.dress = newDresser(a.awkward, c.api, cols)
	a.pack = takesGzip(c.r)
	if a.pack && c.api == Graph {
		a.zip, _ = gzip.NewWriterLevel(&a.kept, gzip.BestSpeed) // the level is valid
	}
	if c.api == Graph {
		_, _ = a.text().Write(a.head(0)) // memory takes everything
	}
	return a
}

// takesGzip reads Accept-Encoding.
func takesGzip(r *http.Request) bool {
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if coding != "gzip" && coding != "*" {
			continue
		}
		_, weight, found := strings.Cut(q, "=")
		v, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		return !found || err != nil || v > 0
	}
	return false
}

func (a *answer) text() io.Writer {
	if a.zip != nil {
		return a.zip
	}
	return &a.kept
}

// byteOrderMark has no business before JSON, and was seen there all the same.
const byteOrderMark = "\ufeff"

// head is what comes before the rows.
func (a *answer) head(took time.Duration) []byte {
	b := a.members(took)
	if a.mark {
		b = append([]byte(byteOrderMark), b...)
	}
	if a.results == NoResults {
		return b
	}
	if a.api == Graph {
		return append(b, `,"results":`...)
	}
	return append(b, `,"Results":`...)
}

// members are those before the rows.
func (a *answer) members(took time.Duration) []byte {
	if a.api == Graph {
		type column struct {
			Name string `json:"name"`
			Type string `json:"type"`
		}
		list := make([]column, len(a.cols))
		for i, c := range a.cols {
			list[i] = column{c.Name, c.Type.WireName()}
		}
		schema := mustJSON(list)
		if a.awkward.PascalSchema {
			schema = mustJSON(pascal(a.cols))
		}
		b := []byte(`{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.security.huntingQueryResults","schema":`)
		return append(b, schema...)
	}
	b := append([]byte(`{"Stats":`), mustJSON(statistics(a, took))...)
	return append(append(b, `,"Schema":`...), mustJSON(pascal(a.cols))...)
}

type pascalColumn struct{ Name, Type string }

func pascal(cols []engine.Column) []pascalColumn {
	list := make([]pascalColumn, len(cols))
	for i, c := range cols {
		list[i] = pascalColumn{c.Name, c.Type.WireName()}
	}
	return list
}

// statistics are what the older APIs say of a query; most of it is of no meaning
// here. Source: api-advanced-hunting.
func statistics(a *answer, took time.Duration) any {
	type m = map[string]any
	none := m{"hits": 0, "misses": 0, "total": 0}
	spent := engine.Timespan(took / 100).String()
	return struct {
		ExecutionTime float64
		Usage         any `json:"resource_usage"`
		Statistics    any `json:"dataset_statistics"`
	}{
		ExecutionTime: took.Seconds(),
		Usage: m{
			"cache":  m{"memory": none, "disk": none},
			"cpu":    m{"user": spent, "kernel": "00:00:00", "total cpu": spent},
			"memory": m{"peak_per_node": a.size},
		},
		Statistics: []m{{"table_row_count": a.rows, "table_size": a.size}},
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return b
}

// add appends a row: its own text if it still has one.
func (a *answer) add(r engine.Record) error {
	line := a.line[:0]
	if a.rows == 0 {
		line = append(line, '[')
	} else {
		line = append(line, ',')
	}
	if a.whole && r.Raw != nil {
		r.Raw = a.completed(r.Raw)
	}
	switch {
	case r.Raw != nil && a.dress == nil:
		line = append(line, r.Raw...)
	case r.Raw != nil:
		line = a.dress.row(line, r.Raw)
	case a.dress != nil:
		line = a.dress.row(line, a.built(nil, r))
	default:
		line = a.built(line, r)
	}
	a.line = line
	a.rows++
	return a.put(line)
}

// completed renders a row's text by the schema, as the services do: each value as one
// of its column's type, and what the text lacks of the schema as null. Members outside
// the schema stay as they stand.
func (a *answer) completed(row []byte) []byte {
	has := make([]bool, len(a.cols))
	b := append(make([]byte, 0, len(row)), '{')
	next := func() {
		if len(b) > 1 {
			b = append(b, ',')
		}
	}
	for key, text := range tenant.Members(row) {
		next()
		i := slices.IndexFunc(a.cols, func(c engine.Column) bool { return c.Name == string(key) })
		if i < 0 {
			b = append(append(append(b, mustJSON(string(key))...), ':'), text...)
			continue
		}
		has[i] = true
		b = engine.FormatJSON(append(b, a.keys[i]...), a.cols[i].Type, tenant.Value(text, a.cols[i].Type))
	}
	for i, c := range a.cols {
		if !has[i] {
			next()
			b = engine.FormatJSON(append(b, a.keys[i]...), c.Type, nil)
		}
	}
	return append(b, '}')
}

func (a *answer) built(b []byte, r engine.Record) []byte {
	b = append(b, '{')
	for i, c := range a.cols {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, a.keys[i]...)
		b = engine.FormatJSON(b, c.Type, r.Values[i])
	}
	return append(b, '}')
}

func (a *answer) put(text []byte) error {
	before := a.size
	if a.size += int64(len(text)); a.size > a.limit {
		return resultTooLarge()
	}
	if a.stopAt > 0 {
		text = text[:min(int64(len(text)), max(0, a.stopAt-before))]
	}
	_, err := a.text().Write(text)
	return err
}

// finish writes what comes behind the rows.
func (a *answer) finish() error {
	end := "]}"
	if a.rows == 0 {
		end = "[]}"
		switch {
		case a.results == NoResults:
			end = "}"
		case a.results == NullResults, a.awkward.NoEmptyResults && a.api == Graph:
			end = "null}"
		}
	}
	if err := a.put([]byte(end)); err != nil || a.zip == nil {
		return err
	}
	if a.reset && a.stopped() {
		return a.zip.Flush() // the stream breaks off
	}
	return a.zip.Close()
}

// stopped reports whether part of the text was left out.
func (a *answer) stopped() bool { return a.stopAt > 0 && a.size > a.stopAt }

// pieces is text in memory that is never copied to grow.
type pieces [][]byte

const pieceBytes = 128 << 10

// Write implements io.Writer.
func (p *pieces) Write(b []byte) (int, error) {
	written := len(b)
	for len(b) > 0 {
		n := len(*p) - 1
		if n < 0 || len((*p)[n]) == cap((*p)[n]) {
			*p = append(*p, make([]byte, 0, pieceBytes))
			n++
		}
		last := (*p)[n]
		k := min(len(b), cap(last)-len(last))
		(*p)[n] = append(last, b[:k]...)
		b = b[k:]
	}
	return written, nil
}

// finishWith puts the head in front, which tells the size of what follows, and packs
// both if the client takes that.
func (a *answer) finishWith(head []byte) {
	var text pieces
	_, _ = text.Write(head) // memory takes everything
	text = append(text, a.kept...)
	if a.kept = text; !a.pack {
		return
	}
	a.kept = nil
	zip, _ := gzip.NewWriterLevel(&a.kept, gzip.BestSpeed) // the level is valid
	for i, p := range text {
		_, _ = zip.Write(p) // memory takes everything
		text[i] = nil
	}
	if a.reset && a.stopped() {
		_ = zip.Flush() // the stream breaks off
		return
	}
	_ = zip.Close()
}

// send writes the answer, or as much of it as the fault lets through.
func (c *call) send(a *answer, took time.Duration) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	if c.api == Graph {
		h.Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
		h.Set("OData-Version", "4.0")
	}
	if a.pack {
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
	}
	c.entry.Status, c.entry.Rows, c.entry.Bytes = http.StatusOK, a.rows, a.size
	c.w.WriteHeader(http.StatusOK)
	if c.api != Graph {
		a.finishWith(a.head(took))
	}
	if !c.transmit(a.kept) {
		return
	}
	if a.reset && a.stopped() {
		_ = http.NewResponseController(c.w).Flush() // the break must come behind what was sent
		panic(http.ErrAbortHandler)
	}
}

func (c *call) transmit(text pieces) bool {
	if c.fault.Drip <= 0 {
		for _, p := range text {
			if _, err := c.w.Write(p); err != nil {
				return false
			}
		}
		return true
	}
	size := c.fault.DripBytes
	if size <= 0 {
		size = 4096
	}
	control := http.NewResponseController(c.w)
	for _, p := range text {
		for len(p) > 0 {
			n := min(size, len(p))
			if _, err := c.w.Write(p[:n]); err != nil {
				return false
			}
			p = p[n:]
			if control.Flush() != nil || sleep.For(c.r.Context(), c.fault.Drip) != nil {
				return false
			}
		}
	}
	return true
}
