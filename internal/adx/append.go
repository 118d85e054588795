package adx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
)

// columnsFor is how long a control table's columns are taken as known: a run asks once,
// and who adds columns by setup waits for minutes until they are filled.
const columnsFor = 5 * time.Minute

// cell is one value of a row to be appended: a string, bool, int64, float64 or
// time.Time; the zero time is null.
type cell struct {
	column string
	value  any
}

// column is a column of a table as it stands in ADX.
type column struct {
	Name string `json:"Name"`
	Type string `json:"CslType"`
}

// append adds one row to a control table under an ingest-by tag: a second row
// under the same tag is not added. The table is the user's: it may lack columns of
// ours and have others, which become null.
func (c *Client) append(ctx context.Context, table, tag string, row []cell) error {
	return c.appendRows(ctx, table, tag, [][]cell{row})
}

// appendRows adds rows that become visible together, or none of them. They name
// the same columns.
func (c *Client) appendRows(ctx context.Context, table, tag string, values [][]cell) error {
	columns, fresh, err := c.columns.of(ctx, c, table)
	if err != nil {
		return err
	}
	for {
		err = c.patiently(ctx, func() error {
			_, err := command[struct{}](ctx, c, ingestors, appendCommand(table, tag, columns, values))
			return err
		})
		if err == nil || fault.KindOf(err) != fault.Permanent {
			return err
		}
		// Microsoft says of a known tag in one place that the append is skipped, in
		// another that it fails. What stands in the table decides.
		if there, lookErr := c.tagged(ctx, table, tag); lookErr == nil && there {
			return nil
		}
		if fresh {
			return err
		}
		// The columns may have changed since they were read.
		c.columns.forget(table)
		if columns, fresh, err = c.columns.of(ctx, c, table); err != nil {
			return err
		}
	}
}

// tagged reports whether rows of the table came in under the ingest-by tag.
func (c *Client) tagged(ctx context.Context, table, tag string) (bool, error) {
	type row struct {
		Tagged bool `kusto:"Tagged"`
	}
	found, err := rows[row](ctx, c, taggedQuery(table, tag))
	return len(found) > 0, err
}

// taggedQuery looks by `has`, which the service answers from the extents' own
// lists, and then exactly, since a dash ends a term.
func taggedQuery(table, tag string) string {
	whole := kql.String(ingestBy + plainTag(tag))
	return kql.Name(table) + " | where extent_tags() has " + whole + " and set_has_element(extent_tags(), " + whole + ")" +
		" | take 1 | project Tagged = true"
}

// ingestBy is the prefix of the tags that ingestIfNotExists looks for.
const ingestBy = "ingest-by:"

// appendCommand writes the rows in the order of the table's columns, since
// `.append` goes by position and not by name. It is `.append` because
// `.set-or-append` makes a table that is missing, which takes more rights than the
// app has, and is then refused for the right instead of for the table.
func appendCommand(table, tag string, columns []column, values [][]cell) string {
	lines := make([]string, len(values))
	for i, row := range values {
		lines[i] = "print " + assignments(columns, row)
	}
	source := lines[0]
	if len(lines) > 1 {
		source = "union (" + strings.Join(lines, "), (") + ")"
	}
	tag = plainTag(tag)
	return ".append " + kql.Name(table) +
		` with (tags = '["` + ingestBy + tag + `"]', ingestIfNotExists = '["` + tag + `"]') <| ` + source
}

func assignments(columns []column, row []cell) string {
	values := make(map[string]any, len(row))
	for _, c := range row {
		values[c.column] = c.value
	}
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = kql.Name(c.Name) + " = " + literal(values[c.Name], c.Type)
	}
	return strings.Join(out, ", ")
}

var tagText = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)

// plainTag returns the tag, or where it has other characters than a tag may
// safely carry in a command, a digest of it: just as unique.
func plainTag(tag string) string {
	if tagText.MatchString(tag) {
		return tag
	}
	sum := sha256.Sum256([]byte(tag))
	return "h" + hex.EncodeToString(sum[:16])
}

// literal writes a value for a column of the given type. Where the type is not
// the value's own, Kusto converts it, so that a user's wider or textual column
// gets the same content.
func literal(value any, typ string) string {
	text, natural := "", ""
	switch v := value.(type) {
	case string:
		text, natural = kql.String(v), "string"
	case bool:
		text, natural = "bool("+strconv.FormatBool(v)+")", "bool"
	case int64:
		if typ == "int" {
			// A count beyond int stops at its largest value rather than become null.
			return fmt.Sprintf("int(%d)", min(max(v, math.MinInt32), math.MaxInt32))
		}
		text, natural = kql.Long(v), "long"
	case float64:
		text, natural = "real("+strconv.FormatFloat(v, 'f', -1, 64)+")", "real"
	case time.Time:
		if !v.IsZero() {
			text, natural = kql.Datetime(v), "datetime"
		}
	}
	switch {
	case natural == "" && typ == "string":
		return `""`
	case natural == "":
		return typ + "(null)"
	case natural == typ:
		return text
	}
	return "to" + typ + "(" + text + ")"
}

// columnCache remembers the columns of control tables for a few minutes.
type columnCache struct {
	mu    sync.Mutex
	known map[string]knownColumns
}

type knownColumns struct {
	at      time.Time
	columns []column
}

// of returns a table's columns in order, and whether they were read just now.
func (k *columnCache) of(ctx context.Context, c *Client, table string) (columns []column, fresh bool, err error) {
	k.mu.Lock()
	known, ok := k.known[table]
	k.mu.Unlock()
	if ok && c.now().Sub(known.at) < columnsFor {
		return known.columns, false, nil
	}
	at := c.now()
	columns, err = c.tableColumns(ctx, table)
	if err != nil {
		return nil, false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[string]knownColumns)
	}
	k.known[table] = knownColumns{at, columns}
	return columns, true, nil
}

func (k *columnCache) forget(table string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, table)
}

func (c *Client) tableColumns(ctx context.Context, table string) ([]column, error) {
	type answer struct {
		Schema string `kusto:"Schema"`
	}
	found, err := command[answer](ctx, c, viewers, ".show table "+kql.Name(table)+" schema as json")
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	var schema struct{ OrderedColumns []column }
	if len(found) != 1 {
		err = fmt.Errorf("want one schema, got %d", len(found))
	} else {
		err = json.Unmarshal([]byte(found[0].Schema), &schema)
	}
	if err == nil && len(schema.OrderedColumns) == 0 {
		err = errors.New("the schema holds no column")
	}
	if err != nil {
		return nil, fault.As(fault.Retry, fmt.Errorf("read the columns of %s: %w", table, err))
	}
	return schema.OrderedColumns, nil
}
